"""A lab without a model: small made-up numbers behind the same types, the same for every run.

`PageExperiment` and `PageLab` say what the pages of Steer and Enumerate ask of an experiment and a
lab. mypy holds the real ones and the made-up ones against them, so that neither can drift away.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Protocol

import torch

from metasae.errors import UserError
from metasae.lab.city_questions import city_questions, fired_on
from metasae.lab.city_records import CityRecord, RankedLatent
from metasae.lab.lab import Lab
from metasae.lab.meta_cards import CardLatent, MetaCard
from metasae.sources.presets import EMBEDDED, Preset
from metasae.steering.edit_space import Piece
from metasae.steering.edits import NO_EDIT, Edit
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import Outcome
from metasae.steering.provenance import Provenance
from metasae.steering.questions import Answer, Question, Questions, Subject
from metasae.steering.verdict import Verdict, verdict
from metasae.text.cities import ATTRIBUTES, City, find_city

CITIES = ("Tokyo", "Paris", "Cairo", "Rome", "Osaka")
N_LATENTS = 18432
N_META = 864
TITLES = {
    1: "Japan, Japanese",
    2: "yen, Nikkei",
    3: "words with -yo",
    4: "cities",
    5: "France, French",
    6: "Europe",
    7: "euro",
}
_PIECES = (
    Piece(1, "source", 0.53, 0.0),
    Piece(4, "shared", 0.46, 0.47),
    Piece(5, "target", 0.0, 0.44),
    Piece(6, "target", 0.0, 0.31),
    Piece(2, "source", 0.24, 0.0),
    Piece(3, "source", 0.12, 0.0),
    Piece(7, "target", 0.0, 0.11),
)
_PULL = {  # nats by which a full step of a meta-latent moves each attribute to the target
    1: (2.5, 3.5, 2.0, 0.5),
    2: (0.2, 0.5, 0.3, 3.0),
    3: (0.1, 0.1, 0.1, 0.1),
    4: (0.0, 0.0, 0.0, 0.0),
    5: (2.5, 4.0, 0.5, 0.5),
    6: (0.5, 0.2, 4.0, 1.5),
    7: (0.1, 0.1, 0.5, 3.5),
}
_WORDS = ("the", "a", "$x_1$", "*", "\n")
_LEAD = (5.5, 5.0, 3.1, 4.2)
"""Nats by which the source's answers lead before any edit."""


