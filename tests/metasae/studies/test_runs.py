"""Runs are kept, gone on with, read back, and refused where they are damaged."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lab.spread import here
from metasae.progress import Progress, silent
from metasae.sources import cache
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.files import read_json, write_json
from metasae.sources.versions import NewerError
from metasae.studies import registry, result_folder, runs, seeds
from metasae.studies.registry import study as named
from metasae.studies.runs import Run, all_runs, begin, opened
from metasae.studies.study import Finding, Material, Study
from tests.builders import cut_off, never, one_sentence


@dataclass(frozen=True)
class Configuration:
    """How many parts."""

    parts: int = 3
    share: float = 0.5


class Counting:
    """A study in parts that counts which it makes, and can be stopped before one of them."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.stop_at: int | None = None

    def run(self, material: Material, config: Configuration, progress: Progress) -> Finding:
        tables = [
            material.parts.table(f"part {number}", partial(self._make, number))
            for number in range(config.parts)
        ]
        table = pd.concat(tables, ignore_index=True)
        return Finding(f"{len(table)} parts.", {"sum": int(table["value"].sum())}, {"all": table})

    def _make(self, number: int) -> pd.DataFrame:
        if number == self.stop_at:
            raise KeyboardInterrupt
        self.made.append(number)
        return pd.DataFrame({"value": [10 * number]})


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """The study "counting", beside those there are."""
    counting = Counting()
    made = Study("counting", "Counting", "How many?", "", Configuration, counting.run)
    monkeypatch.setattr(runs, "named", lambda name: made if name == "counting" else named(name))
    return counting


def asked(lab: Lab, meta_saes: int = 1, **settings: float) -> Run:
    return begin(lab, runs.named("counting"), Configuration(**settings), meta_saes)  # type: ignore[arg-type]


def stopped(lab: Lab, counting: Counting, at: int = 2) -> Run:
    """A run that was killed before one of its parts."""
    counting.stop_at = at
    run = asked(lab)
    with pytest.raises(KeyboardInterrupt):
        run.answer(lab)
    counting.stop_at = None
    return run


def test_a_killed_run_goes_on_from_its_parts(small_lab: Lab, counting: Counting) -> None:
    run = stopped(small_lab, counting)
    assert counting.made == [0, 1] and run.begun and not run.finished and not run.is_running
    again = asked(small_lab)
    assert again == run
    found = again.answer(small_lab)
    assert counting.made == [0, 1, 2]
    assert found.figures == {"sum": 30} and found.verdict == "3 parts."
    # What was stopped in between has no time of its own.
    assert found.seconds is None
    assert again.finished and not (again.folder / "parts").exists()


