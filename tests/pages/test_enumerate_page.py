"""The Enumerate page through its states, on the real default, with results in a test folder."""

import time
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from metasae.lab.lab import Lab
from metasae.search import exhaustive
from metasae.search.combinations import Combinations
from metasae.search.job import Job
from metasae.search.spec import Spec
from metasae.sources.presets import EMBEDDED
from metasae.steering.edits import EditOptions
from workbench import shared
from workbench.enumerate import choose, tables

APP = Path(__file__).parents[2] / "workbench" / "app.py"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def opened_lab(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Lab:
    monkeypatch.setenv("METASAE_CACHE", str(tmp_path))
    monkeypatch.setattr(shared, "get_lab", lambda preset: lab)
    st.cache_resource.clear()
    st.cache_data.clear()
    return lab


def enumerate_page(**query: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=120)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    return app.switch_page("../pages/enumerate.py").run()


def finished(app: AppTest) -> AppTest:
    until = time.monotonic() + 200
    while not app.main.subheader and time.monotonic() < until:
        time.sleep(0.5)
        app.run()
    assert not app.exception
    return app


def test_it_says_what_a_search_takes_before_it_starts(lab: Lab) -> None:
    app = enumerate_page()
    assert not app.exception and not app.error
    count = len(Combinations.of(lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"))))
    assert app.button(key="search-start").label == f"Try all {count:,} combinations"
    assert any("Takes about" in caption.value for caption in app.caption)
    assert not app.dataframe


def test_a_search_ends_in_a_row_for_every_pattern(lab: Lab) -> None:
    app = enumerate_page()
    app.button(key="search-start").click().run()
    finished(app)
    summary = Job(lab, enumerating_spec()).summary()
    assert summary is not None and len(summary.patterns) > 1
    assert app.main.subheader[0].value == f"{len(summary.patterns)} of 16 patterns can be reached"
    table = app.dataframe[0].value
    assert table["Margin (nats)"].tolist() == [one.margin for one in summary.patterns]
    assert set(table["Verdict"]) <= {"", "beyond chance", "chance does as well"}
    for one, moves in zip(summary.patterns, table["Country"], strict=True):
        assert (moves == "moves") == one.pattern["country"]
    # Whoever comes next finds it done.
    again = finished(enumerate_page())
    assert again.dataframe[0].value["Edit"].tolist() == table["Edit"].tolist()


def enumerating_spec() -> Spec:
    return Spec(EMBEDDED.opened, "Tokyo", "Paris")


def test_the_link_says_what_is_searched() -> None:
    app = enumerate_page()
    app.multiselect(key="search-attributes").set_value(["language", "currency"]).run()
    app.selectbox(key="search-strengths").set_value("wide").run()
    app.selectbox(key="search-wording").set_value("reworded").run()
    values = {name: one if isinstance(one, str) else one[0]
              for name, one in app.query_params.items()}  # fmt: skip
    assert values["attributes"] == "language.currency" and values["strengths"] == "wide"
    assert choose.from_query(values) == (["language", "currency"], "wide", "reworded")


def test_a_damaged_link_falls_back_to_the_default() -> None:
    every = ["country", "language", "continent", "currency"]
    assert choose.from_query({"attributes": "colour", "strengths": "7", "wording": "?"}) == (
        every,
        "whole",
        "post",
    )


@pytest.mark.parametrize("grid", list(choose.GRIDS))
def test_a_choice_survives_the_link(grid: str) -> None:
    removed, added = choose.GRIDS[grid]
    spec = Spec(
        EMBEDDED.opened, "Tokyo", "Paris", attributes=("country",),
        options=EditOptions(variant="hundredfold"),
        removed=removed, added=added,
    )  # fmt: skip
    assert choose.from_query(choose.to_query(spec)) == (["country"], grid, "post")


def test_more_combinations_than_are_tried_are_searched_by_estimate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exhaustive, "MOST_EXACT", 200)
    app = enumerate_page()
    assert any("An estimate chooses at most" in one.value for one in app.markdown)
    app.button(key="search-start").click().run()
    finished(app)
    assert any("chosen by estimate" in caption.value for caption in app.caption)
    table = app.dataframe[0].value
    assert table["Reached by"].isna().all() and len(table) > 1
    assert set(table["Says it"]) <= {f"{n} of 4" for n in range(5)}


def test_the_same_city_twice_is_said() -> None:
    app = enumerate_page(v="1", source="Paris", target="Paris")
    assert not app.exception
    assert any("are both Paris" in error.value for error in app.error)


def test_all_pairs_among_some_cities_lead_to_steer(lab: Lab) -> None:
    app = AppTest.from_file(str(APP), default_timeout=120).run()
    app.query_params["cities"] = "Tokyo.Paris"
    app.query_params["pairs"] = "all"
    app = app.switch_page("../pages/enumerate.py").run()
    assert app.multiselect(key="cities").value == ["Paris", "Tokyo"]
    counts = [
        len(Combinations.of(lab.experiment(lab.subject(a), lab.subject(b))))
        for a, b in (("Tokyo", "Paris"), ("Paris", "Tokyo"))
    ]
    assert any(f"{sum(counts):,} combinations, about" in one.value for one in app.caption)
    app.button(key="pairs-start").click().run()
    until = time.monotonic() + 100
    # The table is there as soon as the first pair is.
    while not app.dataframe or app.dataframe[-1].value["source"].nunique() < 2:
        assert time.monotonic() < until
        time.sleep(0.5)
        app.run()
    assert not app.exception
    table = app.dataframe[-1].value
    assert set(zip(table["source"], table["target"], strict=True)) == {
        ("Tokyo", "Paris"), ("Paris", "Tokyo"),
    }  # fmt: skip
    while any("cancel" in str(one.key) for one in app.button):
        time.sleep(0.3)
        app.run()
    app.multiselect(key="cities").set_value(["Cairo", "Tokyo"]).run()
    assert app.query_params["cities"] == "Cairo.Tokyo"


def test_leads_are_target_over_source(lab: Lab) -> None:
    job = Job(lab, enumerating_spec())
    job.run()
    table = tables.with_leads(job)
    row = table[table["combination"] == len(job.combinations) - 1].iloc[0]
    answers = job.experiment.apply(job.combinations.edit(int(row["combination"]))).answers
    for attribute, rows in answers.groupby("attribute"):
        scores = dict(zip(rows["city"], rows["logprob"], strict=True))
        mine = [value for city, value in scores.items() if city.split(", ").count("Tokyo")]
        theirs = [value for city, value in scores.items() if city.split(", ").count("Paris")]
        expected = theirs[0] - mine[0] if mine != theirs else 0.0
        assert row[f"lead {attribute}"] == pytest.approx(expected, abs=0.3)
