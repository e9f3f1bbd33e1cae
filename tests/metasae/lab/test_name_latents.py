"""How active latents are on names, and how much of one is one name's."""

import torch

from metasae.lab.name_latents import (
    activation_table,
    activations_on,
    residuals_on_names,
    selectivity,
)
from metasae.lm.language_model import LanguageModel
from metasae.text.prompts import in_contexts
from tests.builders import unit_sae


def test_selectivity_by_hand() -> None:
    table = torch.tensor([[3.0, 0.0, 2.0], [1.0, 0.0, 2.0], [0.0, 0.0, 4.0]])
    expected = torch.tensor([[0.75, 0.0, 0.25], [0.25, 0.0, 0.25], [0.0, 0.0, 0.5]])
    torch.testing.assert_close(selectivity(table), expected)


def test_the_residual_on_a_name_does_not_depend_on_the_padding(small_model: LanguageModel) -> None:
    prompts = ["Tokyo", "My sister has been living in Tokyo", "The film was shot in Tokyo"]
    together = residuals_on_names(small_model, prompts, "Tokyo")
    for row, prompt in enumerate(prompts):
        tokens = small_model.prompt_tokens(prompt)
        alone = small_model.residual(torch.tensor([tokens]))[0, -1]
        error = (together[row] - alone).norm() / alone.norm()
        assert error < 1e-5


def test_an_activation_is_the_mean_over_the_contexts(small_model: LanguageModel) -> None:
    sae = unit_sae(12, small_model.d_model, seed=6)
    expected = torch.zeros(12)
    for prompt in in_contexts("guinea pig"):
        tokens = small_model.prompt_tokens(prompt)
        expected += sae.encode(small_model.residual(torch.tensor([tokens]))[0, -1:])[0]
    found = activations_on(small_model, sae, "guinea pig", 1e6)
    torch.testing.assert_close(found, expected / len(in_contexts("x")), rtol=1e-4, atol=1e-4)
    assert found.max() > 0
    # Where every residual is massive nothing is read.
    assert not activations_on(small_model, sae, "guinea pig", 1e-9).any()
    told: list[tuple[float, str]] = []
    table = activation_table(
        small_model, sae, ["tea", "guinea pig"], 1e6,
        lambda stage, share, note: told.append((share, note)),
    )  # fmt: skip
    torch.testing.assert_close(table[1], found)
    assert told == [(0.5, "tea"), (1.0, "guinea pig")]
