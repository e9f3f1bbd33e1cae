"""A search kept on disk: stopped, damaged, gone on with, exported."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.search import engine, exhaustive
from metasae.search import job as job_module
from metasae.search.exhaustive import search
from metasae.search.job import PROBE, Job
from metasae.search.job_files import State
from metasae.search.spec import Spec
from metasae.search.summary import Summary
from metasae.sources.files import read_json, write_json
from metasae.sources.presets import Opened
from metasae.sources.versions import NewerError
from metasae.steering.edits import EditOptions
from metasae.text.prompts import WORDINGS, fill
from tests.builders import cut_off, never, one_sentence
from tests.metasae.search.jobs import Stop, read_export, stopping

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def lab(small_lab: Lab) -> Lab:
    """What is kept on disk does not depend on the model."""
    return small_lab


def small_parts(patch: pytest.MonkeyPatch) -> None:
    """Parts of 16 combinations, 8 at a time: a small search has many."""
    patch.setattr(job_module, "STEP", 16)
    patch.setattr(exhaustive, "CHUNK", 8)
    patch.setattr(job_module, "PARTS", 1000)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """See `small_parts`."""
    small_parts(monkeypatch)


@pytest.fixture(scope="module")
def whole(lab: Lab, spec: Spec, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The search, never interrupted, in one part."""
    job = Job(lab, spec, tmp_path_factory.mktemp("whole"))
    job.run()
    return job


def same(found: Summary | None, expected: Summary | None) -> None:
    """Up to rounding: a batch's size is measured, and sums depend on it."""
    assert found is not None and expected is not None
    assert found.combinations == expected.combinations
    for mine, theirs in zip(found.patterns, expected.patterns, strict=True):
        assert replace(mine, margin=0.0) == replace(theirs, margin=0.0)
        assert mine.margin == pytest.approx(theirs.margin, abs=1e-4)


def scored_from_now(monkeypatch: pytest.MonkeyPatch, method: str) -> list[int]:
    """Combinations that a method of the engine is asked for, as they come."""
    asked: list[int] = []
    real = getattr(engine.Engine, method)

    def counted(self: Any, numbers: Any) -> Any:
        asked.extend(np.asarray(numbers).tolist())
        return real(self, numbers)

    monkeypatch.setattr(engine.Engine, method, counted)
    return asked


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def test_a_job_finds_what_the_search_finds(whole: Job) -> None:
    found = search(whole.experiment, whole.combinations, screened=False)
    summary = whole.summary()
    assert summary is not None and summary.seconds > 0 and not summary.screened
    same(summary, Summary(found, *2 * (len(whole.combinations),), 0.0, False))
    assert len(found) > 1
    total = len(whole.combinations)
    assert whole.state() == State(total, total, True)


def test_what_a_run_has_met_is_told_while_it_runs(whole: Job, lab: Lab, spec: Spec) -> None:
    met = whole.so_far()
    counts = whole.results()["pattern"].value_counts()
    bits = ["".join(str(int(moved)) for moved in row) for row in met[list(spec.attributes)].values]
    assert (
        dict(zip(bits, met["combinations"], strict=True))
        == counts.drop("other", errors="ignore").to_dict()
    )
    assert met[list(spec.attributes)].sum(axis=1).is_monotonic_increasing
    assert Job(lab, spec).so_far().empty


