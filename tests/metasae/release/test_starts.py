"""Where a release's SAEs start, by hand on residuals of width 3."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from metasae.release import starts
from metasae.release.starts import city_means, country_directions, start_directions
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.training.config import TrainConfig
from tests.builders import residuals

MEAN = torch.tensor([1.0, 0.0, 0.0])


def text(rows: list[tuple[int, int, list[float]]]) -> Any:
    """Windows 0 and 2 were written for city 5, window 1 for city 3, window 3 for none."""
    windows = SimpleNamespace(city=torch.tensor([5, 3, 5, -1]), city_at=torch.tensor([2, 1, 4, 0]))
    window, position, values = zip(*rows, strict=True)
    acts = residuals(torch.tensor(values), window, position, MEAN)
    return SimpleNamespace(activations=acts, windows=windows)


ON_NAMES: list[tuple[int, int, list[float]]] = [
    (0, 2, [3.0, 2.0, 0.0]),
    (2, 4, [1.0, 4.0, 0.0]),
    (1, 1, [1.0, 0.0, 5.0]),
]
BESIDE: list[tuple[int, int, list[float]]] = [
    (0, 1, [1.0, 7.0, 0.0]),  # the direction of city 5's mean
    (1, 2, [-6.0, 0.0, 0.0]),
    (2, 2, [1.0, -3.0, 0.0]),
    (3, 0, [1.0, 0.0, -2.0]),  # of no city, though at place 0
    (3, 1, [-2.0, -2.0, -2.0]),
]


def test_a_citys_mean_is_over_its_names_last_tokens() -> None:
    made = text([*BESIDE, *ON_NAMES])
    # By the city's number: 3, then 5.
    assert city_means(made).tolist() == [[1.0, 0.0, 5.0], [2.0, 3.0, 0.0]]
    assert city_means(made, most=1).tolist() == [[1.0, 0.0, 5.0], [3.0, 2.0, 0.0]]


def config(width: int) -> TrainConfig:
    return TrainConfig(width=width, k=1, steps=1)


def test_starts_are_the_common_the_cities_and_what_is_near_none() -> None:
    made = text([*ON_NAMES, *BESIDE])
    cities = torch.tensor([[0.0, 0.0, 5.0], [1.0, 3.0, 0.0]])  # centred
    common = cities.mean(0)
    directions = start_directions(made, config(4), city_starts=True)
    assert directions.shape == (4, 3)
    torch.testing.assert_close(directions[0], common)
    torch.testing.assert_close(directions[1:3], cities - common)
    # All eight rows are drawn; four are near a city, and those are not among the starts.
    far = [[-7.0, 0.0, 0.0], [0.0, -3.0, 0.0], [0.0, 0.0, -2.0], [-3.0, -2.0, -2.0]]
    assert directions[3].tolist() in far


def test_rows_near_a_city_come_last_where_others_are_too_few() -> None:
    rows = [*ON_NAMES, *BESIDE]
    near = [[0.0, 0.0, 5.0], [2.0, 2.0, 0.0], [0.0, 4.0, 0.0], [0.0, 7.0, 0.0]]
    filler: list[tuple[int, int, list[float]]] = [(3, 5, [1.0, 7.0, 0.0])] * 8
    directions = start_directions(text([*rows, *filler]), config(8), city_starts=True)
    assert directions.shape == (8, 3)
    cities = torch.tensor([[0.0, 0.0, 5.0], [1.0, 3.0, 0.0]])
    closest = (
        torch.nn.functional.normalize(directions[3:]) @ torch.nn.functional.normalize(cities).T
    ).amax(1)
    is_near = (closest >= starts.NEAR_A_CITY).tolist()
    assert is_near == sorted(is_near) and {True, False} == set(is_near)
    assert all(row in near for row in directions[3:][closest >= starts.NEAR_A_CITY].tolist())


def test_without_cities_the_starts_are_centred_rows_by_seed() -> None:
    made = text([*ON_NAMES, *BESIDE])
    directions = start_directions(made, config(5), city_starts=False)
    rows = (torch.tensor([values for *_, values in [*ON_NAMES, *BESIDE]]) - MEAN).tolist()
    assert len(directions) == 5 and all(row in rows for row in directions.tolist())
    assert torch.equal(directions, start_directions(made, config(5), city_starts=False))


def test_a_countrys_direction_is_its_cities_best_latents_beside_all_cities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    countries = ("Japan", "France", "Japan")
    cities = tuple(SimpleNamespace(name=country, country=country) for country in countries)
    monkeypatch.setattr(starts, "load_cities", lambda: cities)
    # Latent 3 is the most active on each, but on all alike: activation × share chooses.
    table = torch.tensor([[4.0, 0.0, 0.0, 5.0], [0.0, 4.0, 0.0, 5.0], [0.0, 0.0, 4.0, 5.0]])
    monkeypatch.setattr(starts, "activation_table", lambda *_: table)
    rows = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [9.0, 9.0, 9.0]])
    sae = SparseAutoencoder(rows.T.contiguous(), torch.zeros(4), rows, torch.zeros(3), k=1)
    model: Any = None
    directions = country_directions(model, sae, 1.0)
    third = torch.full((3,), 1 / 3)
    expected = torch.tensor([[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]) - third
    torch.testing.assert_close(directions, expected)
