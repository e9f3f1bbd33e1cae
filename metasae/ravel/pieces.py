"""Edits that exchange pieces: of a name's own latents' directions, or the latents themselves.

Each is a function of weights in [0, 1], one a piece, and of a pair: what is weighed 1 is exchanged
wholly, what is weighed 0 stays. Gradients flow to the weights.

Shapes: M meta-latents, F latents, E edited places, D = d_model.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from metasae.ravel.engine import Pair
from metasae.ravel.portraits import mean_activations
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from metasae.steering.edit_space import EditSpace, Swapped, exchanged
from metasae.steering.edits import EditOptions, MetaLatentEdit

_RIDGE = 0.05
"""λ of `SpanPieces`: a direction of weight 1 is exchanged by 95 % or more."""

_SIGN = {"source": -1.0, "target": 1.0, "shared": 0.0}


class Pieces(Protocol):
    """What can be exchanged between two names.

    Attributes:
        width: number of pieces.
    """

    @property
    def width(self) -> int: ...

    def present(self, pair: Pair) -> Int[Tensor, " n"]:
        """The pieces that one of the two has and a mask can exchange."""
        ...

    def change(self, pair: Pair, weights: Float[Tensor, " W"]) -> Float[Tensor, "E D"]:
        """What is added to the rows when pieces are exchanged by these weights."""
        ...


@dataclass(frozen=True, eq=False)
class MetaPieces:
    """The meta-latents of a source's chosen latents, exchanged for a target's: the edit of Steer.

    The source's own lose, and the target's own enter with, their share by weight; those of both
    stay; each direction is normalised to its length (see `EditSpace.directions`).

    Attributes:
        keep_residual: keep what the meta-SAE does not explain of a direction.
    """

    decomposition: Decomposition
    keep_residual: bool = False
    _spaces: dict[tuple[str, str], EditSpace] = field(default_factory=dict, repr=False)

    @property
    def width(self) -> int:
        """Number of meta-latents."""
        return self.decomposition.n_meta

    def space(self, pair: Pair) -> EditSpace:
        """The directions a pair can make."""
        key = (pair.source.name, pair.target.name)
        if key not in self._spaces:
            sides = pair.source.subject.latents, pair.target.subject.latents
            self._spaces[key] = EditSpace(self.decomposition, *sides, Swapped.of({}, {}))
        return self._spaces[key]

    def present(self, pair: Pair) -> Int[Tensor, " n"]:
        """See `Pieces`."""
        own = [one.meta for one in self.space(pair).pieces if one.side != "shared"]
        return torch.tensor(own, dtype=torch.int64)

    def change(self, pair: Pair, weights: Float[Tensor, " W"]) -> Float[Tensor, "E D"]:
        """See `Pieces`."""
        space = self.space(pair)
        if not space.pieces:
            return torch.zeros_like(pair.rows)
        sign = torch.tensor([_SIGN[one.side] for one in space.pieces])
        taken = weights[torch.tensor([one.meta for one in space.pieces])]
        strengths = space.defaults + sign * taken
        if not weights.requires_grad and not (sign * taken).any():
            # An edit of no strengths is none: it doesn't rebuild the direction either.
            return torch.zeros_like(pair.rows)
        options = EditOptions(keep_residual=self.keep_residual)
        made = space.directions(strengths[None], options)[0]
        sae = self.decomposition.sae
        source = list(space.source)
        firing = pair.place.activations(sae)[:, source]
        return firing @ (made - sae.W_dec[source])

    def edit(self, pair: Pair, mask: Float[Tensor, " W"]) -> MetaLatentEdit:
        """The edit of Steer that does the same, where the mask is of zeros and ones."""
        options = EditOptions(keep_residual=self.keep_residual)
        taken = set(mask.nonzero()[:, 0].tolist())
        return exchanged(self.space(pair).pieces, taken, MetaLatentEdit(options=options))


class _Exchanged(ABC):
    """Pieces that are exchanged by the difference of their activations on the two names."""

    def __init__(self) -> None:
        self._found: WeakKeyDictionary[Pair, tuple[Tensor, Tensor]] = WeakKeyDictionary()

    @property
    @abstractmethod
    def rows(self) -> Float[Tensor, "W D"]:
        """What one unit of each piece adds."""

    @abstractmethod
    def difference(self, pair: Pair) -> Float[Tensor, "E W"]:
        """Activations on the target minus those where the source is edited."""

    @property
    def width(self) -> int:
        """Number of pieces."""
        return len(self.rows)

    def _active(self, pair: Pair) -> tuple[Int[Tensor, " n"], Float[Tensor, "E n"]]:
        if pair not in self._found:
            difference = self.difference(pair)
            some = difference.any(0).nonzero()[:, 0]
            self._found[pair] = some, difference[:, some]
        return self._found[pair]

    def present(self, pair: Pair) -> Int[Tensor, " n"]:
        """See `Pieces`."""
        return self._active(pair)[0]

    def change(self, pair: Pair, weights: Float[Tensor, " W"]) -> Float[Tensor, "E D"]:
        """See `Pieces`."""
        some, difference = self._active(pair)
        made: Tensor = (difference * weights[some]) @ self.rows[some]
        return made


class LatentPieces(_Exchanged):
    """The latents of an SAE, each set from its activation on the source to its mean on the target.

    The SAE's error stays as it is on the source.
    """

    def __init__(self, sae: SparseAutoencoder) -> None:
        super().__init__()
        self._sae = sae

    @property
    def rows(self) -> Float[Tensor, "F D"]:
        """Decoder directions."""
        return self._sae.W_dec

    def difference(self, pair: Pair) -> Float[Tensor, "E F"]:
        """See `_Exchanged`."""
        return _latents(self._sae, pair)


class AllMetaPieces(_Exchanged):
    """The meta-latents of everything that is active on a name, exchanged without normalisation.

    A name's activation of a meta-latent is the sum, over all active latents, of the latent's
    activation times the meta-latent's on its direction.
    """

    def __init__(self, decomposition: Decomposition) -> None:
        super().__init__()
        self._decomposition = decomposition

    @property
    def rows(self) -> Float[Tensor, "M D"]:
        """Decoder directions of the meta-latents."""
        return self._decomposition.meta.W_dec

    @cached_property
    def _by_meta(self) -> Float[Tensor, "M F"]:
        return self._decomposition.activations.t().to_sparse_csr()

    def difference(self, pair: Pair) -> Float[Tensor, "E M"]:
        """See `_Exchanged`."""
        off = _latents(self._decomposition.sae, pair)
        return (self._by_meta @ off.T).T.contiguous()


class SpanPieces:
    """Directions whose span is exchanged: what of the residual stream lies in it becomes the
    target's, read at the target's last token in the same prompt.

    With weights w the part is A (A + λ)⁻¹ of the residual stream, A = Σ w² r rᵀ over the unit rows
    r: for weights of 0 and 1 the projection on the span, all but λ.

    Args:
        rows: directions, of any length.
    """

    def __init__(self, rows: Float[Tensor, "W D"]) -> None:
        self._rows = normalize(rows)
        self._last: tuple[Tensor, int, Tensor] | None = None

    @property
    def width(self) -> int:
        """Number of directions."""
        return len(self._rows)

    def present(self, pair: Pair) -> Int[Tensor, " n"]:
        """See `Pieces`; every name has a part in every direction."""
        return torch.arange(self.width)

    def change(self, pair: Pair, weights: Float[Tensor, " W"]) -> Float[Tensor, "E D"]:
        """See `Pieces`."""
        made: Tensor = (pair.on_target - pair.rows) @ self._part(weights)
        return made

    def _part(self, weights: Float[Tensor, " W"]) -> Float[Tensor, "D D"]:
        # The same weights are asked for pair after pair; a tensor counts what is written into it.
        version = weights._version
        if self._last is None or self._last[0] is not weights or self._last[1] != version:
            spanned = self._rows.T @ (weights.square()[:, None] * self._rows)
            ridge = _RIDGE * torch.eye(len(spanned))
            self._last = weights, version, torch.linalg.solve(spanned + ridge, spanned)
        return self._last[2]


def _latents(sae: SparseAutoencoder, pair: Pair) -> Float[Tensor, "E F"]:
    """Mean activations on the target minus those where the source is edited."""
    on_target = mean_activations(sae, pair.target.contexts)
    return on_target - pair.place.activations(sae)
