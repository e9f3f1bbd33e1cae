"""Which study is open, and which of its runs, as the address says it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import streamlit as st

from metasae.errors import UserError
from metasae.studies import runs
from metasae.studies.registry import ELSEWHERE, STUDIES
from metasae.studies.registry import study as named
from metasae.studies.runs import Run
from metasae.studies.study import Study
from workbench import navigation, session

SEEDS, _SET = "seeds", "set"
"""In the address: the number of meta-SAEs, and other settings as ``name:value,name:value``."""

_LONGEST = 40
"""Letters of a setting's value that are read from an address."""


@dataclass(frozen=True)
class Place:
    """What is open; all studies where none is.

    Attributes:
        run: of the study.
        typed: settings that were changed and are not asked yet, as text.
    """

    study: Study | None = None
    run: Run | None = None
    typed: Mapping[str, str] = field(default_factory=dict)

    def to_query(self) -> dict[str, str]:
        """As query parameters."""
        query = {"study": self.study.name} if self.study else {}
        if self.run:
            query["run"] = self.run.identity
        settings = {name: text for name, text in self.typed.items() if name != SEEDS}
        if settings:
            query[_SET] = ",".join(f"{name}:{text}" for name, text in settings.items())
        return query | ({SEEDS: self.typed[SEEDS]} if SEEDS in self.typed else {})


def _typed() -> dict[str, str]:
    """The settings an address says, whatever they are."""
    parts = (one.partition(":") for one in st.query_params.get(_SET, "").split(","))
    settings = {name: text[:_LONGEST] for name, found, text in parts if found}
    seeds = st.query_params.get(SEEDS, "")[:_LONGEST]
    return settings | ({SEEDS: seeds} if seeds else {})


def place(names: Collection[str] = tuple(STUDIES)) -> Place:
    """What the address asks for; where there is no such study or run that is said.

    Args:
        names: of the studies that the page shows.
    """
    name, identity = (st.query_params.get(key, "") for key in ("study", "run"))
    study, run = None, None
    try:
        if identity:
            run = runs.opened(identity)
        if name or run is not None:
            study = named(run.asked.study if run is not None else name[:40])
    except UserError as error:
        session.notify(str(error))
        # What can be opened of it is.
        with_study = named(name) if identity and name in names else None
        return Place(with_study)
    if study is not None and study.name not in names:
        page = study.title if study.name in ELSEWHERE else "Studies"
        session.notify(f"“{study.title}” is asked and shown on the page {page}.")
        return Place()
    return Place(study, run, _typed() if study is not None else {})


def go(study: str | None = None, run: str | None = None) -> None:
    """Open a study, one of its runs, or the list of all (in a widget's callback)."""
    navigation.address(study=study, run=run)
