"""Searches over many pairs of cities."""

import itertools
import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lab.spread import Spread, here
from metasae.search import spec as spec_module
from metasae.search.estimate import usual_budget
from metasae.search.exhaustive import search
from metasae.search.job import Job
from metasae.search.job_files import Cost, State
from metasae.search.pairs_job import PairsJob, all_pairs
from metasae.search.spec import Spec, combinations_of
from metasae.sources.files import read_json
from metasae.steering.edits import Edit
from tests.builders import one_sentence
from tests.metasae.search.jobs import Stop, read_export, stopping


@pytest.fixture(scope="session")
def lab(small_lab: Lab) -> Lab:
    """How pairs are gone through does not depend on the model."""
    return small_lab


@pytest.fixture(scope="module")
def template(lab: Lab) -> Spec:
    return Spec(lab.preset.opened, "", "", attributes=("language",), screened=False)


@pytest.fixture(scope="module")
def cities() -> list[str]:
    """Three whose pairs have few combinations."""
    return ["Tokyo", "Paris", "Cairo"]


@pytest.fixture(scope="module")
def pairs(
    lab: Lab, cities: list[str], template: Spec, tmp_path_factory: pytest.TempPathFactory
) -> PairsJob:
    """All of them, never interrupted."""
    found = all_pairs(lab, cities, template, tmp_path_factory.mktemp("pairs"))
    assert found.run() is not None
    return found


def timeless(frame: pd.DataFrame | None) -> pd.DataFrame:
    assert frame is not None
    return frame.drop(columns="seconds")


def test_all_pairs_are_as_many_searches(
    pairs: PairsJob, lab: Lab, cities: list[str], template: Spec
) -> None:
    frame = pairs.results()
    assert pairs.state() == State(6, 6, True)
    ends = list(frame[["source", "target"]].drop_duplicates().itertuples(index=False, name=None))
    assert ends == list(itertools.permutations(cities, 2))
    for source, target in ends[::3]:
        spec = replace(template, source=source, target=target)
        experiment = spec_module.experiment_of(lab, spec)
        expected = search(experiment, combinations_of(experiment, spec), screened=False)
        mine = frame[(frame["source"] == source) & (frame["target"] == target)]
        assert mine["pattern"].tolist() == [
            "".join("01"[moved] for moved in found.pattern.values()) for found in expected
        ]
        assert [Edit.from_dict(json.loads(text)) for text in mine["edit"]] == [
            found.edit for found in expected
        ]
        assert mine["margin"].tolist() == pytest.approx([f.margin for f in expected], abs=1e-4)
        assert mine["combination"].tolist() == [found.number for found in expected]
        assert set(mine["patterns"]) == {len(expected)}
        assert set(mine["combinations"]) == {len(combinations_of(experiment, spec))}
        assert mine["problem"].isna().all()


def only(calls: list[Spec], lab: Lab) -> Spread:
    """`here`, and what it was asked."""

    def spread(prepare: Any, works: Sequence[Spec]) -> Iterator[tuple[int, Any]]:
        for done in here(lab)(prepare, works):
            calls.append(works[done[0]])
            yield done

    return spread  # type: ignore[return-value]


def test_pairs_go_on_where_they_were(
    pairs: PairsJob, lab: Lab, cities: list[str], template: Spec, tmp_path: Path
) -> None:
    begun = all_pairs(lab, cities, template, tmp_path)
    with pytest.raises(Stop):
        begun.run(stopping(after=1))
    assert begun.state() == State(2, 6, False)
    cancelled = threading.Event()
    cancelled.set()
    assert begun.run(cancelled=cancelled) is None
    assert begun.state() == State(3, 6, False)
    assert len(begun.pairs()) == 3
    calls: list[Spec] = []
    again = all_pairs(lab, cities, template, tmp_path)
    assert again.id == pairs.id
    frame = again.run(spread=only(calls, lab))
    assert calls == list(again.specs[3:])
    pd.testing.assert_frame_equal(timeless(frame), timeless(pairs.results()), atol=1e-4)
    calls.clear()
    again.run(spread=only(calls, lab))
    assert calls == []


def test_pairs_may_be_done_in_any_order(
    pairs: PairsJob, lab: Lab, cities: list[str], template: Spec, tmp_path: Path
) -> None:
    def backwards(prepare: Any, works: Sequence[Spec]) -> Iterator[Any]:
        yield from reversed(list(here(lab)(prepare, works)))

    frame = all_pairs(lab, cities, template, tmp_path).run(spread=backwards)  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(timeless(frame), timeless(pairs.results()), atol=1e-4)


