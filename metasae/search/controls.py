"""Whether chance would have done the same: random edits of the same size, and foreign meta-latents.

Shapes: N edits, S source latents, D = d_model, P changed pieces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import beta
from torch import Tensor

from metasae.errors import UserError
from metasae.search.exhaustive import CHUNK
from metasae.search.patterns import FoundEdit, Share
from metasae.sources.records import to_values
from metasae.steering.edit_space import HUNDREDFOLD
from metasae.steering.edits import MetaLatentEdit
from metasae.steering.experiment import Experiment
from metasae.steering.verdict import pattern_code

DRAWS = 64
"""Fewest random edits of each kind that an edit is compared with."""

MOST_DRAWS = 4096
"""Most of them."""


def draws_for(tried: int) -> int:
    """How many random edits of each kind a search's edit is compared with.

    As many as combinations were tried, since the edit is the best of those; at least `DRAWS` and at
    most `MOST_DRAWS`.
    """
    return min(MOST_DRAWS, max(DRAWS, tried))


@dataclass(frozen=True)
class Control:
    """How often chance reaches a pattern.

    Attributes:
        pattern: attribute → moved.
        real: share of the real combinations that reach it.
        random: share of edits in random directions that do; each changes the source's directions by
            as much as the search's edit and leaves them as long.
        shuffled: share of edits that do which are the search's with meta-latents neither city has,
            at the same activations, in the place of those it removes and adds.
        draws: of each kind. For the pattern of no change they are those of all other patterns.
        marked: whether a control reaches it at least as often as the real combinations; never for
            the pattern of no change.
        upper: 95 % upper bound (Clopper and Pearson's, one-sided) of the larger of the two shares.
    """

    pattern: dict[str, bool]
    real: Share
    random: float
    shuffled: float
    draws: int
    marked: bool
    upper: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; a share nobody counted is None."""
        return to_values(self)


def control(
    experiment: Experiment, edits: Sequence[FoundEdit], draws: int = DRAWS, seed: int = 0
) -> tuple[Control, ...]:
    """Compare each edit with random ones of its size, in the order of ``edits``.

    Args:
        edits: what a search of this experiment reports.
        draws: of each kind, for each edit that changes something.

    Raises:
        UserError: when the pair leaves too few meta-latents to draw from.
    """
    reached = [_drawn(experiment, one, draws if one.edit.strengths else 0, seed) for one in edits]
    pooled = [np.concatenate(kind) for kind in zip(*reached, strict=True)]
    controls = []
    for one, mine in zip(edits, reached, strict=True):
        moves = any(one.pattern.values())
        drawn = mine if moves else pooled
        random, shuffled = (_share(experiment, kind, one) for kind in drawn)
        controls.append(
            Control(
                pattern=one.pattern,
                real=one.reached_by,
                random=random,
                shuffled=shuffled,
                draws=len(drawn[0]),
                marked=moves and max(random, shuffled) >= one.reached_by,
                upper=upper_bound(max(random, shuffled), len(drawn[0])),
            )
        )
    return tuple(controls)


def upper_bound(share: float, draws: int) -> float:
    """The 95 % upper bound of a share that was found in a number of draws; 1 of none."""
    reached = round(share * draws)
    return 1.0 if reached >= draws else float(beta.ppf(0.95, reached + 1, draws - reached))


def _share(experiment: Experiment, patterns: np.ndarray, one: FoundEdit) -> float:
    code = pattern_code(one.pattern[name] for name in experiment.questions.attributes)
    return float((patterns == code).mean()) if len(patterns) else 0.0


def _drawn(
    experiment: Experiment, one: FoundEdit, draws: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Patterns that random and shuffled edits reach; the same draws for the same edit and seed."""
    if not draws:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    numbers = np.random.default_rng([seed, one.number])
    original = experiment.decomposition.sae.W_dec[list(experiment.source.latents)]
    made = original + experiment.compiled(one.edit).from_source
    changes = random_changes(original, made, draws, numbers)
    shuffled = shuffled_changes(
        experiment, one.edit, foreign_meta_latents(experiment, one.edit, draws, numbers)
    )
    return _patterns(experiment, one.edit, changes), _patterns(experiment, one.edit, shuffled)


def random_changes(
    original: Float[Tensor, "S D"],
    made: Float[Tensor, "S D"],
    draws: int,
    numbers: np.random.Generator,
) -> Float[Tensor, "N S D"]:
    """Changes of directions that are random but for two norms: the change's and the result's."""
    before, after = original.double(), made.double()
    length = before.norm(dim=-1, keepdim=True)
    unit = before / length
    # The result's part along the original direction follows from the three norms; the rest of it
    # points anywhere at right angles.
    change = (after - before).square().sum(-1, keepdim=True)
    size = after.square().sum(-1, keepdim=True)
    along = (size + length.square() - change) / (2 * length)
    across = (size - along.square()).clamp(min=0.0).sqrt()
    drawn = torch.from_numpy(numbers.standard_normal((draws, *original.shape)))
    drawn = drawn - (drawn * unit).sum(-1, keepdim=True) * unit
    drawn = drawn / drawn.norm(dim=-1, keepdim=True)
    return (along * unit + across * drawn - before).float()


def foreign_meta_latents(
    experiment: Experiment, edit: MetaLatentEdit, draws: int, numbers: np.random.Generator
) -> Int[Tensor, "N P"]:
    """For each piece an edit changes a meta-latent that neither side has, all different.

    Meta-latents that are active on no latent are left out: they are no pieces of anything.

    Raises:
        UserError: when there are fewer of them than the edit changes pieces.
    """
    alive = experiment.decomposition.activations.col_indices().unique().tolist()
    lacked = sorted(set(alive) - {piece.meta for piece in experiment.pieces})
    if len(lacked) < len(edit.strengths):
        raise UserError(
            f"The control needs {len(edit.strengths)} meta-latents that neither side has, but "
            f"there are {len(lacked)}; choose fewer latents."
        )
    return torch.from_numpy(
        np.stack([numbers.choice(lacked, len(edit.strengths), False) for _ in range(draws)])
    )


def shuffled_changes(
    experiment: Experiment, edit: MetaLatentEdit, metas: Int[Tensor, "N P"]
) -> Float[Tensor, "N S D"]:
    """The changes an edit would make if its pieces' directions were those of other meta-latents.

    Args:
        metas: which, in the order of the edit's strengths.
    """
    decomposition = experiment.decomposition
    source = list(experiment.source.latents)
    original = decomposition.sae.W_dec[source]
    pieces = {piece.meta: piece for piece in experiment.pieces}
    changed = [pieces[meta] for meta, _ in edit.strengths]
    by = torch.tensor([s - pieces[meta].default for meta, s in edit.strengths])
    W_meta = decomposition.meta.W_dec[metas]
    if edit.options.hundredfold:
        unit = W_meta / W_meta.norm(dim=-1, keepdim=True)
        made = original + (HUNDREDFOLD * torch.einsum("p,npd->nd", by, unit))[:, None]
    else:
        loads = torch.zeros(len(source), len(changed))
        for row, latent in enumerate(source):
            own = decomposition.pieces(latent)
            for column, piece in enumerate(changed):
                other = piece.on_target if piece.side == "target" else 0.0
                loads[row, column] = own.get(piece.meta, other)
        base = original
        if not edit.options.keep_residual:
            base = torch.stack([decomposition.rebuilt(latent, {}) for latent in source])
        made = base + torch.einsum("sp,npd->nsd", by * loads, W_meta)
    size = original.norm(dim=-1, keepdim=True) / made.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    return made * size - original


def _patterns(
    experiment: Experiment, edit: MetaLatentEdit, changes: Float[Tensor, "N S D"]
) -> np.ndarray:
    prepared, drop_error = experiment.prepared(edit.options), not edit.options.keep_error
    patterns = []
    for some in changes.split(CHUNK // 4):
        if experiment.strict:
            judged = experiment.verdict(*prepared.logprobs_with_own(some, drop_error))
        else:
            judged = experiment.verdict(prepared.logprobs(some, drop_error))
        patterns.append(judged.pattern)
    return np.concatenate(patterns)
