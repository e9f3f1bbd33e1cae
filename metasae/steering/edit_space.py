"""Every direction the pieces of a source and a target can make, and the change an edit makes.

Shapes: T positions, D = d_model, S source latents, G swapped latents, P pieces.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.errors import UserError
from metasae.saes.decomposition import Decomposition
from metasae.steering.edits import Edit, EditOptions, LatentSwap, MetaLatentEdit
from metasae.steering.global_edit import NOTHING_LEFT, GlobalEdit


@dataclass(frozen=True)
class Piece:
    """A meta-latent of the source's or target's latents.

    Attributes:
        meta: its index.
        side: whose own it is, or shared by both.
        on_source: its activation on the source's latents (the largest, if there are several).
        on_target: likewise on the target's.
    """

    meta: int
    side: Literal["source", "target", "shared"]
    on_source: float
    on_target: float

    @property
    def default(self) -> float:
        """Strength it has when the edit leaves it alone."""
        return 0.0 if self.side == "target" else 1.0


def pieces(
    decomposition: Decomposition, source: Sequence[int], target: Sequence[int]
) -> tuple[Piece, ...]:
    """The meta-latents of some source and target latents, strongest first.

    Raises:
        UserError: for a latent out of range.
    """
    sides = [_strongest(decomposition, source), _strongest(decomposition, target)]
    owned = []
    for meta in {**sides[0], **sides[1]}:
        on_source, on_target = (side.get(meta, 0.0) for side in sides)
        side: Literal["source", "target", "shared"] = "shared"
        if not on_target:
            side = "source"
        elif not on_source:
            side = "target"
        owned.append(Piece(meta, side, on_source, on_target))
    return tuple(sorted(owned, key=lambda p: -max(p.on_source, p.on_target)))


def exchanged(pieces: Sequence[Piece], taken: Collection[int], edit: Edit) -> MetaLatentEdit:
    """An edit that also exchanges some meta-latents: of those that are in ``taken`` the source's
    own go and the target's own enter; what both have stays."""
    made = edit.without_swap()
    for piece in pieces:
        if piece.meta in taken and piece.side != "shared":
            made = made.with_strength(piece.meta, 1.0 - piece.default, piece.default)
    return made


def _strongest(decomposition: Decomposition, latents: Sequence[int]) -> dict[int, float]:
    strongest: dict[int, float] = {}
    for latent in latents:
        for meta, value in decomposition.pieces(latent).items():
            strongest[meta] = max(value, strongest.get(meta, 0.0))
    return strongest


@dataclass(frozen=True)
class Swapped:
    """What a latent swap exchanges.

    Attributes:
        latents: both sides', which are set to 0.
        set_to: target latent → its activation on the target's own prompts.
    """

    latents: tuple[int, ...]
    set_to: dict[int, float]

    @staticmethod
    def of(source: Mapping[int, float], target: Mapping[int, float]) -> "Swapped":
        """The swap of two sides' latents, given with their activations."""
        return Swapped(tuple(dict.fromkeys((*source, *target))), dict(target))


HUNDREDFOLD = 100.0
"""Weight of a piece's unit direction in the hundredfold variant, per unit of its strength."""


