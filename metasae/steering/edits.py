"""An edit is a value: which pieces of a direction are changed, and where; never a mutated weight.

There are two kinds. The **latent swap** clamps the source's latents to 0 and the target's to the
activation they have on the target's own prompts. The **meta-latent edit** leaves every activation
alone and rebuilds the source latents' decoder directions from other pieces: some of the source's
own meta-latents set to 0, some of the target's own set to their activation on the target, then
normalised to the source direction's norm; its "hundredfold" variant is the post's authors' own
(100 × the unit meta-direction), and its "everywhere" variant changes strengths in every latent of
the SAE that has the meta-latent (see `global_edit`). Both kinds are applied as a change to the
residual stream at the hook, so what the SAE does not explain (its error) is kept unless the edit
says otherwise.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from pydantic import ConfigDict

from metasae.errors import UserError
from metasae.sources.records import from_values, to_values
from metasae.steering.conditions import ALWAYS, Condition

MAX_STRENGTH = 2.0

VARIANTS = ("faithful", "hundredfold", "everywhere")

POSITIONS = ("last", "all")


@dataclass(frozen=True)
class _EditValues:
    """An edit as files and links hold it; see `edit_of_kind`."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: str = "meta"
    strengths: dict[int, float] = field(default_factory=dict)
    keep_residual: bool = False
    keep_error: bool = True
    position: str = "last"
    when: Condition = ALWAYS


@dataclass(frozen=True)
class EditOptions:
    """How an edit is made, apart from what it changes: what all edits of one search share.

    Attributes:
        variant: how a meta-latent edit builds directions: those of the source's latents rebuilt
            from pieces, the post's authors' hundredfold, or those of every latent of the SAE that
            has a changed meta-latent. Means nothing to a swap.
        keep_residual: keep what the meta-SAE does not explain of the source direction, instead of
            the faithful reconstruction from meta-latents alone. Means nothing to a swap.
        keep_error: keep what the SAE does not explain of the residual stream.
        position: edit at the last token of the source's name, or at all positions.
        when: at which of those; left out of files and links where it is no condition, so that they
            are those of ever.

    Raises:
        UserError: for an unknown variant or position.
    """

    variant: Literal["faithful", "hundredfold", "everywhere"] = "faithful"
    keep_residual: bool = False
    keep_error: bool = True
    position: Literal["last", "all"] = "last"
    when: Condition = ALWAYS

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise UserError(f'A meta-latent edit is {" or ".join(VARIANTS)}, not "{self.variant}".')
        if self.position not in POSITIONS:
            raise UserError(f'An edit is made at "last" or "all" positions, not "{self.position}".')

    def __repr__(self) -> str:
        """As the code that makes them, without a condition where there is none."""
        named = [one.name for one in fields(self) if one.name != "when" or self.when != ALWAYS]
        return f"EditOptions({', '.join(f'{name}={getattr(self, name)!r}' for name in named)})"

    @property
    def hundredfold(self) -> bool:
        """Whether directions are built as the post's authors do."""
        return self.variant == "hundredfold"

    @property
    def everywhere(self) -> bool:
        """Whether every latent of the SAE is edited, not the source's alone."""
        return self.variant == "everywhere"

    @property
    def of_source(self) -> "EditOptions":
        """These options for the source's latents alone, as a search tries them."""
        return replace(self, variant="faithful") if self.everywhere else self

    def to_dict(self) -> dict[str, Any]:
        """The JSON-able values of the meta-latent edit that has these options and no strengths."""
        return MetaLatentEdit(options=self).to_dict()

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "EditOptions":
        """The options `to_dict` wrote.

        Raises:
            UserError: when they are none, or those of a swap or of single strengths.
        """
        edit = Edit.from_dict(values)
        if not isinstance(edit, MetaLatentEdit) or edit.strengths:
            raise UserError(
                "A search makes its own meta-latent edits; give it no swap and no strengths of "
                "single meta-latents."
            )
        return edit.options


@dataclass(frozen=True)
class Edit(ABC):
    """A change of what the model computes; either a `MetaLatentEdit` or a `LatentSwap`."""

    options: EditOptions = field(default=EditOptions(), kw_only=True)

    @property
    @abstractmethod
    def kind(self) -> str:
        """Its kind in files and links: "meta", "hundredfold", "everywhere" or "swap"."""

    @property
    @abstractmethod
    def changes_nothing(self) -> bool:
        """Whether the model is left alone."""

    def strength(self, meta: int, default: float) -> float:
        """Strength of a meta-latent; the default where the edit does not name it."""
        return default

    def with_options(self, **changes: Any) -> "Edit":
        """The same edit with other options."""
        return replace(self, options=replace(self.options, **changes))

    def without_strengths(self) -> "Edit":
        """The same kind of edit without the strengths of single meta-latents."""
        return self

    def without_swap(self) -> "MetaLatentEdit":
        """The meta-latent edit it is once whole latents are not swapped."""
        return MetaLatentEdit(options=self.options)

    def with_strength(self, meta: int, strength: float, default: float) -> "MetaLatentEdit":
        """The edit with one strength changed; a swap becomes a meta-latent edit."""
        return self.without_swap().with_strength(meta, strength, default)

    def to_dict(self) -> dict[str, Any]:
        """The JSON-able values that files and links hold."""
        options = self.options
        values = to_values(
            _EditValues(
                self.kind,
                dict(self.without_swap().strengths),
                options.keep_residual,
                options.keep_error,
                options.position,
                options.when,
            )
        )
        if options.when == ALWAYS:
            del values["when"]
        return values

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Edit":
        """The edit `to_dict` wrote.

        Raises:
            UserError: when it is no edit.
        """
        try:
            edit = from_values(_EditValues, values)
        except (TypeError, ValueError) as error:
            raise UserError("This is not an edit that the workbench wrote.") from error
        return edit_of_kind(
            edit.kind,
            tuple(edit.strengths.items()),
            keep_residual=edit.keep_residual,
            keep_error=edit.keep_error,
            position=edit.position,
            when=edit.when,
        )


