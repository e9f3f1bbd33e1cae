"""The peers at their best: whole passes of many edits of all prompts in one batch.

A row is an edit of one prompt. Rows are padded on the right, where no token of a causal model
looks, so they need no mask, and each is read at its own last token. What an edit adds is worked out
before the clock runs. transformers unembeds the last tokens alone; TransformerLens unembeds all,
since its bridge can't do otherwise.

Shapes: N edits, Q prompts, T positions, D = d_model, V vocabulary.
"""

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metasae.lm.language_model import LanguageModel, padded
from metasae.steering.edits import Edit
from metasae.steering.experiment import Experiment
from tests import oracle

ROWS = (16, 64, 256)
"""Rows of a batch."""

FP32, AUTOCAST, BF16 = "fp32", "autocast to bf16", "weights in bf16"


@dataclass(frozen=True)
class Configuration:
    """A library, a precision and a size of batch.

    Attributes:
        rows: edits × prompts that are run together.
    """

    library: str
    precision: str
    rows: int

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.library}, {self.precision}, {self.rows} rows"


def configurations(rows: Sequence[int] = ROWS) -> list[Configuration]:
    """All that are tried."""
    pairs = [
        ("TransformerLens", FP32),
        ("TransformerLens", AUTOCAST),
        ("transformers", FP32),
        ("transformers", AUTOCAST),
        ("transformers", BF16),
    ]
    return [Configuration(library, precision, n) for library, precision in pairs for n in rows]


class Batched:
    """Whole passes over an experiment's prompts."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment, model = experiment, experiment.model
        prompts = [question.prompt for question in experiment.questions]
        rows = [model.prompt_tokens(prompt) for prompt in prompts]
        self.tokens = padded(rows, model.start_token)
        self.last = torch.tensor([len(row) - 1 for row in rows])
        self.at = torch.tensor([experiment.edit_position(prompt) for prompt in prompts])
        self.each = torch.arange(len(rows))
        resid = model.residual(self.tokens)[self.each, self.at]
        self._firing = experiment.firing(resid)

    def changes(self, edits: Sequence[Edit]) -> Float[Tensor, "N Q D"]:
        """What each edit adds to the residual stream at the edited position of each prompt."""
        return torch.stack([self.experiment.compiled(edit).change(self._firing) for edit in edits])

    def next_logprobs(
        self, configuration: Configuration, change: Float[Tensor, "N Q D"]
    ) -> Float[Tensor, "N Q V"]:
        """Log-probability of every next token after every prompt under some edits, one pass."""
        count, prompts, _ = change.shape
        tokens = self.tokens.repeat(count, 1)

        def write(resid: Tensor) -> Tensor:
            by_edit = resid.view(count, prompts, *resid.shape[1:])
            by_edit[:, self.each, self.at] += change.to(resid.dtype)
            return resid

        places = torch.arange(len(tokens)), self.last.repeat(count)
        logits = whole_pass(self.experiment.model, configuration, tokens, write, places)
        return logits.float().log_softmax(-1).view(count, prompts, -1)

    def passes(
        self, configuration: Configuration, changes: Float[Tensor, "N Q D"]
    ) -> Iterator[Float[Tensor, "n Q V"]]:
        """All edits, as many at once as the configuration says."""
        for some in changes.split(max(1, configuration.rows // len(self.last))):
            yield self.next_logprobs(configuration, some)

    def apart(self, configuration: Configuration, edits: Sequence[Edit]) -> float:
        """Largest difference from our own answers of one token, in nats."""
        experiment, worst = self.experiment, 0.0
        found = torch.cat(list(self.passes(configuration, self.changes(edits))))
        for edit, theirs in zip(edits, found, strict=True):
            ours = experiment.questions.split(experiment.apply(edit).logprobs)
            for question, scores, after in zip(experiment.questions, ours, theirs, strict=True):
                for answer, score in zip(question.answers, scores, strict=True):
                    tokens = experiment.model.encode(" " + answer.text)
                    if len(tokens) == 1:
                        worst = max(worst, abs(float(score - after[tokens[0]])))
        return worst


@torch.inference_mode()
def whole_pass(
    model: LanguageModel,
    configuration: Configuration,
    tokens: Int[Tensor, "R T"],
    write: Callable[[Tensor], Tensor],
    places: tuple[Int[Tensor, " n"], Int[Tensor, " n"]],
) -> Float[Tensor, "n V"]:
    """Logits at some places after one pass.

    Args:
        write: changes the residual stream at the hook, in place.
        places: rows and positions.
    """
    with _precision(configuration):
        if configuration.library == "TransformerLens":
            hooks = [(oracle.hook_point(model), lambda x, hook: write(x))]
            logits: Tensor = oracle.bridge(model).run_with_hooks(tokens, fwd_hooks=hooks)[places]
            return logits
        hf = _in_bf16(model) if configuration.precision == BF16 else model.hf
        layer = model.family.layers(hf)[model.hook_layer]
        hook = layer.register_forward_pre_hook(lambda _, args: (write(args[0]), *args[1:]))
        try:
            hidden = hf.base_model(tokens, use_cache=False).last_hidden_state
            logits = hf.lm_head(hidden[places])
        finally:
            hook.remove()
        return logits


@functools.lru_cache(maxsize=1)
def _in_bf16(model: LanguageModel) -> Any:
    return copy.deepcopy(model.hf).to(torch.bfloat16)


def _precision(configuration: Configuration) -> Any:
    if configuration.precision == AUTOCAST:
        return torch.autocast("cpu", torch.bfloat16)
    return contextlib.nullcontext()
