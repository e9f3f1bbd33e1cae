"""Studies: the research's questions, asked of the SAE that is open, with controls."""

from dataclasses import replace

from workbench import session
from workbench.frame import begin
from workbench.studies.overview import overview
from workbench.studies.place import place
from workbench.studies.view import view


def page() -> None:
    """The whole page."""
    lab = begin(
        "What holds for this SAE?",
        "Each study asks one question of the research: whether a latent is a sum of "
        "meta-latents, and what those are. It asks the SAE that is open, measures a control "
        "beside it, and says what it found in one sentence.",
    )
    if lab is None:
        return
    here = place()
    session.show_notice()
    if here.study is None:
        overview(lab)
    else:
        here = replace(here, typed=view(lab, here.study, here.run, here.typed))
    session.write_link(**here.to_query())


page()
