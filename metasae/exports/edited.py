"""An edit to be taken elsewhere: what it was seen to do, and all that makes it, as tensors.

Every kind of edit is the same there: activations of some latents, what each unit of them adds, what
is added besides, and whether the SAE's error goes.

Shapes: D = d_model, F latents that are encoded, G of them that are changed.
"""

import re
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from metasae.errors import UserError
from metasae.exports.target import told
from metasae.lab.lab import Lab
from metasae.lm.halves import MASSIVE
from metasae.saes.formats import lossless_dtype
from metasae.sources.presets import Hub
from metasae.steering.edits import Edit
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import Outcome


@dataclass(frozen=True)
class Edited:
    """An edit of a pair, in the questions that were asked about it.

    Raises:
        UserError: for an edit that changes nothing, or under a condition.
    """

    lab: Lab
    experiment: Experiment
    edit: Edit

    def __post_init__(self) -> None:
        if self.edit.changes_nothing:
            raise UserError("This edit changes nothing, so there is nothing to export; make one.")
        if words := " and ".join(self.edit.options.when.words):
            raise UserError(
                f"This edit is made {words}, which a script can't tell; take the condition away "
                "first."
            )

    @cached_property
    def outcome(self) -> Outcome:
        """What it does, measured here.

        Raises:
            UserError: when it does not fit the pair.
        """
        return self.experiment.apply(self.edit)

    @property
    def name(self) -> str:
        """How files about it are called, without an ending."""
        both = f"{self.experiment.source.label}-{self.experiment.target.label}"
        return re.sub(r"[^\w.-]+", "_", both.replace("#", "latent"))

    def places(self) -> list[int | None]:
        """Of every question where in its prompt the edit acts, the start token counted; None where
        it acts on all tokens but that one."""
        if self.edit.options.position == "all":
            return [None for _ in self.experiment.questions]
        return [self.experiment.edit_position(one.prompt) for one in self.experiment.questions]

    def tensors(self) -> dict[str, Tensor]:
        """All that makes the edit.

        Returns:
            ``W_enc`` (D, F), ``b_enc`` (F,), ``b_dec`` (D,) and, unless the SAE keeps the k
            largest, ``threshold`` (F,): how latents are read; ``latents`` (G,): which columns are
            changed; ``step`` (G, D): what a unit of each adds; ``constant`` (D,): what is added
            besides; ``W_dec`` (F, D) where the SAE's error goes. In half precision where that loses
            nothing.

        Raises:
            UserError: when it does not fit the pair.
        """
        made, space = self.experiment.compiled(self.edit), self.experiment.space
        sae = self.lab.decomposition.sae
        index = [*space.source, *space.swapped.latents]
        step = torch.cat([made.from_source, made.from_swapped])
        if made.everywhere is not None:
            index += made.everywhere.latents.tolist()
            step = torch.cat([step, made.everywhere.step])
        moved = step.any(1)
        latents, step = torch.tensor(index)[moved], step[moved]
        columns = torch.arange(sae.width)
        # Latents of a TopK SAE compete, and an error is left by all: else a few are enough.
        if sae.k is None and not made.drop_error:
            columns, latents = latents.unique(return_inverse=True)
        found = {
            "W_enc": sae.W_enc[:, columns], "b_enc": sae.b_enc[columns], "b_dec": sae.b_dec,
            "step": step, "constant": made.constant,
        }  # fmt: skip
        if sae.threshold is not None:
            found["threshold"] = sae.threshold[columns]
        if made.drop_error:
            found["W_dec"] = sae.W_dec
        small = {name: one.to(lossless_dtype(one)) for name, one in found.items()}
        return small | {"latents": latents}

    def about(self) -> dict[str, Any]:
        """What has to be known beside the tensors, as JSON-able values.

        Raises:
            UserError: when the edit does not fit the pair.
        """
        lab, outcome = self.lab, self.outcome
        model, origin = lab.model, lab.preset.model.origin
        hub = origin if isinstance(origin, Hub) else None
        before, after = outcome.baseline.tolist(), outcome.logprobs.tolist()
        return {
            "sentence": outcome.sentence,
            "edit": self.edit.to_dict(),
            "source": outcome.source.label,
            "target": outcome.target.label,
            "name": outcome.source.name,
            "position": self.edit.options.position,
            "model": {
                "name": model.name,
                "repo": hub.repo if hub else None,
                "revision": hub.revision if hub else None,
            },
            "hook": lab.preset.hook_point,
            "block": f"{model.hf.base_model_prefix}.{model.family.stack[0]}.{model.hook_layer}",
            "start_token": model.start_token,
            "centred": lab.preset.model.centred,
            "largest_norm": MASSIVE * lab.median_norm,
            "k": lab.decomposition.sae.k,
            "questions": [
                {
                    "attribute": question.attribute,
                    "prompt": question.prompt,
                    "gap": question.gap,
                    "at": at,
                    "answers": [
                        {"text": answer.text, "baseline": before[row], "logprob": after[row]}
                        for row, answer in enumerate(question.answers, part.start)
                    ],
                }
                for question, part, at in zip(
                    outcome.questions, outcome.questions.slices, self.places(), strict=True
                )
            ],
            "made_with": asdict(told(lab)),
            "weights_sha256": asdict(lab.weights),
        }

    def headed(self, text: str) -> str:
        """A README: what the edit does and came from, and a text below that."""
        outcome, made = self.outcome, told(self.lab)
        return (
            f"# {outcome.source.label} → {outcome.target.label}\n\n{outcome.sentence}\n\n"
            f"Made with {made.model}, {made.hook}, SAE {made.sae}, meta-SAE {made.meta_sae}; "
            f"metasae {made.version}.\n\n{text.strip()}\n"
        )
