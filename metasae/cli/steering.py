"""The command that edits a name or latents and asks the model about them."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from metasae import progress
from metasae.cli.arguments import (
    Add,
    condition,
    edit_options,
    ids,
    opened_lab,
    own_latents,
    pair,
    whole,
    wording,
)
from metasae.errors import UserError
from metasae.steering.nats import settled

if TYPE_CHECKING:
    from metasae.lab.lab import Lab
    from metasae.search.side_effects import SideEffects
    from metasae.steering.certainty import Certainty
    from metasae.steering.citation import Citation
    from metasae.steering.edits import Edit
    from metasae.steering.experiment import Experiment
    from metasae.steering.frozen import FrozenOutcome
    from metasae.steering.outcome import Outcome
    from metasae.steering.side_by_side import SideBySide
    from metasae.steering.touched import TouchedPrompt

MOST_TOKENS = 2000
"""Tokens the model is let write."""


def register(add: Add) -> None:
    """Declare the command."""
    command = add(
        "steer", steer, "Edit a city, any other name, or latents, and see what the model believes."
    )
    pair(command, " (default of both: the pair the workbench opens on)")
    command.add_argument("--swap", action="store_true", help="swap all latents active on the names")
    command.add_argument(
        "--remove", default="", metavar="IDS", help="the source's own meta-latents"
    )
    command.add_argument("--add", default="", metavar="IDS", help="the target's own meta-latents")
    command.add_argument(
        "--strength", action="append", default=[], metavar="ID=V",
        help="scale a meta-latent: 0 is without it, 1 wholly; may be given several times",
    )  # fmt: skip
    command.add_argument(
        "--mask", action="append", default=[], metavar="NAME|FILE",
        help="also exchange what a learned mask has of the two (see ravel --save-masks); may be "
        "given several times",
    )  # fmt: skip
    edit_options(command)
    command.add_argument(
        "--tokens", action="store_true",
        help="also mark in the prompts which tokens it touches, each with the change's length",
    )  # fmt: skip
    command.add_argument(
        "--beside", metavar="WIDTH|PRESET",
        help="also make it in another SAE of the preset, or in another preset, and compare",
    )  # fmt: skip
    command.add_argument(
        "--frozen", action="store_true",
        help="also the same edit with every attention pattern above the hook as it is without it",
    )  # fmt: skip
    command.add_argument(
        "--everywhere", action="store_true",
        help="remove or scale in every latent that has the meta-latents, at every position, and "
        "say what else that changes; keeps what the meta-SAE leaves unexplained",
    )  # fmt: skip
    command.add_argument(
        "--drop-residual", action="store_true", help="with --everywhere: do not keep that"
    )
    wording(command)
    command.add_argument("--prompt", help="a prompt of your own that mentions the source")
    command.add_argument("--answers", help="its candidate answers, separated by commas")
    whole(command, "--generate", "also write N tokens", 1, MOST_TOKENS, metavar="N")
    whole(command, "--seed", "of what is written", 0, 2**63 - 1, default=0)
    command.add_argument(
        "--cite", action="store_true",
        help="also print what a citation needs: link, hashes, prompts, BibTeX, Python that checks",
    )  # fmt: skip


@dataclass(frozen=True)
class Steered:
    """What an edit did, and what the model writes before and after, where that was asked for.

    Attributes:
        unedited: how sure the model is of its answers before the edit.
        side_effects: what an edit in every latent changes elsewhere.
        touched: which tokens the edit touches.
        frozen: the same edit with attention patterns frozen.
        beside: the same in another SAE or model.
    """

    outcome: "Outcome"
    unedited: tuple["Certainty", ...]
    continuation: dict[str, str] | None
    citation: "Citation | None" = None
    side_effects: "SideEffects | None" = None
    touched: "tuple[TouchedPrompt, ...] | None" = None
    frozen: "FrozenOutcome | None" = None
    beside: "SideBySide | None" = None

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        values = self.outcome.to_dict()
        values["unedited"] = [one.to_dict() for one in self.unedited]
        if self.continuation is not None:
            values["continuation"] = self.continuation
        if self.frozen is not None:
            values["frozen"] = self.frozen.to_dict()
        if self.touched is not None:
            values["touched"] = [asdict(one) for one in self.touched]
        if self.beside is not None:
            values["beside"] = self.beside.to_dict()
        if self.side_effects is not None:
            values["side_effects"] = self.side_effects.to_dict()
        if self.citation is not None:
            values["citation"] = self.citation.to_dict()
        return values

    def text(self) -> str:
        """See `arguments.Result`."""
        lines = [self.outcome.sentence]
        lines += self.outcome.remarks
        lines += ["", "log-probability (nats)      before    after"]
        attributes = self.outcome.to_dict()["attributes"]
        for attribute, sure in zip(attributes, self.unedited, strict=True):
            lines.append(f'{attribute["attribute"]}: "{attribute["prompt"]} …"')
            lines.append(f"  unedited, {sure.text}. {sure.note}".rstrip())
            for one in attribute["answers"]:
                label = _whose(one["answer"], one["city"])
                lines.append(_numbers(label, one["baseline"], one["logprob"]))
            own = attribute["own"]
            if not own["answer"]:
                label = f"the model itself: {own['text']}"
                lines.append(_numbers(label, own["baseline"], own["logprob"]))
        if self.frozen is not None:
            lines += ["", *_frozen_lines(self.frozen)]
        if self.touched is not None:
            lines += ["", "Tokens it touches, each with the length of the change there:"]
            lines += [f"{one.attribute}: {one.marked}" for one in self.touched]
        if self.beside is not None:
            lines += ["", *_compared(self.beside)]
        if self.continuation is not None:
            prompt = self.continuation["prompt"]
            lines += ["", f"before: {prompt}{self.continuation['before']}"]
            lines += [f"after:  {prompt}{self.continuation['after']}"]
        if self.side_effects is not None:
            lines += ["", "What else it changes:", *self.side_effects.sentences]
        if self.citation is not None:
            lines += ["", self.citation.text()]
        return "\n".join(lines)


def _whose(answer: str, city: str) -> str:
    """An answer with the city it is the fact of, if any."""
    return f"{answer} ({city})" if city else answer


def _numbers(label: str, *values: float, room: int = 24) -> str:
    """A line of a table: values in nats.

    Args:
        room: characters that the label takes at least.
    """
    return f"  {label:<{room}}" + "".join(f" {settled(value):>8.2f}" for value in values)


def _frozen_lines(frozen: "FrozenOutcome") -> list[str]:
    """Lines of live beside frozen attention patterns."""
    lines = [frozen.sentence, "log-probability (nats)      before     live   frozen"]
    said = ""
    for row in frozen.table.to_dict("records"):
        if row["attribute"] != said:
            said = row["attribute"]
            lines.append(f"{said}:")
        label = _whose(row["answer"], row["city"])
        lines.append(_numbers(label, row["baseline"], row["live"], row["frozen"]))
    return lines


def _compared(found: "SideBySide") -> list[str]:
    """What is written of a comparison: what it is, in words, and every answer's change in both."""
    there = found.there.provenance
    lines = [f"Beside it, in {there.sae} of {there.model}:", *found.sentences]
    lines += ["", "by how much each answer moves (nats)    here    there"]
    for row in found.table.to_dict("records"):
        here = row["here"] - row["baseline"]
        answer = f"{row['attribute']}: {row['answer']}"
        lines.append(_numbers(answer, here, here + row["difference"], room=33))
    return lines


