"""Countries planted as axes: what is taken out of every latent is known by hand."""

import math
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from metasae.errors import UserError
from metasae.lab.city_records import CityRecord
from metasae.progress import Progress
from metasae.saes.decomposition import Decomposition
from metasae.steering.global_edit import GlobalEdit
from metasae.studies import global_edit as module
from metasae.studies.city_facts import Ask, CityFacts
from metasae.studies.global_edit import (
    OTHER,
    RANDOM,
    STUDY,
    TAKEN_OUT,
    WITHOUT_RESIDUAL,
    Chosen,
    Configuration,
    chosen,
    halves,
    like,
    on_cities,
    per_token,
    random_like,
)
from metasae.studies.held_out_text import Change
from metasae.studies.study import Material
from tests.builders import city_record, one_sentence
from tests.metasae.studies.planted import material_of, sae_of, sums_of

LATENTS = (
    (0, 2), (0, 3), (0, 4), (0, 5),  # of Germany, axis 0
    (1, 2), (1, 3), (1, 4), (1, 5),  # of Japan, axis 1
    (6,), (6, 7),
)  # fmt: skip

COUNTRIES = ("Germany",) * 4 + ("Japan",) * 4
CITIES = tuple(city_record(f"city {n}", country, n) for n, country in enumerate(COUNTRIES))

ONCE = 10 / math.sqrt(2)
"""What a city has along each of its two axes: its latent alone fires, at 10."""


def residual(latent: int) -> Tensor:
    return 10 * sums_of(LATENTS)[latent]


def prepare(records: Sequence[CityRecord], _: Progress) -> Ask:
    """Of a city two things are asked: its country's axis and its own; right above 1."""

    def ask(change: Change | None) -> pd.DataFrame:
        rows = []
        for record in records:
            latent = record.chosen[0].latent
            x = residual(latent)[None]
            x = x if change is None else change(x)
            for attribute, axis in zip(("country", "continent"), LATENTS[latent], strict=True):
                nats = float(x[0, axis])
                rows.append((record.name, attribute, nats, nats > 1))
        return pd.DataFrame(rows, columns=["city", "attribute", "nats", "right"])

    return ask


class Text:
    """Three windows of two tokens each; a window costs the squared length of what is changed."""

    rows = torch.stack(
        [residual(0), torch.zeros(8), residual(5), torch.zeros(8), *torch.zeros(2, 8)]
    )
    tokens = torch.tensor([2.0, 2.0, 2.0])

    def nats(self, change: Change | None = None) -> Tensor:
        # In batches, as the real text has it.
        made = torch.cat([part if change is None else change(part) for part in self.rows.split(4)])
        return 1.0 + (made - self.rows).square().sum(1).view(3, 2).sum(1)


def material(**changes: Any) -> Material:
    decomposition = Decomposition(sae_of(sums_of(LATENTS), threshold=7.5), sae_of(torch.eye(8)))
    made = Material(
        decomposition, held_out=lambda *_: Text(),  # type: ignore[arg-type]
        city_facts=CityFacts(CITIES, prepare),
    )  # fmt: skip
    return replace(made, **changes)


ASKED = Configuration(countries=2, least=4)


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], Any]:
    table = STUDY.answer(material(), ASKED).tables["edits"]
    return {(one["country"], one["edit"]): one for one in table.to_dict("records")}


def test_every_country_has_its_own_axis_chosen() -> None:
    finding = STUDY.answer(material(), ASKED)
    assert [(one["country"], one["meta"]) for one in finding.figures["chosen"]] == [
        ("Germany", 0), ("Japan", 1),
    ]  # fmt: skip
    for one in finding.figures["chosen"]:
        assert one["excess"] == pytest.approx(1 / math.sqrt(2))
    assert "0 of Germany, 1 of Japan" in finding.verdict
    assert finding.figures["cities_measured"] == 4 and set(finding.charts) == {"cities"}


def test_taken_out_everywhere_its_cities_lose_it_and_no_other_does(rows: Any) -> None:
    # 10 · (e₀ + e₂) / √2 becomes 10 · e₂.
    one = rows["Germany", TAKEN_OUT]
    assert one["latents"] == 4
    assert one["here"] == pytest.approx((-ONCE + (10 - ONCE)) / 2, abs=1e-4)
    assert (one["here_low"], one["here_high"]) == pytest.approx((one["here"],) * 2)
    assert one["elsewhere"] == one["elsewhere_low"] == one["elsewhere_high"] == 0
    # Its own axis is still right, its country's not.
    assert (one["kept_here"], one["known_here"]) == (2, 4)
    assert (one["kept_elsewhere"], one["known_elsewhere"]) == (4, 4)


