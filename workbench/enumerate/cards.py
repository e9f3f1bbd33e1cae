"""What a search found, one pattern a card: nothing of it scrolls or is cut off."""

from collections.abc import Callable, Mapping

import streamlit as st

from metasae.search.patterns import FoundEdit
from metasae.search.report import Assessment, Lead
from metasae.search.side_effects import SideEffects
from metasae.steering.nats import nats
from metasae.steering.verdict import MEANING, STRICT_MEANING
from workbench.text import escape, joined, share


def meaning(strict: bool) -> None:
    """What "moves" means in the cards, the pattern and the picture."""
    text = STRICT_MEANING if strict else MEANING
    beside = "" if strict else " Whether the model itself would say it stands in each sentence."
    st.caption(f"{text[0].upper()}{text[1:]}.{beside} Margins are among the candidates.")


def moves(pattern: Mapping[str, bool]) -> str:
    """A pattern in words."""
    moved = [name for name, did in pattern.items() if did]
    if not moved:
        return "Nothing moves"
    text = f"{joined(moved)} {'moves' if len(moved) == 1 else 'move'}"
    return text[0].upper() + text[1:]


def card(
    one: FoundEdit,
    edit: str,
    note: Assessment | None,
    key: str,
    opened: Callable[[], None],
) -> None:
    """One pattern with its clearest edit.

    Args:
        edit: in words; empty where it isn't said.
        note: what it did besides; None where nobody measured.
        key: of the button.
        opened: the button's callback, which leads to the edit.
    """
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{escape(moves(one.pattern))}**", width="stretch")
            st.button("Open on Steer", key=key, on_click=opened)
        st.markdown(escape(one.sentence))
        if edit:
            st.caption(f"Edit: {escape(edit)}")
        st.caption(escape(" · ".join(figures(one, note))))
        if note is not None:
            with st.expander("Leads and side effects"):
                st.markdown("\n".join(f"- {escape(line)}" for line in details(note)))


def figures(one: FoundEdit, note: Assessment | None) -> list[str]:
    """How clear a pattern is, how often it is reached, and whether chance does as well."""
    found = []
    if one.margin < float("inf"):
        found.append(f"margin {nats(one.margin)} nats among the candidates")
    # NaN where nobody counted.
    if one.reached_by == one.reached_by:
        found.append(f"reached by {share(one.reached_by)} of all combinations")
    if note is not None and any(one.pattern.values()):
        said = "chance does as well" if note.control.marked else "beyond chance"
        reached = round(max(note.control.random, note.control.shuffled) * note.control.draws)
        found.append(
            f"{said}: {reached:,} of {note.control.draws:,} random edits of the same size reach it"
        )
    return found


def details(note: Assessment) -> list[str]:
    """What an edit did besides, a line each."""
    lines = [_lead(name, lead) for name, lead in note.leads.items()]
    lines += [
        f"Other text about the source: {note.side_effects.with_city.mean:z.3f} nats a token (KL "
        "divergence of the next token, unedited from edited)",
        f"Text without the city: {note.side_effects.leak.mean:z.3f} nats a token",
        _facts(note.side_effects),
    ]
    return lines


def _lead(attribute: str, lead: Lead) -> str:
    named = f"{attribute.capitalize()}: {lead.answer}"
    if lead.after is None or lead.before is None:
        return f"{named} is the only candidate"
    return (
        f"{named} leads the next candidate by {nats(lead.after)} nats "
        f"({nats(lead.before, signed=True)} unedited)"
    )


def _facts(sides: SideEffects) -> str:
    if not sides.facts:
        return "No other city shares a latent with the source"
    return (
        f"Facts of other cities that share latents with the source: {sides.held} of {sides.facts} "
        "are still picked rightly"
    )
