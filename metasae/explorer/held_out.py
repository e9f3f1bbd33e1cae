"""The contexts that labels were not made from, and how well some words tell them from others.

A latent's held-out contexts stand against as many of its siblings', the latents whose directions
are closest, and `FAR` times as many of any others.
"""

from collections.abc import Mapping, Sequence

import numpy as np

Bag = Mapping[str, float]
"""Words and kinds of one context, each with its weight: 1 at the peak, less before it."""

FAR = 4
"""Contexts of any latents, for each one of the siblings', that a label is scored against."""


def hits(words: Sequence[str], contexts: Sequence[Bag]) -> int:
    """Contexts one of the words stands in."""
    return sum(any(word in bag for word in words) for bag in contexts)


def f1(words: Sequence[str], mine: Sequence[Bag], others: Sequence[Bag]) -> float:
    """Harmonic mean of precision and recall of "one of the words stands near the peak"."""
    true, false = hits(words, mine), hits(words, others)
    return 2 * true / max(1, true + false + len(mine))


class HeldOut:
    """The contexts no label was made from, to score labels on.

    Args:
        contexts: of each latent, the strongest first; every other one is held out.
        near: its siblings.
    """

    def __init__(self, contexts: Sequence[Sequence[Bag]], near: np.ndarray, seed: int = 0) -> None:
        self.contexts, self.near, self.seed = contexts, near, seed
        self._bags = [bag for one in contexts for bag in one[1::2]]
        self._owner = np.repeat(np.arange(len(contexts)), [len(one[1::2]) for one in contexts])

    def others(self, latent: int) -> list[Bag]:
        """The contexts a latent's label is scored against: as many of its siblings as it has, and
        `FAR` times as many of any latents."""
        count = len(self.contexts[latent][1::2])
        near = self.near[latent]
        share = -(-count // len(near))
        close = [bag for other in near for bag in self.contexts[other][1::2][:share]]
        draw = np.random.default_rng([self.seed, latent])
        drawn = draw.integers(len(self._bags), size=FAR * count)
        far = [self._bags[at] for at in drawn[self._owner[drawn] != latent]]
        return close[:count] + far

    def score(self, words: Sequence[str], latent: int) -> tuple[float, bool]:
        """How well some words tell a latent's contexts from others.

        Returns:
            F1 against `others` (words that hold everywhere get 2 / (2 + 1 + FAR)), and whether
            they hold for a larger share of its contexts than of any sibling's.
        """
        mine = self.contexts[latent][1::2]
        rate = hits(words, mine) / len(mine)
        distinguishes = all(
            rate > hits(words, self.contexts[other]) / max(1, len(self.contexts[other]))
            for other in self.near[latent]
        )
        return self.f1s(latent, words)[0], distinguishes

    def f1s(self, latent: int, *labels: Sequence[str]) -> list[float]:
        """F1 of some labels' words, against the same `others` each."""
        mine, others = self.contexts[latent][1::2], self.others(latent)
        return [f1(words, mine, others) for words in labels]
