"""A city's record."""

from metasae.lab.city_records import CityRecord, RankedLatent
from tests.builders import city_record


def test_has_own_latent_is_more_than_half() -> None:
    record = city_record("Tokyo", "Japan")
    for share, own in ((0.5, False), (0.51, True)):
        changed = CityRecord(
            **(vars(record) | {"latents": (RankedLatent(1, 1.0, share, 0.0, False),)})
        )
        assert changed.has_own_latent is own


def test_a_record_survives_its_dictionary() -> None:
    record = city_record("Tokyo", "Japan", 3, 5)
    assert CityRecord.from_dict(record.to_dict()) == record
