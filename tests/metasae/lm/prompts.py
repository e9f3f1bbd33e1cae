"""Prompts that several files of tests run."""

import torch
from torch import Tensor

from metasae.lm.language_model import LanguageModel

PROMPTS = (
    "Tokyo is a city in the country of",
    "The primary language spoken in Rio de Janeiro is",
    "She put the kettle on, sat down and waited for the rain to stop.",
    "Yes",
)


def tokens_of(model: LanguageModel, prompt: str) -> Tensor:
    return torch.tensor([model.prompt_tokens(prompt)])
