"""How RAVEL is asked: quick or whole, of whom, and under which options."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import duration
from metasae.ravel.duration import in_words, more_work
from metasae.ravel.methods import METHODS
from metasae.ravel.study import Settings, usual_seeds
from metasae.sources.files import expanded
from metasae.studies.registry import MOST_SEEDS
from metasae.studies.runs import Run
from metasae.studies.study import Study
from metasae.text.cities import ATTRIBUTES
from workbench import session, visitor
from workbench.allowed import Right
from workbench.studies import jobs
from workbench.studies.ask import TELLS, begin_run, finished_here, training_before
from workbench.text import escape

_SAMPLES = {True: "Quick: a small sample", False: "Full: all methods"}


def ask(lab: Lab, study: Study, run: Run | None, typed: Mapping[str, str]) -> Mapping[str, str]:
    """The settings and the button that asks.

    Args:
        run: the one that is open, whose settings these begin with.
        typed: has no part in it.

    Returns:
        Nothing: what is not asked yet is in no link.
    """
    if not visitor.may_or_said(Right.STUDIES):
        return {}
    own = run.identity if run else ""
    was: dict[str, Any] = dict(run.asked.configuration) if run else {"quick": True}
    quick = st.radio(
        "How much", [True, False], index=0 if was.get("quick") else 1, format_func=_SAMPLES.get,
        key=f"ravel-quick-{own}", horizontal=True,
        help="Quick has one seed, few names and none of the controls that are trained anew: its "
        "intervals are wide.",
    )  # fmt: skip
    settings, seeds = _settings(own, was, bool(quick), run)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Run it again" if run else "Run",
            type="secondary" if run else "primary",
            key="run-ravel",
            on_click=_begin,
            args=(lab, study, settings, seeds),
        )
        st.caption(escape(_takes(study, lab, settings, seeds)))
    return {}


def _settings(
    own: str, was: dict[str, Any], quick: bool, run: Run | None
) -> tuple[dict[str, Any], int]:
    """What is asked beside the sample, folded: settings, and the number of seeds."""
    said: dict[str, Any] = {"quick": quick}
    with st.expander("Settings", key="settings-ravel"):
        seeds = st.number_input(
            "Seeds", 1, MOST_SEEDS,
            run.asked.seeds if run and was["quick"] == quick else usual_seeds(quick),
            key=f"ravel-seeds-{quick}-{own}", width=200,
            help="Of the meta-SAE, of what is learned and of the pairs that are drawn.",
        )  # fmt: skip
        said["keep_error"] = st.checkbox(
            "Keep the SAE's error", was.get("keep_error", True), key=f"ravel-error-{own}"
        )
        said["keep_residual"] = st.checkbox(
            "Keep what the meta-SAE leaves unexplained of a direction",
            was.get("keep_residual", False), key=f"ravel-residual-{own}",
        )  # fmt: skip
        said["where"] = st.radio(
            "Edit", ["last", "all"], index=("last", "all").index(was.get("where", "last")),
            format_func={"last": "the name's last token", "all": "all tokens"}.get,
            key=f"ravel-where-{own}", horizontal=True,
        )  # fmt: skip
        if visitor.may(Right.PATHS):
            said["data"] = st.text_input(
                "Folder of RAVEL's own files", was.get("data", ""), key=f"ravel-data-{own}",
                help="On this machine. Left empty, the names are this project's own cities.",
            ).strip()  # fmt: skip
        chosen = st.multiselect(
            "Methods", list(METHODS),
            [one.strip() for one in was.get("methods", "").split(",") if one.strip() in METHODS],
            key=f"ravel-methods-{own}", placeholder="as many as usual",
            help="These alone. Without “nothing” there are no log-probabilities before the edit.",
        )  # fmt: skip
        said["methods"] = ",".join(chosen)
        for name, label in (
            ("sources", "Held-out names that are edited"),
            ("steps", "Steps of learning"),
        ):
            said[name] = int(
                st.number_input(
                    label, 0, 100_000, was.get(name, 0), key=f"ravel-{name}-{own}", width=240,
                    help="0: as many as usual",
                )
            )  # fmt: skip
    if "kind" in was:
        said["kind"] = was["kind"]
    return said, int(seeds)


def _takes(study: Study, lab: Lab, said: dict[str, Any], seeds: int) -> str:
    """What is known of the time it takes here: an earlier run's, times how much more it is."""
    before = training_before(lab, seeds)
    try:
        settings = Settings(**said)
        for run in finished_here(study, lab):
            found = jobs.result(run)
            if found.seconds is None:
                continue
            attributes = len(found.figures["attributes"])
            more = more_work(settings, seeds, run.configuration, run.asked.seeds, attributes)
            return (
                f"Counted up from an earlier run, which took {duration(found.seconds)}: "
                f"{in_words(found.seconds, more)}; methods that search or train anew take longer. "
                f"{before}"
            ).strip()
        quick = Settings(quick=True)
        least, most = more_work(settings, seeds, quick, usual_seeds(True), len(ATTRIBUTES))
    except UserError:
        return before
    times = "" if said["quick"] else f" It is {least:.0f} to {most:.0f} times the work of Quick."
    return f"No earlier run here was timed from end to end.{times} {TELLS} {before}".strip()


@visitor.needs(Right.STUDIES)
def _begin(lab: Lab, study: Study, said: dict[str, Any], seeds: int) -> None:
    """Begin a run, or show the one that was asked the same (in a widget's callback)."""
    try:
        settings = Settings(**said)
        if settings.data:
            folder: Path = expanded(visitor.visitor().place(settings.data)).resolve()
            settings = replace(settings, data=str(folder)).with_digest()
    except UserError as error:
        session.notify(str(error))
        return
    begin_run(lab, study, settings, seeds)
