"""Four steps to begin with, for any pair: each an edit, and a sentence that was measured.

No meta-latent is named here. Of the source's own those are taken away that cost its country most,
then those are changed that raise the target's language most, one after the other, until it shows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp

from metasae.errors import UserError
from metasae.search.combinations import Combinations
from metasae.search.engine import Engine
from metasae.steering.certainty import percent
from metasae.steering.edit_space import Piece
from metasae.steering.edits import NO_EDIT, Edit, MetaLatentEdit
from metasae.steering.experiment import Experiment

_TAKEN = ("country", "language", "continent", "currency")
_ADDED = ("language", "currency", "country", "continent")
"""What the second and third step are about: the first of these that tells the two apart."""

_FAINT, _SHOWS = 0.5, 0.3
"""Share of its probability at which an answer counts as taken away; probability from which one
counts as added."""

_MOST_TAKEN, _MOST_ADDED = 3, 5
"""Boxes that a step changes at most."""


@dataclass(frozen=True)
class Change:
    """What changing some meta-latents, one after the other, does to one answer.

    Attributes:
        metas: those changed in this step, the first one first; each on the side that was best.
        ticked: whether the first of them is added, rather than taken away.
        before, after: the model's probability of the answer, 0 to 1; before: with the step before
            already made.
        reached: whether it went as far as was wanted.
        edit: which makes this step and those before it.
    """

    metas: tuple[int, ...]
    ticked: bool
    attribute: str
    answer: str
    before: float
    after: float
    reached: bool
    edit: MetaLatentEdit

    @property
    def seen(self) -> bool:
        """Whether both probabilities differ as they are written."""
        return percent(self.before) != percent(self.after)


@dataclass(frozen=True)
class Measured:
    """What the steps of a pair are told from.

    Attributes:
        source, target: how they are called.
        known: per attribute the source's own answer and its probability, unedited.
        taken: what taking some of the source's own away does; None where there is no answer that
            is the source's and not the target's, or a side has no pieces of its own.
        added: what some more changes do after that; None likewise.
    """

    source: str
    target: str
    known: tuple[tuple[str, str, float], ...]
    taken: Change | None = None
    added: Change | None = None


@dataclass(frozen=True)
class Step:
    """One step: its name, the sentence below it, the edit, and whether the model is to write."""

    name: str
    sentence: str
    edit: Edit
    writes: bool = False


def measured(experiment: Experiment) -> Measured:
    """Try the pieces of a pair; some dozens of passes of the model's upper half."""
    source, target = experiment.source.in_prompts, experiment.target.label
    known = []
    for attribute in _TAKEN:
        if (place := _place(experiment, attribute, source, target)) is not None:
            chance = exp(float(experiment.baseline[place]))
            known.append((attribute, _text(experiment, place), chance))
    try:
        tries = _Tries(experiment)
    except UserError:  # a side without pieces of its own
        return Measured(source, target, tuple(known))
    taken = added = None
    mine = [bit for bit in tries.bits if tries.piece(bit).side == "source"]
    if (asked := _first(experiment, _TAKEN, source, target)) is not None:
        enough = exp(float(experiment.baseline[asked[1]])) * _FAINT
        taken = tries.change(asked, 0, mine, -1, enough, _MOST_TAKEN)
    if (asked := _first(experiment, _ADDED, target, source)) is not None:
        begin = 0 if taken is None else tries.number(taken.edit)
        added = tries.change(asked, begin, tries.bits, 1, _SHOWS, _MOST_ADDED)
    return Measured(source, target, tuple(known), taken, added)


