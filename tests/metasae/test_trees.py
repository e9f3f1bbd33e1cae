"""Token trees by hand."""

import torch

from metasae.trees import TokenTree, grow


def test_a_line_is_causal() -> None:
    line = TokenTree.line([7, 8, 9])
    assert line.parents == (-1, 0, 1)
    assert line.positions.tolist() == [0, 1, 2]
    assert torch.equal(line.attend, torch.ones(3, 3).tril().bool())


def test_continuations_share_what_they_begin_with_and_see_nothing_of_each_other() -> None:
    tree, read = grow([1, 2], [[5, 6, 7], [5, 6], [8, 9], [5, 4, 3]])
    # After the prompt (0, 1) come 5, then 6 and 4 after it, and 8; last tokens are only predicted.
    assert tree.tokens == (1, 2, 5, 6, 8, 4)
    assert tree.parents == (-1, 0, 1, 2, 1, 2)
    assert tree.positions.tolist() == [0, 1, 2, 3, 2, 3]
    assert read == [(1, 2, 3), (1, 2), (1, 4), (1, 2, 5)]
    sees = [sorted(row.nonzero()[:, 0].tolist()) for row in tree.attend]
    assert sees == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 4], [0, 1, 2, 5]]


def test_a_continuation_of_one_token_adds_none() -> None:
    tree, read = grow([1, 2, 3], [[9], [4]])
    assert tree == TokenTree.line([1, 2, 3]) and read == [(2,), (2,)]
