"""What a model knows of cities and which latents are theirs: by hand, and by whole passes."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from metasae.lab import city_table, claims
from metasae.lab.city_records import CANDIDATES, CityRecord
from metasae.lab.city_table import Knowledge, counted, knowledge, records
from metasae.lab.reference import NameReference
from metasae.lm.language_model import LanguageModel
from metasae.lm.names import name_position
from metasae.steering.questions import Question, Questions
from metasae.text.cities import ATTRIBUTES, City, distinct_answers, find_city
from metasae.text.prompts import QUESTIONS, fill
from tests.builders import city_record, unit_sae
from tests.oracle import answer_logprobs, silenced

# What the model knows, by hand: log-probabilities of whole answers and of their first tokens.

TOKYO = find_city("Tokyo")
CHICAGO = find_city("Chicago")


class Words:
    """A model whose tokens are words; what is likely after every prompt is set by hand."""

    def __init__(self, first: dict[str, float], whole: dict[str, float]) -> None:
        self.first, self.whole = first, whole
        self.vocabulary: list[str] = []
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def encode(self, text: str) -> list[int]:
        for word in text.split():
            if word not in self.vocabulary:
                self.vocabulary.append(word)
        return [self.vocabulary.index(word) for word in text.split()]


class Asked:
    """What `knowledge` asks of a model, answered by `Words`."""

    def __init__(self, model: Words, questions: Sequence[Question]) -> None:
        self.model, self.questions = model, Questions(tuple(questions))
        for question, answer in self.questions.answers:
            model.asked.append((question.attribute, (answer.text,)))
        nats = [model.whole.get(answer.text, -20.0) for _, answer in self.questions.answers]
        self.baseline = torch.tensor(nats)

    @property
    def next_logprobs(self) -> Tensor:
        for attribute in ATTRIBUTES:
            for text in distinct_answers(attribute):
                self.model.encode(text)
        row = [self.model.first.get(word, -20.0) for word in self.model.vocabulary]
        return torch.tensor([row] * len(ATTRIBUTES))


def known(
    monkeypatch: pytest.MonkeyPatch, city: City, first: dict[str, float], whole: dict[str, float]
) -> tuple[dict[str, str], dict[str, bool], set[str]]:
    """What is made of it, and which answers were scored beside the city's own."""
    monkeypatch.setattr(city_table, "PromptSet", Asked)
    model: Any = Words(first, whole)
    (one,) = knowledge(model, [city])
    own = {text for attribute in ATTRIBUTES for text in city.answers(attribute)}
    return one.answers, one.known, {text for _, (text,) in model.asked} - own


def test_the_likeliest_of_a_citys_forms_is_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    forms = CHICAGO.answers("country")
    assert len(forms) > 2
    for form in forms:
        whole = dict.fromkeys(forms, -5.0) | {form: -4.0, "dollar": -2.0}
        likeliest, knows, _ = known(monkeypatch, CHICAGO, {}, whole)
        assert likeliest["country"] == form and knows["country"]
    # Of equals the first: as it follows the prompt.
    likeliest, _, _ = known(monkeypatch, CHICAGO, {}, {})
    assert likeliest == {name: CHICAGO.answers(name)[0] for name in ATTRIBUTES}


OWN = {"Japan": -3.0, "Japanese": -2.0, "Asia": -1.0, "yen": -4.0}


@pytest.mark.parametrize(
    ("rivals", "unknown"),
    [
        ({}, set()),
        ({"France": -2.9}, {"country"}),
        ({"France": -3.0}, set()),  # as likely: still known
        ({"France": -3.1}, set()),
        ({"French": -1.0, "euro": -3.5}, {"language", "currency"}),
        ({"Europe": -0.5, "France": -0.5}, {"country", "continent"}),
    ],
)
def test_a_fact_is_known_when_no_other_answer_is_likelier(
    monkeypatch: pytest.MonkeyPatch, rivals: dict[str, float], unknown: set[str]
) -> None:
    # What is of one word is as likely as its first token.
    likeliest, knows, _ = known(monkeypatch, TOKYO, OWN | rivals, OWN | rivals)
    assert {name for name, yes in knows.items() if not yes} == unknown
    assert likeliest == {
        "country": "Japan", "language": "Japanese", "continent": "Asia", "currency": "yen",
    }  # fmt: skip


