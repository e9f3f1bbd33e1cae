"""A sparse autoencoder by hand."""

from dataclasses import replace

import pytest
import torch

from metasae.saes.autoencoder import SparseAutoencoder

TOPK = SparseAutoencoder(
    W_enc=torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, -1.0]]),
    b_enc=torch.tensor([0.0, -1.0, 0.5]),
    W_dec=torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]),
    b_dec=torch.tensor([1.0, 2.0]),
    k=2,
)

JUMPRELU = replace(TOPK, k=None, threshold=torch.tensor([1.0, 2.0, -1.0]))

X = torch.tensor([[3.0, 5.0], [0.0, 0.0]])
"""Without the decoder's bias (2, 3) and (−1, −2)."""


def test_sizes() -> None:
    assert (TOPK.width, TOPK.d_in) == (3, 2)


def test_preactivations() -> None:
    assert TOPK.preactivations(X).tolist() == [[2.0, 2.0, -0.5], [-1.0, -3.0, 1.5]]


def test_topk_keeps_the_largest_and_none_below_zero() -> None:
    values, latents = TOPK.encode_sparse(X)
    assert values.tolist() == [[2.0, 2.0], [1.5, 0.0]]
    assert sorted(latents[0].tolist()) == [0, 1] and latents[1].tolist() == [2, 0]
    assert TOPK.encode(X).tolist() == [[2.0, 2.0, 0.0], [0.0, 0.0, 1.5]]


def test_a_threshold_must_be_passed_and_what_is_below_zero_is_zero() -> None:
    # 2 is not above 2; −0.5 is above −1.
    assert JUMPRELU.encode(X).tolist() == [[2.0, 0.0, 0.0], [0.0, 0.0, 1.5]]
    with pytest.raises(ValueError, match="only a TopK SAE"):
        JUMPRELU.encode_sparse(X)


def test_reconstructions() -> None:
    expected = [[3.0, 6.0], [5.5, 3.5]]
    assert TOPK.reconstruct(X).tolist() == expected
    assert TOPK.decode(TOPK.encode(X)).tolist() == expected
    assert JUMPRELU.reconstruct(X).tolist() == [[3.0, 2.0], [5.5, 3.5]]
