"""The Studies page through its states, on the small lab."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from metasae.lab.lab import Lab
from metasae.progress import Progress
from metasae.sources.files import read_json, write_json
from metasae.studies import max_cosine
from metasae.studies.registry import STUDIES, study
from metasae.studies.runs import Run, all_runs, begin
from metasae.studies.study import Finding, Material
from tests.builders import cut_off
from tests.pages.opening import open_page, query, until
from workbench.studies import ask, jobs
from workbench.studies.result import headline

pytestmark = pytest.mark.usefixtures("on_small")


def studies_page(**link: str) -> AppTest:
    app = open_page("studies", **link)
    assert not app.exception
    return app


def ended(app: AppTest) -> Run:
    """The run the address names, once this process no longer works on it."""
    run = all_runs()[0]
    until(lambda: (work := jobs.work_of(run)) is None or work.done)
    app.run()
    assert not app.exception
    return run


def finished(lab: Lab, name: str = "max-cosine", **settings: str) -> Run:
    """A run that has been worked out."""
    run = begin(lab, study(name), study(name).configured(settings), 1)
    run.answer(lab)
    return run


def said(app: AppTest) -> list[str]:
    """All that is written, without the marks that keep it from being Markdown."""
    written = [*app.main.markdown, *app.main.subheader, *app.main.caption, *app.info, *app.error]
    return [one.value.replace("\\", "") for one in written]


def found_is_said(app: AppTest, run: Run) -> bool:
    """Whether a run's whole verdict is on screen."""
    return {one for one in headline(run.result().verdict) if one} <= set(said(app))


def with_column(app: AppTest, name: str) -> list[pd.DataFrame]:
    return [one.value for one in app.dataframe if name in one.value]


