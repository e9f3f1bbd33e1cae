"""The residual stream on names."""

import torch

from metasae.lab.name_latents import residuals_on_names
from metasae.lm.language_model import LanguageModel


def test_the_residual_on_a_name_does_not_depend_on_the_padding(small_model: LanguageModel) -> None:
    prompts = ["Tokyo", "My sister has been living in Tokyo", "The film was shot in Tokyo"]
    together = residuals_on_names(small_model, prompts, "Tokyo")
    for row, prompt in enumerate(prompts):
        tokens = small_model.prompt_tokens(prompt)
        alone = small_model.residual(torch.tensor([tokens]))[0, -1]
        error = (together[row] - alone).norm() / alone.norm()
        assert error < 1e-5