def test_a_likely_beginning_is_no_likely_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    (rival,) = [one for one in distinct_answers("country") if one.startswith("South Korea")]
    for nats, yes in ((-3.5, True), (-2.5, False)):
        _, knows, scored = known(monkeypatch, TOKYO, OWN | {"South": -0.5}, OWN | {rival: nats})
        assert rival in scored
        assert knows == dict.fromkeys(ATTRIBUTES, True) | {"country": yes}


def test_only_what_begins_likelier_than_the_own_answer_is_scored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, _, scored = known(monkeypatch, TOKYO, {"France": -2.9, "Egypt": -3.1}, OWN)
    assert scored == {"France"}
    _, _, scored = known(monkeypatch, TOKYO, OWN, OWN)
    assert scored == set()


# The same on a small model that was taught some cities.


@pytest.mark.slow
def test_knowledge_is_what_full_passes_find(small_model: LanguageModel) -> None:
    cities = [find_city(name) for name in ("Tokyo", "Alexandria", "Chicago", "Lima")]
    told: list[float] = []
    found = knowledge(small_model, cities, lambda stage, share, note: told.append(share))
    assert told == [0.25, 0.5, 0.75, 1.0]
    for city, one in zip(cities, found, strict=True):
        for attribute in ATTRIBUTES:
            prompt, own = fill(QUESTIONS[attribute], city.name), city.answers(attribute)
            others = [text for text in distinct_answers(attribute) if text not in own]
            mine = answer_logprobs(small_model, prompt, own)
            theirs = answer_logprobs(small_model, prompt, others)
            assert one.answers[attribute] == own[int(mine.argmax())]
            assert one.known[attribute] == bool(mine.max() >= theirs.max())
    known = [all(one.known.values()) for one in found]
    assert known == [True, True, False, False]


# Whose latents are whose.


def ranked(record: CityRecord) -> list[tuple[int, float, float, float, bool]]:
    return [
        (one.latent, one.activation, one.selectivity, one.effect, one.chosen)
        for one in record.latents
    ]


def made(
    monkeypatch: pytest.MonkeyPatch, model: LanguageModel, table: Tensor, lost: dict[int, Tensor]
) -> list[CityRecord]:
    """The records of Tokyo and Paris; losses are set by hand, latent by latent."""

    def lose(prompts: Any, sae: Any, latents: Sequence[int], *_: Any) -> Tensor:
        return torch.stack([lost.get(latent, torch.zeros(4)) for latent in latents])

    monkeypatch.setattr(claims, "lost_without", lose)
    cities = [find_city("Tokyo"), find_city("Paris")]
    known = [
        Knowledge(
            {name: city.answers(name)[0] for name in ATTRIBUTES}, dict.fromkeys(ATTRIBUTES, True)
        )
        for city in cities
    ]
    sae = unit_sae(table.shape[1], model.d_model)
    reference = NameReference.of([city.name for city in cities], table)
    return records(model, sae, cities, known, table, reference, 1e6)


def test_latents_are_ranked_by_activation_times_selectivity(
    monkeypatch: pytest.MonkeyPatch, small_model: LanguageModel
) -> None:
    table = torch.tensor(
        [
            [4.0, 0.625, 8.0, 3.0, 0.0],
            [0.0, 0.625, 8.0, 1.0, 6.0],
        ]
    )
    tokyo, paris = made(
        monkeypatch, small_model, table, {0: torch.tensor([1.0, 2.0, 3.0, 0.0]),
                                          2: torch.tensor([-1.0, 0.0, 0.0, 0.0])},
    )  # fmt: skip
    # Own: 0 (all of it) and 3 (three quarters, at least a quarter as strong); half is not own.
    assert ranked(tokyo) == [
        (0, 4.0, 1.0, 1.5, True),
        (3, 3.0, 0.75, 0.0, True),
        (2, 8.0, 0.5, -0.25, False),
        (1, 0.625, 0.5, 0.0, False),
    ]
    # Latent 0 never fires on Paris, so it is no candidate.
    assert [one[0] for one in ranked(paris)] == [4, 2, 1, 3]
    assert [one.latent for one in paris.chosen] == [4]
    assert (tokyo.name, tokyo.country, tokyo.currency) == ("Tokyo", "Japan", "yen")
    assert tokyo.answers["continent"] == "Asia" and all(tokyo.known.values())


