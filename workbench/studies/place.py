"""Which study is open, and which of its runs, as the address says it."""

from collections.abc import Collection
from dataclasses import dataclass

import streamlit as st

from metasae.errors import UserError
from metasae.studies import runs
from metasae.studies.registry import ELSEWHERE, STUDIES
from metasae.studies.registry import study as named
from metasae.studies.runs import Run
from metasae.studies.study import Study
from workbench import navigation, session


@dataclass(frozen=True)
class Place:
    """What is open; all studies where none is.

    Attributes:
        run: of the study.
    """

    study: Study | None = None
    run: Run | None = None

    def to_query(self) -> dict[str, str]:
        """As query parameters."""
        query = {"study": self.study.name} if self.study else {}
        return query | ({"run": self.run.identity} if self.run else {})


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
        return Place(named(name) if identity and name in names else None)
    if study is not None and study.name not in names:
        page = study.title if study.name in ELSEWHERE else "Studies"
        session.notify(f"“{study.title}” is asked and shown on the page {page}.")
        return Place()
    return Place(study, run)


def go(study: str | None = None, run: str | None = None) -> None:
    """Open a study, one of its runs, or the list of all (in a widget's callback)."""
    navigation.address(study=study, run=run)
