"""Which run of RAVEL is open, as the address says it."""

from metasae.ravel.study import STUDY
from metasae.studies.runs import Run
from workbench import session
from workbench.studies.place import place


def open_run() -> Run | None:
    """The run the address asks for; where there is none, or it is a study's, that is said."""
    run = place().run
    if run is not None and run.asked.study != STUDY.name:
        session.notify(
            f"The run {run.identity} is one of the study {run.asked.study}; open it on the page "
            "Studies."
        )
        return None
    return run
