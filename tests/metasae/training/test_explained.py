"""How well an SAE explains rows, by hand."""

import pytest
import torch

from metasae.saes.autoencoder import SparseAutoencoder
from metasae.training import explained

pytestmark = pytest.mark.usefixtures("one_thread")


def test_quality_by_hand() -> None:
    sae = SparseAutoencoder(
        W_enc=torch.eye(2), b_enc=torch.zeros(2), W_dec=torch.eye(2), b_dec=torch.zeros(2),
        threshold=torch.tensor([0.5, 5.0]),
    )  # fmt: skip
    x = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    # Only latent 0 is ever above its threshold: (0, 2) and (0, 0) are left of 1 + 4 + 9.
    found = explained.quality(sae, x)
    assert found.l0 == 1.0
    assert found.dead == 1
    assert found.fve == pytest.approx(1 - 4 / 14)
    # Around the mean (2, 1) the rows have 1 + 1 + 1 + 1.
    assert found.fve_centred == pytest.approx(1 - 4 / 4)
