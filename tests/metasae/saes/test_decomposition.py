"""Latents × meta-latents, by hand with an orthonormal meta-SAE."""

import pytest
import torch

from metasae.errors import UserError
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from tests.builders import in_basis, one_sentence, orthonormal_decomposition, random_sae


def test_a_latents_pieces_are_its_coordinates_strongest_first() -> None:
    found = orthonormal_decomposition().pieces(0)
    assert list(found) == [1, 0, 2]
    assert list(found.values()) == pytest.approx([1.28, 1.2, 0.96])
    assert list(orthonormal_decomposition().pieces(2)) == [4, 0]
    assert orthonormal_decomposition().pieces(3) == {}


def test_the_latents_of_a_meta_latent_strongest_first() -> None:
    decomposition = orthonormal_decomposition()
    found = decomposition.latents_of(0)
    assert list(found) == [0, 2]
    assert list(found.values()) == pytest.approx([1.2, 0.5])
    assert list(decomposition.latents_of(4)) == [2, 1]
    assert decomposition.latents_of(5) == {}


def test_every_pair_is_read_the_same_from_both_sides() -> None:
    draw = torch.Generator().manual_seed(5)
    meta = random_sae(8, 12, k=None)
    decomposition = Decomposition(random_sae(8, 40, k=3), meta)
    by_latent = {
        (latent, meta_latent): value
        for latent in range(40)
        for meta_latent, value in decomposition.pieces(latent).items()
    }
    by_meta = {
        (latent, meta_latent): value
        for meta_latent in range(12)
        for latent, value in decomposition.latents_of(meta_latent).items()
    }
    assert by_latent == by_meta
    dense = meta.encode(decomposition.sae.W_dec)
    assert len(by_latent) == int((dense > 0).sum()) > 0
    latent = int(torch.randint(40, (), generator=draw))
    for meta_latent, value in decomposition.pieces(latent).items():
        assert value == pytest.approx(float(dense[latent, meta_latent]))


def test_numbers_of_latents() -> None:
    decomposition = orthonormal_decomposition()
    assert (decomposition.n_latents, decomposition.n_meta) == (4, 6)


def test_rebuilt_by_hand() -> None:
    decomposition = orthonormal_decomposition()
    # Without changes: everything but what lies along the silent meta-latent 5.
    expected = in_basis(1.2, 1.28, 0.96, 0.0, 0.0, 0.0)
    torch.testing.assert_close(decomposition.rebuilt(0, {}), expected)
    changed = decomposition.rebuilt(0, {1: 0.0, 3: 0.8, 0: -0.6})
    torch.testing.assert_close(changed, in_basis(-0.6, 0.0, 0.96, 0.8, 0.0, 0.0))


def test_rebuilt_with_a_bias_by_hand() -> None:
    # Activations are taken after the bias is subtracted (1.2 − 0.2, …), and it comes back once.
    decomposition = orthonormal_decomposition(b_dec=(0.2, 0.0, -0.1, 0.05, 0.0, 0.0))
    assert decomposition.pieces(0) == pytest.approx({1: 1.28, 2: 1.06, 0: 1.0})
    expected = in_basis(1.2, 1.28, 0.96, 0.05, 0.0, 0.0)
    torch.testing.assert_close(decomposition.rebuilt(0, {}), expected)
    removed = in_basis(0.2, 1.28, 0.96, 0.05, 0.0, 0.0)
    torch.testing.assert_close(decomposition.rebuilt(0, {0: 0.0}), removed)


def test_of_a_latent_without_pieces_only_the_bias_is_rebuilt() -> None:
    rebuilt = orthonormal_decomposition(b_dec=(0.0, 0.0, 0.0, 0.0, 0.0, 0.1)).rebuilt(3, {})
    torch.testing.assert_close(rebuilt, in_basis(0.0, 0.0, 0.0, 0.0, 0.0, 0.1))


@pytest.mark.parametrize("latent", [-1, 4, 10**9])
def test_a_latent_out_of_range(latent: int) -> None:
    with pytest.raises(UserError) as raised:
        orthonormal_decomposition().pieces(latent)
    assert one_sentence(raised) == (
        f"There is no latent {latent}: this SAE has the latents 0 to 3."
    )


@pytest.mark.parametrize("meta", [-1, 6])
def test_a_meta_latent_out_of_range(meta: int) -> None:
    with pytest.raises(UserError) as raised:
        orthonormal_decomposition().latents_of(meta)
    assert one_sentence(raised) == (
        f"There is no meta-latent {meta}: this meta-SAE has the meta-latents 0 to 5."
    )


def test_a_meta_sae_of_another_width_is_refused() -> None:
    meta: SparseAutoencoder = random_sae(5, 12, k=None)
    with pytest.raises(UserError) as raised:
        Decomposition(random_sae(8, 40, k=3), meta)
    text = one_sentence(raised)
    assert "width 5" in text and "width 8" in text and "choose the meta-SAE" in text


def test_what_is_not_explained_of_some_latents_by_hand() -> None:
    found = orthonormal_decomposition()
    # Of the first latent's 2.5² lengths 1.5² are left; of the last one's all.
    assert found.unexplained([0]) == pytest.approx(2.25 / 6.25)
    assert found.unexplained([3]) == pytest.approx(1.0)
    assert found.unexplained([0, 3]) == pytest.approx((2.25 + 0.02) / (6.25 + 0.02))