def _edit(arguments: argparse.Namespace) -> "Edit":
    from metasae.steering.edits import edit_of_kind

    if arguments.mask and (arguments.swap or arguments.everywhere):
        raise UserError("--mask exchanges single pieces; leave out --swap and --everywhere.")
    if arguments.swap and (arguments.remove or arguments.add or arguments.strength):
        raise UserError("--swap swaps the latents whole; leave out --remove, --add and --strength.")
    if arguments.everywhere and (arguments.swap or arguments.add):
        raise UserError(
            "--everywhere removes or scales a meta-latent where it is; leave out --swap and --add."
        )
    if arguments.drop_residual and (not arguments.everywhere or arguments.keep_residual):
        raise UserError("--drop-residual goes with --everywhere alone; it is the default without.")
    strengths = dict.fromkeys(ids(arguments.remove), 0.0)
    strengths |= dict.fromkeys(ids(arguments.add), 1.0)
    for text in arguments.strength:
        meta, _, value = text.partition("=")
        try:
            strengths[int(meta)] = float(value)
        except ValueError as error:
            raise UserError(f'"{text}" is no strength; write it like 12=0.5.') from error
    if arguments.everywhere and not strengths:
        raise UserError("--everywhere needs --remove or --strength: what is to change everywhere.")
    kind = "everywhere" if arguments.everywhere else "meta"
    return edit_of_kind(
        "swap" if arguments.swap else kind,
        tuple(strengths.items()),
        keep_residual=arguments.keep_residual
        or (arguments.everywhere and not arguments.drop_residual),
        keep_error=not arguments.drop_error,
        position="all" if arguments.everywhere else arguments.position,
        when=condition(arguments),
    )


