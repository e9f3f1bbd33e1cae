"""A city's record."""

from metasae.lab.city_records import CityRecord, RankedLatent
from tests.builders import city_record


def test_has_an_own_latent_when_one_is() -> None:
    record = city_record("Tokyo", "Japan")
    for own in (False, True):
        latent = RankedLatent(1, 1.0, 0.9, 0.0, False, own)
        assert CityRecord(**(vars(record) | {"latents": (latent,)})).has_own_latent is own


def test_a_record_survives_its_dictionary() -> None:
    record = city_record("Tokyo", "Japan", 3, 5)
    assert CityRecord.from_dict(record.to_dict()) == record
