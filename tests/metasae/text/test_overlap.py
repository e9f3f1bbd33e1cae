"""Held-out windows that share a run of tokens with the training text."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from metasae.text.overlap import clean_windows, for_figures
from metasae.text.windows import Windows

START = 0


def made(documents: list[tuple[list[int], bool]], size: int) -> Windows:
    """Windows of ``size`` tokens of some documents, each with whether it is held out."""
    rows, origin = [], []
    for number, (tokens, _) in enumerate(documents):
        for begin in range(0, len(tokens), size):
            rows.append([START, *tokens[begin : begin + size]])
            origin.append(number)
    padded = [row + [START] * (size + 1 - len(row)) for row in rows]
    return Windows(
        tokens=torch.tensor(padded, dtype=torch.int32),
        lengths=torch.tensor([len(row) for row in rows]),
        document=torch.tensor(origin),
        sources=("x",) * len(documents),
        held_out=tuple(held for _, held in documents),
    )


def test_a_copied_run_taints_the_windows_it_lies_in() -> None:
    windows = made([([1, 2, 3, 4, 5, 6], False), ([9, 9, 3, 4, 5, 8, 8, 8, 8], True)], 4)
    # The run 3 4 5 crosses from the held-out document's first window into its second.
    assert clean_windows(windows, 3).tolist() == [False, False, False, False, True]
    assert clean_windows(windows, 4).tolist() == [False, False, True, True, True]


def test_a_run_does_not_cross_documents() -> None:
    windows = made([([1, 2], False), ([3, 4], False), ([1, 2, 3, 4], True)], 4)
    assert clean_windows(windows, 4).tolist() == [False, False, True]
    assert clean_windows(windows, 2).tolist() == [False, False, False]


def test_eight_tokens_are_a_copy_and_seven_are_none() -> None:
    trained = list(range(1, 21))
    for run, clean in ((7, True), (8, False)):
        held = [*range(101, 105), *trained[5 : 5 + run], *range(105, 109)]
        windows = made([(trained, False), (held, True)], 40)
        assert clean_windows(windows).tolist() == [False, clean]


documents = st.lists(
    st.tuples(st.lists(st.integers(1, 3), min_size=1, max_size=12), st.booleans()),
    min_size=1, max_size=6,
)  # fmt: skip


@given(documents, st.integers(1, 5), st.integers(2, 6))
def test_it_agrees_with_comparing_every_run(
    texts: list[tuple[list[int], bool]], run: int, size: int
) -> None:
    trained = {
        tuple(tokens[at : at + run])
        for tokens, held in texts
        if not held
        for at in range(len(tokens) - run + 1)
    }
    expected = []
    for tokens, held in texts:
        tainted = {
            place
            for at in range(len(tokens) - run + 1)
            if tuple(tokens[at : at + run]) in trained
            for place in range(at, at + run)
        }
        for begin in range(0, len(tokens), size):
            mine = set(range(begin, min(begin + size, len(tokens))))
            expected.append(held and not (mine & tainted))
    assert clean_windows(made(texts, size), run).tolist() == expected


def test_every_second_document_is_for_figures() -> None:
    windows = made([([1] * 8, True), ([2] * 4, True), ([3] * 4, True), ([4] * 9, False)], 4)
    assert windows.document.tolist() == [0, 0, 1, 2, 3, 3, 3]
    assert for_figures(windows).tolist() == [False, False, True, False, True, True, True]
