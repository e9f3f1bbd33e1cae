"""The Enumerate page over searches that are done: looking at a row, damage, what is kept."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.search.job import Job
from metasae.search.spec import Spec
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import EMBEDDED
from metasae.steering.edits import Edit
from metasae.steering.link import edit_to_text
from tests.pages.opening import open_page
from workbench.enumerate import pair, searches, tables
from workbench.text import escape

pytestmark = pytest.mark.timeout(300)

TOKYO, PARIS = (
    Spec(EMBEDDED.opened, source, target, attributes=("country",))
    for source, target in (("Tokyo", "Paris"), ("Paris", "Tokyo"))
)


@pytest.fixture(scope="module")
def jobs(small_default: Lab, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Job, Job]:
    """Two finished searches, and the cache they are in."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(cache))
        both = Job(small_default, TOKYO), Job(small_default, PARIS)
        for job in both:
            job.run()
    return cache, *both


@pytest.fixture(autouse=True)
def opened(on_small: Lab, jobs: tuple[Path, Job, Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(jobs[0]))


def page(**query: str) -> AppTest:
    app = open_page("enumerate", attributes="country", **query)
    assert not app.exception
    return app


def country(source: str, target: str) -> AppTest:
    app = page(v="1", source=source, target=target)
    assert not app.error
    return app


@pytest.mark.parametrize(
    ("screened", "scored"),
    [(False, "all scored in fp32"), (True, "the edits below scored in fp32, the others in bf16")],
)
def test_how_combinations_were_scored_is_said_once(
    screened: bool, scored: str, jobs: tuple[Path, Job, Job]
) -> None:
    found = jobs[1].summary()
    assert found is not None
    summary = replace(found, screened=screened, seconds=4.0)
    said = pair._how(summary)
    assert said == f"{summary.combinations:,} combinations in 4 s, {scored}."


def test_each_pattern_is_a_card_whose_button_takes_its_edit(jobs: tuple[Path, Job, Job]) -> None:
    _, job, other = jobs
    summary = job.summary()
    assert summary is not None and len(summary.patterns) == 2
    app = country("Tokyo", "Paris")
    shown = [one.value for one in app.markdown]
    assert [one for one in shown if one in ("**Nothing moves**", "**Country moves**")] == [
        "**Nothing moves**",
        "**Country moves**",
    ]
    assert all(escape(one.sentence) in shown for one in summary.patterns)
    assert any(one.value.startswith("Moves: the target's answer leads") for one in app.caption)
    assert "edit" not in app.query_params
    # The other search has cards of its own.
    app.button(key="exchange").click().run()
    assert not app.exception and "edit" not in app.query_params
    assert f"open-{job.id}-1" not in [one.key for one in app.button]
    app.button(key=f"open-{other.id}-1").click().run()
    found = other.summary()
    assert found is not None
    assert app.query_params["edit"] == edit_to_text(found.patterns[1].edit)
    assert app.query_params["source"] == "Paris"


def test_a_point_of_the_picture_opens_its_edit(
    on_small: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(on_small, replace(TOKYO, attributes=("country", "language")))
    job.run()
    clicks: list[Callable[[Mapping[str, Any]], None]] = []
    taken: list[Edit] = []
    monkeypatch.setattr(pair, "choose_point", lambda *given, **_: clicks.append(given[-1]))
    monkeypatch.setattr(pair, "_open", taken.append)
    app = open_page(
        "enumerate", v="1", source="Tokyo", target="Paris", attributes="country.language"
    )
    assert not app.exception and len(clicks) == 1 and taken == []
    number = len(job.combinations) - 1
    clicks[0]({"combination": number})
    assert taken == [job.combinations.edit(number)]


def test_the_tab_that_is_closed_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(searches, "get_pairs", lambda *args: asked.append(args))
    country("Tokyo", "Paris")
    assert asked == []


def test_latents_named_twice_in_a_link_are_said() -> None:
    app = page(v="1", source="#12", source_latents="5")
    assert len(app.error) == 1 and "names its latents already" in app.error[0].value
    assert app.selectbox(key="pick-source").value == "#12"


def test_what_was_reached_is_shown_without_controls_where_there_can_be_none(
    jobs: tuple[Path, Job, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*args: object) -> None:
        raise UserError("There are too few meta-latents to draw controls from.")

    monkeypatch.setattr(searches, "effects_and_controls", none)
    app = country("Tokyo", "Paris")
    table = app.dataframe[0].value
    assert table["Country"].tolist() == ["·", "moves"] and "By chance" not in table.columns
    assert any("draw controls from" in one.value for one in app.info)
    assert not app.error and not any("random edits" in one.value for one in app.caption)


def test_the_rows_of_a_finished_search_are_read_once(
    jobs: tuple[Path, Job, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, job, _ = jobs
    read: list[str] = []
    results = Job.results

    def counted(self: Job) -> pd.DataFrame:
        read.append(self.id)
        return results(self)

    monkeypatch.setattr(Job, "results", counted)
    first = tables.finished_leads(job.id, job)
    assert tables.finished_leads(job.id, job) is first and read == [job.id]


def test_a_download_leaves_nothing_behind(jobs: tuple[Path, Job, Job]) -> None:
    _, job, _ = jobs
    before = sorted(job.folder.iterdir())
    content = tables.exported(job, ".csv")
    assert content.startswith(b"# {") and content.count(b"\n") == len(job.combinations) + 2
    assert sorted(job.folder.iterdir()) == before


def test_latents_are_led_by_the_city_they_are_asked_about(on_small: Lab) -> None:
    tokyo = on_small.city_record("Tokyo").latents[0].latent
    job = Job(on_small, Spec(EMBEDDED.opened, f"#{tokyo}", "Paris", attributes=("country",)))
    job.run()
    assert (tables.with_leads(job)["lead country"] != 0).all()