def test_an_own_latent_much_weaker_than_the_strongest_is_not_chosen(
    monkeypatch: pytest.MonkeyPatch, small_model: LanguageModel
) -> None:
    table = torch.tensor([[4.0, 1.0, 0.99], [0.0, 0.0, 0.0]])
    tokyo, paris = made(monkeypatch, small_model, table, {})
    assert [(latent, chosen) for latent, *_, chosen in ranked(tokyo)] == [
        (0, True), (1, True), (2, False),
    ]  # fmt: skip
    # Nothing fires on Paris.
    assert paris.latents == () and not paris.has_own_latent


def test_without_an_own_latent_the_first_of_the_rank_is_chosen(
    monkeypatch: pytest.MonkeyPatch, small_model: LanguageModel
) -> None:
    table = torch.tensor([[4.0, 6.0, 1.0], [8.0, 6.5, 2.0]])
    tokyo, _ = made(monkeypatch, small_model, table, {})
    # 4 × 1/3, 6 × 0.48, 1 × 1/3.
    assert [(latent, chosen) for latent, *_, chosen in ranked(tokyo)] == [
        (1, True), (0, False), (2, False),
    ]  # fmt: skip
    assert not tokyo.has_own_latent


def test_as_many_candidates_are_ranked_as_there_are_places(
    monkeypatch: pytest.MonkeyPatch, small_model: LanguageModel
) -> None:
    table = torch.zeros(2, CANDIDATES + 4)
    table[0] = torch.arange(1.0, CANDIDATES + 5)
    tokyo, _ = made(monkeypatch, small_model, table, {})
    assert [latent for latent, *_ in ranked(tokyo)] == list(range(CANDIDATES + 3, 3, -1))


def test_an_effect_is_what_full_passes_lose_of_the_citys_own_answers(
    small_model: LanguageModel,
) -> None:
    city, made = find_city("Rome"), unit_sae(12, small_model.d_model, seed=6)
    (known,) = knowledge(small_model, [city])
    place = name_position(small_model, city.name, city.name)
    resid = small_model.residual(torch.tensor([small_model.prompt_tokens(city.name)]))
    table = made.encode(resid[0, place : place + 1])
    reference = NameReference.of([city.name], table)
    (record,) = records(small_model, made, [city], [known], table, reference, 1e6)
    assert {one.latent for one in record.latents} == set(table[0].nonzero()[:, 0].tolist())
    effects = []
    for one in record.latents:
        lost = []
        for attribute, question in QUESTIONS.items():
            prompt, answer = fill(question, city.name), [known.answers[attribute]]
            at = name_position(small_model, prompt, city.name)
            without = silenced(made, one.latent, at)
            clean = answer_logprobs(small_model, prompt, answer)
            lost.append(float(clean - answer_logprobs(small_model, prompt, answer, without)))
        effects.append(sum(lost) / 4)
    assert [one.effect for one in record.latents] == pytest.approx(effects, abs=2e-4)
    assert max(map(abs, effects)) > 0.01


def test_cities_are_counted() -> None:
    def record(name: str, own_latent: bool, *unknown: str) -> CityRecord:
        plain = vars(city_record(name, "X", 1))
        (latent,) = plain["latents"]
        own = (type(latent)(**(vars(latent) | {"own": own_latent})),)
        facts = {attribute: attribute not in unknown for attribute in ATTRIBUTES}
        return CityRecord(**(plain | {"latents": own, "known": facts}))

    table = [record("a", True), record("b", False, "country"), record("c", True, *ATTRIBUTES)]
    assert counted(table) == {
        "total": 3,
        "with_latent": 2,
        "known_facts": {"country": 1, "language": 2, "continent": 2, "currency": 2},
        "all_four_known": 1,
    }