def test_what_it_costs_on_text(rows: Any) -> None:
    # Of six tokens the first is latent 0's; the change has the squared length 100 · (2 − √2).
    one = rows["Germany", TAKEN_OUT]
    assert one["tokens"] == pytest.approx(1 / 6)
    assert one["nats"] == pytest.approx(100 * (2 - math.sqrt(2)) / 6, rel=1e-4)
    assert one["nats_low"] == 0 and one["nats_high"] > one["nats"]
    assert rows["Japan", TAKEN_OUT]["nats"] == pytest.approx(one["nats"], rel=1e-4)


def test_stronger_instead(rows: Any) -> None:
    # 10 · (2 e₀ + e₂) / √5.
    one = rows["Germany", "at strength 2"]
    expected = (20 / math.sqrt(5) - ONCE + 10 / math.sqrt(5) - ONCE) / 2
    assert one["here"] == pytest.approx(expected, abs=1e-4)
    assert one["kept_here"] == 4 and one["elsewhere"] == 0


def test_where_all_is_explained_the_residual_makes_no_difference(rows: Any) -> None:
    with_it, without = rows["Germany", TAKEN_OUT], rows["Germany", WITHOUT_RESIDUAL]
    assert without["here"] == pytest.approx(with_it["here"], abs=1e-4)
    assert without["nats"] == pytest.approx(with_it["nats"], rel=1e-4)


def test_each_attribute_by_itself() -> None:
    table = STUDY.answer(material(), ASKED).tables["attributes"]
    one = table[(table["country"] == "Japan") & (table["edit"] == TAKEN_OUT)]
    assert one["attribute"].tolist() == ["country", "continent"]
    assert one["here"].tolist() == pytest.approx([-ONCE, 10 - ONCE], abs=1e-4)
    assert one["elsewhere"].tolist() == [0, 0]


def test_the_random_direction_is_one_for_all_latents_and_as_long_in_each() -> None:
    decomposition = material().decomposition
    edit = GlobalEdit.of(decomposition, {0: 0.0})
    other = random_like(edit, 3)
    assert torch.equal(other.latents, edit.latents)
    torch.testing.assert_close(other.step.norm(dim=1), edit.step.norm(dim=1))
    assert torch.linalg.matrix_rank(other.step) == 1
    assert torch.equal(other.step, random_like(edit, 3).step)
    assert not torch.allclose(other.step, random_like(edit, 4).step)


def test_the_other_meta_latent_is_about_as_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    decomposition = material().decomposition
    monkeypatch.setattr(module, "_ALIKE", 1)
    # Axis 1 is on four latents with as much activation as axis 0; the others are on two or one.
    assert like(decomposition, 0, seed=0) == 1 and like(decomposition, 1, seed=0) == 0
    assert like(material_of([(0,)] * 3).decomposition, 0, seed=0) is None
    assert like(decomposition, 0, seed=0) is not None


def test_without_another_meta_latent_that_control_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "like", lambda *_: None)
    finding = STUDY.answer(material(), ASKED)
    assert OTHER not in set(finding.tables["edits"]["edit"])
    assert RANDOM in set(finding.tables["edits"]["edit"])
    assert "another meta-latent" not in finding.verdict


def test_a_decoder_of_meta_latents_alone_is_rebuilt_exactly() -> None:
    table = STUDY.answer(material(), ASKED).tables["decoder"].set_index("way")
    for way in ("the SAE", "rebuilt by the meta-SAE", "rebuilt, lengths as they come"):
        assert table.loc[way, "recovered"] == pytest.approx(1.0, abs=1e-4)
    shuffled: Any = table.loc["rebuilt, meta-latents shuffled", "recovered"]
    assert shuffled < 0.9
    assert table.loc["its mean", "recovered"] == 0
    assert table.loc["the residual stream", "nats"] == pytest.approx(0.5)  # 3 nats of 6 tokens


def test_a_meta_latent_of_ones_own() -> None:
    finding = STUDY.answer(material(), replace(ASKED, meta=1))
    assert {(one["country"], one["meta"]) for one in finding.figures["chosen"]} == {("Japan", 1)}


