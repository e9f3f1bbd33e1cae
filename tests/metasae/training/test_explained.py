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


def test_how_many_latents_are_active_and_how_often_by_hand() -> None:
    sae = SparseAutoencoder(
        W_enc=torch.eye(3), b_enc=torch.zeros(3), W_dec=torch.eye(3), b_dec=torch.zeros(3),
        threshold=torch.full((3,), 0.5),
    )  # fmt: skip
    x = torch.tensor([[1.0, 2.0, 0.0], [3.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.25]])
    for chunk in (1, 3, 2048):
        found = explained.quality(sae, x, chunk)
        assert found.l0 == 6 / 4 and found.dead == 0
        assert found.l0_counts == (1, 1, 1, 1)
        # The latents are active on 3, 2 and 1 of 4 rows.
        assert found.density == (0.25, 0.375, 0.5, 0.625, 0.75)
        assert found.fve == pytest.approx(1 - 0.0625 / 17.0625)
    two = explained.quality(sae, x[:2])
    assert two.l0_counts == (0, 1, 1) and two.dead == 1
