"""Names that others are compared with, on numbers small enough to follow."""

from pathlib import Path

import pytest
import torch

from metasae.lab.reference import NameReference, reference_names
from metasae.text.cities import load_cities

TABLE = torch.tensor([[8.0, 0.0, 2.0], [4.0, 0.0, 0.0], [0.0, 0.0, 6.0], [0.0, 0.0, 0.0]])
REFERENCE = NameReference.of(("Ulm", "tea", "jazz", "oak"), TABLE)


def test_a_reference_names_share_is_of_all_reference_names() -> None:
    assert REFERENCE.total.tolist() == [12.0, 0.0, 8.0]
    for row, name in enumerate(REFERENCE.names):
        assert torch.equal(REFERENCE.activations(name), TABLE[row])
    shares = REFERENCE.selectivity("Ulm", TABLE[0])
    torch.testing.assert_close(shares, torch.tensor([8 / 12, 0.0, 2 / 8]))


def test_any_other_name_is_compared_with_them_and_itself() -> None:
    shares = REFERENCE.selectivity("Bonn", torch.tensor([12.0, 3.0, 2.0]))
    torch.testing.assert_close(shares, torch.tensor([0.5, 1.0, 0.2]))


def test_the_floor_is_a_quarter_of_the_usual_strongest_activation() -> None:
    # The strongest are 8, 4, 6 and 0, of which the median is 5.
    assert REFERENCE.floor == pytest.approx(5 / 4)


def test_what_else_a_latent_fires_on() -> None:
    assert REFERENCE.also_on(0, "Bonn") == ["Ulm", "tea"]
    assert REFERENCE.also_on(0, "Ulm") == ["tea"]
    assert REFERENCE.also_on(2, "Bonn", 1) == ["jazz"]
    assert REFERENCE.also_on(1, "Bonn") == []


def test_written_and_read(tmp_path: Path) -> None:
    REFERENCE.write(tmp_path / "names.parquet")
    again = NameReference.read(tmp_path / "names.parquet")
    assert again.names == REFERENCE.names and again.width == 3
    assert all(torch.equal(again.activations(n), REFERENCE.activations(n)) for n in again.names)
    assert again.floor == REFERENCE.floor


def test_reference_names_are_the_cities_and_as_many_others() -> None:
    names = reference_names()
    cities = [city.name for city in load_cities()]
    assert names[: len(cities)] == tuple(cities)
    assert len(names) == len(set(names)) > 1.8 * len(cities)
