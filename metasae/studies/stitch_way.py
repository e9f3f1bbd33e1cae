"""The way from a smaller SAE to a larger one, a few latents a step.

First the novel latents come in; then families are swapped. A family is what hangs together by
cosines above a threshold between the larger SAE's other latents and the smaller SAE's: its larger
latents come in where its smaller ones go. A latent that is similar to none is a family by itself,
so a lone smaller latent just goes and a lone larger one just comes. Larger latents that never fire
come in last, in no family: they change nothing.

The bias is the smaller SAE's as long as only novel latents come in. Over the swaps it moves to the
larger one's in equal parts: it belongs to the latents that were trained around it, and a jump at
the end would show as an effect of the last latents.

Activations are those of either SAE by itself on the whole row: neither encodes anew what is left,
and of SAEs with a fixed number of active latents none takes the place of one that went.

Shapes: N rows, F latents of the larger SAE, M of the smaller, D = d_model, S steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from metasae.saes.autoencoder import SparseAutoencoder


@dataclass(frozen=True)
class Coded:
    """Some rows as an SAE writes them.

    Attributes:
        acts: (N, F).
    """

    sae: SparseAutoencoder
    acts: sp.csr_array

    @property
    def firings(self) -> Int[np.ndarray, " F"]:
        """Rows on which each latent fires."""
        return np.bincount(self.acts.indices, minlength=self.sae.width)

    def some(self, latents: Bool[np.ndarray, " F"]) -> tuple[Float[np.ndarray, "N D"], int]:
        """What some latents write, without the bias, and how often they fire."""
        acts = self.acts[:, np.flatnonzero(latents)]
        return acts @ self.sae.W_dec[torch.from_numpy(latents)].numpy(), acts.nnz


@dataclass(frozen=True)
class Families:
    """Which latents are swapped together, by the number of their family.

    Attributes:
        larger: −1: in none.
    """

    larger: Int[np.ndarray, " F"]
    smaller: Int[np.ndarray, " M"]

    @property
    def sizes(self) -> Int[np.ndarray, " families"]:
        """Latents of each, of either SAE."""
        larger = self.larger[self.larger >= 0]
        return np.bincount(np.concatenate([larger, self.smaller]))

    def gains(
        self, larger: Int[np.ndarray, " F"], smaller: Int[np.ndarray, " M"]
    ) -> Int[np.ndarray, " families"]:
        """How much more often latents fire once each family is swapped.

        Args:
            larger, smaller: how often each latent fires.
        """
        within, count = self.larger >= 0, len(self.sizes)
        come = np.bincount(self.larger[within], larger[within], count)
        return (come - np.bincount(self.smaller, smaller, count)).astype(np.int64)


def families(similar: sp.csr_array, swapped: Bool[np.ndarray, " F"]) -> Families:
    """What hangs together by similar latents.

    Args:
        similar: an entry where a larger latent is similar to a smaller one, (F, M).
        swapped: larger latents that belong to a family.
    """
    some = np.flatnonzero(swapped)
    between = similar[some]
    _, label = connected_components(sp.block_array([[None, between], [between.T, None]]), False)
    larger = np.full(len(swapped), -1)
    larger[some] = label[: len(some)]
    return Families(larger, label[len(some) :])


def steadiest(gains: Int[np.ndarray, " n"], draw: np.random.Generator) -> Int[np.ndarray, " n"]:
    """An order in which the sum of what is gained stays near the straight line to its end.

    Above the line something that lowers the sum comes next, otherwise something that raises it, as
    long as there is one; which of them is drawn.
    """
    drawn = draw.permutation(len(gains)).tolist()
    up = [one for one in drawn if gains[one] > 0]
    down = [one for one in drawn if gains[one] <= 0]
    total, at, order = int(gains.sum()), 0, []
    for place in range(len(gains)):
        above = at * len(gains) > total * place
        chosen = (down if (above and down) or not up else up).pop()
        at += int(gains[chosen])
        order.append(chosen)
    return np.array(order, np.int64)


@dataclass(frozen=True)
class Way:
    """When each latent comes and goes, and how far the bias is.

    Attributes:
        comes: step from which on each larger latent is in, 1 to S.
        goes: step from which on each smaller latent is out, 1 to S.
        bias: share of the larger SAE's bias before the first step and after each.
    """

    comes: Int[np.ndarray, " F"]
    goes: Int[np.ndarray, " M"]
    bias: Float[np.ndarray, " S+1"]

    @property
    def steps(self) -> int:
        """How many there are, S."""
        return len(self.bias) - 1

    @property
    def swaps_begin(self) -> int:
        """The last step at which no smaller latent has gone."""
        return int(np.flatnonzero(self.bias == 0)[-1])

    def shuffled(self, fires: Bool[np.ndarray, " F"], draw: np.random.Generator) -> "Way":
        """The control: as many latents come and go at each step, but which ones is drawn.

        Args:
            fires: larger latents that fire; the others stay last.
        """
        comes = self.comes.copy()
        comes[fires] = draw.permutation(comes[fires])
        return replace(self, comes=comes, goes=draw.permutation(self.goes))


def way(
    novel: Bool[np.ndarray, " F"],
    swaps: Families,
    gains: Int[np.ndarray, " families"],
    steps: int,
    draw: np.random.Generator,
) -> Way:
    """See the module. Novel latents come in an order that is drawn.

    The steps are shared among novel latents and swaps by the number of larger latents in each; a
    family that is larger than a step is swapped in one.

    Args:
        gains: see `Families.gains`.
        steps: at least two.
    """
    count, others = int(novel.sum()), int((swaps.larger >= 0).sum())
    first = 0
    if count:
        first = int(np.clip(round(steps * count / (count + others)), 1, steps - 1))
    comes = np.full(len(novel), steps)
    comes[draw.permutation(np.flatnonzero(novel))] = 1 + np.arange(count) * first // max(1, count)
    order, sizes = steadiest(gains, draw), swaps.sizes
    before = np.empty(len(sizes), np.int64)
    before[order] = np.cumsum(sizes[order]) - sizes[order]
    at = first + 1 + before * (steps - first) // int(sizes.sum())
    within = swaps.larger >= 0
    comes[within] = at[swaps.larger[within]]
    bias = np.clip((np.arange(steps + 1) - first) / (steps - first), 0, 1)
    return Way(comes, at[swaps.smaller], bias)


def walk(taken: Way, larger: Coded, smaller: Coded) -> Iterator[tuple[Float[Tensor, "N D"], float]]:
    """What the rows are rebuilt as before the first step and after each, and the L0 there."""
    count = larger.acts.shape[0]
    for step, share in enumerate(taken.bias.tolist()):
        come, fire = larger.some(taken.comes <= step)
        stay, still = smaller.some(taken.goes > step)
        bias = (1 - share) * smaller.sae.b_dec + share * larger.sae.b_dec
        yield torch.from_numpy(come + stay) + bias, (fire + still) / count
