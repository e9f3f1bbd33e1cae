"""The pictures of a latent and a meta-latent as functions of their tables."""

from typing import Any

import pandas as pd
import pytest

from workbench.charts.ink import DARK, LIGHT, Ink
from workbench.charts.latents import (
    HEIGHT,
    PICKED,
    REST,
    density_chart,
    histogram,
    latents_chart,
    pieces_chart,
    spread_chart,
)  # fmt: skip

PIECES = pd.DataFrame(
    {"meta": [12, 40], "name": ["meta-latent 12 city", "meta-latent 40 Asia"],
     "activation": [0.8, 0.36]}
)  # fmt: skip
DENSITIES = pd.DataFrame(
    {"from": [1e-4, 1e-3, 1e-2], "to": [1e-3, 1e-2, 1e-1], "latents": [3, 7, 2]}
)
BANDS = pd.DataFrame({"from": [1.0, 2.0], "to": [2.0, 4.0], "tokens": [5, 3]})
INKS = pytest.mark.parametrize("ink", [LIGHT, DARK], ids=["light", "dark"])


def rows(spec: dict[str, Any], column: str) -> list[dict[str, Any]]:
    """The rows of the one data set that has a column."""
    (found,) = (data for data in spec["datasets"].values() if column in data[0])
    return list(found)


@INKS
def test_a_latents_pieces_are_rows_that_lead_to_them(ink: Ink) -> None:
    spec = pieces_chart(PIECES, 0.25, ink).to_dict()
    drawn = [(one["number"], one["name"], one["value"]) for one in rows(spec, "name")]
    assert drawn[:2] == [(12, "meta-latent 12 city", 0.8), (40, "meta-latent 40 Asia", 0.36)]
    # A quarter of the squared length is half of the length; it leads nowhere.
    assert drawn[2] == (None, REST, 0.5)
    # What a screen reader hears of the rows.
    heard = ["meta-latent 12 city: 0.80", "meta-latent 40 Asia: 0.36", "in none of them: 0.50"]
    assert [one["told"] for one in rows(spec, "name")] == heard
    assert [one["encoding"].get("description", {}).get("field") for one in spec["layer"]][-1] == (
        "told"
    )
    (picked,) = spec["params"]
    assert picked["name"] == PICKED and picked["select"]["fields"] == ["number"]
    # One axis with one title, however many layers share it.
    titles = {one["encoding"]["x"]["title"] for one in spec["layer"]}
    assert len(titles) == 1


def test_a_meta_latents_latents_are_rows_that_lead_to_them() -> None:
    table = PIECES.rename(columns={"meta": "latent"})
    spec = latents_chart(table).to_dict()
    assert [one["number"] for one in rows(spec, "name")] == [12, 40]
    assert spec["params"][0]["name"] == PICKED


@pytest.mark.parametrize(("own", "band"), [(1e-4, 0), (5e-3, 1), (1e-2, 2), (0.05, 2)])
def test_the_band_a_latent_is_in_is_marked(own: float, band: int) -> None:
    spec = density_chart(DENSITIES, own).to_dict()
    assert [one["own"] for one in rows(spec, "latents")] == [place == band for place in range(3)]
    assert [one["share"] for one in rows(spec, "says")] == [own]


@INKS
def test_distributions_are_tall_enough_to_read(ink: Ink) -> None:
    values = pd.DataFrame({"activation": [0.1, 0.2]})
    for chart in (
        density_chart(DENSITIES, 1e-3, ink), histogram(BANDS, ink), spread_chart(values, ink),
    ):  # fmt: skip
        assert chart.to_dict()["height"] == HEIGHT >= 200
    assert histogram(BANDS.head(0)).to_dict()["height"] == HEIGHT
