"""The Enumerate page through its states, on a small lab and once on the real default."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from metasae.lab.lab import Lab
from metasae.search import exhaustive
from metasae.search.combinations import Combinations
from metasae.search.job import Job
from metasae.search.spec import Spec
from metasae.sources.presets import EMBEDDED
from tests.builders import never
from tests.pages.opening import open_page, until
from workbench import shared
from workbench.enumerate import choose, matrix, searches, tables
from workbench.text import escape

pytestmark = pytest.mark.timeout(300)

PAIR = {"v": "1", "source": "Tokyo", "target": "Paris"}
"""A link's pair of few combinations."""


@pytest.fixture
def on_real(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The real default, opened by every page."""
    monkeypatch.setattr(shared, "get_lab", lambda preset: lab)
    return lab


def reached(app: AppTest, condition: Callable[[], object]) -> AppTest:
    """The page once it shows something; it is drawn anew until then."""
    until(lambda: app.run() and condition(), seconds=200)
    assert not app.exception
    return app


def finished(app: AppTest) -> AppTest:
    """The page once the search is done, and its side effects and controls are."""
    return reached(app, lambda: app.main.subheader and "Verdict" in app.dataframe[0].value)


def test_it_says_what_a_search_takes_before_it_starts(on_small: Lab) -> None:
    lab = on_small
    app = open_page("enumerate", **PAIR)
    assert not app.exception and not app.error
    count = len(Combinations.of(lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"))))
    assert app.button(key="search-start").label == f"Try all {count:,} combinations"
    assert any("Takes about" in caption.value for caption in app.caption)
    assert not app.dataframe


@pytest.mark.long
def test_a_search_ends_in_a_row_for_every_pattern(on_real: Lab) -> None:
    app = open_page("enumerate", **PAIR)
    app.button(key="search-start").click().run()
    finished(app)
    summary = Job(on_real, enumerating_spec()).summary()
    assert summary is not None and len(summary.patterns) > 1
    assert app.main.subheader[0].value == f"{len(summary.patterns)} of 16 patterns can be reached"
    table = app.dataframe[0].value
    assert table["Margin (nats)"].tolist() == [one.margin for one in summary.patterns]
    assert set(table["Verdict"]) <= {"", "beyond chance", "chance does as well"}
    for one, moves in zip(summary.patterns, table["Country"], strict=True):
        assert (moves == "moves") == one.pattern["country"]
    # Whoever comes next finds it done.
    again = finished(open_page("enumerate", **PAIR))
    assert again.dataframe[0].value["Edit"].tolist() == table["Edit"].tolist()


def enumerating_spec() -> Spec:
    return Spec(EMBEDDED.opened, "Tokyo", "Paris")


def test_the_link_says_what_is_searched(on_small: Lab) -> None:
    app = open_page("enumerate", **PAIR)
    app.multiselect(key="search-attributes").set_value(["language", "currency"]).run()
    app.selectbox(key="search-strengths").set_value("wide").run()
    app.selectbox(key="wording").set_value("reworded").run()
    values = {name: one if isinstance(one, str) else one[0]
              for name, one in app.query_params.items()}  # fmt: skip
    assert values["attributes"] == "language.currency" and values["strengths"] == "wide"
    assert values["wording"] == "reworded"
    assert choose.from_query(values) == (["language", "currency"], "wide")
    assert "moved" not in values
    again = open_page("enumerate", **values)
    assert again.selectbox(key="wording").value == "reworded"
    assert not again.exception and not again.error


def test_what_counts_as_moved_is_chosen_and_in_the_link(on_small: Lab) -> None:
    app = open_page("enumerate", **PAIR)
    app.selectbox(key="search-strict").set_value(True).run()
    assert not app.exception and app.query_params["moved"] == "itself"
    again = open_page("enumerate", moved="itself", **PAIR)
    assert again.selectbox(key="search-strict").value is True
    again.button(key="search-start").click().run()
    finished(again)
    summary = Job(on_small, replace(enumerating_spec(), strict=True)).summary()
    assert summary is not None
    assert again.main.subheader[0].value.startswith(f"{len(summary.patterns)} of 16 ")
    assert any("what the model itself would say" in one.value for one in again.caption)
    # The usual search of the same pair is another one, and not begun.
    assert Job(on_small, enumerating_spec()).summary() is None


def test_options_under_which_edits_are_tried_are_said(on_small: Lab) -> None:
    def said(app: AppTest) -> list[str]:
        assert not app.exception and not app.error
        captions = [one.value.replace("\\", "") for one in app.caption]
        return [one for one in captions if one.startswith("Every edit that is tried")]

    assert said(open_page("enumerate", **PAIR)) == []
    # A search is made of the source's own latents: in every latent is no option of it.
    assert said(open_page("enumerate", edit="everywhere", **PAIR)) == []
    shown = said(open_page("enumerate", edit="noerror~above_2~after_city", **PAIR))
    assert shown == [
        "Every edit that is tried: SAE error dropped; only where it fires above 2; only after "
        "“city”."
    ]


def test_more_combinations_than_are_tried_are_searched_by_estimate(
    on_small: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exhaustive, "MOST_EXACT", 16)
    app = open_page("enumerate", **PAIR)
    assert any("An estimate chooses at most" in one.value for one in app.markdown)
    app.button(key="search-start").click().run()
    finished(app)
    assert any("chosen by estimate" in caption.value for caption in app.caption)
    table = app.dataframe[0].value
    assert table["Reached by"].isna().all() and len(table) > 1
    assert set(table["Says it"]) <= {f"{n} of 4" for n in range(5)}


def test_the_same_city_twice_is_said(on_small: Lab) -> None:
    app = open_page("enumerate", v="1", source="Paris", target="Paris")
    assert not app.exception
    assert any("are both Paris" in error.value for error in app.error)


def test_all_pairs_among_some_cities_lead_to_steer(on_small: Lab) -> None:
    lab = on_small
    app = open_page("enumerate", cities="Tokyo.Paris", pairs="all")
    assert app.multiselect(key="cities").value == ["Tokyo", "Paris"]
    counts = [
        len(Combinations.of(lab.experiment(lab.subject(a), lab.subject(b))))
        for a, b in (("Tokyo", "Paris"), ("Paris", "Tokyo"))
    ]
    assert any(f"{sum(counts):,} combinations, about" in one.value for one in app.caption)
    app.button(key="pairs-start").click().run()
    # The table is there as soon as the first pair is.
    reached(app, lambda: app.dataframe and app.dataframe[-1].value["source"].nunique() == 2)
    table = app.dataframe[-1].value
    assert set(zip(table["source"], table["target"], strict=True)) == {
        ("Tokyo", "Paris"), ("Paris", "Tokyo"),
    }  # fmt: skip
    reached(app, lambda: not any("cancel" in str(one.key) for one in app.button))
    # The picture or the list chooses a pair; each of its patterns is a card that leads to Steer.
    assert app.selectbox(key="pair-shown").options == ["Tokyo → Paris", "Paris → Tokyo"]
    app.selectbox(key="pair-shown").set_value("Paris → Tokyo").run()
    assert not app.exception
    mine = table[table["source"] == "Paris"]
    shown = [one.value for one in app.markdown]
    assert all(escape(sentence) in shown for sentence in mine["sentence"])
    buttons = [str(one.key) for one in app.button if str(one.key).startswith("pairs-open-")]
    assert len(buttons) == len(mine)
    app.button(key=buttons[-1]).click().run()
    assert app.query_params["source"] == "Paris" and app.query_params["edit"]


def test_a_cell_of_the_matrix_shows_its_pair(on_small: Lab) -> None:
    matrix._shown({"source": "Paris", "target": "Tokyo"})
    assert st.session_state["pair-shown"] == "Paris → Tokyo"
    del st.session_state["pair-shown"]


def test_the_cities_of_the_matrix_are_in_the_link(on_small: Lab) -> None:
    app = open_page("enumerate", cities="Tokyo.Paris", pairs="all")
    app.multiselect(key="cities").set_value(["Cairo", "Tokyo"]).run()
    assert app.query_params["cities"] == "Cairo.Tokyo"


def test_a_link_with_cities_opens_their_tab(on_small: Lab) -> None:
    app = open_page("enumerate", cities="Cairo.Tokyo")
    assert not app.exception and app.multiselect(key="cities").value == ["Cairo", "Tokyo"]
    assert app.button(key="pairs-start").label == "Search 2 pairs"
    said = {name: "".join(one) for name, one in app.query_params.items()}
    assert said["pairs"] == "all" and said["cities"] == "Cairo.Tokyo"


def test_a_link_with_more_cities_than_may_be_looks_at_none(
    on_small: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "MOST_CITIES", 2)
    monkeypatch.setattr(searches, "all_pairs", never("there are too many"))
    app = open_page("enumerate", cities="Cairo.Tokyo.Paris")
    assert not app.exception
    (said,) = app.info
    assert said.value == (
        "3 cities have 6 pairs; choose 2 at most. The command line searches more."
    )
    assert "pairs-start" not in [one.key for one in app.button]


def test_the_link_of_one_pair_says_nothing_of_cities(on_small: Lab) -> None:
    """Else it would open the other tab."""
    app = open_page("enumerate", **PAIR)
    app.session_state["cities"] = ["Cairo", "Tokyo"]
    app.run()
    assert not app.exception and "cities" not in app.query_params
    again = open_page("enumerate", **{name: one if isinstance(one, str) else one[0]
                                      for name, one in app.query_params.items()})  # fmt: skip
    assert again.button(key="search-start").label.startswith("Try all ")


def test_any_name_is_searched(on_small: Lab) -> None:
    app = open_page("enumerate", v="1", source="Old Tokyo", target="Paris")
    assert not app.exception and not app.error
    said = [one.value.replace("\\", "") for one in app.caption]
    bare = "No facts are known for Old Tokyo: the answers that stand for it are the model's own."
    assert bare in said
    assert app.button(key="search-start").label.startswith("Try all ")


def test_any_names_are_paired_and_in_the_link(on_small: Lab) -> None:
    app = open_page("enumerate", cities="St%2E Tokyo.Paris", pairs="all")
    assert not app.exception and not app.error
    assert app.multiselect(key="cities").value == ["St. Tokyo", "Paris"]
    assert app.query_params["cities"] == "St%2E Tokyo.Paris"
    said = [one.value.replace("\\", "") for one in app.caption]
    assert any(one.startswith("No facts are known for St. Tokyo:") for one in said)


def test_leads_are_target_over_source(on_small: Lab) -> None:
    job = Job(on_small, enumerating_spec())
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
