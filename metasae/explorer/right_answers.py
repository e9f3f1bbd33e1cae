"""Answers about labels, counted: the share that is right, with its interval."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy.stats import binomtest

from metasae.errors import UserError
from metasae.explorer.delphi_files import Run
from metasae.explorer.label_answers import Answered
from metasae.explorer.label_questions import INTRUDER, KINDS


@dataclass(frozen=True)
class Score:
    """A share of right answers.

    Attributes:
        value: of detection and fuzzing the mean of the shares right among the pieces in which the
            latent fires and among those in which it doesn't (balanced accuracy, 0.5 by chance); of
            intruders the share found (1 / shown by chance).
        low, high: its interval of 95 %: Wilson's of each share, their widths added in squares.
        f1: harmonic mean of precision and recall; None of intruders.
        count, unanswered: answers, and those there should be besides.
    """

    value: float
    low: float
    high: float
    f1: float | None
    count: int
    unanswered: int


def score(kind: str, found: Answered) -> Score:
    """The score of some questions of one kind."""
    if kind == INTRUDER:
        return of_intruders([
            None if answer is None else answer[0] == question.intruder for question, answer in found
        ])  # fmt: skip
    return of_judged(
        (piece.activating, None if answer is None else bool(answer[place]))
        for question, answer in found
        for place, piece in enumerate(question.examples)
    )


def of_intruders(hits: Sequence[bool | None]) -> Score:
    """The share of intruders found; None: no answer."""
    known = [one for one in hits if one is not None]
    share, low, high = _share(sum(known), len(known))
    return Score(share, low, high, None, len(known), len(hits) - len(known))


def of_judged(pairs: Iterable[tuple[bool, bool | None]]) -> Score:
    """The score of judgements.

    Args:
        pairs: whether the latent fires in a piece, and whether the model says so; None: no answer.
    """
    every = list(pairs)
    known = [(truth, said) for truth, said in every if said is not None]
    fires, quiet = ([said for truth, said in known if truth is one] for one in (True, False))
    hits, false = sum(fires), sum(quiet)
    parts = [_share(count, total) for count, total in
             ((hits, len(fires)), (len(quiet) - false, len(quiet))) if total]  # fmt: skip
    if not parts:
        return Score(0.5, 0.0, 1.0, 0.0, 0, len(every))
    value = sum(share for share, _, _ in parts) / len(parts)
    down, up = (
        sum((share - part[bound]) ** 2 for share, *part in parts) ** 0.5 / len(parts)
        for bound in (0, 1)
    )
    return Score(
        value, max(0.0, value - down), min(1.0, value + up),
        2 * hits / max(1, hits + false + len(fires)), len(known), len(every) - len(known),
    )  # fmt: skip


def _share(count: int, total: int) -> tuple[float, float, float]:
    """A share with its interval; of nothing all is possible."""
    if not total:
        return 0.0, 0.0, 1.0
    interval = binomtest(count, total).proportion_ci(method="wilson")
    return count / total, float(interval.low), float(interval.high)


def published(run: Run) -> dict[tuple[int, str], Score]:
    """The scores a run of delphi came to, by latent and kind.

    Raises:
        UserError: for a file that is none of delphi's, or a run without any.
    """
    found = {}
    for kind in KINDS:
        for latent, rows in run.answers(kind).items():
            try:
                if kind == INTRUDER:
                    hits = [None if one["correct_index"] < 0 else bool(one["correct"])
                            for one in rows]  # fmt: skip
                    found[latent, kind] = of_intruders(hits)
                else:
                    found[latent, kind] = of_judged(
                        (bool(one["activating"]),
                         None if one["prediction"] is None else bool(one["prediction"]))
                        for one in rows
                    )  # fmt: skip
            except (KeyError, TypeError) as error:
                raise UserError(
                    f"The {kind} scores of latent {latent} in {run.folder} are not as delphi "
                    "writes them."
                ) from error
    if not found:
        raise UserError(f"{run.folder} holds no scores of {', '.join(KINDS)}.")
    return found