def test_the_cost_is_that_of_the_probe_times_the_combinations(
    whole: Job, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    finer = Job(lab, replace(whole.spec, removed=(0.0, 0.5), added=(0.5, 1.0)))
    for job in (whole, finer):
        # By this clock a probe takes 8 seconds.
        clock = SimpleNamespace(perf_counter=iter((100.0, 108.0)).__next__)
        with monkeypatch.context() as patch:
            patch.setattr(job_module, "time", clock)
            cost = job.cost()
        assert cost.combinations == len(job.combinations) and 1 < cost.megabytes < 100
        assert cost.seconds == 8 / PROBE * cost.combinations
    assert len(finer.combinations) > 10 * len(whole.combinations)
    assert whole.cost().megabytes < finer.cost().megabytes


def test_other_words_are_other_questions_and_another_search(lab: Lab, spec: Spec) -> None:
    name = lab.subject(spec.source).label
    ids: dict[str, tuple[str, ...]] = {}
    for wording, templates in WORDINGS.items():
        job = Job(lab, replace(spec, wording=wording))
        asked = tuple(question.prompt for question in job.experiment.questions)
        assert asked == tuple(fill(templates[one], name) for one in spec.attributes)
        ids.setdefault(job.id, asked)
        # A stored search is another's only where it asks the very same.
        assert ids[job.id] == asked
    assert len(ids) == len(set(ids.values())) > 1
    assert Job(lab, replace(spec, wording="default")).id == Job(lab, spec).id
    assert Job(lab, replace(spec, wording="reworded")).id != Job(lab, spec).id


def test_a_strict_estimating_job_keeps_what_it_scored(
    lab: Lab, spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(spec, estimating=True, strict=True)
    whole = Job(lab, asked, tmp_path / "whole").run()
    job = Job(lab, asked, tmp_path / "a")
    with pytest.raises(Stop):
        job.run(stopping(2))
    first = job.results()
    runs = scored_from_now(monkeypatch, "logprobs_with_own")
    again = Job(lab, asked, tmp_path / "a")
    same(again.run(), whole)
    mine = again.results()
    pd.testing.assert_frame_equal(mine.head(len(first)), first, atol=1e-4)
    reported = {one.number for one in whole.patterns}  # type: ignore[union-attr]
    assert not (set(first["combination"]) - reported) & set(runs)


def test_an_estimating_job_reports_what_it_scored_and_goes_on_where_it_was(
    lab: Lab, spec: Spec, whole: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(spec, estimating=True)
    job = Job(lab, asked, tmp_path / "a")
    assert job.id != whole.id and not job.state().finished
    with pytest.raises(Stop):
        job.run(stopping(2))
    first = job.results()["combination"].tolist()
    assert first and job.summary() is None
    runs = scored_from_now(monkeypatch, "logprobs")
    again = Job(lab, asked, tmp_path / "a")
    summary = again.run()
    monkeypatch.undo()
    assert summary == again.summary() and summary is not None
    table = again.results()
    assert table["verified"].all() and summary.scored == len(table) <= again.state().total
    assert summary.combinations == len(whole.combinations)
    # What was scored before was looked up, but for the reported edits, which are run once more.
    reported = [one.number for one in summary.patterns]
    assert not (set(first) - set(reported)) & set(runs)
    assert table["combination"].tolist()[: len(first)] == first
    every = whole.results().set_index("combination")
    for row in table.to_dict("records"):
        for name in whole.columns:
            assert row[name] == pytest.approx(every.loc[row["combination"], name], abs=1e-4)
    best = {tuple(one.pattern.values()): one.margin for one in whole.run().patterns}  # type: ignore[union-attr]
    for one in summary.patterns:
        assert math.isnan(one.reached_by)
        assert one.margin <= best[tuple(one.pattern.values())] + 1e-4
    # Uninterrupted it is the same.
    other = Job(lab, asked, tmp_path / "b").run()
    assert other is not None
    assert [one.number for one in other.patterns] == [one.number for one in summary.patterns]


def test_a_row_is_what_scoring_its_edit_gives(whole: Job) -> None:
    frame, experiment = whole.results(), whole.experiment
    assert frame["combination"].tolist() == list(range(len(whole.combinations)))
    assert list(frame.columns) == ["combination", "pattern", "margin", *whole.columns, "verified"]
    assert frame["verified"].all()
    for row in frame.iloc[:: len(frame) // 9].to_dict("records"):
        outcome = experiment.apply(whole.combinations.edit(row["combination"]))
        answers = outcome.answers
        names = [f"{one.attribute}: {one.answer}" for one in answers.itertuples()]
        assert names == list(whole.columns)
        assert [row[name] for name in names] == pytest.approx(answers["logprob"], abs=1e-4)
        if row["pattern"] != "other":
            moved = "".join(str(int(moved)) for moved in outcome.moved.values())
            assert row["pattern"] == moved
        leads = []
        for _, one in answers.groupby("attribute"):
            first, second, *_ = sorted(one["logprob"], reverse=True)
            leads.append(first - second)
        assert row["margin"] == pytest.approx(min(leads), abs=1e-4)


def test_what_is_done_is_not_done_again(
    whole: Job, lab: Lab, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "Engine", never("computed again"))
    again = Job(lab, spec, whole.folder)
    assert again.run() == whole.summary()
    pd.testing.assert_frame_equal(again.results(), whole.results())


@pytest.mark.usefixtures("small")
def test_what_was_interrupted_goes_on_where_it_was(
    whole: Job, lab: Lab, spec: Spec, tmp_path: Path
) -> None:
    job = Job(lab, spec, tmp_path)
    with pytest.raises(Stop):
        job.run(stopping(after=6))
    # Two parts of two chunks each; the third was in the middle.
    assert len(parts(tmp_path)) == 2
    begun = {path: path.stat().st_mtime_ns for path in parts(tmp_path)}
    total = len(job.combinations)
    assert job.state() == State(32, total, False) and job.summary() is None
    assert job.results()["combination"].tolist() == list(range(32))
    reports: list[str] = []
    again = Job(lab, spec, tmp_path)

    def report(stage: str, fraction: float, note: str = "") -> None:
        reports.append(note)

    summary = again.run(report)
    same(summary, whole.summary())
    assert reports[0].startswith("32 of ") and reports[-1].startswith(f"{total} of ")
    assert begun.items() <= {path: path.stat().st_mtime_ns for path in parts(tmp_path)}.items()
    pd.testing.assert_frame_equal(again.results(), whole.results(), rtol=0, atol=1e-4)


@pytest.mark.usefixtures("small")
def test_parts_may_be_missing_anywhere(whole: Job, lab: Lab, spec: Spec, tmp_path: Path) -> None:
    job = Job(lab, spec, tmp_path)
    first = job.run()
    same(first, whole.summary())
    for name in ("part-00000000.parquet", "part-00000002.parquet"):
        (tmp_path / name).unlink()
    assert job.state() == State(len(job.combinations) - 32, len(job.combinations), False)
    assert not {5, 40} & set(job.results()["combination"])
    same(job.run(), first)
    (tmp_path / "verified.parquet").unlink()
    assert not job.state().finished
    same(job.run(), first)


@pytest.mark.usefixtures("small")
def test_cancelling_keeps_what_is_there(whole: Job, lab: Lab, spec: Spec, tmp_path: Path) -> None:
    cancelled = threading.Event()
    job = Job(lab, spec, tmp_path)

    def cancel(stage: str, fraction: float, note: str = "") -> None:
        if fraction * len(job.combinations) > 31.5:  # four chunks
            cancelled.set()

    assert job.run(cancel, cancelled) is None
    assert job.state() == State(32, len(job.combinations), False)
    assert job.run(cancelled=cancelled) is None
    same(job.run(cancelled=threading.Event()), whole.summary())


CHILD = """
import json, sys, time
from pathlib import Path
from metasae.search import exhaustive, job
from metasae.lab.lab import open_lab
from tests.small_lab import preset_of_small_lab

job.STEP, exhaustive.CHUNK, job.PARTS = 16, 8, 1000
advances, reached = 0, 0.0

def hang(stage, fraction, note=""):
    global advances, reached
    advances, reached = advances + (fraction > reached), max(fraction, reached)
    if advances == 6:
        (folder / "ready").touch()
        time.sleep(600)

spec = job.Spec.from_dict(json.loads(sys.argv[1]))
folder, model, weights = map(Path, sys.argv[2:])
job.Job(open_lab(preset_of_small_lab(model, weights)), spec, folder).run(hang)
"""


@pytest.mark.long
@pytest.mark.usefixtures("small")
def test_a_killed_process_loses_nothing_that_was_written(
    whole: Job, lab: Lab, spec: Spec, tmp_path: Path
) -> None:
    model, weights = lab.preset.model.origin, lab.preset.weights
    folders = map(str, (tmp_path, model, weights))
    words = [sys.executable, "-c", CHILD, json.dumps(spec.to_dict()), *folders]
    with subprocess.Popen(words, cwd=ROOT) as child:
        until = time.monotonic() + 200
        while not (tmp_path / "ready").exists() and time.monotonic() < until:
            assert child.poll() is None
            time.sleep(0.05)
        os.kill(child.pid, signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    job = Job(lab, spec, tmp_path)
    assert job.state() == State(32, len(job.combinations), False)
    same(job.run(), whole.summary())
    pd.testing.assert_frame_equal(job.results(), whole.results(), rtol=0, atol=1e-4)


def flipped(path: Path) -> None:
    """Spoil one byte of the numbers."""
    column = pq.read_metadata(path).row_group(0).column(4)
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 9] ^= 0x10
    path.write_bytes(content)


def without_a_row(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("part-00000001.parquet", lambda path: cut_off(path.name)(path.parent)),
        ("part-00000001.parquet", lambda path: path.write_bytes(b"")),
        ("part-00000001.parquet", flipped),
        ("part-00000001.parquet", without_a_row),
        ("part-00000001.parquet", lambda path: pd.DataFrame({"a": [1]}).to_parquet(path)),
        ("job.json", lambda path: path.write_text("{")),
        ("job.json", lambda path: path.write_text("[]")),
    ],
)
@pytest.mark.usefixtures("small")
def test_a_damaged_file_is_named_and_the_rest_stays(
    lab: Lab, spec: Spec, tmp_path: Path, name: str, spoil: Callable[[Path], object]
) -> None:
    job = Job(lab, spec, tmp_path)
    with pytest.raises(Stop):
        job.run(stopping(after=6))
    spoil(tmp_path / name)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError) as raised:
        job.run(stopping(after=1))
    assert str(tmp_path / name) in one_sentence(raised) and "delete it" in str(raised.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / name).unlink()
    with pytest.raises(Stop):
        job.run(stopping(after=4))
    assert len(parts(tmp_path)) > 2 - name.startswith("part")


@pytest.mark.parametrize("name", ["done.json", "verified.parquet"])
def test_a_damaged_summary_is_named(
    whole: Job, lab: Lab, spec: Spec, tmp_path: Path, name: str
) -> None:
    shutil.copytree(whole.folder, tmp_path, dirs_exist_ok=True)
    cut_off(name)(tmp_path)
    job = Job(lab, spec, tmp_path)
    with pytest.raises(UserError) as raised:
        job.summary()
        job.results()
    assert str(tmp_path / name) in one_sentence(raised)
    (tmp_path / name).unlink()
    same(job.run(), whole.summary())


@pytest.mark.parametrize("name", ["done.json", "job.json"])
def test_a_search_says_its_version_and_a_newer_one_is_not_gone_on_with(
    whole: Job, lab: Lab, spec: Spec, tmp_path: Path, name: str
) -> None:
    shutil.copytree(whole.folder, tmp_path, dirs_exist_ok=True)
    if name == "job.json":
        (tmp_path / "done.json").unlink()
    values = read_json(tmp_path / name)
    assert values.pop("format") == 1
    write_json(tmp_path / name, values)
    same(Job(lab, spec, tmp_path).run(), whole.summary())
    if name == "job.json":
        (tmp_path / "done.json").unlink()
    write_json(tmp_path / name, values | {"format": 2})
    with pytest.raises(NewerError, match="update metasae"):
        Job(lab, spec, tmp_path).run()


def test_another_searchs_folder_and_parts_are_refused(
    whole: Job, lab: Lab, spec: Spec, tmp_path: Path
) -> None:
    other = replace(spec, options=EditOptions(keep_residual=True))
    with pytest.raises(UserError) as raised:
        Job(lab, other, whole.folder).run()
    assert "holds another search" in one_sentence(raised)
    for path in parts(whole.folder):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="damaged or of another search"):
        Job(lab, other, tmp_path).run()


def test_too_many_combinations_are_refused_before_anything_is_written(
    lab: Lab, spec: Spec, tmp_path: Path
) -> None:
    job = Job(lab, spec, tmp_path / "folder")
    with pytest.raises(UserError) as raised:
        job.run(most=len(job.combinations) - 1)
    assert "combinations" in one_sentence(raised)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_scored(
    lab: Lab, spec: Spec, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    job = Job(lab, spec, tmp_path / "file" / "folder")
    with pytest.raises(UserError, match="can't be written"):
        job.run(stopping(after=1))


@pytest.mark.usefixtures("small")
def test_a_screened_search_reports_fp32(whole: Job, lab: Lab, spec: Spec, tmp_path: Path) -> None:
    job = Job(lab, replace(spec, screened=True), tmp_path)
    assert job.id != whole.id
    with pytest.raises(Stop):
        job.run(stopping(after=6))
    assert not job.results()["verified"].any()
    summary = job.run()
    assert summary is not None and summary.screened
    exact, frame = whole.results(), job.results()
    numbers = [found.number for found in summary.patterns]
    assert frame["combination"].tolist() == exact["combination"].tolist()
    assert frame["verified"][numbers].all() and not frame["verified"].all()
    columns = ["margin", *job.columns]
    sure = frame["verified"].to_numpy()
    difference = (frame[columns] - exact[columns]).abs().max(axis=1).to_numpy()
    # The others are still bf16: near, but not that near.
    assert difference[sure].max() < 1e-4 < difference[~sure].max() < 1.0
    for found in summary.patterns:
        assert frame["margin"][found.number] == pytest.approx(found.margin, abs=1e-4)
    best = {json.dumps(found.pattern): found for found in summary.patterns}
    expected = whole.summary()
    assert expected is not None
    for found in expected.patterns:
        # What bf16 lost would have to be nearly undecided.
        mine = best.get(json.dumps(found.pattern))
        assert found.margin < 0.1 or (mine and mine.margin == pytest.approx(found.margin, abs=0.1))


def test_the_precision_is_decided_once(
    lab: Lab, spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "screens", lambda *_: True)
    job = Job(lab, spec, tmp_path)
    with pytest.raises(Stop):
        job.run(stopping(after=1))
    monkeypatch.setattr(job_module, "screens", lambda *_: False)
    summary = job.run()
    assert summary is not None and summary.screened


@pytest.fixture(scope="module")
def in_parts(lab: Lab, spec: Spec, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The search in many parts, done."""
    with pytest.MonkeyPatch.context() as patch:
        small_parts(patch)
        job = Job(lab, spec, tmp_path_factory.mktemp("parts"))
        job.run()
    assert len(parts(job.folder)) > 2
    return job


@pytest.mark.parametrize("ending", ["parquet", "csv", "json"])
@pytest.mark.usefixtures("small")
def test_an_export_holds_everything(
    in_parts: Job, lab: Lab, spec: Spec, tmp_path: Path, ending: str
) -> None:
    job, summary = in_parts, in_parts.summary()
    assert summary is not None
    path = tmp_path / "made" / f"out.{ending}"
    job.export(path)
    frame, about = read_export(path)
    expected = job.results()
    pd.testing.assert_frame_equal(
        frame[expected.columns].astype(expected.dtypes), expected, rtol=1e-6
    )
    table = job.combinations.strengths(expected["combination"].to_numpy()).numpy()
    pieces = [f"strength of {one.meta} ({one.side})" for one in job.combinations.pieces]
    assert list(frame.columns) == [*expected.columns, *pieces]
    assert np.array_equal(frame[pieces].to_numpy(), table)
    assert Summary.from_dict(about) == summary and about["finished"] is True
    assert about["id"] == job.id and about["units"].startswith("nats")
    assert EditOptions.from_dict(about["options"]) == spec.options
    assert [one["prompt"] for one in about["questions"]] == [
        q.prompt for q in job.experiment.questions
    ]
    for name in ("preset", "model", "hook", "sae", "meta_sae", "version"):
        assert about[name] == getattr(lab.provenance, name)
    assert about["source"] == {
        "label": job.experiment.source.label, "latents": list(job.experiment.source.latents),
    }  # fmt: skip


@pytest.mark.usefixtures("small")
def test_an_unfinished_search_can_be_exported(lab: Lab, spec: Spec, tmp_path: Path) -> None:
    job = Job(lab, spec, tmp_path / "job")
    job.export(tmp_path / "none.parquet")
    frame, about = read_export(tmp_path / "none.parquet")
    assert len(frame) == 0 and (about["scored"], about["finished"]) == (0, False)
    assert job.results().empty and "margin" in job.results()
    with pytest.raises(Stop):
        job.run(stopping(after=3))
    job.export(tmp_path / "some.csv")
    frame, about = read_export(tmp_path / "some.csv")
    assert len(frame) == 16 and (about["scored"], about["finished"]) == (16, False)
    assert "patterns" not in about


def test_an_id_says_what_numbers_are_to_be_expected(lab: Lab, spec: Spec) -> None:
    job = Job(lab, spec)
    mine = job.experiment.source.latents
    more = next(latent for latent in range(lab.n_latents) if latent not in mine)
    alike = replace(spec, source=f" {spec.source.upper()} ")
    assert Job(lab, alike).id == job.id
    others = [
        replace(spec, attributes=("language",)),
        replace(spec, options=EditOptions(position="all")),
        replace(spec, removed=(0.5,)),
        replace(spec, added=(1.0, 2.0)),
        replace(spec, source=spec.target, target=spec.source),
        replace(spec, source_latents=(*mine, more)),
    ]
    ids = {Job(lab, other).id for other in others}
    retrained = replace(lab, provenance=replace(lab.provenance, meta_sae="meta-sae@0"))
    ids.add(Job(retrained, spec).id)
    assert job.id not in ids
    assert len(ids) == len(others) + 1


def test_jobs_that_cannot_be(lab: Lab, spec: Spec) -> None:
    source = lab.subject(spec.source).latents
    for wrong, text in (
        (replace(spec, target=spec.source), "choose two different ones"),
        (replace(spec, target=" "), "There is no name"),
        (replace(spec, target_latents=source), "no meta-latents of its own"),
        (replace(spec, preset=Opened("gpt-9")), "is for the preset gpt-9"),
        (replace(spec, source_latents=()), "No latent of this SAE stands for"),
    ):
        with pytest.raises(UserError) as raised:
            Job(lab, wrong)
        assert text in one_sentence(raised)


@pytest.mark.usefixtures("small")
def test_the_folder_says_what_is_searched(lab: Lab, spec: Spec, cache: Path) -> None:
    job = Job(lab, spec)
    assert job.folder == cache / job.id
    with pytest.raises(Stop):
        job.run(stopping(after=3))
    told = read_json(job.folder / "job.json")
    again = Job(lab, Spec.from_dict(told["spec"]))
    assert again.id == told["id"] == job.id and again.spec == job.spec
    assert again.state() == State(16, len(job.combinations), False)
    (job.folder / "job.json").write_text('{"id": 3}')
    with pytest.raises(UserError, match="is damaged"):
        job.run()


def test_reading_a_finished_search_writes_nothing(
    whole: Job, lab: Lab, spec: Spec, tmp_path: Path
) -> None:
    shutil.copytree(whole.folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "job.json").unlink()
    same(Job(lab, spec, tmp_path).summary(), whole.summary())
    assert not (tmp_path / "job.json").exists()
    other = Job(lab, replace(spec, options=EditOptions(keep_residual=True)), tmp_path)
    with pytest.raises(UserError, match="holds another search"):
        other.summary()
