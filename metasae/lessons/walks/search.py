"""Lesson 4: what does the search find, and what do the controls say?"""

from math import prod

from metasae.lessons.bench import Bench
from metasae.lessons.lesson import Bar, Bars, Found, Lesson, Place, Step, Tone
from metasae.progress import Progress
from metasae.search.combinations import Combinations
from metasae.search.controls import control
from metasae.search.exhaustive import search
from metasae.search.patterns import FoundEdit
from metasae.steering.edits import NO_EDIT
from metasae.steering.link import edit_to_text
from metasae.steering.sentences import listed

MOST = 4096
"""Combinations that a lesson waits for; Enumerate tries more."""

DRAWS = 128
"""Random edits of each kind that the edit is compared with; Enumerate draws as many as it tried."""

CLEAR = 0.5
"""Nats by which every fact has to lead for a pattern to count as reached."""


def found_edits(bench: Bench, progress: Progress) -> tuple[FoundEdit, ...]:
    """The clearest edit of every pattern, the fewest moves first.

    Raises:
        UserError: when a side has no piece of its own, or there are more than `MOST` combinations.
    """
    return search(bench.experiment, most=MOST, progress=progress)


def moved(one: FoundEdit) -> list[str]:
    """The facts that an edit moves."""
    return [name for name, moves in one.pattern.items() if moves]


def chosen(bench: Bench, progress: Progress) -> FoundEdit | None:
    """The clearest edit that moves one fact alone; where none does, the first that moves any."""
    edits = [one for one in bench.once(found_edits, progress) if moved(one)]
    return edits[0] if edits else None


def ways(bench: Bench, progress: Progress) -> Found:
    """How many edits there are."""
    pieces = bench.experiment.pieces
    sides = {side: sum(one.side == side for one in pieces) for side in ("source", "target")}
    count = prod(map(len, Combinations.of(bench.experiment).levels))
    tones: dict[str, Tone] = {"source": "source", "target": "target", "shared": "other"}
    titled = tuple(
        Bar(bench.explorer.meta_title(one.meta), max(one.on_source, one.on_target), tones[one.side])
        for one in pieces
        if one.side != "shared"
    )
    return Found(
        holds=count > 1,
        answer=f"{count:,}: {sides['source']} of {bench.source}'s own pieces and "
        f"{sides['target']} of {bench.target}'s, each in or out.",
        more="Pieces that both have are left alone. Half strengths and reversed ones would make "
        "many more; Enumerate can try those, too.",
        before=Bars("activation of the piece", titled, most=1.0),
        place=Place("enumerate"),
    )


def reached(bench: Bench, progress: Progress) -> Found:
    """Which patterns of moved facts any edit reaches."""
    edits = bench.once(found_edits, progress)
    clear = [one for one in edits if moved(one) and one.margin > CLEAR]
    count = 2 ** len(bench.experiment.questions)
    bars = tuple(
        Bar(listed(moved(one)), one.margin, "target", f"{one.margin:.2f}")
        for one in edits
        if moved(one)
    )
    weak = len(bars) - len(clear)
    return Found(
        holds=bool(clear),
        answer=f"{len(clear)} of {count - 1} patterns that move something are reached by more "
        f"than {CLEAR} nats" + (f": {'; '.join(listed(moved(one)) for one in clear)}." if clear
        else "."),
        more=(f"{weak} more {'is' if weak == 1 else 'are'} reached by less. " if weak else "")
        + "A fact counts as moved where the target's answer leads the candidates; every other has "
        "to stay where it was. Published, for Tokyo and Paris on GPT-2: 5 of 16, doing nothing "
        "among them.",
        after=Bars("smallest lead of the four answers (nats)", bars) if bars else None,
        place=Place("enumerate"),
    )  # fmt: skip


def alone(bench: Bench, progress: Progress) -> Found:
    """Whether an edit moves one fact and leaves the others."""
    one = bench.once(chosen, progress)
    before = bench.experiment.apply(NO_EDIT)
    if one is None:
        return Found(
            False, "No: no edit of these pieces moves any fact.", before=before,
            place=Place("enumerate"),
        )  # fmt: skip
    single = len(moved(one)) == 1
    facts = listed(moved(one))
    return Found(
        holds=single,
        answer=(
            f"Yes: the {facts} moves alone, and every answer leads by {one.margin:.2f} nats or "
            "more."
            if single
            else f"No. The fewest that move together are {facts}, by {one.margin:.2f} nats."
        ),
        more=one.sentence,
        before=before,
        after=bench.experiment.apply(one.edit),
        place=Place("steer", {"edit": edit_to_text(one.edit)}),
    )


