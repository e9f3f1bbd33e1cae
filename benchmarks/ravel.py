"""How many edits of a name, each asked about with one prompt, are scored a second (RAVEL).

An evaluation is a source, an edit at its last token and a template: whose answer came, by both
rules. Ours does what the evaluation does (`metasae.ravel.judging`), answers of several tokens
included, on every template about a source at once. The peers run a whole pass over every prompt
with the same change written at the hook, in batches of 64 to 256 rows of one template (so that
nothing is padded), in every precision, and score the next token alone. All see the same changes of
the residual stream. Ours is timed as the evaluation runs it, in fp32; its verdicts are compared
with what all log-probabilities tell, and what it says of answers of one token with a peer's.

By default this package's cities and prompts are asked, with ``--data`` RAVEL's own; the held-out
names, prompts and answers are those that the quick evaluation keeps. "At peak" is the ratio that
would be reached if the products of the shortest tails, the prompts without any answer, ran in bf16
at the speed of one large product, and nothing else took time.

    python -m benchmarks.ravel [--data DIR] [--quick] [--json]
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.batched import FP32, Configuration, configurations, whole_pass
from benchmarks.figures import parser, print_figures
from benchmarks.peak import product_speed
from metasae.lab.lab import Lab, open_lab
from metasae.lm.language_model import LanguageModel
from metasae.progress import to_stream
from metasae.ravel.data import RavelData, Template, answers_about, own_cities, read_ravel
from metasae.ravel.engine import Asked, name_end
from metasae.ravel.evaluation import QUICK
from metasae.ravel.facts import Known, survey
from metasae.ravel.judging import Judged
from metasae.ravel.portraits import Portrait, portrait
from metasae.studies.parts import Parts

ROWS = (64, 128, 256)

TARGETS, EDITS = 2, 96
"""The targets of a source, and its edits: methods × attributes × targets."""


class Peer:
    """Whole passes over one template about one source, a row an edit."""

    def __init__(self, lab: Lab, template: Template, source: Portrait) -> None:
        self.lab = lab
        self.tokens = torch.tensor([lab.model.prompt_tokens(template.prompt(source.name))])
        self.at = name_end(lab.model, template, source.name)

    def next_logprobs(
        self, configuration: Configuration, changes: Float[Tensor, "N D"]
    ) -> Float[Tensor, "N V"]:
        """Of every next token after the prompt, under some changes at the name's last token."""
        made = []
        for some in changes.split(configuration.rows):

            def write(resid: Tensor, some: Tensor = some) -> Tensor:
                resid[:, self.at] += some.to(resid.dtype)
                return resid

            tokens = self.tokens.repeat(len(some), 1)
            places = (
                torch.arange(len(some)),
                torch.full((len(some),), tokens.shape[1] - 1),
            )
            made.append(whole_pass(self.lab.model, configuration, tokens, write, places))
        return torch.cat(made).float().log_softmax(-1)


def apart(
    model: LanguageModel,
    asked: Asked,
    found: Sequence[Float[Tensor, "N V"]],
    nats: Float[Tensor, "N A"],
) -> float:
    """Largest difference in what ours and a peer say of answers of one token, in nats."""
    worst = 0.0
    columns = asked.questions.split(nats)
    for question, theirs, ours in zip(asked.questions, found, columns, strict=True):
        for number, answer in enumerate(question.answers):
            tokens = model.encode(question.gap + answer.text)
            if len(tokens) == 1:
                off = (ours[:, number] - theirs[:, tokens[0]]).abs()
                worst = max(worst, float(off.nan_to_num().max()))
    return worst


class Clock:
    """Wall-clock and processor seconds of calls."""

    def __init__(self) -> None:
        self.wall, self.processor = list[float](), list[float]()

    def time(self, run: Callable[[], object]) -> None:
        """Call something once."""
        began, busy = time.perf_counter(), time.process_time()
        run()
        self.wall.append(time.perf_counter() - began)
        self.processor.append(time.process_time() - busy)


