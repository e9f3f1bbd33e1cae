"""What is learned scores better on what it is learned from, and takes nothing it never met."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from metasae.ravel.learning import exchanged, masks_by_gradient, masks_grown, subspaces
from metasae.ravel.pieces import LatentPieces, MetaPieces, Pieces
from metasae.ravel.training import Training

Learn = Callable[[Any, Any, str], dict[str, Tensor]]


class Planted:
    """Pieces of which the first three are wanted for a country, the fourth for a language; the last
    one no pair has.

    It is a training's views, a view's pairs and the pieces in one.
    """

    width, steps = 8, 40
    attributes = ("country", "language")

    @property
    def views(self) -> list["Planted"]:
        return self.of("country")

    def of(self, attribute: str) -> list["Planted"]:
        return [self] * 12

    def differing(self, attribute: str) -> list["Planted"]:
        return [self]

    def present(self, pair: object) -> Tensor:
        return torch.arange(self.width - 1)

    def change(self, pair: object, weights: Tensor) -> Tensor:
        return weights[:-1]

    def loss(self, view: object, changes: dict[str, Any], isolate: bool = True) -> Tensor:
        wanted = {"country": [1.0, 1.0, 1.0, 0.0], "language": [0.0, 0.0, 0.0, 1.0]}
        missed = [
            (change(self) - torch.tensor([*wanted[about], 0.0, 0.0, 0.0])).square().sum()
            for about, change in changes.items()
        ]
        return torch.stack(missed).sum()

    def scores(self, views: object, attribute: str, changes: list[Any]) -> list[float]:
        return [-float(self.loss(None, {attribute: change})) for change in changes]

    def progress(self, stage: str, share: float, note: str) -> None:
        assert 0 < share <= 1 and note


@pytest.mark.parametrize("learn", [masks_by_gradient, masks_grown])
def test_a_mask_takes_what_helps_and_nothing_it_never_met(learn: Learn) -> None:
    planted = Planted()
    masks = {about: mask.tolist() for about, mask in learn(planted, planted, "learning").items()}
    assert masks == {"country": [1, 1, 1, 0, 0, 0, 0, 0], "language": [0, 0, 0, 1, 0, 0, 0, 0]}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [MetaPieces, lambda both: LatentPieces(both.sae)])
def test_a_greedy_mask_is_never_worse_than_none(
    training: Training, kind: Callable[..., Pieces]
) -> None:
    pieces = kind(training.decomposition)
    views = training.of("country")
    mask = masks_grown(training, pieces, "learning")["country"]
    changes = [
        lambda pair, some=some: pieces.change(pair, some)
        for some in (mask, torch.zeros(pieces.width))
    ]
    scores = training.scores(views, "country", changes)
    assert scores[0] >= scores[1]


def test_learning_is_the_same_again(training: Training) -> None:
    pieces = MetaPieces(training.decomposition)
    masks = [masks_by_gradient(training, pieces, "learning") for _ in range(2)]
    for about in training.attributes:
        assert torch.equal(*(one[about] for one in masks))


@pytest.mark.parametrize("isolate", [True, False])
def test_a_subspace_is_orthonormal_and_beats_a_random_one(
    training: Training, isolate: bool
) -> None:
    basis = subspaces(training, 4, 0, "learning", isolate)["country"]
    torch.testing.assert_close(basis.T @ basis, torch.eye(4), atol=1e-5, rtol=0)
    draw = torch.Generator().manual_seed(0)
    start = torch.linalg.qr(torch.randn(basis.shape, generator=draw)).Q

    def loss(some: Tensor) -> float:
        views = training.of("country")
        with torch.no_grad():
            losses = [
                training.loss(view, {"country": lambda pair: exchanged(pair, some)}, isolate)
                for view in views
            ]
        return float(torch.stack(losses).mean())

    assert loss(basis) < loss(start)


def test_exchanging_everything_makes_the_targets_residual(training: Training) -> None:
    pair = training.views[0].pairs[0]
    whole = torch.eye(pair.rows.shape[1])
    torch.testing.assert_close(pair.rows + exchanged(pair, whole), pair.on_target)