class PageExperiment(Protocol):
    """What pages and searches ask of `metasae.steering.experiment.Experiment`."""

    @property
    def source(self) -> Subject: ...
    @property
    def target(self) -> Subject: ...
    @property
    def questions(self) -> Questions: ...
    @property
    def pieces(self) -> tuple[Piece, ...]: ...
    @property
    def provenance(self) -> Provenance: ...
    @property
    def baseline(self) -> torch.Tensor: ...
    def verdict(self, logprobs: torch.Tensor) -> Verdict: ...
    def apply(self, edit: Edit) -> Outcome: ...
    def continuation(
        self,
        edit: Edit | None,
        prompt: str,
        new_tokens: int = 30,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> str: ...


class PageLab(Protocol):
    """What pages ask of `metasae.lab.lab.Lab`."""

    @property
    def preset(self) -> Preset: ...
    @property
    def provenance(self) -> Provenance: ...
    @property
    def report(self) -> dict[str, Any]: ...
    @property
    def records(self) -> dict[str, CityRecord]: ...
    @property
    def n_latents(self) -> int: ...
    @property
    def n_meta(self) -> int: ...
    def city_names(self) -> tuple[str, ...]: ...
    def city_record(self, name: str) -> CityRecord: ...
    def latent_words(self, latent: int) -> tuple[str, ...]: ...
    def meta_card(self, meta: int) -> MetaCard: ...
    def subject(self, text: str, latents: Sequence[int] | None = None) -> Subject: ...
    def questions(self, source: Subject, target: Subject) -> tuple[Question, ...]: ...
    def experiment(
        self, source: Subject, target: Subject, questions: Sequence[Question] | None = None
    ) -> PageExperiment: ...


class FakeExperiment:
    """What `metasae.steering.Case` offers to pages."""

    pieces = _PIECES
    provenance = Provenance(
        EMBEDDED.name,
        EMBEDDED.model.name,
        EMBEDDED.hook_point,
        "sae-18432@0123456789ab",
        "meta-sae@ba9876543210",
        "0.0",
    )

    def __init__(self, source: Subject, target: Subject, questions: Sequence[Question]) -> None:
        self.source, self.target, self.questions = source, target, Questions(tuple(questions))
        for question in self.questions:
            for answer in question.answers:
                if not answer.text.strip():
                    raise UserError(f'The answer "{answer.text}" tokenises to nothing.')

    @cached_property
    def baseline(self) -> torch.Tensor:
        return self._logprobs(NO_EDIT)

    def verdict(self, logprobs: torch.Tensor) -> Verdict:
        return verdict(self.questions, self.baseline, logprobs, self.target.label)

    def logprobs(self, edits: Sequence[Edit]) -> torch.Tensor:
        return torch.stack([self._logprobs(edit) for edit in edits])

    def _logprobs(self, edit: Edit) -> torch.Tensor:
        known = {piece.meta: piece for piece in self.pieces}
        pull = [0.0] * len(ATTRIBUTES)
        if edit.kind == "swap":
            pull = [9.0] * len(ATTRIBUTES)
        for meta, strength in edit.without_swap().strengths:
            if meta not in known:
                raise UserError(
                    f"Meta-latent {meta} is active on neither the source's nor the target's "
                    f"latents; choose from {', '.join(map(str, sorted(known)))}."
                )
            step = abs(strength - known[meta].default)
            pull = [old + step * new for old, new in zip(pull, _PULL[meta], strict=True)]
        values: list[float] = []
        for question in self.questions:
            if self.source.city and self.source.city not in question.prompt:
                raise UserError(
                    f'The prompt "{question.prompt}" does not mention {self.source.city}.'
                )
            which = ATTRIBUTES.index(question.attribute) if question.attribute in ATTRIBUTES else 0
            scores = [self._lead(answer, which, pull) for answer in question.answers]
            total = math.log(sum(map(math.exp, scores)) + 1.2 * math.exp(max(scores) - 1.0))
            values += [score - total for score in scores]
        return torch.tensor(values)

    def _lead(self, answer: Answer, which: int, pull: list[float]) -> float:
        whose = answer.cities
        if self.source.label in whose:
            return _LEAD[which] - 0.2 * pull[which]
        return pull[which] if self.target.label in whose else -0.5 * len(answer.text) / 5

    def apply(self, edit: Edit) -> Outcome:
        values = self._logprobs(edit)
        tops = [
            [
                (f" {word}", -0.5 - place)
                for place, word in enumerate(("the", "a", "$x_1$", "*", "\n"))
            ]
            for _ in self.questions
        ]
        return Outcome(
            source=self.source,
            target=self.target,
            questions=self.questions,
            pieces=self.pieces,
            baseline=self.baseline,
            provenance=self.provenance,
            edit=edit,
            logprobs=values,
            top_before=tops,
            top_after=tops,
        )

    def continuation(
        self,
        edit: Edit | None,
        prompt: str,
        new_tokens: int = 30,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> str:
        if edit is not None and self.source.city and self.source.city not in prompt:
            raise UserError(f'The prompt "{prompt}" does not mention {self.source.city}.')
        return " and so on" if edit is None else " et cetera *bold* $1$"


class FakeLab:
    """What `metasae.lab.Lab` offers to pages."""

    preset = EMBEDDED
    provenance = FakeExperiment.provenance
    report = {  # noqa: RUF012
        "saes": [{"ce_recovered": 0.91, "l0": 4.0}],
        "meta_sae": {"fve": 0.6, "l0": 4.0, "fve_control": 0.1},
    }
    n_latents, n_meta = N_LATENTS, N_META
    model = SimpleNamespace(name=EMBEDDED.model.name, n_layers=30)

    def city_names(self) -> tuple[str, ...]:
        return tuple(sorted(CITIES))

    def city_record(self, name: str) -> CityRecord:
        city = find_city(name)
        first = 100 * (1 + sum(map(ord, city.name)) % 50)
        latents = (
            RankedLatent(first, 9.7, 0.83, 3.1, True),
            RankedLatent(first + 1, 4.2, 0.31, 0.6, False),
            RankedLatent(first + 2, 1.8, 0.12, 0.1, False),
        )
        return CityRecord(
            name=city.name,
            country=city.country,
            continent=city.continent,
            language=city.language,
            currency=city.currency,
            answers={attribute: _answer(city, attribute) for attribute in ATTRIBUTES},
            known=dict.fromkeys(ATTRIBUTES, True),
            latents=latents,
        )

    def latent_words(self, latent: int) -> tuple[str, ...]:
        return ("Tokyo", "Kyoto", "*starred*", "a_b")

    def meta_card(self, meta: int) -> MetaCard:
        title = TITLES.get(meta, f"meta-latent {meta}")
        latents = tuple(
            CardLatent(10 * meta + n, 0.6 - 0.1 * n, words)
            for n, words in enumerate(
                (("Japan", "Japanese"), ("Saitama",), ("$5_000$ [x](y)",), (":red[token]",))
            )
        )
        return MetaCard(meta, title, (" Japan", "_a*", ":smile:"), latents, 0.012)

    def subject(self, text: str, latents: Sequence[int] | None = None) -> Subject:
        numbers = tuple(latents or ())
        if text.startswith("#"):
            numbers = tuple(int(part.strip(" #")) for part in text.split(","))
        for latent in numbers:
            if not 0 <= latent < N_LATENTS:
                raise UserError(
                    f"There is no latent {latent}; choose one from 0 to {N_LATENTS - 1}."
                )
        if text.startswith("#"):
            return Subject(
                text,
                None,
                numbers,
                (5.0,) * len(numbers),
                fired_on(self.records, numbers, self.latent_words),
            )
        record = self.city_record(text)
        chosen = numbers or tuple(one.latent for one in record.chosen)
        return Subject(record.name, record.name, chosen, (9.7,) * len(chosen))

    def questions(self, source: Subject, target: Subject) -> tuple[Question, ...]:
        return city_questions(self.records, source, target)

    @property
    def records(self) -> dict[str, CityRecord]:
        return {name: self.city_record(name) for name in CITIES}

    def experiment(
        self, source: Subject, target: Subject, questions: Sequence[Question] | None = None
    ) -> FakeExperiment:
        if source.label == target.label:
            raise UserError(
                f"Source and target are both {source.label}; choose two different ones."
            )
        return FakeExperiment(source, target, questions or self.questions(source, target))


def _answer(city: City, attribute: str) -> str:
    return city.answers(attribute)[0]


def _hold_the_fakes_against_the_real(
    experiment: Experiment, fake: FakeExperiment, lab: Lab, fake_lab: FakeLab
) -> None:
    """Never called: mypy reads it."""
    experiments: tuple[PageExperiment, ...] = (experiment, fake)
    labs: tuple[PageLab, ...] = (lab, fake_lab)
    del experiments, labs
