"""RAVEL: does an edit move one attribute of a name and no other? asked, shown, made into edits."""

from metasae.ravel.study import STUDY
from workbench import session
from workbench.frame import begin
from workbench.ravel.ask import ask
from workbench.ravel.result import result
from workbench.studies.place import place
from workbench.studies.view import run_or_ask


def page() -> None:
    """The whole page."""
    lab = begin(
        "Does an edit move one fact and no other?",
        "RAVEL edits one city towards another and asks the model about it. **Cause** is how "
        "often the fact an edit is for becomes the other city's; **Isolate**, how often every "
        "other fact stays. **Disentangle** is their mean: doing nothing scores 0.50, a perfect "
        "edit 1.",
    )
    if lab is None:
        return
    run = place((STUDY.name,)).run
    session.show_notice()
    session.write_link(**({"run": run.identity} if run else {}))
    run_or_ask(lab, STUDY, run, {}, ask, result)


page()
