"""Every method is what it says, behind one interface that is easily added to."""

import pytest
import torch

from metasae.ravel.engine import Pair
from metasae.ravel.methods import METHODS, Fitted, Method
from metasae.ravel.pieces import MetaPieces
from metasae.ravel.training import Training
from metasae.steering.edits import LatentSwap


@pytest.fixture(scope="module")
def pair(training: Training) -> Pair:
    (view,) = [one for one in training.of("country") if one.asked.source.name == "Osaka"][:1]
    return view.differing("country")[0]


def fitted(name: str, training: Training, attribute: str = "country") -> Fitted:
    return METHODS[name].fit(training, attribute, 0)


def test_nothing_is_nothing(training: Training, pair: Pair) -> None:
    assert not fitted("nothing", training).change(pair).any()


def test_the_swap_is_the_steer_pages(training: Training, pair: Pair) -> None:
    experiment = training.lab.experiment(pair.source.subject, pair.target.subject)
    expected = experiment.compiled(LatentSwap()).change(experiment.firing(pair.rows))
    torch.testing.assert_close(fitted("latent-swap", training).change(pair), expected)


def test_the_whole_residual_is_the_targets(training: Training, pair: Pair) -> None:
    after = pair.rows + fitted("whole-residual", training).change(pair)
    torch.testing.assert_close(after, pair.on_target)


def test_all_pieces_are_all(training: Training, pair: Pair) -> None:
    pieces = MetaPieces(training.decomposition)
    expected = pieces.change(pair, torch.ones(pieces.width))
    assert expected.any()
    torch.testing.assert_close(fitted("all-meta", training).change(pair), expected)


def test_random_pieces_are_as_many_and_the_same_again(training: Training, pair: Pair) -> None:
    pieces = MetaPieces(training.decomposition)
    learned = set(fitted("mask-gradient", training).pieces)
    present = pieces.present(pair)
    count = len(learned & set(present.tolist()))
    change = fitted("random-pieces", training).change(pair)
    assert torch.equal(change, fitted("random-pieces", training).change(pair))
    changes = []
    for some in torch.combinations(present, count) if count else []:
        mask = torch.zeros(pieces.width)
        mask[some] = 1.0
        changes.append(pieces.change(pair, mask))
    assert any(torch.allclose(change, one, atol=1e-6) for one in changes) or not count


def test_difference_of_means_by_hand(training: Training, pair: Pair) -> None:
    """Osaka is the only training name in Japan; a value nobody has changes nothing."""
    by_name = {one.name: one for one in training.portraits}
    change = fitted("difference-of-means", training).change(pair)
    country = pair.target.entity.values["country"][0]
    theirs = [one.mean for one in by_name.values() if one.entity.values["country"][0] == country]
    expected = torch.stack(theirs).mean(0) - by_name["Osaka"].mean
    torch.testing.assert_close(change, expected.expand_as(change))


@pytest.mark.parametrize(
    "name",
    [
        "all-active-mask",
        "latent-mask",
        "random-meta-mask",
        "smaller-latent-mask",
        "atom-mask",
        "MDAS",
    ],
)
def test_what_is_learned_fits_a_pair(training: Training, pair: Pair, name: str) -> None:
    made = fitted(name, training)
    change = made.change(pair)
    assert change.shape == pair.rows.shape and change.isfinite().all()
    assert not change.any() or made.pieces or name == "MDAS"
    again = fitted(name, training)
    assert again.pieces == made.pieces and torch.equal(again.change(pair), change)


def test_a_method_is_added_in_a_few_lines(training: Training, pair: Pair) -> None:
    """The example of the module."""

    def fit(training: Training, attribute: str, seed: int) -> Fitted:
        sources = torch.stack([one.mean for one in training.portraits])
        axes = torch.linalg.svd(sources - sources.mean(0)).Vh[:8]
        return Fitted(lambda pair: (pair.target.mean - pair.source.mean) @ axes.T @ axes)

    mine = Method("first-axes", "what varies most among names, exchanged", fit)
    assert mine.fit(training, "country", 0).change(pair).any()
