"""Prompts and their continuations as one row of tokens, in which common beginnings stand once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True)
class TokenTree:
    """A row of tokens in which each follows an earlier one or begins a sequence.

    Attributes:
        tokens: their ids, parents before children.
        parents: index of the token each one follows; −1 where a sequence begins.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    @staticmethod
    def line(tokens: Sequence[int]) -> "TokenTree":
        """The tree of one sequence: every token follows the one before it."""
        return TokenTree(tuple(tokens), tuple(range(-1, len(tokens) - 1)))

    @property
    def positions(self) -> Int[Tensor, " T"]:
        """Position of every token in its own sequence."""
        positions: list[int] = []
        for parent in self.parents:
            positions.append(positions[parent] + 1 if parent >= 0 else 0)
        return torch.tensor(positions)

    @property
    def attend(self) -> Bool[Tensor, "T T"]:
        """Which tokens each token attends to: itself and all it follows."""
        seen = torch.eye(len(self), dtype=torch.bool)
        for token, parent in enumerate(self.parents):
            if parent >= 0:
                seen[token] |= seen[parent]
        return seen


@dataclass(frozen=True)
class PromptWithContinuations:
    """A prompt and the texts whose probability after it is asked for.

    Attributes:
        tokens: the prompt's token ids.
        continuations: token ids of each text that may follow.
        marked: position of an edit in this prompt; from there on it shares tokens only with prompts
            that are marked at the same one.
    """

    tokens: Sequence[int]
    continuations: Sequence[Sequence[int]] = ()
    marked: int | None = None


@dataclass(frozen=True)
class PromptIndices:
    """Indices in a `TokenTree` of a prompt and its continuations.

    Attributes:
        path: index of each of the prompt's tokens.
        read: for each continuation the indices of the tokens that predict its tokens.
    """

    path: tuple[int, ...]
    read: tuple[tuple[int, ...], ...]


def shared_prefix_tree(
    prompts: Sequence[PromptWithContinuations],
) -> tuple[TokenTree, list[PromptIndices]]:
    """One tree of prompts and their continuations, and where each stands in it.

    A continuation's last token is only predicted, so it is not part of the tree.
    """
    tokens: list[int] = []
    parents: list[int] = []
    children: dict[tuple[int, int, bool], int] = {}

    def follow(at: int, token: int, marked: bool = False) -> int:
        if (at, token, marked) not in children:
            children[at, token, marked] = len(tokens)
            tokens.append(token)
            parents.append(at)
        return children[at, token, marked]

    indices = []
    for one in prompts:
        at, path = -1, []
        for position, token in enumerate(one.tokens):
            at = follow(at, token, position == one.marked)
            path.append(at)
        read = {}
        # Sorted, so that the order they are given in changes no rounding.
        for continuation in sorted(map(tuple, one.continuations)):
            predicting = [path[-1]]
            for token in continuation[:-1]:
                predicting.append(follow(predicting[-1], token))
            read[continuation] = tuple(predicting)
        indices.append(PromptIndices(tuple(path), tuple(read[tuple(c)] for c in one.continuations)))
    return TokenTree(tuple(tokens), tuple(parents)), indices
