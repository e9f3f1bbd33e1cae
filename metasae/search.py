"""All ways to remove some of the source's own meta-latents and add some of the target's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch

from metasae.edits import Edit
from metasae.errors import UserError
from metasae.progress import Progress, silent
from metasae.steering import Case

LARGEST = 12
"""Meta-latents of one pair whose combinations (two to that power) are all scored."""

_AT_ONCE = 32


@dataclass(frozen=True)
class Found:
    """The best edit for one pattern of moved attributes.

    Attributes:
        edit: the edit.
        pattern: attribute → whether its likeliest candidate answer is now the target's.
        margin: the smallest lead, over the attributes, of the intended answer (the target's where
            it moved, the unedited pick where it stayed) over the next candidate, in nats.
        sentence: what the edit did, in words.
    """

    edit: Edit
    pattern: dict[str, bool]
    margin: float
    sentence: str


def combinations(case: Case, base: Edit) -> Iterator[Edit]:
    """Every on/off choice of the pair's own meta-latents, the unedited one first.

    Raises:
        UserError: when there are too many to score them all.
    """
    own = [piece for piece in case.pieces if piece.side != "shared"]
    if len(own) > LARGEST:
        raise UserError(
            f"{case.source.label} and {case.target.label} have {len(own)} own meta-latents; all "
            f"combinations are searched up to {LARGEST}. Choose fewer latents."
        )
    for choice in product((False, True), repeat=len(own)):
        strengths = tuple(
            (piece.meta, 1.0 - piece.default)
            for piece, changed in zip(own, choice, strict=True)
            if changed
        )
        yield Edit("meta", strengths, base.keep_residual, base.keep_error, base.position)


def best_edits(
    case: Case, base: Edit | None = None, progress: Progress = silent
) -> tuple[Found, ...]:
    """For every reachable pattern the edit with the largest smallest margin, fewest moves first.

    An attribute whose answer source and target share cannot move. An edit after which some
    attribute's pick is neither the target's nor the unedited one reaches no pattern.

    Args:
        base: the options (residual, error, position) all edits take.

    Raises:
        UserError: when there are too many combinations.
    """
    edits = list(combinations(case, base or Edit()))
    best: dict[tuple[bool, ...], tuple[float, Edit]] = {}
    for begin in range(0, len(edits), _AT_ONCE):
        part = edits[begin : begin + _AT_ONCE]
        scores = case.logprobs(part)
        for edit, row in zip(part, scores, strict=True):
            reached = _pattern(case, row)
            if reached is None:
                continue
            pattern, margin = reached
            # Nothing moves best where nothing is done: the unedited model comes first.
            if pattern not in best or (any(pattern) and margin > best[pattern][0]):
                best[pattern] = (margin, edit)
        progress("Searching edits", min(1.0, (begin + len(part)) / len(edits)), "")
    names = [question.attribute for question in case.questions]
    found = [
        Found(edit, dict(zip(names, pattern, strict=True)), margin, case.score(edit).sentence)
        for pattern, (margin, edit) in best.items()
    ]
    return tuple(sorted(found, key=lambda one: (sum(one.pattern.values()), -one.margin)))


def _pattern(case: Case, scores: torch.Tensor) -> tuple[tuple[bool, ...], float] | None:
    """Which attributes moved to the target, and the smallest margin; None for anything else."""
    moved: list[bool] = []
    margins: list[float] = []
    place = 0
    for question in case.questions:
        part = slice(place, place + len(question.answers))
        place = part.stop
        after, before = scores[part], case.baseline[part]
        pick, old = int(after.argmax()), int(before.argmax())
        is_target = case.target.label in question.answers[pick].city.split(", ")
        if pick != old and not is_target:
            return None
        moved.append(pick != old)
        others = torch.cat([after[:pick], after[pick + 1 :]])
        margins.append(float(after[pick] - others.max()) if len(others) else float("inf"))
    return tuple(moved), min(margins)