class Ours:
    """The evaluation's scoring of one source.

    Args:
        off: what each edit adds; they belong to the targets in turn.
    """

    def __init__(
        self, lab: Lab, known: Known, source: Portrait, targets: Sequence[Portrait], off: Tensor
    ) -> None:
        self.lab, self.source, self.targets, self.off = lab, source, targets, off
        self.templates = known.templates(source.entity)
        self.answers = answers_about(known.entities(held_out=True), known.data.attributes)

    def score(self) -> None:
        """Whose answer came, of all edits and templates."""
        self.asked = Asked(self.lab, self.source, self.templates, self.answers)
        self.changes = self.off[:, None].expand(-1, len(self.asked.place.rows), -1)
        own = self.asked.answers_of(self.source.entity)
        theirs = [self.asked.answers_of(one.entity) for one in self.targets]
        others = torch.stack([theirs[n % len(theirs)] for n in range(len(self.off))])
        self.sides = torch.stack([own.expand_as(others), others])
        with torch.no_grad():
            self.judged = self.asked.judged(self.changes, self.sides)

    def wrong(self) -> int:
        """Verdicts, by both rules, that are not what all log-probabilities tell."""
        with torch.no_grad():
            answered = self.asked.changed(self.changes)
        told = Judged.of(self.asked.questions, self.sides, answered)
        pairs = (told.leads, self.judged.leads), (told.says, self.judged.says)
        return sum(int((a ^ b).sum()) for a, b in pairs)

    def work(self) -> int:
        """Multiply-adds ×2 of one edit in the upper blocks: the tails of all prompts."""
        model = self.lab.model
        layers = list(model.family.layers(model.hf))[model.hook_layer :]
        weights = sum(p.numel() for one in layers for p in one.parameters() if p.dim() == 2)
        return 2 * weights * self.asked.tail


def measure(data: RavelData, sources: int, edits: int, rows: tuple[int, ...]) -> dict[str, Any]:
    """Time both, source by source, in turn."""
    lab = open_lab(progress=to_stream())
    known = survey(lab.model, data, QUICK.facts, Parts(), to_stream())
    names = known.entities(held_out=True)
    people = [portrait(lab, one) for one in names[: sources + TARGETS]]
    peers = configurations(rows)
    mine = Clock()
    theirs = {peer.name: Clock() for peer in peers}
    worst, wrong, work, count, tokens = 0.0, 0, 0, 0, list[int]()
    large = product_speed(torch.bfloat16)
    for number, source in enumerate(people[:sources]):
        targets = [one for one in people if one is not source][:TARGETS]
        # As many edits as methods, attributes and targets make, all different.
        towards = torch.stack([one.mean - source.mean for one in targets])
        off = towards.repeat(edits // TARGETS, 1) * torch.linspace(0.1, 1.5, edits)[:, None]
        ours = Ours(lab, known, source, targets, off)
        if number == 0:  # the first call of a process also makes products' kernels
            ours.score()
        mine.time(ours.score)
        wrong += ours.wrong()
        work, count = work + edits * ours.work(), count + edits * len(ours.templates)
        passes = [Peer(lab, one, source) for one in ours.templates]
        tokens += [one.tokens.shape[1] for one in passes]
        for peer in peers:
            found: list[Tensor] = []

            def run(
                peer: Configuration = peer,
                found: list[Tensor] = found,
                off: Tensor = off,
                passes: list[Peer] = passes,
            ) -> None:
                found[:] = [one.next_logprobs(peer, off) for one in passes]

            if number == 0:
                passes[0].next_logprobs(peer, off)
            theirs[peer.name].time(run)
            if number == 0 and peer.precision == FP32:
                worst = max(worst, apart(lab.model, ours.asked, found, ours.judged.nats))
    rate, busy = count / sum(mine.wall), count / sum(mine.processor)
    rates = {name: count / sum(clock.wall) for name, clock in theirs.items()}
    processor = {name: count / sum(one.processor) for name, one in theirs.items()}
    lens = [name for name in rates if name.startswith("TransformerLens")]
    best, best_lens = max(rates, key=rates.__getitem__), max(lens, key=rates.__getitem__)
    return {
        "data": data.name,
        "evaluations_s": rate,
        "evaluations_processor_s": busy,
        "peers_evaluations_s": rates,
        "peers_evaluations_processor_s": processor,
        "best_transformer_lens": best_lens,
        "ratio_best_transformer_lens": rate / rates[best_lens],
        "ratio_best_transformer_lens_processor": busy / max(processor[one] for one in lens),
        "ratio_best_transformer_lens_at_peak": count * large / work / rates[best_lens],
        "best_peer": best,
        "ratio_best": rate / rates[best],
        "ratio_best_processor": busy / max(processor.values()),
        "wrong_verdicts": wrong,
        "max_abs_diff_nats": worst,
        "gflops_large_product_bf16": large / 1e9,
        "gflop_per_evaluation": work / count / 1e9,
        "tokens_of_a_prompt": sum(tokens) / len(tokens),
        "answers": {attribute: len(some) for attribute, some in ours.answers.items()},
        "sources": sources, "edits": edits, "names": len(names),
        "evaluations": count, "threads": torch.get_num_threads(),
    }  # fmt: skip


def main() -> None:
    """Print the figures."""
    words = parser(__doc__)
    words.add_argument("--data", type=Path, help="folder of RAVEL's files; else our own cities")
    arguments = words.parse_args()
    data = own_cities() if arguments.data is None else read_ravel(arguments.data)
    if arguments.quick:
        figures = measure(data, 1, EDITS, ROWS[:1])
    else:
        figures = measure(data, 4, EDITS, ROWS)
    print_figures(figures, arguments.json)


if __name__ == "__main__":
    main()