def test_a_pair_with_a_problem_holds_up_no_other(
    lab: Lab, cities: list[str], template: Spec, tmp_path: Path
) -> None:
    good = replace(template, source=cities[0], target=cities[1])
    alike = replace(good, target_latents=lab.subject(cities[0]).latents)
    count = len(combinations_of(spec_module.experiment_of(lab, good), good))
    frame = PairsJob(lab, [alike, good], tmp_path / "one").run()
    assert frame is not None
    assert "no meta-latents of its own" in frame["problem"][0]
    assert frame["combination"].isna().tolist() == [True] + [False] * (len(frame) - 1)
    assert set(frame["patterns"][1:]) == {len(frame) - 1} and frame["patterns"][0] == 0
    frame = PairsJob(lab, [good], tmp_path / "two", most=count - 1).run()
    assert frame is not None and len(frame) == 1
    assert f"There are {count:,} combinations" in frame["problem"][0]


def test_a_damaged_pair_is_named(
    pairs: PairsJob, lab: Lab, cities: list[str], template: Spec, tmp_path: Path
) -> None:
    shutil.copytree(pairs.folder, tmp_path, dirs_exist_ok=True)
    for text in ("", "[]", "{}", '{"patterns": [{}], "combinations": 1, "seconds": 1}'):
        (tmp_path / "pair-00000004.json").write_text(text)
        again = all_pairs(lab, cities, template, tmp_path)
        for ask in (again.results, again.run):
            with pytest.raises(UserError) as raised:
                ask()
            assert "pair-00000004.json is damaged" in one_sentence(raised)
    (tmp_path / "pair-00000004.json").unlink()
    frame = all_pairs(lab, cities, template, tmp_path).run()
    pd.testing.assert_frame_equal(timeless(frame), timeless(pairs.results()), atol=1e-4)


@pytest.mark.parametrize("ending", ["parquet", "csv", "json"])
def test_the_table_of_pairs_can_be_exported(pairs: PairsJob, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out.{ending}"
    pairs.export(path)
    frame, about = read_export(path)
    expected = pairs.results()
    names = [name for name in expected if name != "problem"]
    pd.testing.assert_frame_equal(frame[names].astype(expected[names].dtypes), expected[names])
    assert about["attributes"] == ["language"] and list(about["prompts"]) == ["language"]
    assert (about["done"], about["total"], about["finished"]) == (6, 6, True)
    assert "source" not in about and about["meta_sae"] == pairs.lab.provenance.meta_sae


def test_the_folder_says_what_is_searched(
    lab: Lab, cities: list[str], template: Spec, cache: Path
) -> None:
    job = all_pairs(lab, cities, template, most=1000)
    cancelled = threading.Event()
    cancelled.set()
    job.run(cancelled=cancelled)
    told = read_json(job.folder / "job.json")
    assert job.folder == cache / job.id and told["id"] == job.id
    again = PairsJob(lab, [Spec.from_dict(one) for one in told["specs"]], most=told["most"])
    assert again.id == job.id and again.state() == State(1, 6, False)


def test_the_cost_is_of_what_is_scored(
    lab: Lab, cities: list[str], template: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = cities
    good = [replace(template, source=x, target=y) for x, y in ((a, b), (b, a), (c, a))]
    alike = replace(good[0], target_latents=lab.subject(a).latents)  # can't be searched
    counts = [len(combinations_of(spec_module.experiment_of(lab, one), one)) for one in good]
    probed: list[Spec] = []

    def cost(job: Job) -> Cost:
        probed.append(job.spec)
        return Cost(job.state().total, 2.0 * job.state().total, 7.0)

    monkeypatch.setattr(Job, "cost", cost)
    whole = PairsJob(lab, [alike, *good], tmp_path / "a").cost()
    assert whole == Cost(sum(counts), 2.0 * sum(counts), 7.0) and probed == good[:1]
    most = sorted(counts)[1]
    fewer = sum(one for one in counts if one <= most)
    assert PairsJob(lab, good, tmp_path / "b", most=most).cost().combinations == fewer
    assert PairsJob(lab, good, tmp_path / "c", most=1).cost() == Cost(0, 0.0, 0.0)
    guessed = [replace(one, estimating=True) for one in good]
    budget = sum(map(usual_budget, counts))
    assert PairsJob(lab, guessed, tmp_path / "d", most=1).cost().combinations == budget


def test_cities_that_make_no_pairs(lab: Lab, cities: list[str], template: Spec) -> None:
    for names, text in (
        ([], "at least two"),
        (cities[:1], "at least two"),
        ([*cities, cities[0].lower()], "twice"),
        ([*cities, ""], "There is no name"),
    ):
        with pytest.raises(UserError) as raised:
            all_pairs(lab, names, template)
        assert text in one_sentence(raised)
    with pytest.raises(UserError, match="own latents"):
        all_pairs(lab, cities, replace(template, source_latents=(1,)))
    with pytest.raises(UserError, match="no pairs"):
        PairsJob(lab, [])
    nothing = {"Lyon": replace(lab.records["Lyon"], latents=())}
    with pytest.raises(UserError, match="No latent of this SAE stands for Lyon"):
        all_pairs(replace(lab, records=lab.records | nothing), [*cities, "Lyon"], template)