class _Tries:
    """Edits of a pair as combinations of its own pieces: a bit a piece."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._combinations = Combinations.of(experiment)
        self._own = [piece for piece in experiment.pieces if piece.side != "shared"]
        self._engine = Engine(experiment, self._combinations)
        # More than these no number holds; the weakest are left out.
        self.bits = list(range(min(len(self._own), 60)))

    def piece(self, bit: int) -> Piece:
        """The piece that a bit changes."""
        return self._own[bit]

    def number(self, edit: MetaLatentEdit) -> int:
        """The combination that is an edit."""
        changed = {meta for meta, _ in edit.strengths}
        return sum(1 << bit for bit in self.bits if self._own[bit].meta in changed)

    def change(
        self,
        asked: tuple[str, int],
        begin: int,
        bits: Sequence[int],
        way: int,
        enough: float,
        most: int,
    ) -> Change | None:
        """Change the piece that moves an answer most, then the next one, until it is enough.

        Args:
            asked: an attribute, and the answer's place among all.
            begin: the combination to begin with.
            bits: the pieces to choose from.
            way: 1 to raise the answer, −1 to lower it.
            enough: probability at which to stop.
            most: pieces that are changed at most.
        """
        attribute, place = asked
        before = now = self._chance(begin, place)
        number, metas = begin, list[int]()
        while len(metas) < most and (not metas or way * (now - enough) < 0):
            left = [bit for bit in bits if not number >> bit & 1]
            scores = self._engine.logprobs([number | 1 << bit for bit in left])[:, place].tolist()
            # What leaves nothing of a direction has no score.
            scored = [(way * one, bit) for one, bit in zip(scores, left, strict=True) if one == one]
            if not scored:
                break
            best, bit = max(scored)
            if metas and way * exp(way * best) <= way * now:
                break
            number, now = number | 1 << bit, exp(way * best)
            metas.append(self._own[bit].meta)
        if not metas:
            return None
        edit = self._combinations.edit(number)
        # Once more as the page does it, so that both say the same.
        after = exp(float(self._experiment.apply(edit).logprobs[place]))
        first = next(piece for piece in self._own if piece.meta == metas[0])
        return Change(
            metas=tuple(metas),
            ticked=first.side == "target",
            attribute=attribute,
            answer=_text(self._experiment, place),
            before=before,
            after=after,
            reached=way * (after - enough) >= 0 and way * (after - before) > 0,
            edit=edit,
        )

    def _chance(self, number: int, place: int) -> float:
        edit = self._combinations.edit(number)
        return exp(float(self._experiment.apply(edit).logprobs[place]))


def _first(
    experiment: Experiment, attributes: Sequence[str], mine: str, not_theirs: str
) -> tuple[str, int] | None:
    """The first attribute with an answer that is one's and not the other's, and its place."""
    places = ((name, _place(experiment, name, mine, not_theirs)) for name in attributes)
    return next(((name, place) for name, place in places if place is not None), None)


def _place(experiment: Experiment, attribute: str, mine: str, not_theirs: str) -> int | None:
    """Where the likeliest answer that is somebody's and not the other's stands among all."""
    places = [
        place
        for place, (question, answer) in enumerate(experiment.questions.answers)
        if question.attribute == attribute
        and mine in answer.cities
        and not_theirs not in answer.cities
    ]
    return max(places, key=lambda place: float(experiment.baseline[place]), default=None)


def _text(experiment: Experiment, place: int) -> str:
    return experiment.questions.answers[place][1].text


def steps(found: Measured, title: Callable[[int], str]) -> tuple[Step, ...]:
    """The steps in words; those that a pair does not have are left out.

    Args:
        title: what a meta-latent is called, in few letters.
    """
    if not found.known:
        return ()
    (attribute, answer, chance), *_ = found.known
    look = (
        f"Unedited, the model gives “{answer}” {percent(chance)} as {found.source}'s {attribute}."
    )
    made = [Step("Look", look, NO_EDIT)]
    if (taken := found.taken) is not None:
        name = f"Take {taken.answer} away" if taken.reached else f"Weaken {taken.answer}"
        made.append(Step(name, _told(found, taken, title), taken.edit))
    if (added := found.added) is not None:
        name = f"Add {added.answer}" if added.reached else f"Try to add {added.answer}"
        made.append(Step(name, _told(found, added, title), added.edit))
    last = made[-1].edit
    under = "as it is, and under this edit" if last != NO_EDIT else "as it is, and once edited"
    written = f"The model goes on about {found.source} twice: {under}."
    return (*made, Step("Let it write", written, last, writes=True))


def _told(found: Measured, change: Change, title: Callable[[int], str]) -> str:
    first, *others = change.metas
    done = f"{'Tick' if change.ticked else 'Untick'} “{title(first)}”"
    if others:
        done += f" and change {len(others)} more"
    answer = f"{done}: as {found.source}'s {change.attribute}, “{change.answer}”"
    if not change.seen:
        return f"{answer} stays at {percent(change.after)}."
    moves = "falls" if change.after < change.before else "rises"
    return f"{answer} {moves} from {percent(change.before)} to {percent(change.after)}."
