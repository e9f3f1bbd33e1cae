"""Four steps to begin with, for any pair: each an edit, and a sentence that was measured.

No meta-latent is named here. Of the source's own the one is taken away that costs its country most,
then of the target's own the one is added that raises its language most.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp

from metasae.errors import UserError
from metasae.steering.certainty import percent
from metasae.steering.edits import NO_EDIT, Edit, MetaLatentEdit
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import Outcome

_TAKEN = ("country", "language", "continent", "currency")
_ADDED = ("language", "currency", "country", "continent")
"""What the second and third step are about: the first of these that tells the two apart."""


@dataclass(frozen=True)
class Change:
    """The meta-latent that moves an answer most, and how far.

    Attributes:
        before, after: the model's probability of the answer, 0 to 1; before: with the step before
            already made.
        edit: which makes this step and those before it.
    """

    meta: int
    attribute: str
    answer: str
    before: float
    after: float
    edit: MetaLatentEdit

    @property
    def from_to(self) -> str:
        """Both probabilities in words."""
        return f"from {percent(self.before)} to {percent(self.after)}"

    @property
    def seen(self) -> bool:
        """Whether both differ as they are written."""
        return percent(self.before) != percent(self.after)


@dataclass(frozen=True)
class Measured:
    """What the steps of a pair are told from.

    Attributes:
        source, target: how they are called.
        known: per attribute the source's own answer and its probability, unedited.
        taken: what taking one of the source's own away does; None where it has none, or no answer
            that is not the target's as well.
        added: what adding one of the target's own does after that; None likewise.
    """

    source: str
    target: str
    known: tuple[tuple[str, str, float], ...]
    taken: Change | None
    added: Change | None


@dataclass(frozen=True)
class Step:
    """One step: its name, the sentence below it, the edit, and whether the model is to write."""

    name: str
    sentence: str
    edit: Edit
    writes: bool = False


def measured(experiment: Experiment) -> Measured:
    """Try the pieces one by one; each is one pass of the model's upper half."""
    unedited = experiment.apply(NO_EDIT)
    source, target = experiment.source.in_prompts, experiment.target.label
    known = []
    for attribute in _TAKEN:
        if (place := _place(unedited, attribute, source, target)) is not None:
            known.append((attribute, _text(unedited, place), exp(float(unedited.baseline[place]))))
    taken = _best(experiment, unedited, "source", _TAKEN, (source, target))
    after = unedited if taken is None else experiment.apply(taken.edit)
    added = _best(experiment, after, "target", _ADDED, (target, source))
    return Measured(source, target, tuple(known), taken, added)


def _best(
    experiment: Experiment,
    now: Outcome,
    side: str,
    attributes: Sequence[str],
    whose: tuple[str, str],
) -> Change | None:
    """The piece of a side whose change moves an answer most: down for the source's own, else up.

    Args:
        now: the steps before it.
        whose: whose answer it is, and whose it is not.
    """
    pieces = [piece for piece in experiment.pieces if piece.side == side]
    found = ((name, _place(now, name, *whose)) for name in attributes)
    attribute, place = next(((name, one) for name, one in found if one is not None), ("", None))
    if place is None:
        return None
    changes = []
    for piece in pieces:
        edit = now.edit.with_strength(piece.meta, 1.0 - piece.default, piece.default)
        try:
            after = experiment.apply(edit)
        except UserError:  # nothing is left of a direction without it
            continue
        changes.append(
            Change(
                meta=piece.meta,
                attribute=attribute,
                answer=_text(now, place),
                before=exp(float(now.logprobs[place])),
                after=exp(float(after.logprobs[place])),
                edit=edit,
            )
        )
    moved = min if side == "source" else max
    return moved(changes, key=lambda change: change.after, default=None)


def _place(outcome: Outcome, attribute: str, mine: str, not_theirs: str) -> int | None:
    """Where the likeliest answer that is somebody's and not the other's stands among all."""
    places = [
        place
        for place, (question, answer) in enumerate(outcome.questions.answers)
        if question.attribute == attribute
        and mine in answer.cities
        and not_theirs not in answer.cities
    ]
    return max(places, key=lambda place: float(outcome.baseline[place]), default=None)


def _text(outcome: Outcome, place: int) -> str:
    return outcome.questions.answers[place][1].text


def steps(found: Measured, title: Callable[[int], str]) -> tuple[Step, ...]:
    """The steps in words; those that a pair does not have are left out.

    Args:
        title: what a meta-latent is called.
    """
    if not found.known:
        return ()
    made = [_look(found)]
    if found.taken is not None:
        made.append(_taken(found, found.taken, title(found.taken.meta)))
    if found.added is not None:
        made.append(_added(found, found.added, title(found.added.meta)))
    last = made[-1].edit
    under = "as it is, and under this edit" if last != NO_EDIT else "as it is, and once edited"
    made.append(
        Step("Let it write", f"The model goes on about {found.source} twice: {under}.", last, True)
    )
    return tuple(made)


def _look(found: Measured) -> Step:
    (attribute, answer, chance), *_ = found.known
    return Step(
        "Look",
        f"Unedited, the model gives “{answer}” {percent(chance)} as {found.source}'s {attribute}.",
        NO_EDIT,
    )


def _taken(found: Measured, change: Change, title: str) -> Step:
    if not change.seen or change.after > change.before:
        return Step(
            f"Try to take {change.answer} away",
            f"No piece alone does it: without “{title}”, “{change.answer}” is still at "
            f"{percent(change.after)}.",
            change.edit,
        )
    halved = change.after <= change.before / 2
    return Step(
        f"Take {change.answer} away" if halved else f"Weaken {change.answer}",
        f"Untick “{title}”: as {found.source}'s {change.attribute}, “{change.answer}” falls "
        f"{change.from_to}.",
        change.edit,
    )


def _added(found: Measured, change: Change, title: str) -> Step:
    if not change.seen or change.after < change.before:
        return Step(
            f"Try to add {change.answer}",
            f"No piece alone does it: with “{title}”, “{change.answer}” is at "
            f"{percent(change.after)}.",
            change.edit,
        )
    return Step(
        f"Add {change.answer}",
        f"Tick “{title}”: as {found.source}'s {change.attribute}, “{change.answer}” rises "
        f"{change.from_to}.",
        change.edit,
    )
