"""Decoder directions of chosen latents or meta-latents, with what they are called.

Shapes: N directions, D = d_model.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from metasae.errors import UserError
from metasae.explorer.explorer import META, Explorer
from metasae.exports.target import told
from metasae.lab.lab import fingerprint
from metasae.steering.provenance import Provenance


@dataclass(frozen=True)
class Directions:
    """Some latents of one SAE, or some meta-latents.

    Attributes:
        kind: the SAE's width as text, or `META`.
        indices: which of them.

    Raises:
        UserError: for none at all, one out of range, or an SAE that isn't there.
    """

    explorer: Explorer
    kind: str
    indices: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.indices:
            raise UserError("Name at least one latent or meta-latent to export.")
        for index in self.indices:
            if self.is_meta:
                self.explorer.lab.decomposition.check_meta(index)
            else:
                self.explorer.decomposition(int(self.kind)).check(index)

    @staticmethod
    def of(explorer: Explorer, kind: str, indices: Iterable[int] | None) -> "Directions":
        """Those of some indices, each once in their order; of all where none are given.

        Raises:
            UserError: see the class.
        """
        if indices is None:
            lab = explorer.lab
            size = lab.n_meta if kind == META else explorer.decomposition(int(kind)).n_latents
            indices = range(size)
        return Directions(explorer, kind, tuple(dict.fromkeys(indices)))

    @property
    def is_meta(self) -> bool:
        """Whether they are meta-latents'."""
        return self.kind == META

    @property
    def rows(self) -> Float[Tensor, "N D"]:
        """The directions."""
        if self.is_meta:
            return self.explorer.lab.decomposition.meta.W_dec[list(self.indices)]
        return self.explorer.decomposition(int(self.kind)).sae.W_dec[list(self.indices)]

    @property
    def width(self) -> int:
        """Of the SAE they are of, or the meta-SAE takes apart."""
        return self.explorer.lab.n_latents if self.is_meta else int(self.kind)

    @property
    def made(self) -> Provenance:
        """What they came from; the SAE is the one they are of."""
        return made_of(self.explorer, self.width)

    @property
    def labels(self) -> list[str]:
        """What each is called; empty where nobody knows."""
        return [self.explorer.label(self.kind, index) for index in self.indices]


def made_of(explorer: Explorer, width: int) -> Provenance:
    """What latents of a width came from, to be told to others."""
    lab = explorer.lab
    if width == lab.n_latents:
        return told(lab)
    return told(lab, fingerprint(lab.preset.sae(width), explorer.decomposition(width).sae))
