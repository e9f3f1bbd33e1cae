"""Prompts with their continuations as one row of tokens that share what they begin with."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True)
class TokenTree:
    """Tokens each of which follows another one of the same row.

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
        """A plain sequence."""
        return TokenTree(tuple(tokens), tuple(range(-1, len(tokens) - 1)))

    @property
    def positions(self) -> Int[Tensor, " T"]:
        """Position of every token in its own sequence."""
        found: list[int] = []
        for parent in self.parents:
            found.append(found[parent] + 1 if parent >= 0 else 0)
        return torch.tensor(found)

    @property
    def attend(self) -> Bool[Tensor, "T T"]:
        """Which tokens each token sees: itself and what it follows."""
        seen = torch.eye(len(self), dtype=torch.bool)
        for token, parent in enumerate(self.parents):
            if parent >= 0:
                seen[token] |= seen[parent]
        return seen


@dataclass(frozen=True)
class PromptWithContinuations:
    """A prompt and what may follow it.

    Attributes:
        tokens: the prompt's.
        continuations: tokens of each thing that may follow.
        marked: a position where something happens to this prompt; it shares nothing from there on
            with prompts to which the same does not happen.
    """

    tokens: Sequence[int]
    continuations: Sequence[Sequence[int]] = ()
    marked: int | None = None


@dataclass(frozen=True)
class TreePlaces:
    """Where a stem stands in the tree.

    Attributes:
        path: place of each of the prompt's tokens.
        read: for each continuation, the places after which its tokens are predicted.
    """

    path: tuple[int, ...]
    read: tuple[tuple[int, ...], ...]


def shared_prefix_tree(
    stems: Sequence[PromptWithContinuations],
) -> tuple[TokenTree, list[TreePlaces]]:
    """Prompts and their continuations as one tree; what begins alike is there once.

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

    grown = []
    for stem in stems:
        at, path = -1, []
        for position, token in enumerate(stem.tokens):
            at = follow(at, token, position == stem.marked)
            path.append(at)
        read = {}
        # Sorted, so that the order they are given in changes no rounding.
        for continuation in sorted(map(tuple, stem.continuations)):
            places = [path[-1]]
            for token in continuation[:-1]:
                places.append(follow(places[-1], token))
            read[continuation] = tuple(places)
        grown.append(TreePlaces(tuple(path), tuple(read[tuple(c)] for c in stem.continuations)))
    return TokenTree(tuple(tokens), tuple(parents)), grown
