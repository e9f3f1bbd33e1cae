"""How long one toggle of the Steer page takes, beside full passes of the same model in one run.

A toggle is what a click costs: the edit's directions, the blocks above the hook on the positions an
edit can reach, the four prompts' answers. The peer is what a user would do without the workbench:
usually one full TransformerLens pass per prompt with a hook that writes the same edited residual
stream; at its best one pass of all prompts in one padded batch, by TransformerLens or transformers,
in fp32 as ours. A toggle has to read the upper blocks and the unembedding once, and to multiply a
few positions with them: "at peak" is the longer of the two at the most this processor does.

    python -m benchmarks.toggle [--quick] [--json]
"""

import random
import statistics
from functools import partial
from typing import Any

import torch

from benchmarks.batched import FP32, Batched, configurations
from benchmarks.figures import parser, percentile, print_figures
from benchmarks.peak import product_speed, read_speed
from benchmarks.peer import pass_per_prompt, seconds
from metasae.lab.lab import open_lab
from metasae.progress import to_stream
from metasae.steering.edits import EditOptions, MetaLatentEdit
from metasae.steering.experiment import Experiment
from tests import oracle


def random_edits(experiment: Experiment, count: int) -> list[MetaLatentEdit]:
    """Edits a person might click: some of the pieces off or on, seeded."""
    draw = random.Random(0)
    edits = []
    for _ in range(count):
        chosen = draw.sample(experiment.pieces, draw.randint(1, len(experiment.pieces)))
        edits.append(MetaLatentEdit(tuple((p.meta, 1.0 - p.default) for p in chosen)))
    return edits


def seconds_at_peak(experiment: Experiment) -> float:
    """What a toggle would take if it did nothing but read its weights, or multiply with them."""
    model = experiment.model
    prompts = experiment.prepared(EditOptions()).prompts
    blocks = sum(
        p.numel()
        for layer in model.hf.model.layers[model.hook_layer :]
        for p in layer.parameters()
        if p.dim() == 2
    )
    unembedding = model.hf.lm_head.weight.numel()
    work = 2 * (blocks * len(prompts.resid) + unembedding * len(prompts.only))
    return max(4 * (blocks + unembedding) / read_speed(), work / product_speed(torch.float32))


def measure(repeats: int) -> dict[str, Any]:
    """Time toggles and full passes, alternating so that both see the same machine."""
    lab = open_lab(progress=to_stream())
    experiment = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"))
    edits = random_edits(experiment, repeats)
    for edit in edits[:3]:
        experiment.apply(edit)
        pass_per_prompt(experiment, edit)
    toggles, passes, difference = [], [], 0.0
    batched = Batched(experiment)
    peers = [one for one in configurations((len(batched.last),)) if one.precision == FP32]
    together: dict[str, list[float]] = {peer.name: [] for peer in peers}
    changes = batched.changes(edits)
    for peer in peers:
        batched.next_logprobs(peer, changes[:1])
    for number, edit in enumerate(edits):
        toggles.append(seconds(lambda edit=edit: experiment.apply(edit)))  # type: ignore[misc]
        passes.append(seconds(lambda edit=edit: pass_per_prompt(experiment, edit)))  # type: ignore[misc]
        for peer in peers:
            change = changes[number : number + 1]
            run = partial(batched.next_logprobs, peer, change)
            together[peer.name].append(seconds(run))
    for edit in edits[:5]:
        ours, whole = experiment.apply(edit).logprobs, oracle.logprobs(experiment, edit)
        difference = max(difference, float((ours - whole).abs().max()))
    toggle, whole_passes = percentile(toggles, 0.5), percentile(passes, 0.5)
    at_once = {name: statistics.median(took) for name, took in together.items()}
    best = min(at_once, key=at_once.__getitem__)
    at_peak = seconds_at_peak(experiment)
    return {
        "p50_ms": 1000 * toggle,
        "p95_ms": 1000 * percentile(toggles, 0.95),
        "full_pass_p50_ms": 1000 * whole_passes,
        "ratio_full_pass": whole_passes / toggle,
        "ratio_full_pass_best": at_once[best] / toggle,
        "best_peer": best,
        "at_peak_ms": 1000 * at_peak,
        "ratio_full_pass_best_at_peak": at_once[best] / at_peak,
        "peers_ms": {name: 1000 * took for name, took in at_once.items()},
        "peers_differ_nats": max(batched.apart(peer, edits[:2]) for peer in peers),
        "max_abs_diff_nats": difference,
        "prompts": len(experiment.questions),
        "repeats": repeats,
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    """Print the figures."""
    arguments = parser(__doc__).parse_args()
    figures = measure(25 if arguments.quick else 100)
    print_figures(figures, arguments.json)


if __name__ == "__main__":
    main()
