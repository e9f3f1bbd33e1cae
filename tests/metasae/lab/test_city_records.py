"""A name's and a city's record."""

from dataclasses import replace

import pytest

from metasae.lab.city_records import CityRecord, NameRecord, RankedLatent, Told
from tests.builders import city_record


def test_a_name_has_an_own_latent_where_one_is_marked() -> None:
    shared = RankedLatent(1, 9.0, 0.9, None, own=False, chosen=True)
    for own in (False, True):
        record = NameRecord("hamster", (shared, replace(shared, latent=2, own=own, chosen=False)))
        assert record.has_own_latent is own and record.chosen == (shared,)
    assert not NameRecord("hamster", ()).has_own_latent


def test_what_is_at_least_a_quarter_as_active_as_the_strongest_is_swapped() -> None:
    latents = [
        RankedLatent(latent, activation, 0.1, None, own=False, chosen=latent == 1)
        for latent, activation in ((1, 4.0), (2, 8.0), (3, 2.0), (4, 1.9))
    ]
    active = NameRecord("hamster", tuple(latents)).active
    assert [one.latent for one in active] == [1, 2, 3]
    assert NameRecord("hamster", ()).active == ()


def test_what_is_told_of_a_city_is_its_facts_in_the_models_forms() -> None:
    city = replace(
        city_record("Chicago", "United States"), currency="dollar",
        answers={"country": "the United States", "currency": "US dollar"},
    )  # fmt: skip
    assert city.told == {
        "country": Told("United States", "the United States"),
        "currency": Told("dollar", "US dollar"),
    }


def test_a_record_survives_its_dictionary() -> None:
    record = city_record("Tokyo", "Japan", 3, 5)
    assert CityRecord.from_dict(record.to_dict()) == record


def test_a_record_of_an_earlier_version_is_none() -> None:
    values = city_record("Tokyo", "Japan", 3).to_dict()
    del values["latents"][0]["own"]
    with pytest.raises(ValueError, match="own"):
        CityRecord.from_dict(values)
