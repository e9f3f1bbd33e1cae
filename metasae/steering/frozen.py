"""An edit with attention patterns above the hook frozen to the unedited run's, beside live ones.

What is left of an edit's effect with frozen patterns goes through what the heads move; the rest
goes through where they look.

Shapes: A answers of all questions, in their order.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from metasae.lm.frozen_attention import FrozenBlocks
from metasae.steering.edits import Edit
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import Outcome


@dataclass(frozen=True)
class FrozenOutcome:
    """An edit's answers with live and with frozen attention patterns.

    Attributes:
        live: as usual.
        logprobs: with frozen patterns, in nats.
        moved: attributes whose likeliest candidate is the target's with frozen patterns and was
            not before.
    """

    live: Outcome
    logprobs: Float[Tensor, " A"]
    moved: tuple[str, ...]

    @property
    def table(self) -> pd.DataFrame:
        """One row per question and answer: attribute, answer, city, baseline, live, frozen and
        difference (nats, from live to frozen)."""
        table = self.live.answers[["attribute", "answer", "city", "baseline"]].copy()
        table["live"] = self.live.answers["logprob"]
        table["frozen"] = self.logprobs.tolist()
        table["difference"] = table["frozen"] - table["live"]
        return table

    @property
    def sentence(self) -> str:
        """What still moves, in words."""
        live = [name for name, moved in self.live.moved.items() if moved]
        if not live and not self.moved:
            return "No answer moves to the target's, with live or with frozen attention patterns."
        lost = [name for name in live if name not in self.moved]
        more = [name for name in self.moved if name not in live]
        said = [
            f"With attention patterns frozen {len(live) - len(lost)} of the {len(live)} answers "
            "that move to the target's still do."
            if live
            else "With attention patterns live no answer moves to the target's."
        ]
        said += [f"Not any more: {', '.join(lost)}."] if lost else []
        said += [f"With frozen ones alone: {', '.join(more)}."] if more else []
        return " ".join(said)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {
            "sentence": self.sentence,
            "moved": list(self.moved),
            "answers": self.table.to_dict("records"),
        }


def with_frozen_attention(experiment: Experiment, edit: Edit) -> FrozenOutcome:
    """Make an edit twice: with live attention patterns, and with the unedited run's in every block
    above the hook.

    Raises:
        UserError: when the edit does not fit this source and target.
    """
    live = experiment.apply(edit)
    if edit.changes_nothing:
        return FrozenOutcome(live, live.logprobs, ())
    prepared, model = experiment.prepared(edit.options), experiment.model
    change = experiment.compiled(edit).change(prepared.firing) * prepared.touched[:, None]
    upper = range(model.hook_layer, model.n_layers)
    blocks = FrozenBlocks(model.hf, upper, prepared.prompts.prefilled.resid)
    logprobs = prepared.prompts.to(blocks).changed(change[None])
    moved = experiment.verdict(logprobs).moved[0].tolist()
    attributes = experiment.questions.attributes
    kept = tuple(one for one, did in zip(attributes, moved, strict=True) if did)
    return FrozenOutcome(live, logprobs[0], kept)
