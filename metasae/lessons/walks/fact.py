"""Lesson 3: edit one fact."""

from dataclasses import replace

from metasae.explorer.evidence import Snippet
from metasae.lessons.bench import Bench
from metasae.lessons.first_steps import Change, Measured, measured
from metasae.lessons.lesson import Found, Lesson, Place, Step, Texts
from metasae.progress import Progress
from metasae.steering.certainty import percent
from metasae.steering.edits import NO_EDIT, Edit, LatentSwap
from metasae.steering.link import edit_to_text
from metasae.steering.outcome import Outcome
from metasae.steering.sentences import listed

_PROMPT = "I moved to {} last year. Here everyone speaks"

_TOKENS = 24
"""Tokens that are written."""


def first_steps(bench: Bench, progress: Progress) -> Measured:
    """The pieces of the pair that were tried one by one."""
    return measured(bench.experiment)


def _last(found: Measured) -> Edit:
    """The edit after the last of the steps that were found."""
    changes = [one for one in (found.taken, found.added) if one is not None]
    return changes[-1].edit if changes else NO_EDIT


def look(bench: Bench, progress: Progress) -> Found:
    """What the model answers as it is."""
    outcome = bench.experiment.apply(NO_EDIT)
    known = bench.once(first_steps, progress).known
    own = [
        attribute
        for attribute, answer in zip(
            outcome.questions.attributes, outcome.leading_before, strict=True
        )
        if bench.source in answer.cities
    ]
    sure = listed([f"{answer} {percent(chance)}" for _, answer, chance in known])
    count = len(outcome.questions)
    return Found(
        holds=len(own) == count,
        answer=f"{len(own)} of {count}: " + (f"{sure}." if known else "no answer is its own."),
        more=outcome.sentence,
        after=outcome,
        place=Place("steer", {"edit": edit_to_text(NO_EDIT)}),
    )


def taken(bench: Bench, progress: Progress) -> Found:
    """What falls when the pieces go that cost the source's country most."""
    change = bench.once(first_steps, progress).taken
    found = _changed(bench, change, NO_EDIT, bench.source)
    if not isinstance(found.after, Outcome):
        return found
    return replace(found, more=f"{_fallen(found.after, bench.source)} {found.more}")


def _fallen(outcome: Outcome, source: str) -> str:
    """Which of the source's answers are less likely after an edit, in a sentence."""
    own = [
        (f"{answer.text} ({question.attribute})", now < was)
        for (question, answer), was, now in zip(
            outcome.questions.answers,
            outcome.baseline.tolist(),
            outcome.logprobs.tolist(),
            strict=True,
        )
        if source in answer.cities
    ]
    fallen = [name for name, fell in own if fell]
    named = f": {listed(fallen)}" if fallen else ""
    return f"Of {source}'s {len(own)} answers {len(fallen)} became less likely{named}."


def added(bench: Bench, progress: Progress) -> Found:
    """What rises when further pieces are changed."""
    found = bench.once(first_steps, progress)
    before = NO_EDIT if found.taken is None else found.taken.edit
    return _changed(bench, found.added, before, bench.target)


def _changed(bench: Bench, change: Change | None, before: Edit, whose: str) -> Found:
    unedited = bench.experiment.apply(before)
    if change is None:
        return Found(
            holds=False,
            answer=f"There is no piece to change, or no answer that is {whose}'s alone.",
            before=unedited,
            place=Place("steer", {"edit": edit_to_text(before)}),
        )
    pieces = listed([f"“{bench.explorer.meta_title(meta)}”" for meta in change.metas])
    done = "changed" if len(change.metas) > 1 else "added" if change.ticked else "taken away"
    way = "rises" if change.after > change.before else "falls"
    moved = f"{way} from {percent(change.before)} to {percent(change.after)}"
    if not change.seen:
        moved = f"stays at {percent(change.after)}"
    outcome = bench.experiment.apply(change.edit)
    return Found(
        holds=change.reached,
        answer=f"As {bench.source}'s {change.attribute}, “{change.answer}” {moved}.",
        more=f"{pieces}: {done}. {outcome.sentence}",
        before=unedited,
        after=outcome,
        place=Place("steer", {"edit": edit_to_text(change.edit)}),
    )


