"""All lessons, each with what one knows at its end."""

from dataclasses import replace

import streamlit as st

from metasae.lab.lab import POST_PAIR, Lab
from metasae.lessons.registry import lessons
from workbench import session
from workbench.lessons.place import Place, go
from workbench.text import escape, plain

_PAIR = "lesson-pair"
"""Session key: the names that lessons are begun with."""


def overview(lab: Lab) -> None:
    """A card a lesson, two beside each other where there is room."""
    pair, every = _pair(lab), lessons()

    def begin(place: Place) -> None:
        source, target = pair
        if pair != _open():
            session.change_setting(source=source, target=target)
        go(place)

    for at in range(0, len(every), 2):
        for column, lesson in zip(st.columns(2), every[at : at + 2], strict=False):
            with column, st.container(border=True, height="stretch"):
                st.subheader(escape(f"{lesson.number} · {lesson.title}"), anchor=False)
                st.markdown(escape(lesson.learnt))
                st.caption(
                    f"{lesson.count} steps, about {lesson.minutes} minutes: "
                    + escape(" · ".join(step.title for step in lesson.steps))
                )
                with st.container(horizontal=True, gap="small"):
                    for name, presenting in (("Begin", False), ("Present", True)):
                        st.button(
                            name,
                            key=f"{name.lower()}-{lesson.name}",
                            help=plain(lesson.title),
                            type="secondary" if presenting else "primary",
                            on_click=begin,
                            args=(replace(Place(lesson), presenting=presenting),),
                        )


def _open() -> tuple[str, str]:
    setting = session.view().setting
    return setting.source, setting.target


def _pair(lab: Lab) -> tuple[str, str]:
    """The names to begin with: the post's, or those that are open."""
    pairs = [_open()]
    if set(POST_PAIR) <= set(lab.city_names()) and POST_PAIR not in pairs:
        pairs.insert(0, POST_PAIR)
    if len(pairs) == 1:
        st.caption(f"Taught on {escape(' → '.join(pairs[0]))}; choose other names on Steer.")
        return pairs[0]
    chosen = st.segmented_control(
        "Taught on",
        range(len(pairs)),
        default=0,
        required=True,
        format_func=lambda at: plain(" → ".join(pairs[at])),
        key=_PAIR,
        help="The post's pair, or the one that is open on Steer, where any other can be chosen.",
    )
    return pairs[chosen or 0]
