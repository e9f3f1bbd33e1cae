"""Token trees by hand."""

import torch

from metasae.lm.token_tree import (
    PromptIndices,
    PromptWithContinuations,
    TokenTree,
    shared_prefix_tree,
)


def test_a_line_is_causal() -> None:
    line = TokenTree.line([7, 8, 9])
    assert line.parents == (-1, 0, 1)
    assert line.positions.tolist() == [0, 1, 2]
    assert torch.equal(line.attend, torch.ones(3, 3).tril().bool())


def test_continuations_share_what_they_begin_with_and_see_nothing_of_each_other() -> None:
    tree, [grown] = shared_prefix_tree(
        [PromptWithContinuations([1, 2], [[5, 6, 7], [5, 6], [8, 9], [5, 4, 3]])]
    )
    # After the prompt (0, 1) come 5, then 4 and 6 after it, and 8; last tokens are only predicted.
    assert tree.tokens == (1, 2, 5, 4, 6, 8)
    assert tree.parents == (-1, 0, 1, 2, 2, 1)
    assert tree.positions.tolist() == [0, 1, 2, 3, 3, 2]
    assert grown == PromptIndices((0, 1), ((1, 2, 4), (1, 2), (1, 5), (1, 2, 3)))
    sees = [sorted(row.nonzero()[:, 0].tolist()) for row in tree.attend]
    assert sees == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 4], [0, 1, 5]]


def test_the_order_of_the_continuations_changes_no_place() -> None:
    some = [[5, 6, 7], [8, 9], [5, 4, 3]]
    (tree, [there]), (other, [back]) = (
        shared_prefix_tree([PromptWithContinuations([1], some)]),
        shared_prefix_tree([PromptWithContinuations([1], some[::-1])]),
    )
    assert tree == other and there.read == back.read[::-1]


def test_a_continuation_of_one_token_adds_none() -> None:
    tree, [grown] = shared_prefix_tree([PromptWithContinuations([1, 2, 3], [[9], [4]])])
    assert tree == TokenTree.line([1, 2, 3]) and grown == PromptIndices((0, 1, 2), ((2,), (2,)))


def test_prompts_share_what_they_begin_with() -> None:
    tree, grown = shared_prefix_tree(
        [
            PromptWithContinuations([1, 2, 3], [[9, 9]]),
            PromptWithContinuations([1, 2, 4], [[9, 9]]),
            PromptWithContinuations([1, 2, 3, 9]),
        ]
    )
    assert tree.tokens == (1, 2, 3, 9, 4, 9) and tree.parents == (-1, 0, 1, 2, 1, 4)
    assert [one.path for one in grown] == [(0, 1, 2), (0, 1, 4), (0, 1, 2, 3)]
    assert [one.read for one in grown] == [((2, 3),), ((4, 5),), ()]


def test_prompts_to_which_something_else_happens_share_only_what_comes_before() -> None:
    stems = [
        PromptWithContinuations([1, 2, 3], marked=1),
        PromptWithContinuations([1, 2, 3], marked=2),
        PromptWithContinuations([1, 2, 4], marked=1),
    ]
    tree, grown = shared_prefix_tree(stems)
    assert [one.path for one in grown] == [(0, 1, 2), (0, 3, 4), (0, 1, 5)]
    assert tree.tokens == (1, 2, 3, 2, 3, 4) and tree.parents == (-1, 0, 1, 0, 3, 1)
