"""How a study is asked: its settings, the number of meta-SAEs, what it takes, the button."""

from dataclasses import asdict
from typing import Any

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import duration
from metasae.studies.registry import MOST_SEEDS
from metasae.studies.runs import Run, all_runs, begin
from metasae.studies.settings import meanings
from metasae.studies.study import Study
from workbench import session
from workbench.frame import failed
from workbench.studies import jobs
from workbench.studies.place import go
from workbench.text import escape

_SEEDS = (
    "Meta-SAEs of the same width and recipe, started elsewhere: how far a figure rests on the "
    "start. Three or more for anything that is published; each is trained once and kept."
)


def ask(lab: Lab, study: Study, run: Run | None) -> None:
    """The settings and the button that asks the study.

    Args:
        run: the one that is open, whose settings these begin with.
    """
    own = f"{study.name}-{run.identity if run else ''}"
    seeds = st.number_input(
        "Meta-SAEs", 1, MOST_SEEDS, run.asked.seeds if run else 1, key=f"seeds-{own}",
        help=_SEEDS, width=200,
    )  # fmt: skip
    texts = _settings(study, own, run.asked.configuration if run else {})
    try:
        configuration = study.configured(texts)
    except UserError as error:
        failed(error)
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Run it again" if run else "Run",
            type="secondary" if run else "primary",
            key=f"run-{study.name}",
            on_click=begin_run,
            args=(lab, study, configuration, int(seeds)),
        )
        st.caption(takes(study, lab))


def _settings(study: Study, own: str, begun: dict[str, Any]) -> dict[str, str]:
    """A widget a field, folded; what they say."""
    meaning, texts = meanings(study.configuration), {}
    with st.expander("Settings", key=f"settings-{study.name}"):
        for name, usual in asdict(study.configuration()).items():
            value, key = begun.get(name, usual), f"set-{own}-{name}"
            label = name.replace("_", " ").capitalize()
            help_ = _sentence(meaning.get(name, ""), usual)
            if isinstance(usual, bool):
                said: Any = st.checkbox(label, value, key=key, help=help_)
            elif isinstance(usual, int):
                said = st.number_input(label, value=value, step=1, key=key, help=help_, width=240)
            elif isinstance(usual, float):
                said = st.text_input(label, repr(float(value)), key=key, help=help_, width=240)
            else:
                said = st.text_input(label, str(value), key=key, help=help_, width=240)
            texts[name] = str(said).strip()
    return texts


def _sentence(text: str, usual: object) -> str:
    """What a field means, as help."""
    value = f"{usual:g}" if isinstance(usual, float) else str(usual)
    return f"{escape(text[:1].upper() + text[1:])} Usually {escape(value)}."


def takes(study: Study, lab: Lab, **asked: object) -> str:
    """What is known of the time it takes here.

    Args:
        asked: settings of the runs that it is known from.
    """
    for run in all_runs(study.name):
        of_these = asked.items() <= run.asked.configuration.items()
        if run.finished and run.asked.made.preset == lab.provenance.preset and of_these:
            try:
                found = jobs.result(run)
            except UserError:
                continue
            if found.seconds is not None:
                of = "1 meta-SAE" if found.seeds == 1 else f"{found.seeds} meta-SAEs"
                return f"An earlier run with {of} took {duration(found.seconds)} here."
    return (
        "It has not been run here before, so nothing is known of the time it takes. It runs beside "
        "the page, says how far it is, and can be stopped and gone on with."
    )


def begin_run(lab: Lab, study: Study, configuration: Any, seeds: int) -> None:
    """Begin a run, or show the one that was asked the same (in a widget's callback)."""
    try:
        run = begin(lab, study, configuration, seeds)
    except UserError as error:
        session.notify(str(error))
        return
    if run.finished:
        session.notify("The same was asked before; this is what was found.", wrong=False)
    else:
        jobs.start(lab, run, study.title)
    go(study.name, run.identity)
