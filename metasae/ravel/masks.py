"""Learned masks as edits: saved by name, applied to any pair on Steer, exchanged as files.

A mask says which meta-latents an attribute is in. On a pair it takes the source's own of them out
and puts the target's own of them in; the edit that comes of it is one like any other.
"""

import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import ConfigDict

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.ravel.scores import table
from metasae.sources import cache
from metasae.sources.files import json_values, read_json, remove, write_json
from metasae.sources.records import from_values, to_values
from metasae.sources.versions import KEY, MASK
from metasae.steering.edit_space import Piece, exchanged
from metasae.steering.edits import Edit, EditOptions, MetaLatentEdit
from metasae.steering.link import quoted
from metasae.steering.provenance import Provenance
from metasae.studies.result_folder import StoredFinding

_NAME = re.compile(r"\w[\w ,()-]{0,59}")

_SCORES = ("cause", "isolate", "disentangle", "low", "high")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mask:
    """The meta-latents that an attribute was found in.

    Attributes:
        name: it is saved and asked for by.
        pieces: the meta-latents it takes.
        keep_residual, keep_error, position: the options it was learned and scored under.
        meta_sae: SHA-256 of the weights of the meta-SAE whose meta-latents these are.
        made: what was open when it was learned.
        run: the run of RAVEL it is from.
        data: the names it was learned from.
        learned_on, scored_on: how many names; none of them is in both.
        cause, isolate, disentangle, low, high: what it scored on the held-out names, with the
            interval of disentangle; None where there was nothing to score.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    attribute: str
    method: str
    pieces: tuple[int, ...]
    keep_residual: bool
    keep_error: bool
    position: Literal["last", "all"]
    meta_sae: str
    made: Provenance
    run: str
    data: str
    learned_on: int
    scored_on: int
    cause: float | None = None
    isolate: float | None = None
    disentangle: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def options(self) -> EditOptions:
        """Of the edit it makes."""
        return EditOptions(
            keep_residual=self.keep_residual, keep_error=self.keep_error, position=self.position
        )

    @property
    def sentence(self) -> str:
        """What is known of it, as what follows its name."""
        scored = "not scored"
        if self.disentangle is not None:
            scored = f"Disentangle {self.disentangle:.2f}"
            if self.low is not None and self.high is not None:
                scored += f" ({self.low:.2f} to {self.high:.2f})"
        return (
            f"{len(self.pieces)} meta-latents, learned on {self.learned_on} names; {scored} on "
            f"{self.scored_on} held-out names"
        )

    def check_opened(self, lab: Lab) -> None:
        """Refuse a lab with another meta-SAE, whose meta-latents are others.

        Raises:
            UserError: for it.
        """
        if self.meta_sae != lab.weights.meta_sae:
            raise UserError(
                f'The mask "{self.name}" is of the meta-SAE {self.made.meta_sae}, and '
                f"{lab.provenance.meta_sae} is open; open {self.made.preset}, or learn one here."
            )

    def added_to(self, edit: Edit, pieces: Sequence[Piece]) -> MetaLatentEdit:
        """An edit of a pair with this mask's changes added, under this mask's options and the
        edit's own condition.

        Args:
            pieces: of the pair.

        Raises:
            UserError: when the pair has none of its meta-latents of its own.
        """
        if not any(one.side != "shared" and one.meta in self.pieces for one in pieces):
            raise UserError(
                f'The mask "{self.name}" takes none of the pieces in which these two differ, so '
                "it changes nothing here."
            )
        options = replace(self.options, when=edit.options.when)
        return exchanged(pieces, set(self.pieces), replace(edit, options=options))

    def save(self) -> Path:
        """Keep it under its name, in the place of the one that has it.

        Raises:
            UserError: for a name that can't be a file's, or when it can't be written.
        """
        if not _NAME.fullmatch(self.name):
            raise UserError(
                f'"{quoted(self.name)}" is no name for a mask; give 1 to 60 letters, digits, '
                "spaces, commas, parentheses or hyphens."
            )
        path = cache.mask(self.name)
        write_json(path, self.to_dict())
        return path

    def to_dict(self) -> dict[str, Any]:
        """What its file holds."""
        return MASK.stamp | to_values(self)


def masked(lab: Lab, edit: Edit, masks: Sequence[Mask], pieces: Sequence[Piece]) -> Edit:
    """An edit of a pair to which masks are added one after the other.

    The edit's own strengths stay, and its own options where they aren't the usual ones.

    Args:
        pieces: of the pair.

    Raises:
        UserError: for a mask of another meta-SAE, or one that changes nothing here.
    """
    if not masks:
        return edit
    made = edit
    for mask in masks:
        mask.check_opened(lab)
        made = mask.added_to(made, pieces)
    strengths = dict(made.without_swap().strengths) | dict(edit.without_swap().strengths)
    usual = vars(EditOptions())
    chosen = {name: value for name, value in vars(edit.options).items() if value != usual[name]}
    return MetaLatentEdit(tuple(strengths.items()), options=replace(made.options, **chosen))


def with_scores(
    masks: pd.DataFrame, triples: pd.DataFrame, attributes: Sequence[str]
) -> pd.DataFrame:
    """Masks beside what they scored greedily on the held-out names of their own seed.

    Args:
        masks: columns method, attribute, and whatever else.
        triples: see `scores.table`; of the seed.
    """
    scored = table(triples, attributes)
    own = scored.loc[scored["rule"] == "greedy", ["method", "attribute", *_SCORES, "sources"]]
    return masks.merge(own.rename(columns={"sources": "scored_on"}), on=["method", "attribute"])


def masks_of(found: StoredFinding, run: str) -> tuple[Mask, ...]:
    """The masks that a run of RAVEL learned, by their usual names.

    Args:
        run: names it.
    """
    config = found.figures["configuration"]
    made = Provenance(**found.made)
    return tuple(
        Mask(
            name=str(row["attribute"]) + ("" if row["method"] == usual else f", {row['method']}"),
            attribute=str(row["attribute"]),
            method=str(row["method"]),
            pieces=tuple(map(int, str(row["pieces"]).split("."))),
            keep_residual=bool(config["keep_residual"]),
            keep_error=bool(config["keep_error"]),
            position=config["where"],
            meta_sae=found.weights["meta_sae"],
            made=made,
            run=run,
            data=str(found.figures["data"]),
            learned_on=int(row["learned_on"]),
            scored_on=int(row["scored_on"]),
            **{name: None if pd.isna(row[name]) else float(row[name]) for name in _SCORES},
        )
        for row in found.tables["masks"].to_dict("records")
        for usual in [found.figures["learned"]]
    )


def saved() -> tuple[Mask, ...]:
    """The masks that are kept, by name; one that can't be read is passed over, which the log
    says."""
    found = []
    for path in sorted(cache.masks().glob("*.json")):
        try:
            found.append(read(path))
        except UserError:
            _log.info("%s is passed over", path, exc_info=True)
    return tuple(found)


def find(text: str) -> Mask:
    """A mask by its name, or by its file.

    Raises:
        UserError: when there is none, or its file is damaged.
    """
    path = cache.mask(text)
    if _NAME.fullmatch(text) and path.is_file():
        return read(path)
    with suppress(OSError, ValueError):  # a name that can't be a file's
        if Path(text).is_file():
            return read(Path(text))
    names = ", ".join(f'"{one.name}"' for one in saved()) or "none"
    raise UserError(f'There is no mask "{quoted(text)}", nor such a file; saved are: {names}.')


def read(path: Path) -> Mask:
    """A mask that was saved.

    Raises:
        UserError: when it is none, is damaged, or of a newer version.
    """
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise _damaged(str(path)) from error
    return _from_dict(values, str(path))


def from_text(text: str | bytes, name: str) -> Mask:
    """A mask as its file's content.

    Args:
        name: of the file, for the error.

    Raises:
        UserError: see `read`.
    """
    try:
        return _from_dict(json_values(text), name)
    except ValueError as error:
        raise _damaged(name) from error


def _from_dict(values: Any, where: str) -> Mask:
    try:
        written = dict(values)
        MASK.check(written, where)
        written.pop(KEY, None)
        mask = from_values(Mask, written)
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(where) from error
    if not mask.pieces or min(mask.pieces) < 0 or not _NAME.fullmatch(mask.name):
        raise _damaged(where)
    return mask


def forget(name: str) -> None:
    """Delete a saved mask.

    Raises:
        UserError: when it can't be deleted.
    """
    remove(cache.mask(name))


def _damaged(where: str) -> UserError:
    return UserError(f"{where} holds no mask, or a damaged one; save it anew.")
