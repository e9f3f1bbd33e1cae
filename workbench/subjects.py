"""Who is edited, and towards whom: the pickers of source and target, and what is known of them."""

from collections.abc import Mapping

import streamlit as st

from metasae.lab.city_records import CityRecord
from metasae.lab.lab import Lab
from metasae.steering.setting import Setting
from metasae.text.names import one_line
from metasae.text.prompts import DEFAULT_WORDING
from workbench import session
from workbench.text import escape, joined


def subject_pickers(lab: Lab) -> None:
    """Source and target, the button that exchanges them, and a warning where facts are not known.

    A city of which the unedited model gets a fact wrong says so in the list.
    """
    setting = session.view().setting
    with st.container(
        horizontal=True, vertical_alignment="bottom", gap="small", key="subject-pickers"
    ):
        _subject_picker(lab, "source", "Source: what is changed", setting.source)
        st.button(
            "Exchange",
            icon=":material/swap_horiz:",
            help="Exchange source and target",
            key="exchange",
            on_click=lambda: session.change(session.view().swapped()),
        )
        _subject_picker(lab, "target", "Target: what it takes on", setting.target)
    for sentence in unknown_facts(lab, setting):
        st.warning(escape(sentence), icon=":material/warning:")


def _subject_picker(lab: Lab, side: str, label: str, value: str) -> None:
    key = f"pick-{side}"

    def picked(typed: str | None) -> None:
        if chosen := one_line(typed or ""):
            session.change_setting(**{side: chosen})

    names = lab.city_names()
    options = names if value in names else (value, *names)
    st.selectbox(
        label,
        options,
        format_func=lambda name: marked(name, lab.records),
        key=key,
        on_change=session.shows(key, lambda view: getattr(view.setting, side), picked),
        accept_new_options=True,
        width=300,
        help="One of these cities, whose facts are on file; “3 of 4 known” means that the unedited "
        "model answers one of the four questions wrong. Or type any other city, person, animal, "
        'word or phrase, or latents by number, like "#123" or "#12, #45".',
    )


def marked(name: str, records: Mapping[str, CityRecord]) -> str:
    """A name, and how many facts the unedited model knows where it does not know all."""
    known = records[name].known.values() if name in records else ()
    return name if all(known) else f"{name} ({sum(known)} of {len(known)} known)"


def unknown_facts(lab: Lab, setting: Setting) -> list[str]:
    """What the unedited model gets wrong of source and target, a sentence for each of them."""
    said = []
    for name in dict.fromkeys((setting.source, setting.target)):
        record = lab.records.get(name)
        if record is None or (setting.wording == DEFAULT_WORDING and all(record.known.values())):
            continue
        if instead := lab.misjudged(name, setting.wording):
            said.append(warning(name, record.answers, instead))
    return said


def warning(name: str, facts: Mapping[str, str], instead: Mapping[str, str]) -> str:
    """That a model gets facts about a name wrong, in a sentence.

    Args:
        facts: per attribute what is true.
        instead: per attribute that the model gets wrong what it finds likelier.
    """
    wrong = [
        f"{attribute} (it finds “{answer}” likelier than “{facts[attribute]}”)"
        for attribute, answer in instead.items()
    ]
    return f"The unedited model does not know {name}'s {joined(wrong)}; an edit says little there."
