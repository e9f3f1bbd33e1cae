"""A walk through a lesson, a step at a time; to a room in big type, turned by its keys."""

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lessons.lesson import Found
from metasae.steering.setting import Setting
from workbench import glossary, navigation, session
from workbench.announce import announce
from workbench.frame import failed
from workbench.lessons import asking, keys
from workbench.lessons.pictures import picture
from workbench.lessons.place import Place, go
from workbench.text import escape, plain

_SHOWN, _NOT_SHOWN = (
    ":green[**✓ Shown by what is open**]",
    ":orange[**✗ Not shown by what is open**]",
)


def walk(lab: Lab, at: Place) -> None:
    """One step: what is looked at, the question, the picture, and the answer once it is asked for.

    Args:
        at: where one is.
    """
    setting = session.view().setting.without_question()
    try:
        bench = asking.bench(lab, setting)
    except UserError as error:
        failed(error)
        return
    words = {name: escape(value) for name, value in bench.words.items()}
    if not at.presenting:
        _steps(at)
    left, right = st.columns([5, 7], gap="large")
    with right:
        found = _found(lab, setting, at)
        drawn = None if found is None else found.shown if at.open else found.before
        if drawn is not None:
            picture(drawn, f"picture-{at.lesson.name}-{at.number}-{at.open}")
    with left:
        st.caption(f"{escape(at.lesson.title)} · {at.number} of {at.lesson.count}")
        st.header(at.step.title, anchor=False)
        text = at.step.text.format_map(words)
        terms = glossary.in_text(text)
        st.markdown(text, help=glossary.explained(*terms) if terms else None)
        with st.container(key="asked"):
            st.markdown(at.step.question.format_map(words))
        if at.open and found is not None:
            _answer(found, at.step.claim.format_map(words))
    with left if not at.presenting else st.container(key="turning"):
        _moves(at, found)
    _begin_next(lab, setting, at)


def _found(lab: Lab, setting: Setting, at: Place) -> Found | None:
    try:
        found = asking.found.shown(lab, setting, at.lesson.name, at.number)
    except UserError as error:
        failed(error)
        return None
    if found is not None and not found.asked:
        # What was in the way may be gone the next time: asked anew then.
        asking.found.clear(lab, setting, at.lesson.name, at.number)
    return found


def _begin_next(lab: Lab, setting: Setting, at: Place) -> None:
    """Have the next step checked while this one is looked at."""
    if not at.last:
        asking.found.work(lab, setting, at.lesson.name, at.number + 1)


def _answer(found: Found, claim: str) -> None:
    with st.container(border=True, key="answer", gap="xsmall"):
        st.subheader(escape(found.answer), anchor=False)
        if found.asked:
            st.markdown(f"{_SHOWN if found.holds else _NOT_SHOWN}: {claim}")
        if found.more:
            st.markdown(escape(found.more))
    announce(f"{found.answer} {found.more}")


def _steps(at: Place) -> None:
    """All steps, to go to any; those whose answers were seen are ticked."""
    with st.container(horizontal=True, gap="small", key="walk"):
        st.button("All lessons", icon=":material/arrow_back:", on_click=go, args=(None,))
        for number, step in enumerate(at.lesson.steps, 1):
            st.button(
                str(number),
                key=f"walk-{number}",
                help=step.title,
                type="primary" if number == at.number else "secondary",
                icon=":material/check:" if number in at.answered else None,
                on_click=go,
                args=(at.at(number),),
            )
        st.space("stretch")
        _button("Present", replace(at, presenting=True), at, "present_to_all")


def _moves(at: Place, found: Found | None) -> None:
    """Answer, back, next, the workbench, and in and out of presenting."""
    with st.container(horizontal=True, gap="small", key="moves"):
        name, on, before = "Next", at.at(at.number + 1), at.at(at.number - 1)
        if at.presenting:
            on, before = at.onward(), at.back()
        if on == at and (then := at.next_lesson()) is not None:
            name, on = f"Next lesson: {then.lesson.title}", then
        _button("Back", before, at, "arrow_back")
        if not at.open and not at.presenting:
            st.button("Show the answer", key="show", type="primary", on_click=go,
                      args=(at.answering(),))  # fmt: skip
        _button(plain(name), on, at, "arrow_forward")
        if found is not None and found.place is not None:
            there = found.place
            st.button(
                "Open in the workbench",
                key="there",
                type="tertiary" if at.presenting else "secondary",
                icon=":material/open_in_new:",
                on_click=lambda: navigation.go(f"../pages/{there.page}.py", **there.query),
            )
        if at.presenting:
            _button("Leave (Esc)", replace(at, presenting=False), at, "close")
            keys.listen(_pressed(at))


def _button(name: str, to: Place, at: Place, icon: str) -> None:
    st.button(
        name, key=f"move-{icon}", icon=f":material/{icon}:", disabled=to == at, on_click=go,
        args=(to,), type="tertiary" if at.presenting else "secondary",
    )  # fmt: skip


def _pressed(at: Place) -> Callable[[str], None]:
    def turn(way: str) -> None:
        ways = {"onward": at.onward, "back": at.back}
        go(ways[way]() if way in ways else replace(at, presenting=False))

    return turn
