"""How much of a latent is one city's."""

import torch

from metasae.lab.name_latents import residuals_on_names, selectivity
from metasae.lm.language_model import LanguageModel


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
