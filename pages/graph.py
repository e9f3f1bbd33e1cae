"""Graph: some latents, their meta-latents, and the latents those are in."""

from metasae.errors import UserError
from workbench import shared
from workbench.explore import graph_view
from workbench.frame import begin, failed
from workbench.navigation import keep_link


def page() -> None:
    """The whole page."""
    lab = begin(
        "What latents share",
        "Start from one latent or several. Their meta-latents are drawn between them, and around "
        "each the latents it is most active on.",
    )
    if lab is None:
        return
    explorer = shared.get_explorer(lab)
    try:
        latents = graph_view.starts(explorer)
        depth, top, least = graph_view.controls(explorer, latents)
        graph_view.keep_graph_link(latents)
        graph_view.draw(explorer, latents, depth, top, least)
    except UserError as error:
        failed(error)
        keep_link()


page()
