"""How a study is asked: its settings, the number of meta-SAEs, what it takes, the button."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import duration
from metasae.studies.registry import MOST_SEEDS
from metasae.studies.runs import Run, all_runs, begin
from metasae.studies.seeds import missing
from metasae.studies.settings import meanings, places
from metasae.studies.study import Study
from workbench import session, visitor
from workbench.allowed import Right
from workbench.frame import failed
from workbench.studies import jobs
from workbench.studies.place import SEEDS, go
from workbench.text import escape

_SEEDS = (
    "Meta-SAEs of the same width and recipe, started elsewhere: how far a figure rests on the "
    "start. Three or more for anything that is published; each is trained once and kept."
)

_MOST = 2**53
"""Whole numbers from here on a browser can't tell apart."""

TELLS = "It runs beside the page, says how far it is, and can be stopped and gone on with."
"""What is true of every run."""


def ask(lab: Lab, study: Study, run: Run | None, typed: Mapping[str, str]) -> dict[str, str]:
    """The settings and the button that asks the study.

    Args:
        run: the one that is open, whose settings these begin with.
        typed: settings that a link says were changed since.

    Returns:
        The settings that were changed and are not asked yet, for the link.
    """
    if not visitor.may_or_said(Right.STUDIES):
        return {}
    own = f"{study.name}-{run.identity if run else ''}"
    begun = run.asked.seeds if run else 1
    key = f"seeds-{own}"
    if key not in st.session_state:
        st.session_state[key] = _seeds(typed.get(SEEDS, ""), begun)
    seeds = int(st.number_input("Meta-SAEs", 1, MOST_SEEDS, key=key, help=_SEEDS, width=200))
    usual = asdict(study.configuration())
    if run:  # of a former version of the study, perhaps
        asked = run.asked.configuration
        usual |= {name: type(usual[name])(asked[name]) for name in usual.keys() & asked.keys()}
    texts = _settings(study, own, usual, typed)
    changed = {name: text for name, text in texts.items() if text != _text(usual[name])}
    link = changed | ({SEEDS: str(seeds)} if seeds != begun else {})
    try:
        configuration = study.configured(texts)
    except UserError as error:
        failed(error)
        return link
    time = takes(study, lab, asdict(configuration), seeds)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Run it again" if run else "Run",
            type="secondary" if run else "primary",
            key=f"run-{study.name}",
            on_click=begin_run,
            args=(lab, study, configuration, seeds),
        )
        st.caption(time)
    return link


def _seeds(typed: str, begun: int) -> int:
    """The number a link says, where it is one that can be asked."""
    return (
        int(typed)
        if typed.isascii() and typed.isdecimal() and 1 <= int(typed) <= MOST_SEEDS
        else begun
    )


def _settings(
    study: Study, own: str, begun: Mapping[str, Any], typed: Mapping[str, str]
) -> dict[str, str]:
    """A widget a field, folded unless a link changes some; what they say."""
    meaning, texts = meanings(study.configuration), {}
    changed = bool(typed.keys() & begun.keys())
    with (
        st.expander("Settings", key=f"settings-{study.name}", expanded=changed),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        for name, usual in asdict(study.configuration()).items():
            if name in places(study.configuration) and not visitor.may(Right.PATHS):
                continue
            key = f"set-{own}-{name}"
            if key not in st.session_state:
                st.session_state[key] = _begins(begun[name], typed.get(name))
            label = name.replace("_", " ").capitalize()
            help_ = _sentence(meaning.get(name, ""), usual)
            if isinstance(usual, bool):
                said: Any = st.checkbox(label, key=key, help=help_)
            elif isinstance(usual, int):
                said = st.number_input(label, step=1, key=key, help=help_, width=240)
            else:
                said = st.text_input(label, key=key, help=help_, width=240)
            texts[name] = str(said).strip()
    return texts


def _begins(begun: object, typed: str | None) -> Any:
    """What a widget begins with: what a link says, where it is of the setting's kind."""
    if isinstance(begun, bool):
        return typed == "True" if typed in ("True", "False") else begun
    if isinstance(begun, int):
        try:
            number = begun if typed is None else int(typed)
            return number if abs(number) < _MOST else begun
        except ValueError:
            return begun
    return _text(begun) if typed is None else typed


def _text(value: object) -> str:
    """A setting as its widget says it."""
    return repr(value) if isinstance(value, float) else str(value)


def _sentence(text: str, usual: object) -> str:
    """What a field means, as help."""
    value = f"{usual:g}" if isinstance(usual, float) else str(usual)
    return f"{escape(text[:1].upper() + text[1:])} Usually {escape(value)}."


def takes(study: Study, lab: Lab, asked: Mapping[str, object], seeds: int) -> str:
    """What is known of the time it takes here.

    Args:
        asked: the settings that it depends on.
    """
    return " ".join(filter(None, (_took(study, lab, asked), training_before(lab, seeds))))


def _took(study: Study, lab: Lab, asked: Mapping[str, object]) -> str:
    """How long a former run took: one of these settings, or the newest."""
    former = finished_here(study, lab)
    former.sort(key=lambda run: not asked.items() <= run.asked.configuration.items())
    for run in former:
        try:
            found = jobs.result(run)
        except UserError:
            continue
        if found.seconds is not None:
            of = "1 meta-SAE" if found.seeds == 1 else f"{found.seeds} meta-SAEs"
            same = asked.items() <= run.asked.configuration.items()
            settings = "the same" if same else "other"
            return (
                f"An earlier run with {settings} settings and {of} took {duration(found.seconds)} "
                "here."
            )
    if former:
        return f"Earlier runs were stopped in between, so how long one takes isn't known. {TELLS}"
    return f"How long it takes here isn't known yet: it would be the first time. {TELLS}"


def finished_here(study: Study, lab: Lab) -> list[Run]:
    """The study's finished runs of what is open, those begun last first."""
    return [
        run
        for run in all_runs(study.name)
        if run.finished and run.asked.made.preset == lab.provenance.preset
    ]


def training_before(lab: Lab, seeds: int) -> str:
    """How long the meta-SAEs take that are not trained yet."""
    if not (count := missing(lab, seeds)):
        return ""
    which = "one more meta-SAE is" if count == 1 else f"{count} more meta-SAEs are"
    try:
        seconds = count * jobs.seconds_of_training(lab)
    except UserError:
        return f"Before it {which} trained, which takes a time that isn't known."
    return f"Before it {which} trained, about {duration(seconds)}, timed here on a few steps."


@visitor.needs(Right.STUDIES)
def begin_run(lab: Lab, study: Study, configuration: Any, seeds: int) -> None:
    """Begin a run, or show the one that was asked the same (in a widget's callback)."""
    try:
        for name in places(type(configuration)):
            if named := getattr(configuration, name):
                place = visitor.visitor().place(named)
                configuration = replace(configuration, **{name: place})
        run = begin(lab, study, configuration, seeds)
    except UserError as error:
        session.notify(str(error))
        return
    if run.finished:
        session.notify("The same was asked before; this is what was found.", wrong=False)
    else:
        jobs.start(lab, run, study.title)
    go(study.name, run.identity)