@dataclass(frozen=True)
class MetaLatentEdit(Edit):
    """Some meta-latents of the source's directions made weaker or stronger, some of the target's
    added.

    Attributes:
        strengths: (meta-latent, strength) for those whose strength differs from its default: 1 for
            the source's own and the shared ones (0 removes it), 0 for the target's own (1 adds
            it). With none, the edit changes nothing at all.

    Raises:
        UserError: for a strength outside −2 to 2, or two for one meta-latent.
    """

    strengths: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        for meta, strength in self.strengths:
            if not (math.isfinite(strength) and abs(strength) <= MAX_STRENGTH):
                raise UserError(
                    f"The strength of meta-latent {meta} is {strength:g}; choose one from "
                    f"−{MAX_STRENGTH:g} to {MAX_STRENGTH:g}."
                )
        ordered = tuple(sorted(dict(self.strengths).items()))
        if len(ordered) != len(self.strengths):
            raise UserError("The edit gives two strengths for one meta-latent; give one.")
        object.__setattr__(self, "strengths", ordered)

    @property
    def kind(self) -> str:
        """Its kind in files and links: "meta" for the faithful variant, else the variant's name."""
        return "meta" if self.options.variant == "faithful" else self.options.variant

    @property
    def changes_nothing(self) -> bool:
        """Whether no strength is changed and the SAE's error is kept."""
        return not self.strengths and self.options.keep_error

    def strength(self, meta: int, default: float) -> float:
        """Strength of a meta-latent; the default where the edit does not name it."""
        return dict(self.strengths).get(meta, default)

    def without_strengths(self) -> "MetaLatentEdit":
        """The edit with the same options that changes no meta-latent."""
        return MetaLatentEdit(options=self.options)

    def without_swap(self) -> "MetaLatentEdit":
        """This edit, which is no swap."""
        return self

    def with_strength(self, meta: int, strength: float, default: float) -> "MetaLatentEdit":
        """The edit with one strength changed."""
        others = {key: value for key, value in self.strengths if key != meta}
        if strength != default:
            others[meta] = strength
        return replace(self, strengths=tuple(others.items()))

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "MetaLatentEdit":
        """The edit `to_dict` wrote.

        Raises:
            UserError: when it is none, or a swap.
        """
        edit = Edit.from_dict(values)
        if not isinstance(edit, MetaLatentEdit):
            raise UserError("This is a latent swap, where an edit of meta-latents is wanted.")
        return edit


@dataclass(frozen=True)
class LatentSwap(Edit):
    """The source's latents set to 0 and the target's to their activation on the target's prompts.

    It builds no directions, so its options are always of the faithful variant.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", replace(self.options, variant="faithful"))

    @property
    def kind(self) -> str:
        """Its kind in files and links: "swap"."""
        return "swap"

    @property
    def changes_nothing(self) -> bool:
        """Never: a swap changes the model even where both sides share latents."""
        return False


NO_EDIT = MetaLatentEdit()
"""The edit that leaves the model alone."""

KINDS = ("meta", "hundredfold", "everywhere", "swap")
"""Kinds as files, links and the command line name them."""


def edit_of_kind(
    kind: str,
    strengths: tuple[tuple[int, float], ...] = (),
    keep_residual: bool = False,
    keep_error: bool = True,
    position: Any = "last",
    when: Condition = ALWAYS,
) -> Edit:
    """The edit that files, links and the command line describe by its kind.

    A swap has no strengths of its own: those given with one are checked and dropped.

    Raises:
        UserError: for an unknown kind or position, or a strength out of range.
    """
    if kind not in KINDS:
        raise UserError(f'An edit is of the kind {" or ".join(KINDS)}, not "{kind}".')
    variants: dict[str, Literal["hundredfold", "everywhere"]] = {
        "hundredfold": "hundredfold", "everywhere": "everywhere",
    }  # fmt: skip
    options = EditOptions(
        variant=variants.get(kind, "faithful"),
        keep_residual=keep_residual,
        keep_error=keep_error,
        position=position,
        when=when,
    )
    edit = MetaLatentEdit(strengths, options=options)
    return LatentSwap(options=options) if kind == "swap" else edit
