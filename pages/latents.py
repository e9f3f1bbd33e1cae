"""Latents: search them, and see what one is made of, where it fires and what it does."""

from metasae.errors import UserError
from workbench import collected, session, shared
from workbench.explore.latent import latent
from workbench.explore.place import place
from workbench.explore.search import back_to_matches, found, search_bar
from workbench.frame import begin, failed
from workbench.navigation import keep_link


def page() -> None:
    """The whole page."""
    lab = begin(
        "What is a latent made of?",
        "A **latent** is one direction an SAE reads in the model. Type a sentence to see which "
        "latents fire on it; open one to see the **meta-latents** it is made of, where it fires, "
        "and what it does to the model's next word.",
    )
    if lab is None:
        return
    try:
        explorer = shared.get_explorer(lab)
        at = place(explorer)
        keep_link(**at.to_query())
        session.show_notice()
        search_bar(explorer, at)
        if at.latent is None:
            found(explorer, at)
            collected.below(lab)
            return
        if at.query:
            back_to_matches(at)
        latent(explorer, at.width, at.latent)
    except UserError as error:
        failed(error)


page()