def test_a_study_is_given_where_its_pieces_are_done(
    small_lab: Lab, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    run, spread = asked(small_lab), here(small_lab)

    def noting(material: Material, config: Configuration, progress: Progress) -> Finding:
        given.append(material.spread)
        return counting.run(material, config, progress)

    study = Study("counting", "Counting", "How many?", "", Configuration, noting)
    monkeypatch.setattr(runs, "named", lambda name: study)
    # What it takes elsewhere says nothing of what it takes here.
    assert run.answer(small_lab, spread=spread).seconds is None
    run.delete()
    assert asked(small_lab).answer(small_lab).seconds is not None
    assert given == [spread, None]


def test_an_identical_run_is_read_back(small_lab: Lab, counting: Counting) -> None:
    first = asked(small_lab).answer(small_lab)
    assert first.seconds is not None and first.seconds > 0
    again = asked(small_lab).answer(small_lab, never("it is there"))
    assert counting.made == [0, 1, 2] and again.figures == first.figures
    pd.testing.assert_frame_equal(again.tables["all"], pd.DataFrame({"value": [0, 10, 20]}))
    assert again.weights["sae"] == small_lab.weights.sae and len(again.weights["model"]) == 64


def test_what_tells_runs_apart(small_lab: Lab, counting: Counting) -> None:
    other = replace(small_lab, provenance=replace(small_lab.provenance, meta_sae="meta@0"))
    newer = replace(small_lab, provenance=replace(small_lab.provenance, version="99.0"))
    made = [
        asked(small_lab), asked(small_lab, parts=4), asked(small_lab, share=1.0),
        asked(small_lab, meta_saes=2), asked(other), asked(newer),
    ]  # fmt: skip
    assert len({run.identity for run in made}) == len(made)
    for run in made:
        assert opened(run.identity) == run and opened(run.identity).asked == run.asked
    assert asked(small_lab) == made[0]


def test_the_identity_of_a_question_stays(small_lab: Lab) -> None:
    """It names folders and stands in links."""
    made = replace(
        small_lab.provenance, preset="p", model="m", hook="h", sae="s", meta_sae="t", version="1"
    )
    assert runs.Asked("graphs", {"seed": 0, "share": 1.0}, 3, made).identity == IDENTITY


IDENTITY = "38c262bf21c2"


def test_runs_are_listed_newest_first(small_lab: Lab, counting: Counting) -> None:
    assert all_runs() == []
    for number, day in ((1, "02"), (2, "03"), (3, "01")):
        run = asked(small_lab, parts=number)
        path = run.folder / "asked.json"
        write_json(path, read_json(path) | {"began": f"2026-01-{day}T00:00:00+00:00"})
    begin(small_lab, named("graphs"), named("graphs").configuration(), 1)
    assert [run.asked.configuration["parts"] for run in all_runs("counting")] == [2, 1, 3]
    assert all_runs()[0].asked.study == "graphs"
    # What can't be read doesn't hide the others.
    cut_off("asked.json")(all_runs("counting")[0].folder)
    assert [run.asked.configuration["parts"] for run in all_runs("counting")] == [1, 3]


def test_a_deleted_run_is_gone(small_lab: Lab, counting: Counting) -> None:
    run = asked(small_lab)
    run.answer(small_lab)
    run.delete()
    assert all_runs() == [] and not run.folder.exists()
    asked(small_lab).answer(small_lab)
    assert counting.made == [0, 1, 2] * 2


@pytest.mark.parametrize("identity", ["0" * 12, "", "../../presets", "nonsense", "0" * 4000])
def test_an_unknown_run_is_said(identity: str) -> None:
    with pytest.raises(UserError) as raised:
        opened(identity)
    assert len(one_sentence(raised)) < 200


@pytest.mark.parametrize(
    "spoil",
    [
        cut_off("asked.json"),
        lambda folder: (folder / "asked.json").unlink(),
        lambda folder: write_json(folder / "asked.json", []),
        lambda folder: write_json(folder / "asked.json", {"format": 1, "began": ""}),
        lambda folder: changed(folder, seeds=2),
        lambda folder: changed(folder, seeds="two"),
    ],
)
def test_a_damaged_question_is_said_and_asked_anew(
    small_lab: Lab, counting: Counting, spoil: Callable[[Path], object]
) -> None:
    run = stopped(small_lab, counting)
    spoil(run.folder)
    with pytest.raises(UserError) as raised:
        opened(run.identity)
    one_sentence(raised)
    # Nothing that was worked out is lost.
    assert asked(small_lab).answer(small_lab).figures == {"sum": 30}
    assert counting.made == [0, 1, 2] and opened(run.identity).finished


def changed(folder: Path, **values: object) -> None:
    write_json(folder / "asked.json", read_json(folder / "asked.json") | values)


def test_a_run_of_another_format_is_refused(small_lab: Lab, counting: Counting) -> None:
    run = asked(small_lab)
    changed(run.folder, format=2)
    with pytest.raises(UserError) as raised:
        opened(run.identity)
    assert "another version" in one_sentence(raised)
    # Nor does the same question write over it.
    with pytest.raises(NewerError):
        asked(small_lab)
    assert read_json(run.folder / "asked.json")["format"] == 2


def test_a_run_that_says_no_format_is_read(small_lab: Lab, counting: Counting) -> None:
    run = asked(small_lab)
    values = read_json(run.folder / "asked.json")
    assert values.pop("format") == 1
    write_json(run.folder / "asked.json", values)
    assert opened(run.identity) == run


def test_a_result_of_a_newer_version_is_not_worked_out_anew(
    small_lab: Lab, counting: Counting
) -> None:
    run = asked(small_lab)
    run.answer(small_lab)
    path = run.folder / "result" / "result.json"
    write_json(path, read_json(path) | {"format": 2})
    with pytest.raises(NewerError):
        run.answer(small_lab)
    assert read_json(path)["format"] == 2


def test_a_damaged_result_is_said_and_worked_out_anew(small_lab: Lab, counting: Counting) -> None:
    run = asked(small_lab)
    run.answer(small_lab)
    cut_off("result/result.json")(run.folder)
    with pytest.raises(UserError) as raised:
        run.result()
    one_sentence(raised)
    assert run.answer(small_lab).figures == {"sum": 30}
    assert run.result().figures == {"sum": 30}


def test_a_run_goes_on_only_with_its_own_weights(small_lab: Lab, counting: Counting) -> None:
    run = stopped(small_lab, counting)
    for part in ("sae", "version", "preset"):
        other = replace(small_lab, provenance=replace(small_lab.provenance, **{part: "other"}))
        with pytest.raises(UserError) as raised:
            run.answer(other)
        assert "other" in one_sentence(raised)
    assert counting.made == [0, 1]
    # What is finished is read with whatever is open.
    run.answer(small_lab)
    assert run.answer(other).figures == {"sum": 30}


def test_settings_of_another_time_are_said(small_lab: Lab, counting: Counting) -> None:
    run = stopped(small_lab, counting)
    odd = Run(replace(run.asked, configuration={"nonsense": 1}), run.began)
    with pytest.raises(UserError) as raised:
        odd.answer(small_lab)
    one_sentence(raised)


def test_a_run_that_is_under_way_is_left_alone(small_lab: Lab, counting: Counting) -> None:
    run = asked(small_lab)
    with runs.claimed(run.folder / "lock", ""):
        assert run.is_running
        for refused in (lambda: run.answer(small_lab), run.delete):
            with pytest.raises(UserError) as raised:
                refused()
            assert "under way" in one_sentence(raised)
    assert not run.is_running and counting.made == []


def test_a_full_disk_loses_nothing(
    small_lab: Lab, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise UserError("No space is left.")

    run = asked(small_lab)
    with monkeypatch.context() as patch:
        patch.setattr(result_folder, "write", full)
        with pytest.raises(UserError, match="No space"):
            run.answer(small_lab)
    assert run.begun and not run.finished
    run.answer(small_lab)
    assert counting.made == [0, 1, 2]


def test_a_cache_that_cant_be_written_is_said(
    small_lab: Lab, counting: Counting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "studies").write_text("a file where a folder should be")
    with pytest.raises(UserError) as raised:
        asked(small_lab)
    one_sentence(raised)


def test_the_result_is_copied_elsewhere(small_lab: Lab, counting: Counting, tmp_path: Path) -> None:
    run = asked(small_lab)
    run.answer(small_lab)
    run.copy_result(tmp_path / "out" / "mine")
    assert result_folder.read(tmp_path / "out" / "mine").figures == {"sum": 30}
    assert run.finished
    run.copy_result(tmp_path / "out" / "mine")  # once more, over it
    with pytest.raises(UserError) as raised:
        run.copy_result(tmp_path / "out")
    one_sentence(raised)
    assert (tmp_path / "out" / "mine").is_dir()
    shutil.rmtree(run.folder / "result")
    with pytest.raises(UserError) as raised:
        run.copy_result(tmp_path / "out" / "mine")
    one_sentence(raised)
    assert result_folder.read(tmp_path / "out" / "mine").figures == {"sum": 30}


@pytest.mark.parametrize("name", ["rebuild", "saebench"])
def test_a_study_keeps_what_it_has_made(
    small_lab: Lab, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped anywhere by its progress it goes on there, to the same figures."""
    quick = {
        "rebuild": {"steps": "6", "smallest": "0.5"},
        "saebench": {"steps": "6", "starts": "2"},
    }[name]
    study = named(name)
    whole = begin(small_lab, study, study.configured(quick), 1)
    stages: list[str] = []
    expected = whole.answer(small_lab, lambda stage, fraction, note: stages.append(stage))
    whole.delete()
    halfway, reports = len(stages) // 2, []

    def cancels(stage: str, fraction: float, note: str = "") -> None:
        reports.append(stage)
        if len(reports) == halfway:
            raise _Cancelled

    run = begin(small_lab, study, study.configured(quick), 1)
    with pytest.raises(_Cancelled):
        run.answer(small_lab, cancels)
    kept = sorted(path.name for path in (run.folder / "parts").iterdir())
    assert any(one.endswith(".parquet") for one in kept)
    rest: list[str] = []
    again = run.answer(small_lab, lambda stage, fraction, note: rest.append(stage))
    (table,) = expected.tables
    pd.testing.assert_frame_equal(again.tables[table], expected.tables[table])
    assert sum("Meta-SAE" in stage or "Gaussian" in stage for stage in rest) < sum(
        "Meta-SAE" in stage or "Gaussian" in stage for stage in stages
    )


class _Cancelled(Exception):
    pass


def test_the_studies_are_run_by_name(small_lab: Lab) -> None:
    assert set(registry.STUDIES) >= {"rebuild", "saebench"} and seeds.MOST_SEEDS >= 3
    run = begin(small_lab, named("max-cosine"), named("max-cosine").configuration(), 1)
    found = run.answer(small_lab, silent)
    assert found.study == "max-cosine" and run.folder.parent == cache.study_runs()
