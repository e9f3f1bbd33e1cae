"""How far labels hold by a language model's answers: scores, their controls, and their file.

Every label's score stands beside that of another latent's label on the same pieces: what a label
is worth is the difference.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from metasae.errors import UserError
from metasae.explorer.label_answers import Answered, OneAnswered
from metasae.explorer.label_questions import INTRUDER
from metasae.explorer.right_answers import Score, score
from metasae.explorer.score_examples import Sampling
from metasae.sources.files import read_json, write_json
from metasae.sources.records import from_values, to_values
from metasae.sources.versions import EVIDENCE, NewerError


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


def scored(found: Answered, labels: Mapping[int, str]) -> tuple[LabelScore, ...]:
    """Every label's scores, by latent and kind."""
    grouped: dict[tuple[int, str], dict[bool, list[OneAnswered]]] = {}
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
