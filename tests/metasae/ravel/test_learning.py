"""What is learned scores better on what it is learned from, and takes nothing it never met."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from metasae.ravel.learning import exchanged, mask_by_gradient, mask_greedily, rotation
from metasae.ravel.pieces import LatentPieces, MetaPieces, Pieces
from metasae.ravel.training import Training

Learn = Callable[[Any, Any, str, str], Tensor]


class Planted:
    """Pieces of which the first three are wanted; the last one no pair has.

    It is a training's views, a view's pairs and the pieces in one.
    """

    width, steps = 8, 40

    def of(self, attribute: str) -> list["Planted"]:
        return [self] * 12

    def differing(self, attribute: str) -> list["Planted"]:
        return [self]

    def present(self, pair: object) -> Tensor:
        return torch.arange(self.width - 1)

    def change(self, pair: object, weights: Tensor) -> Tensor:
        return weights[:-1]

    def loss(self, view: object, attribute: str, change: Any, isolate: bool = True) -> Tensor:
        wanted = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
        missed: Tensor = (change(self) - wanted).square().sum()
        return missed

    def score(self, views: object, attribute: str, change: Any) -> float:
        return -float(self.loss(None, attribute, change))

    def progress(self, stage: str, share: float, note: str) -> None:
        assert 0 < share <= 1 and attribute_of(note) == "country"


def attribute_of(note: str) -> str:
    return note.partition(",")[0]


@pytest.mark.parametrize("learn", [mask_by_gradient, mask_greedily])
def test_a_mask_takes_what_helps_and_nothing_it_never_met(learn: Learn) -> None:
    planted = Planted()
    assert learn(planted, planted, "country", "learning").tolist() == [1, 1, 1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("kind", [MetaPieces, lambda both: LatentPieces(both.sae)])
def test_a_greedy_mask_is_never_worse_than_none(
    training: Training, kind: Callable[..., Pieces]
) -> None:
    pieces = kind(training.decomposition)
    views = training.of("country")
    mask = mask_greedily(training, pieces, "country", "learning")
    scores = [
        training.score(views, "country", lambda pair, some=some: pieces.change(pair, some))  # type: ignore[misc]
        for some in (mask, torch.zeros(pieces.width))
    ]
    assert scores[0] >= scores[1]


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
