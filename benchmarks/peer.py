"""What a user would do without the workbench, and the clock both are timed with."""

import time
from collections.abc import Callable

import torch

from metasae.steering.edits import Edit
from metasae.steering.experiment import Experiment
from tests import oracle


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def pass_per_prompt(experiment: Experiment, edit: Edit) -> None:
    """Score every prompt's next token under an edit by one full hooked pass.

    Numbers are checked by `tests.oracle`, which works the edit out anew and encodes every position.
    What is timed is a peer of its own, so that it is as quick as a user would have it: the edit is
    worked out once, and only the position it changes is encoded.
    """
    model, compiled = experiment.model, experiment.compiled(edit)
    for question in experiment.questions:
        at = experiment.edit_position(question.prompt)

        def write(resid: torch.Tensor, hook: object, at: int = at) -> torch.Tensor:
            resid[:, at] += compiled.change(experiment.firing(resid[0, at : at + 1]))
            return resid

        with torch.inference_mode():
            logits = oracle.bridge(model).run_with_hooks(
                torch.tensor([model.prompt_tokens(question.prompt)]),
                fwd_hooks=[(oracle.hook_point(model), write)],
            )
            logits[0, -1].log_softmax(-1)