@dataclass(frozen=True)
class EditSpace:
    """A source and a target ready to be edited: every direction their pieces can make.

    Attributes:
        source, target: their latents.
        swapped: what a latent swap removes and what it sets.

    Raises:
        UserError: for a latent out of range.
    """

    decomposition: Decomposition
    source: tuple[int, ...]
    target: tuple[int, ...]
    swapped: "Swapped"

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """See `pieces`."""
        return pieces(self.decomposition, self.source, self.target)

    @cached_property
    def _loads(self) -> Float[Tensor, "S P"]:
        """Activation of each piece on each source latent at strength 1."""
        loads = torch.zeros(len(self.source), len(self.pieces))
        for row, latent in enumerate(self.source):
            own = self.decomposition.pieces(latent)
            for column, piece in enumerate(self.pieces):
                # A piece of the source the latent lacks stays out; the target's enter with their
                # activation there.
                other = piece.on_target if piece.side == "target" else 0.0
                loads[row, column] = own.get(piece.meta, other)
        return loads

    @cached_property
    def defaults(self) -> Float[Tensor, " P"]:
        """Strength of every piece when it is left alone."""
        return torch.tensor([piece.default for piece in self.pieces])

    def strengths(self, edit: MetaLatentEdit) -> Float[Tensor, " P"]:
        """The edit's strength of every piece.

        Raises:
            UserError: when it names a meta-latent out of range or of neither side.
        """
        place = {piece.meta: column for column, piece in enumerate(self.pieces)}
        strengths = self.defaults.clone()
        for meta, strength in edit.strengths:
            self.decomposition.check_meta(meta)
            if meta not in place:
                raise UserError(
                    f"Meta-latent {meta} is active on neither the source's nor the target's "
                    f"latents; choose from {', '.join(map(str, sorted(place)))}."
                )
            strengths[place[meta]] = strength
        return strengths

    def directions(
        self,
        strengths: Float[Tensor, "N P"],
        options: EditOptions = EditOptions(),  # noqa: B008 - frozen
    ) -> Float[Tensor, "N S D"]:
        """Directions that replace the source's decoder directions, for many edits at once.

        A piece a latent has keeps its activation times its strength; a piece it lacks enters with
        its activation on the target times its strength (a source piece it lacks stays out). The
        sum is normalised to the norm of the latent's own direction.

        Args:
            options: with ``keep_residual`` what the meta-SAE does not explain of the source
                direction is added. The hundredfold variant is that of the post's authors instead:
                the latent's own direction plus 100 times the unit direction of every piece, times
                the change of its strength.

        Returns:
            Directions; zero where nothing is left of one.
        """
        sae, meta = self.decomposition.sae, self.decomposition.meta
        original = sae.W_dec[list(self.source)]
        W_meta = meta.W_dec[[piece.meta for piece in self.pieces]]
        if options.hundredfold:
            unit = W_meta / W_meta.norm(dim=1, keepdim=True)
            made = original + (HUNDREDFOLD * (strengths - self.defaults) @ unit)[:, None]
        else:
            made = (strengths[:, None] * self._loads) @ W_meta + meta.b_dec
            if options.keep_residual:
                made = made + original - (self.defaults * self._loads) @ W_meta - meta.b_dec
        norm = made.norm(dim=-1, keepdim=True)
        scale = original.norm(dim=-1, keepdim=True) / norm.clamp(min=1e-12)
        return torch.where(norm < NOTHING_LEFT, 0.0, made * scale)

    def everywhere(self, edit: MetaLatentEdit) -> GlobalEdit:
        """The edit made in every latent of the SAE.

        What the source has is made weaker or stronger wherever it is. What is the target's own
        takes no part: no other latent has an activation it could enter with.

        Raises:
            UserError: for a meta-latent out of range or of neither side.
        """
        self.strengths(edit)
        added = {piece.meta for piece in self.pieces if piece.side == "target"}
        strengths = {meta: value for meta, value in edit.strengths if meta not in added}
        return GlobalEdit.of(self.decomposition, strengths, edit.options.keep_residual)

    def compiled(self, edit: Edit) -> "CompiledEdit":
        """Work out one edit's change of the residual stream.

        Raises:
            UserError: for a meta-latent that is neither's or out of range, or when nothing is left
                of a direction.
        """
        W_dec = self.decomposition.sae.W_dec
        source, swapped = list(self.source), self.swapped
        from_source = torch.zeros(len(source), W_dec.shape[1])
        from_swapped = torch.zeros(len(swapped.latents), W_dec.shape[1])
        constant = torch.zeros(W_dec.shape[1])
        everywhere = None
        if isinstance(edit, LatentSwap):
            # A latent of both is removed like any other, and set.
            from_swapped = -W_dec[list(swapped.latents)]
            constant = torch.tensor(list(swapped.set_to.values())) @ W_dec[list(swapped.set_to)]
        elif isinstance(edit, MetaLatentEdit) and edit.options.everywhere:
            everywhere = self.everywhere(edit)
        elif isinstance(edit, MetaLatentEdit) and edit.strengths:
            strengths = self.strengths(edit)[None]
            made = self.directions(strengths, edit.options)[0]
            for latent, row in zip(source, made, strict=True):
                if not row.any():
                    raise UserError(
                        f"Nothing is left of latent {latent} after this edit; keep or add a "
                        "meta-latent, or keep the meta-SAE's residual."
                    )
            from_source = made - W_dec[source]
        return CompiledEdit(
            from_source, from_swapped, constant, not edit.options.keep_error, everywhere
        )


@dataclass(frozen=True)
class Firing:
    """How the latents in question fire at the positions an edit may touch.

    Attributes:
        source: activations of the source's latents.
        swapped: activations of the latents a swap removes.
        error: residual stream minus the SAE's reconstruction.
        resid: the residual stream itself.
    """

    source: Float[Tensor, "T S"]
    swapped: Float[Tensor, "T G"]
    error: Float[Tensor, "T D"]
    resid: Float[Tensor, "T D"]


@dataclass(frozen=True)
class CompiledEdit:
    """An edit made ready for given latents: the change of the residual stream it makes.

    Attributes:
        from_source: what each unit of a source latent's activation adds.
        from_swapped: likewise for the latents a swap removes.
        constant: what is added wherever the edit is made.
        drop_error: whether the SAE's error goes.
        everywhere: what is changed in every latent of the SAE, if that is asked for.
    """

    from_source: Float[Tensor, "S D"]
    from_swapped: Float[Tensor, "G D"]
    constant: Float[Tensor, " D"]
    drop_error: bool
    everywhere: GlobalEdit | None = None

    def change(self, firing: Firing) -> Float[Tensor, "T D"]:
        """What is added to the residual stream at each position."""
        change = firing.source @ self.from_source + firing.swapped @ self.from_swapped
        change = change + self.constant
        if self.everywhere is not None:
            change = change + self.everywhere.change(firing.resid)
        return change - firing.error if self.drop_error else change
