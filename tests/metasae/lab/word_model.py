"""A model of words for tests of what is known: its log-probabilities are set by hand."""

from collections.abc import Sequence

import torch
from torch import Tensor

from metasae.steering.questions import Question, Questions
from metasae.text.cities import ATTRIBUTES, distinct_answers, load_cities


class Words:
    """A model whose tokens are words; what is likely after every prompt is set by hand."""

    def __init__(
        self, first: dict[str, float], whole: dict[str, float], says: Sequence[str] = ()
    ) -> None:
        self.first, self.whole, self.says = first, whole, says
        self.vocabulary: list[str] = []
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def encode(self, text: str) -> list[int]:
        for word in text.split():
            if word not in self.vocabulary:
                self.vocabulary.append(word)
        return [self.vocabulary.index(word) for word in text.split()]


class Asked:
    """What is asked of a model, answered by `Words`."""

    def __init__(self, model: Words, questions: Sequence[Question]) -> None:
        self.model, self.questions = model, Questions(tuple(questions))
        for question, answer in self.questions.answers:
            model.asked.append((question.attribute, (answer.text,)))
        nats = [model.whole.get(answer.text, -20.0) for _, answer in self.questions.answers]
        self.baseline = torch.tensor(nats)

    @property
    def next_logprobs(self) -> Tensor:
        for attribute in ATTRIBUTES:
            own = [form for city in load_cities() for form in city.answers(attribute)]
            for text in (*own, *distinct_answers(attribute)):
                self.model.encode(text)
        row = [self.model.first.get(word, -20.0) for word in self.model.vocabulary]
        return torch.tensor([row] * len(self.questions))

    @property
    def greedy(self) -> Tensor:
        said = [answer.text in self.model.says for _, answer in self.questions.answers]
        return torch.tensor(said)
