"""One edit in two SAEs or models: the same questions, asked of both before and after it.

A meta-latent means the same in two SAEs that one meta-SAE takes apart: there its change is carried
over as it is. Another meta-SAE's meta-latents are others, so there the latents are swapped whole.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from metasae.steering.edits import Edit, LatentSwap, MetaLatentEdit
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import Outcome


@dataclass(frozen=True)
class SideBySide:
    """What an edit does here, and what it does there.

    Attributes:
        left_out: meta-latents that are changed here and are no piece of the pair there.
        swapped: whether latents are swapped whole there in place of a change of meta-latents.
    """

    here: Outcome
    there: Outcome
    left_out: tuple[int, ...] = ()
    swapped: bool = False

    @property
    def table(self) -> pd.DataFrame:
        """One row per question and answer: attribute, answer, city, baseline, here,
        baseline_there, there (log-probabilities in nats) and difference (by how much more the edit
        raises it there than here, in nats)."""
        here, there = self.here.answers, self.there.answers
        table = here[["attribute", "answer", "city", "baseline"]].copy()
        table["here"] = here["logprob"]
        table["baseline_there"], table["there"] = there["baseline"], there["logprob"]
        table["difference"] = there["change"] - here["change"]
        return table

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the edit is there, then what moves in both and in one alone."""
        said = []
        if self.swapped:
            said.append(
                "The meta-latents there are others, so whole latents are swapped there instead."
            )
        if self.left_out:
            one = len(self.left_out) == 1
            said.append(
                f"Left out there, as {'it is no piece' if one else 'they are no pieces'} of the "
                f"pair's latents: meta-latent{'' if one else 's'} "
                f"{', '.join(map(str, self.left_out))}."
            )
        here, there = (
            {name for name, did in one.moved.items() if did} for one in (self.here, self.there)
        )
        some = {"both": here & there, "here alone": here - there, "there alone": there - here}
        moved = [
            f"{', '.join(name for name in self.here.moved if name in names)} ({where})"
            for where, names in some.items()
            if names
        ]
        said.append(
            f"Moved to {self.here.target.label}'s answer: {'; '.join(moved)}."
            if moved
            else f"Neither moves an answer to {self.here.target.label}'s."
        )
        return tuple(said)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values: what it does there, and what was carried over."""
        return {
            "there": self.there.to_dict(),
            "left_out": list(self.left_out),
            "swapped": self.swapped,
            "sentences": list(self.sentences),
        }


def side_by_side(here: Experiment, there: Experiment, edit: Edit) -> SideBySide:
    """Make an edit in one experiment, and what stands for it in another that asks the same.

    Raises:
        UserError: when the edit does not fit the first one's source and target.
    """
    outcome = here.apply(edit)
    carried: Edit = edit
    left_out: tuple[int, ...] = ()
    swapped = False
    if isinstance(edit, MetaLatentEdit) and edit.strengths:
        if torch.equal(here.decomposition.meta.W_dec, there.decomposition.meta.W_dec):
            # A strength says how a piece differs from its default, so it has to have the same one.
            mine, theirs = ({one.meta: one.default for one in pair.pieces}
                            for pair in (here, there))  # fmt: skip
            kept = {meta for meta, _ in edit.strengths if theirs.get(meta) == mine[meta]}
            strengths = tuple(one for one in edit.strengths if one[0] in kept)
            left_out = tuple(meta for meta, _ in edit.strengths if meta not in kept)
            carried = MetaLatentEdit(strengths, options=edit.options)
        else:
            carried, swapped = LatentSwap(options=edit.options), True
    return SideBySide(outcome, there.apply(carried), left_out, swapped)
