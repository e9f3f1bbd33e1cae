"""How many edits of a name, each asked about with one prompt, are scored a second (RAVEL).

An evaluation is a source, an edit at its last token and a template: which answer comes. Ours asks
every template about a source at once, runs the lower layers and what stands before the name once a
source, and works out every answer that may lead, token by token, over the whole vocabulary. The
peers run a whole pass over every prompt with the same change written at the hook, in batches of 64
to 256 rows of one template (so that nothing is padded), in every precision, and score the next
token alone. All see the same changes of the residual stream; what they say of answers of one token
is compared.

    python -m benchmarks.ravel [--quick] [--json]
"""

import statistics
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.batched import Configuration, configurations, whole_pass
from benchmarks.figures import parser, print_figures
from benchmarks.peer import seconds
from metasae.lab.lab import Lab, open_lab
from metasae.lm.language_model import LanguageModel
from metasae.progress import to_stream
from metasae.ravel.data import Entity, RavelData, Template, answers_about, own_cities
from metasae.ravel.engine import Asked, name_end
from metasae.ravel.portraits import Portrait, portrait

ROWS = (64, 128, 256)

NAMES, TARGETS = 24, 2
"""Whose answers are scored, and the targets of a source."""


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


def chosen(data: RavelData, each: int) -> tuple[Template, ...]:
    """So many templates of each attribute."""
    return tuple(
        one
        for attribute in data.attributes
        for one in [one for one in data.templates if one.attribute == attribute][:each]
    )


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
                off = (ours[:, number] - theirs[:, tokens[0]]).abs().max()
                worst = max(worst, float(off))
    return worst


def measure(sources: int, edits: int, each: int, rows: tuple[int, ...]) -> dict[str, Any]:
    """Time both, source by source, in turn."""
    lab, data = open_lab(progress=to_stream()), own_cities()
    names = [one for one in data.entities if one.name in lab.records]
    people = [portrait(lab, one) for one in names[:NAMES]]
    templates, all_answers = (
        chosen(data, each),
        answers_about((one.entity for one in people), data.attributes),
    )
    peers = configurations(rows)
    mine, theirs = list[float](), {peer.name: list[float]() for peer in peers}
    worst = 0.0
    for number, source in enumerate(people[:sources]):
        others = [one for one in people if one is not source][:TARGETS]
        who = [one.entity for one in (source, *others)]
        # As many edits as methods, attributes and targets make, all different.
        towards = torch.stack([one.mean - source.mean for one in others])
        off = towards.repeat(edits // TARGETS, 1)
        off = off * torch.linspace(0.5, 1.5, len(off))[:, None]
        made: list[tuple[Asked, Tensor]] = []

        def ours(
            source: Portrait = source,
            off: Tensor = off,
            made: list[tuple[Asked, Tensor]] = made,
            who: list[Entity] = who,
        ) -> None:
            asked = Asked(lab, source, templates, all_answers)
            changes = off[:, None].expand(-1, len(asked.place.rows), -1)
            with torch.no_grad():
                wanted = torch.tensor(
                    [
                        any(answer.text in one.values[question.attribute] for one in who)
                        for question, answer in asked.questions.answers
                    ]
                )
                made[:] = [(asked, asked.leading(changes, wanted).logprobs)]

        mine.append(seconds(ours))
        passes = [Peer(lab, one, source) for one in templates]
        for peer in peers:
            found: list[Tensor] = []

            def run(
                peer: Configuration = peer,
                found: list[Tensor] = found,
                off: Tensor = off,
                passes: list[Peer] = passes,
            ) -> None:
                found[:] = [one.next_logprobs(peer, off) for one in passes]

            theirs[peer.name].append(seconds(run))
            if number == 0 and peer.precision == "fp32":
                worst = max(worst, apart(lab.model, made[0][0], found, made[0][1]))
    count = edits * len(templates)
    rate = count / statistics.median(mine)
    rates = {name: count / statistics.median(took) for name, took in theirs.items()}
    usual = {name: one for name, one in rates.items() if name.startswith("TransformerLens")}
    best, best_lens = (max(some, key=some.__getitem__) for some in (rates, usual))
    return {
        "evaluations_s": rate,
        "peers_evaluations_s": rates,
        "best_transformer_lens": best_lens,
        "ratio_best_transformer_lens": rate / rates[best_lens],
        "best_peer": best,
        "ratio_best": rate / rates[best],
        "max_abs_diff_nats": worst,
        "answers_scored": sum(len(all_answers[one.attribute]) for one in templates),
        "sources": sources, "edits": edits, "names": NAMES, "templates": len(templates),
        "threads": torch.get_num_threads(),
    }  # fmt: skip


def main() -> None:
    """Print the figures."""
    arguments = parser(__doc__).parse_args()
    figures = measure(1, 64, 1, ROWS[:1]) if arguments.quick else measure(3, 128, 3, ROWS)
    print_figures(figures, arguments.json)


if __name__ == "__main__":
    main()
