"""Studies' pictures on a page: as wide as there is room, in the theme's colours."""

import json
from typing import Any

import altair as alt
import pandas as pd
import pytest
import vl_convert

from tests.drawn import text_places
from workbench.charts.ink import DARK, LIGHT
from workbench.charts.studies import WRAPPED, on_screen, rooms

TABLE = pd.DataFrame({"pair": ["b", "a", "b"], "x": [1.0, 2.0, 3.0], "y": [1.0, 1.0, 2.0]})


def spec_of(chart: Any) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads(chart.to_json())
    return spec


def bars() -> alt.Chart:
    return alt.Chart(TABLE).mark_bar().encode(alt.X("x:Q"), alt.Y("pair:N", title=None))


def test_a_chart_takes_the_width_there_is_and_its_plot_keeps_its_height() -> None:
    spec = spec_of(bars().properties(width=420, height=90))
    (shown,) = on_screen(spec, DARK)
    assert shown["width"] == "container" and shown["height"] > 90
    assert shown["config"]["axis"]["labelColor"] == DARK.text
    assert shown["config"]["mark"]["color"] == DARK.source
    # What is kept and downloaded is as it was.
    assert spec["width"] == 420 and spec["height"] == 90
    assert vl_convert.vegalite_to_svg(shown | {"width": 360})


def test_a_picture_in_facets_is_a_chart_for_each_value() -> None:
    base = alt.Chart().mark_bar().encode(alt.X("x:Q"), alt.Y("y:Q"))
    line = alt.Chart().mark_rule().encode(x=alt.datum(0.7))
    facets = alt.layer(base, line, data=TABLE).properties(width=220, height=120)
    shown = on_screen(spec_of(facets.facet(alt.Facet("pair:N"), columns=3)), LIGHT)
    assert [one["title"] for one in shown] == ["b", "a"]
    for one in shown:
        assert one["width"] == "container" and "facet" not in one and len(one["layer"]) == 2
        assert one["transform"] == [{"filter": {"field": "pair", "equal": one["title"]}}]
        assert vl_convert.vegalite_to_svg(one | {"width": 360})


def test_facets_in_rows_are_charts_too() -> None:
    facets = bars().properties(width=360).facet(row=alt.Row("pair:N", title=None))
    shown = on_screen(spec_of(facets), LIGHT)
    assert [one["title"] for one in shown] == ["b", "a"]
    assert rooms(spec_of(facets)) == [480, 480]


def test_a_wide_picture_is_given_more_room_and_a_small_one_enough() -> None:
    assert rooms(spec_of(bars().properties(width=420))) == [540]
    both = alt.hconcat(bars().properties(width=100), bars().properties(width=560))
    assert rooms(spec_of(both)) == [300, 680]


@pytest.mark.parametrize("together", [alt.hconcat, alt.vconcat])
def test_pictures_beside_one_another_are_a_chart_each(together: Any) -> None:
    shown = on_screen(spec_of(together(bars(), bars().properties(title="two"))), LIGHT)
    assert [one.get("title") for one in shown] == [None, "two"]
    assert all(vl_convert.vegalite_to_svg(one | {"width": 360}) for one in shown)


def test_long_names_of_rows_stand_in_several_lines() -> None:
    (shown,) = on_screen(spec_of(bars()), LIGHT)
    axis = shown["encoding"]["y"]["axis"]
    assert str(WRAPPED) in axis["labelExpr"] and axis["labelLimit"] < 200
    name = "nearest of 1,152 latents, encoder trained"
    long = alt.Chart(TABLE.assign(pair=name)).mark_bar().encode(alt.X("x:Q"), alt.Y("pair:N"))
    (shown,) = on_screen(spec_of(long), LIGHT)
    drawn = vl_convert.vegalite_to_svg(shown | {"width": 360})
    assert name not in drawn.partition("<text")[2].replace("<desc", "") or "tspan" in drawn
    # A number's axis stays as it is.
    (shown,) = on_screen(
        spec_of(alt.Chart(TABLE).mark_point().encode(alt.X("x:Q"), alt.Y("y:Q"))), LIGHT
    )
    assert "axis" not in shown["encoding"]["y"]


@pytest.mark.parametrize(("width", "columns"), [(200, 1), (640, 2)])
def test_a_legend_has_as_many_columns_as_there_is_room_for(width: int, columns: int) -> None:
    names = ["children", "a random remainder", "another family's remainder"]
    table = pd.DataFrame({"x": [0.1, 0.2, 0.3], "y": ["a", "a", "a"], "of": names})
    chart = alt.Chart(table).mark_point().encode(alt.X("x:Q"), alt.Y("y:N"), alt.Color("of:N"))
    (shown,) = on_screen(spec_of(chart))
    assert len(set(text_places(shown | {"width": width}, names).values())) == columns


def test_a_legend_of_several_lines_takes_none_of_the_plots_height() -> None:
    def height(**more: Any) -> int:
        (shown,) = on_screen(spec_of(bars().encode(**more).properties(height=90)))
        found: int = shown["height"]
        return found

    assert height(color=alt.Color("pair:N")) > height()
    assert height(color=alt.Color("pair:N", legend=None)) == height()
