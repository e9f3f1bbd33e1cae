"""The fast encoder gives what the SAE itself gives."""

import pytest
import torch

from metasae.saes.encoder import Encoder
from tests.builders import random_sae


@pytest.mark.parametrize("k", [3, None])
def test_entries_are_the_active_latents_of_every_row(k: int | None) -> None:
    sae = random_sae(10, 40, k=k)
    x = torch.randn(25, 10)
    rows, latents, values = Encoder.of(sae, torch.float32).entries(x)
    dense = torch.zeros(25, 40)
    dense[rows, latents] = values
    torch.testing.assert_close(dense, sae.encode(x), rtol=1e-4, atol=1e-4)
    assert (values > 0).all() and len(values) == int((sae.encode(x) > 0).sum())
