"""What an edit did: sentences, pictures, tables."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pyarrow as pa
import streamlit as st

from metasae.lab.lab import Lab
from metasae.steering.certainty import Certainty
from metasae.steering.conditions import ALWAYS
from metasae.steering.edit_words import edit_in_words
from metasae.steering.outcome import Outcome
from workbench import session, shared
from workbench.charts.answers import answers_spec
from workbench.frame import ink, said
from workbench.steer.tables import answers_table, difference_table, title, tokens_table
from workbench.text import escape, joined
from workbench.wording import wording_picker

TABLES = "tables"
"""Session key: whether the tables are unfolded."""

_UNITS = {False: "nats", True: "percent"}

_NATS = st.column_config.NumberColumn(format="%.2f")

_CHANGE = st.column_config.NumberColumn(format="%+.2f")


def sentences(lab: Lab, outcome: Outcome, pinned: Outcome | None) -> None:
    """What the edit did, in big type, a pinned edit's beside it; then what has to be said."""
    if pinned is None:
        _sentences(lab, outcome, "This edit")
    else:
        now, then = st.columns(2, border=True)
        with now:
            _sentences(lab, outcome, "This edit")
        with then:
            _sentences(lab, pinned, "Pinned edit")
    if why := outcome.why_asked:
        _why_asked(why)
    said(remark for remark in outcome.remarks if remark != why)


def _sentences(lab: Lab, outcome: Outcome, name: str) -> None:
    """What the model itself says comes first; what leads candidates alone is said below it."""
    words = edit_in_words(outcome.edit, outcome.pieces, shared.meta_titles(lab))
    first, *others = outcome.sentences
    with st.container(gap="xxsmall"):
        st.header(escape(first), anchor=False)
        if others:
            st.markdown("  \n".join(map(escape, others)))
        st.caption(f"{name}: {escape(words)}")


def _why_asked(why: str) -> None:
    """What latents by number are asked about and why, and the way to another question."""

    def own() -> None:
        st.session_state["below"] = "Ask your own question"

    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{escape(why)}**", width="content")
        st.button(
            "Ask something else",
            key="ask-else",
            on_click=own,
            help="Opens the form for a prompt and answers of your own, below the picture.",
        )


def unedited(found: Sequence[Certainty]) -> None:
    """What the model answers before any edit, and how sure it is of that."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.markdown("**What it believes unedited**", width="content")
        st.space("stretch")
        wording_picker()
    lines = [f"**{title(one.attribute)}** {escape(one.text)}" for one in found]
    notes = [f" :orange[{escape(one.note)}]" if one.note else "" for one in found]
    st.markdown("  \n".join(line + note for line, note in zip(lines, notes, strict=True)))


def pictures(outcome: Outcome, pinned: Outcome | None) -> None:
    """Every answer before and after; a pinned edit's picture beside it, and the difference."""
    _legend(outcome)
    if pinned is None:
        picture(outcome, "picture")
        return
    now, then = st.columns(2)
    with now:
        st.markdown("**This edit**")
        picture(outcome, "picture")
    with then:
        st.markdown("**Pinned edit**")
        picture(pinned, "picture-pinned")
    st.markdown("**From the pinned edit to this one**, in nats")
    st.dataframe(
        difference_table(outcome.against(pinned)),
        hide_index=True,
        height="content",
        # As narrow as the numbers are: a phone shows the difference, too.
        column_config={
            "Pinned (nats)": st.column_config.NumberColumn("Pinned", format="%.2f", width=74),
            "This (nats)": st.column_config.NumberColumn("This", format="%.2f", width=74),
            "Difference (nats)": st.column_config.NumberColumn(
                "Difference", format="%+.2f", width=86
            ),
        },
        key="difference",
    )


def legend(outcome: Outcome) -> str:
    """What the marks of the picture mean, as Markdown."""
    source, target = escape(outcome.source.in_prompts), escape(outcome.target.label)
    place = "every token is edited" if _everywhere(outcome) else "\\[ \\] the token that is edited"
    if outcome.edit.options.when != ALWAYS:
        place += " where the condition holds"
    return (
        ":small[○ before · ● after · **bold** leads the candidates · "
        "**◆ what the model itself would say**, of all its words · "
        f":blue[**{source}'s answer**] · :orange[**{target}'s answer**] · {place}]"
    )


def _legend(outcome: Outcome) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.markdown(legend(outcome), width="stretch")
        _units()
    if explained := bystander(outcome):
        st.caption(escape(explained))


def _everywhere(outcome: Outcome) -> bool:
    return outcome.edit.options.position == "all"


def bystander(outcome: Outcome) -> str:
    """Why answers stand there that are neither the source's nor the target's; empty without any."""
    ours = {outcome.source.in_prompts, outcome.target.label}
    answers = [answer for _, answer in outcome.questions.answers]
    others = [one for one in answers if one.cities and not ours & set(one.cities)]
    if not others:
        return ""
    names = list(dict.fromkeys(name for one in others for name in one.cities))
    texts = joined([one.text for one in others])
    return (
        f"{texts}, in gray, are the answers of {joined(names)}, a third choice that nothing is "
        "edited towards: where one of them leads, the edit broke an answer instead of moving it."
    )


def _units() -> None:
    key = "units"

    def chosen(units: str) -> None:
        session.change(replace(session.view(), percent=units == _UNITS[True]))

    st.segmented_control(
        "Units",
        list(_UNITS.values()),
        key=key,
        required=True,
        on_change=session.shows(key, lambda view: _UNITS[view.percent], chosen),
        label_visibility="collapsed",
        help="Nats are natural logarithms of probabilities: 0 is certain, −2.3 is one in ten. They "
        "show small probabilities, too.",
    )


def picture(outcome: Outcome, key: str) -> None:
    """Every answer before and after an edit, in the view's units."""
    spec = answers_spec(
        outcome.answers,
        outcome.asked,
        outcome.source.in_prompts,
        outcome.target.label,
        ink(),
        session.view().percent,
    )
    # As Arrow, which Streamlit would else make of them by way of pandas.
    rows = spec.pop("data")["values"]
    names = dict.fromkeys(name for row in rows for name in row)
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    st.vega_lite_chart(table, spec, width="stretch", key=key, alt=outcome.sentence)


def numbers(outcome: Outcome, beside: Callable[[], None]) -> None:
    """The picture as a table, and the model's own likeliest tokens, whatever the candidates.

    Args:
        beside: draws what else stands among the tables.
    """
    with st.expander("All numbers as tables", key=TABLES, on_change="rerun"):
        # Drawn when they are looked at: they cost a toggle nearly as much as the model does.
        if not st.session_state.get(TABLES, False):
            return
        st.markdown(
            "**The candidates**: whether each leads them, whether it is what the model itself "
            "would say, and its probability (an answer's is the product over its tokens)"
        )
        st.dataframe(
            answers_table(outcome.answers),
            hide_index=True,
            height="content",
            column_config={
                "Before (nats)": _NATS, "After (nats)": _NATS, "Change (nats)": _CHANGE,
            },
            key="answers",
        )  # fmt: skip
        st.markdown("**The model's own five likeliest next tokens**, nats and percent")
        st.dataframe(
            tokens_table(outcome.top_tokens), hide_index=True, height="content", key="tokens"
        )
        beside()
