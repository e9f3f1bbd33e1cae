"""Documents cut into windows, and windows into batches of like length."""

from itertools import chain, pairwise

import numpy as np
import torch

from metasae.lm.language_model import LanguageModel
from metasae.text.document import Document
from metasae.text.windows import WINDOW, Windows, length_batches, windows


def test_documents_are_cut_into_windows(small_model: LanguageModel) -> None:
    long = " ".join(["Tokyo is a city in Japan."] * 40)
    documents = [
        Document("a", long, False),
        Document("b", "Short.", True),
        Document("names", "The history of Paris.", False),
    ]
    told: list[tuple[float, str]] = []
    made = windows(small_model, lambda _, share, note: told.append((share, note)), documents)
    assert told == [(1.0, f"{len(made.tokens)} windows")]
    ids = [small_model.encode(document.text) for document in documents]
    count = -(-len(ids[0]) // (WINDOW - 1))
    assert count > 2 and len(made.tokens) == count + 2
    assert made.document.tolist() == [0] * count + [1, 2]
    # Every window begins with the start token; what follows is the document, piece by piece.
    assert (made.tokens[:, 0] == small_model.start_token).all()
    pieces = [row[1:length].tolist() for row, length in zip(made.tokens, made.lengths, strict=True)]
    assert list(chain(*pieces[:count])) == ids[0] and pieces[count:] == ids[1:]
    assert made.lengths[: count - 1].tolist() == [WINDOW] * (count - 1)
    for row, length in zip(made.tokens, made.lengths, strict=True):
        assert (row[length:] == small_model.start_token).all()
    assert (made.sources, made.held_out) == (("a", "b", "names"), (False, True, False))


def made_up(lengths: list[int], held_out: list[bool]) -> Windows:
    """A document each."""
    count = len(lengths)
    return Windows(
        tokens=torch.arange(count)[:, None].expand(count, WINDOW).to(torch.int32),
        lengths=torch.tensor(lengths),
        document=torch.arange(count),
        sources=("x",) * count,
        held_out=tuple(held_out),
    )


def test_some_windows_keep_their_documents() -> None:
    some = made_up([5, 6, 7], [False, True, False]).some(torch.tensor([2, 0]))
    assert some.lengths.tolist() == [7, 5] and some.document.tolist() == [2, 0]
    assert some.tokens[:, 0].tolist() == [2, 0] and some.held_out == (False, True, False)


def test_batches_hold_every_training_window_once_like_lengths_together() -> None:
    draw = np.random.default_rng(1)
    lengths = draw.integers(2, WINDOW, 400).tolist()
    held_out = (draw.random(400) < 0.1).tolist()
    text = made_up(lengths, held_out)
    batches = length_batches(text)
    assert sorted(np.concatenate(batches).tolist()) == [n for n in range(400) if not held_out[n]]
    spans = []
    for batch in batches:
        of_batch = [lengths[n] for n in batch]
        # Padded to the longest, no more than 4,096 tokens.
        assert len(batch) * max(of_batch) <= 4096
        spans.append((min(of_batch), max(of_batch)))
    ordered = sorted(spans)
    assert all(a[1] <= b[0] for a, b in pairwise(ordered))
    assert len(batches) > 3 and spans != ordered
    again = length_batches(text)
    assert all((a == b).all() for a, b in zip(batches, again, strict=True))