def chance(bench: Bench, progress: Progress) -> Found:
    """How often random edits of the same size do the same."""
    one = bench.once(chosen, progress)
    if one is None:
        return Found(False, "There is no edit to compare with chance.", place=Place("enumerate"))
    (against,) = control(bench.experiment, [one], DRAWS)
    likeliest = max(against.random, against.shuffled)
    facts = listed(moved(one))
    beyond = against.upper < against.real
    verdict = (
        "Even the upper end is below what the real pieces reach."
        if beyond
        else "Its upper end is not below what the real pieces reach: on so many draws this edit "
        "can't be told from chance."
    )
    bars = (
        Bar("of all combinations of real pieces", against.real, "target", f"{against.real:.1%}"),
        Bar("of random directions as long", against.random, "other", f"{against.random:.1%}"),
        Bar("of pieces neither name has", against.shuffled, "other", f"{against.shuffled:.1%}"),
    )
    return Found(
        holds=beyond and not against.marked,
        answer=f"{likeliest:.1%} of random edits move the {facts} and nothing else, beside "
        f"{against.real:.1%} of the real combinations.",
        more=f"{against.draws} of each kind were drawn; the larger share is at most "
        f"{against.upper:.1%} (95 %). {verdict} The edit was chosen as the clearest of all "
        "combinations: Enumerate draws as many as were tried.",
        after=Bars(f"share that moves the {facts} and nothing else", bars, percent=True),
        place=Place("enumerate"),
    )


def says(bench: Bench, progress: Progress) -> Found:
    """Of what leads the candidates, what the model itself would write."""
    edits = [one for one in bench.once(found_edits, progress) if moved(one)]
    leads = said = 0
    for one in edits:
        answers = bench.experiment.apply(one.edit).answers
        best = answers[answers["best_after"] & answers["attribute"].isin(moved(one))]
        leads, said = leads + len(best), said + int(best["says_after"].sum())
    bars = (
        Bar("the target's answer leads the candidates", leads, "target", str(leads)),
        Bar("the model itself would write it", said, "source", str(said)),
    )
    return Found(
        holds=said < leads,
        answer=f"{said} of {leads} that lead is what the model would write."
        if leads
        else "No edit makes an answer lead that did not.",
        more="Of a few candidates one always leads. A sentence of the workbench says “now speaks” "
        "only where the model itself would write it; the strict search counts nothing else.",
        after=Bars("facts moved by the clearest edits of all patterns", bars) if leads else None,
        place=Place("enumerate"),
    )


LESSON = Lesson(
    name="search",
    number=4,
    title="What does the search find, and what do controls say?",
    learnt="What trying all edits shows, and how to tell a finding from luck.",
    steps=(
        Step(
            "How many edits",
            "{source}'s own pieces can be taken away, {target}'s own added.",
            "How many different edits are that?",
            "There are edits to try.",
            ways,
        ),
        Step(
            "What any of them moves",
            "Every one of them is tried on all four questions. Four facts that move or stay make "
            "16 patterns.",
            "How many of the patterns does some edit reach?",
            "Some pattern is reached clearly.",
            reached,
        ),
        Step(
            "One fact alone",
            "The interesting patterns are the selective ones.",
            "Is there an edit that moves one fact and leaves the other three?",
            "An edit moves one fact alone.",
            alone,
        ),
        Step(
            "Would chance do it?",
            "The search takes the best of many tries, so luck helps it. Random edits of the same "
            "size are tried as a control: in random directions, and with pieces of neither name.",
            "How often will a random edit do the same: never, one in a hundred, one in two?",
            "Chance does it less often than the real pieces.",
            chance,
        ),
        Step(
            "Does it say so?",
            "So far an answer counts as moved when the target's leads a few candidates.",
            "How often would the model itself, of all its words, write the answer that leads?",
            "Not all that leads is what the model itself would say.",
            says,
        ),
    ),
)
