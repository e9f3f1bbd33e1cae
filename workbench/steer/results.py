"""What an edit did: sentences, pictures, tables."""

import streamlit as st

from metasae.lab.lab import Lab
from metasae.steering.outcome import Outcome
from workbench import shared
from workbench.charts.answers import answers_spec
from workbench.frame import ink
from workbench.steer.boxes import edit_in_words
from workbench.steer.tables import answers_table, tokens_table
from workbench.text import escape


def sentences(lab: Lab, outcome: Outcome, pinned: Outcome | None) -> None:
    """What the edit did, in big type; a pinned edit's beside it."""
    if pinned is None:
        _sentence(lab, outcome, "This edit")
        return
    now, then = st.columns(2, border=True)
    with now:
        _sentence(lab, outcome, "This edit")
    with then:
        _sentence(lab, pinned, "Pinned edit")


def _sentence(lab: Lab, outcome: Outcome, name: str) -> None:
    words = edit_in_words(outcome.edit, outcome.pieces, lambda meta: shared.meta_title(lab, meta))
    with st.container(gap="xxsmall"):
        st.header(escape(outcome.sentence), anchor=False)
        st.caption(f"{name}: {escape(words)}")
        if outcome.why_asked:
            st.caption(escape(outcome.why_asked))
        for note in outcome.notes:
            st.caption(f":material/info: {escape(note)}")


def pictures(outcome: Outcome, pinned: Outcome | None) -> None:
    """The log-probabilities before and after; a pinned edit's picture beside it."""
    source, target = (
        escape(outcome.source.in_prompts),
        escape(outcome.target.label),
    )
    st.markdown(
        ":small[○ before · ● after · **◆ the model's pick** · "
        f":blue[**{source}'s answer**] · :orange[**{target}'s answer**] · :gray[other]]"
    )
    if pinned is None:
        _picture(outcome, "picture")
        return
    now, then = st.columns(2)
    with now:
        st.markdown("**This edit**")
        _picture(outcome, "picture")
    with then:
        st.markdown("**Pinned edit**")
        _picture(pinned, "picture-pinned")


def _picture(outcome: Outcome, key: str) -> None:
    spec = answers_spec(outcome.answers, outcome.source.in_prompts, outcome.target.label, ink())
    st.vega_lite_chart(spec, width="stretch", key=key, alt=outcome.sentence)


def numbers(outcome: Outcome) -> None:
    """The picture as a table, and the model's own likeliest tokens, whatever the candidates."""
    left, right = st.columns([7, 5], gap="medium")
    nats = st.column_config.NumberColumn(format="%.2f")
    with left:
        st.markdown("**The answers' log-probabilities (nats)**")
        st.dataframe(
            answers_table(outcome.answers),
            hide_index=True,
            column_config={name: nats for name in ("Before (nats)", "After (nats)")}
            | {"Change (nats)": st.column_config.NumberColumn(format="%+.2f")},
            key="answers",
        )
    with right:
        st.markdown("**The model's own five likeliest next tokens (nats)**")
        st.dataframe(tokens_table(outcome.top_tokens), hide_index=True, key="tokens")
