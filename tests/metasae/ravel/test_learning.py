"""What is learned scores better on what it is learned from, and takes nothing it never met."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from metasae.ravel.learning import exchanged, mask_by_gradient, mask_greedily, rotation
from metasae.ravel.pieces import LatentPieces, MetaPieces, Pieces
from metasae.ravel.training import Training

Learn = Callable[[Training, Pieces, str, str], Tensor]


def scored(training: Training, pieces: Pieces, mask: Tensor) -> float:
    views = training.of("country")
    return training.score(views, "country", lambda pair: pieces.change(pair, mask))


@pytest.mark.parametrize("learn", [mask_by_gradient, mask_greedily])
@pytest.mark.parametrize("kind", [MetaPieces, lambda both: LatentPieces(both.sae)])
def test_a_mask_beats_none_and_is_of_pieces_it_met(
    training: Training, learn: Learn, kind: Callable[..., Pieces]
) -> None:
    pieces = kind(training.decomposition)
    mask = learn(training, pieces, "country", "learning")
    assert set(mask.tolist()) == {0.0, 1.0}
    met = {
        piece
        for view in training.of("country")
        for pair in view.differing("country")
        for piece in pieces.present(pair).tolist()
    }
    assert set(mask.nonzero()[:, 0].tolist()) <= met
    assert scored(training, pieces, mask) > scored(training, pieces, torch.zeros(pieces.width))


def test_learning_is_the_same_again(training: Training) -> None:
    pieces = MetaPieces(training.decomposition)
    masks = [mask_by_gradient(training, pieces, "country", "learning") for _ in range(2)]
    assert torch.equal(*masks)


@pytest.mark.parametrize("isolate", [True, False])
def test_a_subspace_is_orthonormal_and_beats_a_random_one(
    training: Training, isolate: bool
) -> None:
    basis = rotation(training, "country", 4, 0, "learning", isolate)
    torch.testing.assert_close(basis.T @ basis, torch.eye(4), atol=1e-5, rtol=0)
    draw = torch.Generator().manual_seed(0)
    start = torch.linalg.qr(torch.randn(basis.shape, generator=draw)).Q

    def loss(some: Tensor) -> float:
        views = training.of("country")
        with torch.no_grad():
            losses = [
                training.loss(view, "country", lambda pair: exchanged(pair, some), isolate)
                for view in views
            ]
        return float(torch.stack(losses).mean())

    assert loss(basis) < loss(start)


def test_exchanging_everything_makes_the_targets_residual(training: Training) -> None:
    pair = training.views[0].pairs[0]
    whole = torch.eye(pair.rows.shape[1])
    torch.testing.assert_close(pair.rows + exchanged(pair, whole), pair.on_target)
