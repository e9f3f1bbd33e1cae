"""Train: make a meta-SAE of the directions of any SAE, and use it at once."""

from workbench import session
from workbench.frame import begin
from workbench.train import form, progress, shelf


def page() -> None:
    """The whole page."""
    lab = begin(
        "Take another SAE apart",
        "A **meta-SAE** is trained on an SAE's decoder directions alone; no text and no model are "
        "needed. Choose what to take apart and how finely. What comes out opens in SAELens, and "
        "on the other pages where it belongs to the SAE that is open.",
    )
    if lab is None:
        return
    session.write_link()
    progress.progress_of_all(lab)
    progress.stopped(lab)
    form.form(lab)
    shelf.shelf(lab)


page()
