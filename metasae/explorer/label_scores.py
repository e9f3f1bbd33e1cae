"""How far labels hold, asked of a language model: what it costs, its answers, scores, controls.

Every label's score stands beside that of another latent's label on the same pieces: what a label
is worth is the difference. Answers are kept line by line, so that a run that was stopped goes on
and asks nothing twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from metasae.errors import UserError
from metasae.explorer import label_server
from metasae.explorer.delphi_files import Run
from metasae.explorer.label_questions import INTRUDER, KINDS, TASKS, LabelQuestion, questions_of
from metasae.explorer.label_server import Endpoint
from metasae.explorer.score_examples import Examples, Sampling
from metasae.progress import Progress, silent
from metasae.sources.files import read_json, write_json
from metasae.sources.records import from_values, to_values
from metasae.sources.versions import EVIDENCE, NewerError


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


@dataclass(frozen=True)
class LabelScore:
    """One label's score of one kind.

    Attributes:
        control: another latent's label on the same pieces; None of intruders, and where there was
            no other label.
        chance: what guessing gives.
    """

    latent: int
    label: str
    kind: str
    score: Score
    control: Score | None
    chance: float


@dataclass(frozen=True)
class Scores:
    """Scores of some labels by one language model.

    Attributes:
        sae: the SAE they are about.
        model: that answered, by the name its server has for it.
    """

    sae: str
    model: str
    sampling: Sampling
    scores: tuple[LabelScore, ...]

    def save(self, path: Path) -> None:
        """Write them.

        Raises:
            UserError: when the file can't be written.
        """
        write_json(path, EVIDENCE.stamp | to_values(self))

    @staticmethod
    def load(path: Path) -> "Scores":
        """What `save` wrote.

        Raises:
            UserError: when it is missing, damaged, or of a newer version.
        """
        try:
            values = read_json(path)
            EVIDENCE.check(values, str(path))
            return from_values(Scores, values)
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                f"{path} is missing or damaged; score the labels again with: "
                "python -m metasae score-labels."
            ) from error

    def beside(self, former: "Scores") -> "Scores":
        """These, and former ones of other latents and kinds where both were asked alike."""
        if (former.sae, former.model, former.sampling) != (self.sae, self.model, self.sampling):
            return self
        every = {(one.latent, one.kind): one for one in (*former.scores, *self.scores)}
        return replace(self, scores=tuple(every.values()))

    def table(self) -> pd.DataFrame:
        """A row a label and kind: latent, label, kind, value, low, high, f1, count, unanswered,
        control, chance."""
        return pd.DataFrame(
            [
                {"latent": one.latent, "label": one.label, "kind": one.kind}
                | asdict(one.score)
                | {"control": None if one.control is None else one.control.value,
                   "chance": one.chance}
                for one in self.scores
            ]
        )  # fmt: skip


def kept_scores(path: Path) -> Scores | None:
    """Scores that were written before; None where there are none that can be read.

    Raises:
        NewerError: when a newer version of this package wrote them.
    """
    try:
        return Scores.load(path)
    except NewerError:
        raise
    except UserError:
        return None


@dataclass(frozen=True)
class _Kept:
    """An answer as it is kept.

    Attributes:
        of: `Endpoint.mark` of the question.
    """

    of: str
    answer: tuple[int, ...]


Answered = Sequence[tuple[LabelQuestion, tuple[int, ...] | None]]
"""Questions with their answers; None where the model gave none."""


def all_questions(
    examples: Mapping[int, Examples],
    labels: Mapping[int, str],
    others: Mapping[int, str],
    sampling: Sampling,
    kinds: Sequence[str] = KINDS,
) -> list[LabelQuestion]:
    """All questions about some latents.

    Args:
        labels: of each.
        others: labels a control's is drawn from.
    """
    asked: list[LabelQuestion] = []
    for latent, pieces in examples.items():
        choice = [text for other, text in others.items()
                  if other != latent and text != labels[latent]]  # fmt: skip
        draw = np.random.default_rng([sampling.seed, latent])
        control = choice[int(draw.integers(len(choice)))] if choice else ""
        asked += questions_of(latent, labels[latent], control, pieces, sampling, kinds)
    return asked


def answered(
    questions: Sequence[LabelQuestion],
    endpoint: Endpoint,
    kept: Path,
    agreed: bool,
    progress: Progress = silent,
) -> Answered:
    """Ask what isn't answered in ``kept`` yet.

    Raises:
        UserError: with the cost, before anything is sent, unless it was agreed to; as
            `label_server.ask_each`.
    """
    marks = {endpoint.mark(one.lines, TASKS[one.kind]): one for one in questions}
    former = {
        one.of: one for one in label_server.kept_lines(kept, _Kept) if one.of in marks
    }  # fmt: skip
    left = [one for mark, one in marks.items() if mark not in former]
    if left and not agreed:
        requests, tokens = cost(left)
        raise UserError(
            f"{endpoint.url} would be asked {requests:,} times, about {tokens:,} tokens in all "
            f"({len(marks) - requests:,} questions are answered already); add --yes to go on, or "
            "ask about fewer latents, pieces or kinds."
        )

    def ask(mark: str) -> _Kept:
        one = marks[mark]
        return _Kept(mark, one.read(label_server.said(endpoint.say(TASKS[one.kind], one.lines))))

    found = label_server.ask_each(endpoint.url, marks, ask, former, kept, progress)
    asked = ((one, endpoint.mark(one.lines, TASKS[one.kind])) for one in questions)
    return [(one, found[mark].answer if mark in found else None) for one, mark in asked]


def cost(questions: Sequence[LabelQuestion]) -> tuple[int, int]:
    """Requests, and about how many tokens they and their answers have."""
    costs = [
        label_server.cost((one.lines for one in questions if one.kind == kind), task)
        for kind, task in TASKS.items()
    ]
    return sum(one for one, _ in costs), sum(tokens for _, tokens in costs)


def scored(found: Answered, labels: Mapping[int, str]) -> tuple[LabelScore, ...]:
    """Every label's scores, by latent and kind."""
    grouped: dict[tuple[int, str], dict[bool, list[tuple[LabelQuestion, Any]]]] = {}
    for question, answer in found:
        group = grouped.setdefault((question.latent, question.kind), {})
        group.setdefault(question.control, []).append((question, answer))
    return tuple(
        LabelScore(
            latent, labels[latent], kind, score(kind, group[False]),
            score(kind, group[True]) if True in group else None,
            _chance(kind, group[False]),
        )
        for (latent, kind), group in grouped.items()
    )  # fmt: skip


