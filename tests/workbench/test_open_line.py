"""What is open, in a line."""

from dataclasses import replace

from metasae.lab.lab import Lab
from tests.small_lab import HOOK, N_LATENTS, N_META
from workbench.open_line import in_words


def test_it_names_model_layer_sae_and_meta_sae(small_lab: Lab) -> None:
    assert in_words(small_lab) == (
        "Meta-SAE workbench",
        small_lab.provenance.model,
        f"before block {HOOK} of {small_lab.model.n_layers}",
        f"SAE of {N_LATENTS} latents",
        f"meta-SAE of {N_META}",
    )


def test_it_names_a_meta_sae_of_the_users(small_lab: Lab) -> None:
    mine = replace(small_lab, preset=replace(small_lab.preset, meta_sae="fine"))
    assert in_words(mine)[-1] == f"meta-SAE of {N_META} (fine)"