def test_the_choice_sees_no_city_that_is_measured() -> None:
    choose, measure = halves(CITIES, seed=5)
    assert not {one.name for one in choose} & {one.name for one in measure}
    assert len(choose) == len(measure) == 4
    assert [one.country for one in choose].count("Japan") == 2
    assert halves(CITIES, seed=5) == (choose, measure)
    assert any(halves(CITIES, seed)[0] != choose for seed in range(5))
    # Of countries with one city each, half choose.
    lonely = [city_record(f"city {n}", f"country {n}", 0) for n in range(10)]
    assert [len(part) for part in halves(lonely, 0)] == [5, 5]


def test_a_city_has_the_strongest_of_each_meta_latent() -> None:
    decomposition = material().decomposition
    record = city_record("both", "nowhere", 0, 8)
    found = on_cities(decomposition, [record])
    expected = torch.tensor([[1, 0, 1, 0, 0, 0, math.sqrt(2), 0]]) / math.sqrt(2)
    torch.testing.assert_close(found, expected)


def test_countries_with_too_few_cities_are_not_asked() -> None:
    decomposition = material().decomposition
    (found,) = chosen(decomposition, CITIES, {"Japan"}, ASKED)
    assert found == Chosen("Japan", 1, found.excess)
    assert found.excess == pytest.approx(1 / math.sqrt(2))


@pytest.mark.parametrize("config", [replace(ASKED, meta=7), replace(ASKED, least=5)])
def test_where_nothing_stands_out_it_says_so(config: Configuration) -> None:
    with pytest.raises(UserError) as raised:
        STUDY.answer(material(), config)
    assert "stands out" in one_sentence(raised)


def test_a_meta_latent_out_of_range_is_refused() -> None:
    with pytest.raises(UserError, match="no meta-latent 99"):
        STUDY.answer(material(), replace(ASKED, meta=99))


@pytest.mark.parametrize("missing", ["held_out", "city_facts"])
def test_without_a_model_nothing_is_asked(missing: str) -> None:
    with pytest.raises(UserError) as raised:
        STUDY.answer(material(**{missing: None}), ASKED)
    assert "no model" in one_sentence(raised)


def test_nats_a_token_are_of_all_tokens_together() -> None:
    found = per_token(torch.tensor([2.0, 8.0]), torch.tensor([1.0, 3.0]), seed=0)
    assert found == {"value": 2.5, "low": 2.0, "high": pytest.approx(8 / 3)}
    assert SimpleNamespace(**per_token(torch.ones(4), torch.ones(4), 0)).high == 1.0


def test_what_is_chosen_is_not_chosen_on_the_cities_it_is_measured_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, set[str]] = {}

    def choosing(decomposition: Decomposition, records: Any, *more: Any) -> list[Chosen]:
        seen["chosen on"] = {one.name for one in records}
        return chosen(decomposition, records, *more)

    def asking(records: Sequence[CityRecord], progress: Progress) -> Ask:
        seen["measured on"] = {one.name for one in records}
        return prepare(records, progress)

    monkeypatch.setattr(module, "chosen", choosing)
    STUDY.answer(material(city_facts=CityFacts(CITIES, asking)), ASKED)
    assert not seen["chosen on"] & seen["measured on"]
    assert seen["chosen on"] | seen["measured on"] == {one.name for one in CITIES}


def test_a_fact_that_becomes_right_is_not_kept() -> None:
    # Right is what is above 9: nothing before, and a city's own axis once its country's is gone.
    def strict(records: Sequence[CityRecord], progress: Progress) -> Ask:
        ask = prepare(records, progress)
        return lambda change: ask(change).assign(right=lambda facts: facts["nats"] > 9)

    table = STUDY.answer(material(city_facts=CityFacts(CITIES, strict)), ASKED).tables["edits"]
    assert table[["kept_here", "known_here"]].to_numpy().max() == 0


def test_the_residual_streams_mean_stands_in_its_place() -> None:
    table = STUDY.answer(material(), ASKED).tables["decoder"].set_index("way")
    rows = Text.rows
    spread = float((rows - rows.mean(0)).square().sum())
    assert table.loc["its mean", "nats"] == pytest.approx((3 + spread) / 6, rel=1e-5)