def steer(arguments: argparse.Namespace) -> Steered:
    """Make one edit."""
    from metasae.lab.other_sae import asked_in, opened_beside
    from metasae.ravel.masks import find, masked
    from metasae.steering.certainty import certainties
    from metasae.steering.frozen import with_frozen_attention
    from metasae.steering.questions import CUSTOM, Answer, Question, split_answers
    from metasae.steering.side_by_side import side_by_side
    from metasae.steering.touched import touched_prompts
    from metasae.text.prompts import WORDINGS

    latents = own_latents(arguments)
    edit, masks = _edit(arguments), [find(text) for text in arguments.mask]
    if (arguments.prompt is None) != (arguments.answers is None):
        raise UserError("Give --prompt and --answers together.")
    if (arguments.source is None) != (arguments.target is None):
        raise UserError("Give --source and --target together, or neither.")
    lab = opened_lab(arguments)
    names = lab.opening if arguments.source is None else (arguments.source, arguments.target)
    source, target = map(lab.subject, names, latents)
    questions: Sequence[Question]
    if arguments.prompt is not None:
        answers = tuple(Answer((), text) for text in split_answers(arguments.answers))
        questions, instead = [Question(CUSTOM, arguments.prompt, answers)], dict[str, str]()
    else:
        questions = lab.questions(source, target, templates=WORDINGS[arguments.wording])
        instead = lab.misjudged(source.about, arguments.wording)
    experiment = lab.experiment(source, target, questions)
    edit = masked(lab, edit, masks, experiment.pieces)
    side_effects = _side_effects(lab, experiment, edit) if edit.options.everywhere else None
    frozen = with_frozen_attention(experiment, edit) if arguments.frozen else None
    outcome = experiment.apply(edit) if frozen is None else frozen.live
    continuation = None
    if arguments.generate is not None:
        prompt = arguments.prompt or f"{source.about} is".strip()
        before, after = (
            experiment.continuation(one, prompt, arguments.generate, seed=arguments.seed)
            for one in (None, edit)
        )
        continuation = {"prompt": prompt, "before": before, "after": after}
    unedited = certainties(
        outcome.questions, outcome.baseline, outcome.asked_about, instead, outcome.own_before
    )
    citation = _citation(arguments, lab, outcome, latents)
    touched = touched_prompts(experiment, edit) if arguments.tokens else None
    beside = None
    if arguments.beside is not None:
        there = asked_in(opened_beside(lab, arguments.beside, progress.to_stream()), experiment)
        beside = side_by_side(experiment, there, edit)
    return Steered(outcome, unedited, continuation, citation, side_effects, touched, frozen, beside)


def _side_effects(lab: "Lab", experiment: "Experiment", edit: "Edit") -> "SideEffects":
    """What an edit in every latent changes elsewhere.

    Raises:
        UserError: where it names meta-latents of the target's own, which nothing is added by.
    """
    from metasae.search.side_effects import SideEffectProbe

    strengths = dict(edit.without_swap().strengths)
    theirs = {piece.meta for piece in experiment.pieces if piece.side == "target"}
    if left_out := sorted(theirs & strengths.keys()):
        raise UserError(
            f"Meta-latent {left_out[0]} is {experiment.target.label}'s own; --everywhere changes "
            f"what {experiment.source.label}'s latents have, so take it as the source."
        )
    return SideEffectProbe(lab, experiment).side_effects(edit)


def _citation(
    arguments: argparse.Namespace,
    lab: "Lab",
    outcome: "Outcome",
    latents: tuple[tuple[int, ...] | None, ...],
) -> "Citation | None":
    """What a citation of an outcome needs, where that was asked for."""
    from metasae.steering.citation import Citation
    from metasae.steering.link import address, steer_query
    from metasae.steering.questions import split_answers

    if not arguments.cite:
        return None
    own, theirs = latents
    query = steer_query(
        arguments.preset,
        outcome.source.label,
        outcome.target.label,
        source_latents=own,
        target_latents=theirs,
        edit=outcome.edit,
        wording=arguments.wording,
        prompt=arguments.prompt or "",
        answers=split_answers(arguments.answers or ""),
    )
    return Citation(outcome, lab.weights, address(query))