class Slow:
    """Makes a study wait, after its first part, until it is let go or cancelled."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.made: list[str] = []

    def run(self, material: Material, config: object, progress: Progress) -> Finding:
        first = material.parts.table("first", lambda: self._part("first"))
        while not self.go_on.wait(0.05):
            progress("Waiting", 0.5, "for a test")
        return Finding("It is over.", {"parts": len(first)}, {"parts": first})

    def _part(self, name: str) -> pd.DataFrame:
        self.made.append(name)
        return pd.DataFrame({"part": [name]})


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    slow = Slow()
    monkeypatch.setattr(max_cosine, "STUDY", replace(max_cosine.STUDY, run=slow.run))
    yield slow
    slow.go_on.set()


def test_all_studies_are_listed_with_what_they_ask(on_small: Lab) -> None:
    run = finished(on_small)
    app = studies_page()
    titles = [one.value.replace("\\", "") for one in app.main.subheader]
    assert titles == [study(name).title for name in STUDIES]
    texts = said(app)
    for name in STUDIES:
        assert f"**{study(name).question}**" in texts
    # What was found here stands on its card; the others are not asked yet.
    first, rest = headline(run.result().verdict)
    assert f"**Here:** {first}" in texts and rest in texts
    assert texts.count("Not asked of this SAE yet.") == len(STUDIES) - 1
    app.button(key="open-max-cosine").click().run()
    assert query(app)["run"] == run.identity and found_is_said(app, run)
    app.button(key="all-studies").click().run()
    assert "study" not in query(app)
    app.button(key="open-graphs").click().run()
    assert query(app)["study"] == "graphs" and "run" not in query(app)


def test_a_study_is_chosen_run_and_its_verdict_read(on_small: Lab) -> None:
    app = studies_page(study="max-cosine")
    assert any("isn't known yet: it would be the first time" in one for one in said(app))
    app.text_input(key="set-max-cosine--threshold").set_value("0.6").run()
    app.button(key="run-max-cosine").click().run()
    run = ended(app)
    assert run.asked.configuration["threshold"] == 0.6 and run.asked.made == on_small.provenance
    assert query(app)["study"] == "max-cosine" and query(app)["run"] == run.identity
    found = run.result()
    assert app.main.subheader[0].value.replace("\\", "") == headline(found.verdict)[0]
    assert found_is_said(app, run)
    code = [one.value for one in app.main.code]
    assert found.code.strip() in code and any(
        one.startswith("python -m metasae study") for one in code
    )
    # The settings begin as they were; the same is not worked out again.
    assert app.text_input(key=f"set-max-cosine-{run.identity}-threshold").value == "0.6"
    app.button(key="run-max-cosine").click().run()
    assert any("asked before" in one for one in said(app)) and len(all_runs()) == 1
    assert any("with the same settings and 1 meta-SAE took" in one for one in said(app))
    app.text_input(key=f"set-max-cosine-{run.identity}-threshold").set_value("0.5").run()
    assert any("with other settings and 1 meta-SAE took" in one for one in said(app))


def test_a_link_opens_a_run_again(on_small: Lab) -> None:
    first, second = finished(on_small), finished(on_small, threshold="0.6")
    app = studies_page(study="max-cosine", run=second.identity)
    assert found_is_said(app, second) and not app.error
    assert query(app)["run"] == second.identity
    # Its tables are drawn when they are looked at.
    key = f"tables-{second.identity}"
    assert not with_column(app, "random_share")
    app.session_state[key] = True
    app.run()
    (table,) = with_column(app, "random_share")
    assert table["share"].tolist() == second.result().tables["shares"]["share"].tolist()
    # The other is among the former runs.
    (former,) = with_column(app, "Run")
    assert former["Run"].tolist() == [first.identity]


@pytest.mark.parametrize("identity", ["0" * 12, "../../x", "<b>*x*</b>"])
def test_an_unknown_run_is_said_and_the_study_shown(identity: str) -> None:
    app = studies_page(study="graphs", run=identity)
    (error,) = [one.value for one in app.error]
    assert "There is no run" in error and "<b>" not in error.replace("\\<b", "")
    assert query(app)["study"] == "graphs" and "run" not in query(app)
    assert app.button(key="run-graphs").label == "Run"


def test_settings_that_are_not_asked_yet_are_in_the_link(on_small: Lab) -> None:
    app = studies_page(study="max-cosine")
    assert "set" not in query(app) and "seeds" not in query(app)
    app.text_input(key="set-max-cosine--threshold").set_value("0.6").run()
    app.number_input(key="seeds-max-cosine-").set_value(3).run()
    link = query(app)
    assert link["set"] == "threshold:0.6" and link["seeds"] == "3"
    again = studies_page(study="max-cosine", set=link["set"], seeds=link["seeds"])
    assert again.text_input(key="set-max-cosine--threshold").value == "0.6"
    assert again.number_input(key="seeds-max-cosine-").value == 3 and query(again) == link
    again.text_input(key="set-max-cosine--threshold").set_value("0.7").run()
    assert "set" not in query(again)
    # Beside a run it is what differs from the run's own.
    run = finished(on_small, threshold="0.6")
    app = studies_page(run=run.identity, set="threshold:0.7,seed:5")
    assert query(app)["set"] == "threshold:0.7,seed:5" and query(app)["run"] == run.identity
    app.button(key="all-studies").click().run()
    assert "set" not in query(app) and "seeds" not in query(app)


@pytest.mark.parametrize(
    ("typed", "seeds"),
    [("nonsense", "99"), ("threshold", "x"), ("seed:x,colour:red", ""), (",:,", "-1"),
     ("seed:99999999999999999999999", "²")],
)  # fmt: skip
def test_a_link_with_settings_there_are_none_of_is_the_usual(typed: str, seeds: str) -> None:
    app = studies_page(study="max-cosine", set=typed, seeds=seeds)
    assert not app.error and app.number_input(key="seeds-max-cosine-").value == 1
    assert app.text_input(key="set-max-cosine--threshold").value == "0.7"
    assert app.number_input(key="set-max-cosine--seed").value == 0
    assert "set" not in query(app) and "seeds" not in query(app)


def test_what_further_meta_saes_take_is_timed_before_they_are_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ask, "missing", lambda lab, count: count - 1)
    monkeypatch.setattr(jobs, "seconds_of_training", lambda lab: 100.0)
    app = studies_page(study="max-cosine")
    assert not any("timed here" in one for one in said(app))
    app.number_input(key="seeds-max-cosine-").set_value(3).run()
    (told,) = [one for one in said(app) if "timed here" in one]
    assert "2 more meta-SAEs are trained, about 3 min 20 s" in told


def test_an_unknown_study_is_said_and_all_are_shown() -> None:
    app = studies_page(study="nonsense")
    assert [one.value for one in app.error] and "There is no study nonsense" in said(app)[-1]
    assert len(app.main.subheader) == len(STUDIES)


def test_a_setting_that_makes_no_sense_is_said_and_nothing_begins() -> None:
    app = studies_page(study="max-cosine")
    for typed, told in (("7", "between 0 and 1"), ("high", "give a number"), ("", "give a number")):
        app.text_input(key="set-max-cosine--threshold").set_value(typed).run()
        assert not app.exception
        assert [told in one.value.replace("\\", "") for one in app.error] == [True]
        assert not [one for one in app.button if one.key == "run-max-cosine"]
    assert all_runs() == []


def test_a_cancelled_run_is_kept_and_gone_on_with(on_small: Lab, slow: Slow) -> None:
    app = studies_page(study="max-cosine")
    app.button(key="run-max-cosine").click().run()
    run = all_runs()[0]
    work = jobs.work_of(run)
    assert work is not None
    until(lambda: "Waiting" in work.line, lambda: work.done)
    # Whoever leaves the page finds it under way.
    app.button(key="all-studies").click().run()
    assert "Under way." in said(app) and not work.done
    app.button(key="open-max-cosine").click().run()
    assert query(app)["run"] == run.identity
    app.button(key=f"cancel-{id(work)}").click().run()
    ended(app)
    assert any("was cancelled" in one.value for one in app.info) and not app.error
    assert any("What was worked out is kept" in one for one in said(app))
    slow.go_on.set()
    app.button(key=f"go-on-{run.identity}").click().run()
    ended(app)
    assert "It is over." in said(app) and slow.made == ["first"]
    # Deleted once that was said again.
    app.button(key=f"delete-{run.identity}").click().run()
    assert all_runs() == [] and "run" not in query(app) and not app.error


def test_a_run_that_was_killed_goes_on(on_small: Lab, slow: Slow) -> None:
    run = begin(on_small, study("max-cosine"), study("max-cosine").configuration(), 1)
    app = studies_page(run=run.identity)
    assert any("stopped before anything was worked out" in one for one in said(app))
    slow.go_on.set()
    app.button(key=f"go-on-{run.identity}").click().run()
    ended(app)
    assert "It is over." in said(app) and query(app)["study"] == "max-cosine"


def test_a_run_of_other_weights_is_shown_but_not_gone_on_with(on_small: Lab) -> None:
    other = replace(on_small, provenance=replace(on_small.provenance, meta_sae="meta-sae@other"))
    done = finished(other)
    app = studies_page(run=done.identity)
    assert any("meta-SAE meta-sae@other" in one for one in said(app)) and not app.error
    stopped = begin(other, study("graphs"), study("graphs").configuration(), 1)
    app = studies_page(run=stopped.identity)
    assert any("meta-sae@other" in one and "ask the study anew" in one for one in said(app))
    assert not [one for one in app.button if one.key == f"go-on-{stopped.identity}"]
    # Neither is taken for what was found on the SAE that is open.
    assert said(studies_page()).count("Not asked of this SAE yet.") == len(STUDIES)


def test_a_damaged_run_is_said_and_can_be_worked_out_again(on_small: Lab) -> None:
    run = finished(on_small)
    cut_off("result/result.json")(run.folder)
    app = studies_page(run=run.identity)
    (error,) = [one.value for one in app.error]
    assert "damaged" in error
    assert any("damaged" in one.value for one in studies_page().error)
    app.button(key=f"go-on-{run.identity}").click().run()
    ended(app)
    assert found_is_said(app, run)
    write_json(run.folder / "asked.json", read_json(run.folder / "asked.json") | {"format": 9})
    app = studies_page(run=run.identity)
    assert any("another version" in one.value for one in app.error)


def test_a_study_that_fails_says_why(
    on_small: Lab, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> Finding:
        raise ValueError("what only a terminal shows")

    monkeypatch.setattr(max_cosine, "STUDY", replace(max_cosine.STUDY, run=fails))
    app = studies_page(study="max-cosine")
    app.button(key="run-max-cosine").click().run()
    ended(app)
    assert any("did not succeed" in one.value for one in app.error)
    assert not any("only a terminal" in one for one in said(app))


@pytest.mark.parametrize(
    ("verdict", "first", "rest"),
    [
        ("It is over.", "It is over.", ""),
        ("60% (1 to 2; 3 at random) are; of others 1%.", "60% (1 to 2; 3 at random) are.",
         "Of others 1%."),
        ("A is 0.5. Of B none; C.", "A is 0.5.", "Of B none; C."),
        ("", "", ""),
    ],
)  # fmt: skip
def test_a_verdict_begins_with_its_first_statement(verdict: str, first: str, rest: str) -> None:
    assert headline(verdict) == (first, rest)
