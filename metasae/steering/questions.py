"""Who is edited, what is asked, and which answers are candidates.

Shapes: Q questions, A answers of all questions together, in the questions' order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import torch
from jaxtyping import Bool, Float
from torch import Tensor

CUSTOM = "custom"
"""Attribute of a question that a person wrote."""


@dataclass(frozen=True)
class Subject:
    """What is edited, or edited towards: some latents, usually a city's or another name's.

    Attributes:
        label: how it is called on screen.
        name: whose latents they are, or None for latents chosen by number.
        latents: their indices.
        activations: their mean activations on the subject's own prompts.
        active: (latent, activation) of all that is active on the name, which a latent swap
            exchanges besides; none for latents chosen by number.
        about: the name that questions about it mention: its own; for latents chosen by number
            what they fire on most. Empty where nobody knows.
        facts: whether there are facts about the name; else its answers are the model's own.
        remarks: what has to be said of it, a sentence each.
    """

    label: str
    name: str | None
    latents: tuple[int, ...]
    activations: tuple[float, ...]
    about: str = ""
    facts: bool = True
    active: tuple[tuple[int, float], ...] = ()
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.name is not None:
            object.__setattr__(self, "about", self.name)

    @property
    def swapped(self) -> dict[int, float]:
        """Latent → activation of all that a latent swap exchanges."""
        return dict(self.active) | dict(zip(self.latents, self.activations, strict=True))

    @property
    def in_prompts(self) -> str:
        """What stands for it in a prompt: what questions about it mention, else its label."""
        return self.about or self.label


@dataclass(frozen=True)
class Answer:
    """A candidate answer.

    Attributes:
        cities: whose answer it is; none for one a person typed.
        text: without the leading space.
    """

    cities: tuple[str, ...]
    text: str

    @property
    def city(self) -> str:
        """Whose it is, as tables and files have it: "Tokyo, Osaka"."""
        return ", ".join(self.cities)


def remarks(source: Subject, target: Subject, questions: "Sequence[Question]") -> tuple[str, ...]:
    """What has to be said of a pair before its numbers are read, a sentence each."""
    said = [*source.remarks, *target.remarks]
    if any(question.attribute != CUSTOM for question in questions):
        said += [
            f"No facts are known for {one.label}: the answers that stand for it are the model's "
            "own."
            for one in (source, target)
            if not one.facts
        ]
    return tuple(said)


def split_answers(text: str) -> tuple[str, ...]:
    """Answers typed with commas between them, each once, in order."""
    return tuple(dict.fromkeys(filter(None, (answer.strip() for answer in text.split(",")))))


@dataclass(frozen=True)
class Question:
    """A prompt and its candidate answers.

    Attributes:
        gap: what stands between the prompt and an answer.
    """

    attribute: str
    prompt: str
    answers: tuple[Answer, ...]
    gap: str = " "

    def to_dict(self) -> dict[str, Any]:
        """The JSON-able values that files hold."""
        answers = [{"city": answer.city, "text": answer.text} for answer in self.answers]
        return {"attribute": self.attribute, "prompt": self.prompt, "answers": answers}


@dataclass(frozen=True)
class Questions(Sequence[Question]):
    """Several questions whose answers' scores stand one after the other in one row."""

    items: tuple[Question, ...]

    @overload
    def __getitem__(self, index: int) -> Question: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Question, ...]: ...

    def __getitem__(self, index: int | slice) -> Question | tuple[Question, ...]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Question]:
        return iter(self.items)

    @property
    def attributes(self) -> tuple[str, ...]:
        """What each of them asks about."""
        return tuple(question.attribute for question in self.items)

    @cached_property
    def answers(self) -> tuple[tuple[Question, Answer], ...]:
        """Every answer with its question, in the order of the scores."""
        return tuple((one, answer) for one in self.items for answer in one.answers)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Where each question's answers stand among all."""
        ends = torch.tensor([len(one.answers) for one in self.items]).cumsum(0).tolist()
        return tuple(slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False))

    def split(self, scores: Float[Tensor, "*N A"]) -> tuple[Float[Tensor, "*N a"], ...]:
        """Scores of all answers, question by question."""
        return tuple(scores[..., part] for part in self.slices)

    def belonging_to(self, name: str) -> Bool[Tensor, " A"]:
        """Which answers are those of a city."""
        return torch.tensor([name in answer.cities for _, answer in self.answers])
