"""The best pieces for a pair: no single one more or less scores better on training prompts."""

import torch

from metasae.ravel.pair_search import _views, best_for_pair
from metasae.ravel.pieces import MetaPieces
from metasae.ravel.portraits import Portrait
from metasae.ravel.training import Training


def test_no_further_piece_helps(training: Training, people: dict[str, Portrait]) -> None:
    pieces = MetaPieces(training.decomposition)
    source, target = people["Tokyo"], people["Lyon"]
    views = _views(training, source, target)
    assert all(not one.held_out for view in views for one in view.asked.templates)

    def score(mask: torch.Tensor) -> float:
        edits = [lambda pair: pieces.change(pair, mask)]
        return training.scores(views, "country", edits)[0]

    mask = best_for_pair(training, pieces, "country", source, target)
    best = score(mask)
    assert best >= score(torch.zeros(pieces.width))
    for piece in pieces.present(views[0].pairs[0]).tolist():
        if not mask[piece]:
            assert score(mask.index_fill(0, torch.tensor([piece]), 1.0)) <= best


def test_what_does_not_differ_is_not_exchanged(
    training: Training, people: dict[str, Portrait]
) -> None:
    pieces = MetaPieces(training.decomposition)
    assert not best_for_pair(training, pieces, "country", people["Tokyo"], people["Kyoto"]).any()
