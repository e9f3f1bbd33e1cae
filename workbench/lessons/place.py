"""Which lesson is open, at which step, which answers were seen: as the address says it."""

from dataclasses import dataclass, replace

import streamlit as st

from metasae.errors import UserError
from metasae.lessons.lesson import Lesson, Step
from metasae.lessons.registry import lesson as named
from metasae.lessons.registry import lessons
from workbench import navigation, session


@dataclass(frozen=True)
class Place:
    """Where in a walk one is.

    Attributes:
        number: of the step, from 1.
        answered: steps whose answers are in sight.
        presenting: whether it is shown to a room.
    """

    lesson: Lesson
    number: int = 1
    answered: frozenset[int] = frozenset()
    presenting: bool = False

    @property
    def step(self) -> Step:
        """The step that is shown."""
        return self.lesson.steps[self.number - 1]

    @property
    def open(self) -> bool:
        """Whether its answer is in sight."""
        return self.number in self.answered

    @property
    def last(self) -> bool:
        """Whether nothing comes after it."""
        return self.number == self.lesson.count

    def at(self, number: int) -> "Place":
        """Another step of the walk; the nearest there is."""
        return replace(self, number=min(max(1, number), self.lesson.count))

    def answering(self, shown: bool = True) -> "Place":
        """The same with the step's answer in sight, or out of it."""
        others = self.answered - {self.number}
        return replace(self, answered=others | {self.number} if shown else others)

    def onward(self) -> "Place":
        """One press of a key on: the answer, then the next step's question."""
        if not self.open:
            return self.answering()
        return self if self.last else self.at(self.number + 1).answering(False)

    def back(self) -> "Place":
        """One press of a key back: the question, then the answer of the step before."""
        if self.open:
            return self.answering(False)
        return self if self.number == 1 else self.at(self.number - 1).answering()

    def next_lesson(self) -> "Place | None":
        """The beginning of the lesson after this one; None after the last."""
        after = [one for one in lessons() if one.number > self.lesson.number]
        return Place(after[0], presenting=self.presenting) if after else None

    def to_query(self) -> dict[str, str]:
        """As query parameters."""
        query = {"lesson": self.lesson.name, "step": str(self.number)}
        if self.answered:
            query["answered"] = ".".join(map(str, sorted(self.answered)))
        return query | ({"presenting": "1"} if self.presenting else {})


def place() -> Place | None:
    """What the address asks for; None where it names no lesson, which is said of a wrong name."""
    asked = st.query_params
    if not (name := asked.get("lesson", "")):
        return None
    try:
        lesson = named(name[:40])
    except UserError as error:
        session.notify(str(error))
        return None
    answered = map(_number, asked.get("answered", "")[:100].split("."))
    return Place(
        lesson,
        answered=frozenset(one for one in answered if 1 <= one <= lesson.count),
        presenting=asked.get("presenting", "") not in ("", "0", "no"),
    ).at(_number(asked.get("step", "")))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else 0


def go(to: Place | None) -> None:
    """Go to a step, or to the list of all lessons (in a widget's callback)."""
    navigation.address(**({} if to is None else to.to_query()))
