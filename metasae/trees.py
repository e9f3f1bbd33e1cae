"""Prompts with several continuations, laid out as one row of tokens that share the prompt."""

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
        parents: index of the token each one follows; −1 for the first.
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


def grow(
    prompt: Sequence[int], continuations: Sequence[Sequence[int]]
) -> tuple[TokenTree, list[tuple[int, ...]]]:
    """A prompt and its continuations as one tree; what continuations begin alike they share.

    A continuation's last token is only predicted, so it is not part of the tree.

    Returns:
        The tree, and for each continuation the places after which its tokens are predicted.
    """
    tokens, parents = list(prompt), list(range(-1, len(prompt) - 1))
    children: dict[tuple[int, int], int] = {}
    read: list[tuple[int, ...]] = []
    for continuation in continuations:
        at = len(prompt) - 1
        places = [at]
        for token in continuation[:-1]:
            if (at, token) not in children:
                children[at, token] = len(tokens)
                tokens.append(token)
                parents.append(at)
            at = children[at, token]
            places.append(at)
        read.append(tuple(places))
    return TokenTree(tuple(tokens), tuple(parents)), read