def _chance(kind: str, found: Answered) -> float:
    if kind != INTRUDER:
        return 0.5
    return sum(1 / len(question.texts) for question, _ in found) / len(found)


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


def as_delphi(found: Answered) -> dict[str, dict[int, list[dict[str, Any]]]]:
    """The answers about the labels themselves, by kind and latent, as delphi writes them."""
    written: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for question, answer in found:
        if question.control:
            continue
        rows = written.setdefault(question.kind, {}).setdefault(question.latent, [])
        if question.kind == INTRUDER:
            rows.append(_intruder(question, None if answer is None else answer[0]))
            continue
        for place, piece in enumerate(question.examples):
            said = None if answer is None else bool(answer[place])
            rows.append(
                {
                    "str_tokens": list(piece.tokens), "activations": list(piece.activations),
                    "distance": piece.distance, "activating": piece.activating, "prediction": said,
                    "probability": None,
                    "correct": None if said is None else said == piece.activating,
                }
            )  # fmt: skip
    return written


def _intruder(question: LabelQuestion, said: int | None) -> dict[str, Any]:
    """One intruder question as delphi writes it; without an answer it has no sample there."""
    if said is None:
        return {"interpretation": "", "sample": None, "prediction": 0, "correct_index": -1,
                "correct": False}  # fmt: skip
    silent = question.examples[question.intruder]
    others = [one.distance for one in question.examples if one.activating]
    return {
        "interpretation": "",
        "sample": {
            "examples": list(question.texts),
            "intruder_index": question.intruder,
            "chosen_quantile": int(others[0]),
            "activations": [list(one.activations) for one in question.examples],
            "tokens": [list(one.tokens) for one in question.examples],
            "intruder_distance": silent.distance,
        },
        "prediction": said,
        "correct_index": question.intruder,
        "correct": said == question.intruder,
    }


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
