"""What a lesson is: a few steps, each a question and a check of what the open preset answers.

To add one, put a module into `walks` that names a `Lesson` LESSON; see docs/lessons.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from metasae.errors import UserError
from metasae.explorer.evidence import Snippet
from metasae.lessons.bench import Bench
from metasae.progress import Progress, silent
from metasae.steering.outcome import Outcome

Tone = Literal["source", "target", "other"]
"""Whose something is: the source's, the target's, both's or nobody's."""


@dataclass(frozen=True)
class Bar:
    """One bar of a picture.

    Attributes:
        name: what stands above it.
        text: the value as it is read; made of it when left empty.
    """

    name: str
    value: float
    tone: Tone = "source"
    text: str = ""

    @property
    def told(self) -> str:
        """The value as it is read."""
        return self.text or f"{self.value:.2f}"


@dataclass(frozen=True)
class Bars:
    """Bars below each other.

    Attributes:
        title: what their length is, with its unit.
        most: the length that fills the picture; the longest bar's when left out.
        percent: whether the scale is read in percent.
    """

    title: str
    bars: tuple[Bar, ...]
    most: float | None = None
    percent: bool = False


@dataclass(frozen=True)
class Texts:
    """Texts with the words in them that something fires on.

    Attributes:
        names: what stands before each; empty without.
    """

    snippets: tuple[Snippet, ...]
    names: tuple[str, ...] = ()


Picture = Bars | Texts | Outcome
"""What is drawn; of an outcome the answers before and after its edit."""


@dataclass(frozen=True)
class Place:
    """Where in the workbench a step's state is.

    Attributes:
        page: its file's name.
        query: what its address says beside preset and pair.
    """

    page: Literal["steer", "enumerate", "latents", "meta_latents", "graph", "studies"]
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What the open preset answers to a step's question.

    Attributes:
        holds: whether the step's claim does.
        answer: that, in one sentence with its figures.
        more: what has to be said besides; empty where nothing has.
        before: drawn beside the question.
        after: drawn beside the answer; the same picture when left out.
        place: where the workbench shows it.
        asked: whether it could be asked; if not, nothing is said of the claim.
    """

    holds: bool
    answer: str
    more: str = ""
    before: Picture | None = None
    after: Picture | None = None
    place: Place | None = None
    asked: bool = True

    @property
    def shown(self) -> Picture | None:
        """What is drawn beside the answer."""
        return self.after or self.before


@dataclass(frozen=True)
class Step:
    """One step of a lesson. Its texts may name `Bench.words` in braces.

    Attributes:
        text: what is looked at; claims nothing that the check has to show.
        question: to think about before the answer is seen.
        claim: what the step is about, which the check finds to hold or not; shown with the answer.
        check: asks the open preset.
    """

    title: str
    text: str
    question: str
    claim: str
    check: Callable[[Bench, Progress], Found]

    def found(self, bench: Bench, progress: Progress = silent) -> Found:
        """What the open preset answers; that it can't be asked is an answer, too."""
        try:
            return bench.once(self.check, progress)
        except UserError as error:
            return Found(False, "This can't be asked of what is open.", str(error), asked=False)


@dataclass(frozen=True)
class Lesson:
    """A walk of a few steps.

    Attributes:
        name: in links.
        number: which of the lessons it is.
        title: on screen, as a question or a thing to do.
        learnt: what one knows at its end, in one sentence that is true of any preset.
        minutes: it takes.
    """

    name: str
    number: int
    title: str
    learnt: str
    steps: Sequence[Step]
    minutes: int = 5

    @cached_property
    def count(self) -> int:
        """Number of steps."""
        return len(self.steps)
