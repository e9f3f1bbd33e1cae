"""Latents written with a smaller SAE's rows are what matching pursuit makes of each."""

import torch

from metasae.ravel.atoms import Atoms
from metasae.saes.pursuit import pursuit
from tests.builders import random_sae


def test_pieces_are_the_pursuits_positive_weights() -> None:
    sae, smaller = random_sae(6, 20, k=3), random_sae(6, 9, k=3, seed=1)
    atoms = Atoms.of(sae, smaller, 3)
    rows = torch.nn.functional.normalize(smaller.W_dec)
    for latent in range(sae.width):
        table = pursuit(rows, sae.W_dec[latent], 3).table
        expected = {
            int(n): w for n, w in zip(table["latent"], table["weight"], strict=True) if w > 0
        }
        found = atoms.pieces(latent)
        assert set(found) == set(expected)
        for number, weight in expected.items():
            assert abs(found[number] - weight) < 1e-4
    # Pieces that are all positive rebuild what the pursuit leaves unexplained.
    assert 0 < atoms.unexplained(range(sae.width)) < 1
