"""How long one toggle of the Steer page takes, beside full passes of the same model in one run.

A toggle is what a click costs: the edit's directions, the blocks above the hook on the positions an
edit can reach, the four prompts' answers. The peer is what a user would do without the workbench:
one full TransformerLens pass per prompt with a hook that writes the same edited residual stream.

    python -m benchmarks.toggle [--quick] [--json]
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from metasae.lab.lab import open_lab
from metasae.progress import to_stream
from metasae.steering.edits import Edit, MetaLatentEdit
from metasae.steering.experiment import Experiment


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def random_edits(experiment: Experiment, count: int) -> list[MetaLatentEdit]:
    """Edits a person might click: some of the pieces off or on, seeded."""
    draw = random.Random(0)
    edits = []
    for _ in range(count):
        chosen = draw.sample(experiment.pieces, draw.randint(1, len(experiment.pieces)))
        edits.append(MetaLatentEdit(tuple((p.meta, 1.0 - p.default) for p in chosen)))
    return edits


def full_pass(experiment: Experiment, edit: Edit) -> list[torch.Tensor]:
    """The edited next-token log-probabilities by one full hooked pass per prompt."""
    model = experiment.model
    compiled = experiment.compiled(edit)
    scores = []
    for question in experiment.questions:
        tokens = torch.tensor([model.prompt_tokens(question.prompt)])
        at = experiment.edit_position(question.prompt)

        def write(resid: torch.Tensor, hook: object, at: int = at) -> torch.Tensor:
            resid[:, at] += compiled.change(experiment.firing(resid[0, at : at + 1]))
            return resid

        with torch.inference_mode():
            logits = model.bridge.run_with_hooks(tokens, fwd_hooks=[(model.hook_point, write)])
        scores.append(logits[0, -1].log_softmax(-1))
    return scores


def measure(repeats: int) -> dict[str, Any]:
    """Time toggles and full passes, alternating so that both see the same machine."""
    lab = open_lab(progress=to_stream())
    experiment = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"))
    edits = random_edits(experiment, repeats)
    for edit in edits[:3]:
        experiment.apply(edit)
        full_pass(experiment, edit)
    toggles, passes, difference = [], [], 0.0
    for edit in edits:
        toggles.append(seconds(lambda edit=edit: experiment.apply(edit)))  # type: ignore[misc]
        passes.append(seconds(lambda edit=edit: full_pass(experiment, edit)))  # type: ignore[misc]
    for edit in edits[:5]:
        ours = experiment.apply(edit).top_tokens
        for question, whole in zip(experiment.questions, full_pass(experiment, edit), strict=True):
            rows = ours[(ours["attribute"] == question.attribute) & (ours["state"] == "after")]
            best = float(rows["logprob"].max())
            difference = max(difference, abs(best - float(whole.max())))
    toggles.sort()
    passes.sort()
    middle = repeats // 2
    return {
        "p50_ms": 1000 * toggles[middle],
        "p95_ms": 1000 * toggles[min(repeats - 1, int(0.95 * repeats))],
        "full_pass_p50_ms": 1000 * passes[middle],
        "ratio_full_pass": passes[middle] / toggles[middle],
        "max_abs_diff_nats": difference,
        "prompts": len(experiment.questions),
        "repeats": repeats,
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats, ends within 45 s")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = measure(25 if arguments.quick else 100)
    if arguments.json:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
        return
    for name, value in figures.items():
        sys.stdout.write(f"{name:>20}  {value:,.4g}\n")


if __name__ == "__main__":
    main()