def others(bench: Bench, progress: Progress) -> Found:
    """Which other facts moved with the one that the edit was for."""
    found = bench.once(first_steps, progress)
    if found.added is None:
        return Found(False, "No edit was found in the step before.", place=Place("steer"))
    outcome, wanted = bench.experiment.apply(found.added.edit), found.added.attribute
    whole = _moved(bench.experiment.apply(LatentSwap()))
    moved = _moved(outcome)
    besides = [one for one in moved if one != wanted]
    answer = f"{_count(besides)} of {len(outcome.moved) - 1} others moved with the {wanted}."
    if wanted not in moved:
        answer = f"The {wanted} did not move; of the others {_count(besides).lower()} did."
    return Found(
        holds=moved == [wanted],
        answer=answer,
        more="Moved: the target's answer leads the candidates now, and another led before. The "
        f"latent swap, which exchanges all that is active on the two names, moves {_count(whole)}. "
        "The lesson “What does the search find?” tries every edit for one that moves one alone.",
        before=outcome,
        place=Place("steer", {"edit": edit_to_text(found.added.edit), "pin": "swap"}),
    )


def _moved(outcome: Outcome) -> list[str]:
    return [name for name, one in outcome.moved.items() if one]


def _count(moved: list[str]) -> str:
    return f"{len(moved)} ({listed(moved)})" if moved else "None"


def writes(bench: Bench, progress: Progress) -> Found:
    """What the model goes on writing, as it is and under the edit."""
    found = bench.once(first_steps, progress)
    edit, prompt = _last(found), _PROMPT.format(bench.source)
    texts = [bench.experiment.continuation(one, prompt, _TOKENS) for one in (None, edit)]
    wanted = None if found.added is None else found.added.answer
    named = [wanted is not None and wanted in text for text in texts]
    holds = named == [False, True]
    answer = f"“{wanted}” stands in what it writes under the edit, and not in the other text."
    if not holds:
        answer = "The two texts are the same." if texts[0] == texts[1] else (
            "It writes something else, but not what the edit was for."
        )  # fmt: skip
    snippets = tuple(Snippet(((prompt, 0.0), (text, 1.0)), "", drawn=False) for text in texts)
    return Found(
        holds=holds,
        answer=answer,
        more=f"The likeliest token each time, {_TOKENS} of them; another prompt may show another "
        "thing.",
        after=Texts(snippets, ("As it is", "Under the edit")),
        place=Place("steer", {"edit": edit_to_text(edit), "write": prompt}),
    )


LESSON = Lesson(
    name="fact",
    number=3,
    title="Edit one fact",
    learnt="How pieces are taken away and added, and what else moves with them.",
    steps=(
        Step(
            "Look first",
            "Four questions about {source}: its country, language, continent and currency.",
            "How many does the model get right as it is, and how sure is it of each?",
            "The model knows all four facts.",
            look,
        ),
        Step(
            "Take a piece away",
            "One after the other, those of {source}'s own pieces are taken away that cost what "
            "the model says of its country most, until that is halved.",
            "Which of the four answers fall with it?",
            "Without a few pieces the answer is at most half as likely.",
            taken,
        ),
        Step(
            "Add another",
            "Then, one after the other, the pieces are changed that raise {target}'s language "
            "most, up to five.",
            "Can pieces of {target} make the model say its language about {source}?",
            "With a few pieces changed the answer becomes likelier than three in ten.",
            added,
        ),
        Step(
            "What else moved",
            "The pieces were changed for one fact alone. Here is what that did to all four.",
            "Which of the others moved with it?",
            "One fact moved, and no other.",
            others,
        ),
        Step(
            "Let it write",
            "The model goes on with “I moved to {source} last year. Here everyone speaks”, once "
            "as it is and once under the edit of pieces.",
            "Will one be able to tell the edit from what it writes?",
            "The edit is seen in what the model writes.",
            writes,
        ),
    ),
)
