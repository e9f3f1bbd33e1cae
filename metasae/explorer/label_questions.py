"""The questions that labels are scored by: detection, fuzzing and intruder, in delphi's sense.

- **Detection**: a model reads a label and pieces of text, and says which the label fits.
- **Fuzzing**: the same with some tokens marked, which are those the latent fires on, or any.
- **Intruder**: without a label: of some pieces all but one come from the latent; which one doesn't?

The words are ours, and no examples of answers stand before a question.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from metasae.explorer.score_examples import Example, Examples, Sampling
from metasae.sources.files import json_values

DETECTION, FUZZING, INTRUDER = KINDS = ("detection", "fuzz", "intruder")
"""The kinds of questions, by delphi's names of their folders."""

_LIST = (
    "Answer with a JSON list alone that holds a 1 (yes) or a 0 (no) for each piece, in their order."
)

TASKS = {
    DETECTION: (
        "A feature of a language model was described in a few words. Below are the description and "
        f"numbered pieces of text. Does the description fit some place of a piece? {_LIST}"
    ),
    FUZZING: (
        "A feature of a language model was described in a few words. Below are the description and "
        "numbered pieces of text, in each of which some tokens stand between << and >>. Is all "
        f"that is marked in a piece what the description speaks of? {_LIST}"
    ),
    INTRUDER: (
        "All of these numbered pieces of text but one have something in common, at or before the "
        "tokens between << and >>. Answer with the number of the one that doesn't belong, and "
        "nothing else."
    ),
}
"""What stands before the pieces."""


@dataclass(frozen=True)
class LabelQuestion:
    """One question: a request.

    Attributes:
        latent: whose pieces these are.
        label: the label that is asked about; empty where none is.
        control: whether it is another latent's.
        texts: the pieces as they are shown.
    """

    kind: str
    latent: int
    label: str
    control: bool
    examples: tuple[Example, ...]
    texts: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """What is sent below the task."""
        pieces = [f"{number}: {text}" for number, text in enumerate(self.texts)]
        return [f"Description: {self.label}", *pieces] if self.label else pieces

    @property
    def intruder(self) -> int:
        """Place of the piece in which the latent is silent, where there is one."""
        return next(at for at, one in enumerate(self.examples) if not one.activating)

    def read(self, text: str) -> tuple[int, ...]:
        """The model's answer: a 1 or 0 a piece, or the place of the intruder.

        Raises:
            ValueError: when there is none in the text.
        """
        if self.kind == INTRUDER:
            number = re.search(r"\d+", text)
            if number is None or int(number[0]) >= len(self.texts):
                raise ValueError("no number of a piece")
            return (int(number[0]),)
        inside = re.search(r"\[[^\[\]]*\]", text)
        values = json_values(inside[0]) if inside else []
        if len(values) != len(self.texts) or any(value not in (0, 1) for value in values):
            raise ValueError("no list of as many answers")
        return tuple(map(int, values))


def questions_of(
    latent: int,
    label: str,
    other: str,
    examples: Examples,
    sampling: Sampling,
    kinds: Sequence[str],
) -> Iterator[LabelQuestion]:
    """All questions about one latent, each kind's controls behind it.

    Args:
        other: another latent's label, for the control; empty: without one.
    """
    for number, kind in enumerate(KINDS):
        if kind not in kinds:
            continue
        draw = np.random.default_rng([sampling.seed, latent, number])
        if kind == INTRUDER:
            yield from _intruders(latent, examples, sampling, draw)
            continue
        shown = [(one, _shown(one, kind, examples.marks, draw))
                 for one in (*examples.firing, *examples.silent)]  # fmt: skip
        shown = [shown[place] for place in draw.permutation(len(shown))]
        for control, text in enumerate((label, other)):
            if not text:
                continue
            for begin in range(0, len(shown), sampling.shown):
                pieces, texts = zip(*shown[begin : begin + sampling.shown], strict=True)
                yield LabelQuestion(kind, latent, text, bool(control), pieces, texts)


def _shown(one: Example, kind: str, marks: int, draw: np.random.Generator) -> str:
    """A piece as it is shown: where the latent is silent as many tokens are marked at random."""
    if kind == DETECTION:
        return one.text()
    if one.activating:
        return one.text(one.strong)
    count = min(marks, len(one.tokens))
    return one.text(frozenset(draw.choice(len(one.tokens), count, replace=False).tolist()))


def _intruders(
    latent: int, examples: Examples, sampling: Sampling, draw: np.random.Generator
) -> Iterator[LabelQuestion]:
    """A question for each piece in which the latent is silent, among some of one quantile, the
    quantiles in turn."""
    quantiles = sorted({one.distance for one in examples.firing})
    for number, silent in enumerate(examples.silent):
        group = [one for one in examples.firing
                 if one.distance == quantiles[number % len(quantiles)]]  # fmt: skip
        count = min(sampling.shown - 1, len(group))
        pieces = [group[at] for at in draw.choice(len(group), count, replace=False).tolist()]
        pieces.insert(int(draw.integers(count + 1)), silent)
        texts = tuple(_shown(one, INTRUDER, examples.marks, draw) for one in pieces)
        yield LabelQuestion(INTRUDER, latent, "", False, tuple(pieces), texts)
