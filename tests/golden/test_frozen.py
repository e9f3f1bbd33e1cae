"""What outputs, links, files and half-done work rely on, frozen.

``expected/`` holds shapes (keys and the types of leaves, not numbers), tables of links, ids and
columns; ``fixtures/`` work that the code before the library's division into floors (commit ee85aed)
began or wrote: a search of one pair, with parts of two sizes, and of many, a training, a downloaded
file. Later code has to read these and go on with them.

What is kept is made anew, only on purpose, by

    METASAE_REGENERATE_GOLDEN=1 pytest tests/golden

and the difference is read before it is committed: each line of it is a promise that is broken.
Searches are of the shipped weights and the package's version, which their ids name: where those
change on purpose, the ids and fixtures are made anew.

As much as can be goes through the command line; where a module is named, it is named at the top.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import huggingface_hub.constants
import numpy as np
import pytest
import streamlit as st
import torch
from safetensors.torch import load_file

from metasae.cli import exploring, main
from metasae.lab.lab import Lab
from metasae.release import post_examples
from metasae.release.post_examples import Check
from metasae.saes.directions import open_directions
from metasae.search import exhaustive
from metasae.search import job as job_module
from metasae.search.job import Job
from metasae.search.pairs_job import PairsJob, all_pairs
from metasae.search.spec import Spec
from metasae.search.variants import Reached, Variant
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import EMBEDDED, PRESETS
from metasae.steering.edits import Edit, MetaLatentEdit
from metasae.steering.setting import Setting
from metasae.text.prompts import WORDINGS
from metasae.training.meta_sae import RECIPE
from metasae.training.meta_sae_run import make
from metasae.training.trainer import Moment, Stopped, Trainer
from metasae.training.unfinished import unfinished_trainings
from tests.command_line import refused, run
from tests.golden.freezing import (
    EXPECTED,
    FIXTURES,
    REGENERATE,
    check,
    columns,
    contents,
    frozen,
    names,
    shape,
)
from tests.pages.opening import open_page
from tests.small_models import small_gpt2
from workbench import shared
from workbench.enumerate.choose import from_query, to_query
from workbench.explore.place import Place
from workbench.state import View, Writing
from workbench.steer.tables import csv_file, json_file, view_from_json

PRECISION = "metasae.training.meta_sae_run.fast_dtype"

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "metasae"


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    return folder


def test_a_shape_tells_a_renamed_key_another_type_and_a_missing_key() -> None:
    one = {"a": [{"b": 1.0, "7": None}, {"b": None}], "c": "x"}
    assert shape(one) == {"a": [{"b": "float | null", "#?": "null"}], "c": "str"}
    for other in (
        one | {"a": [{"B": 1.0, "7": None}, {"B": None}]},
        one | {"c": 3},
        one | {"c": ["x"]},
        {"a": one["a"]},
        one | {"d": True},
    ):
        assert shape(other) != shape(one)


# The command line's JSON objects.


PAIR = ("--source", "Tokyo", "--target", "Paris")
STEER = ("steer", *PAIR)
ON_TEXT = ("latents", "--text", "She flew to Tokyo")

WORDS: dict[str, tuple[str, ...]] = {
    "info": ("info",),
    "cities": ("cities",),
    "city": ("city", "Tokyo"),
    "decompose": ("decompose", "229"),
    "decompose-width": ("decompose", "5", "--width", "576"),
    "latents-text": ON_TEXT,
    "latents-word": ("latents", "--text", "Tokyo", "--width", "576"),
    "latents-tokens": (*ON_TEXT, "--token-by-token", "--densest", "0.1", "--start-token"),
    "decompose-try": ("decompose", "229", "--try", "She flew to Tokyo"),
    "steer-frozen": (*STEER, "--swap", "--frozen"),
    "steer-swap": (*STEER, "--swap"),
    "steer-edit": (*STEER, "--strength", "{meta}=0.5", "--keep-residual", "--position", "all"),
    "steer-generate": (*STEER, "--remove", "{meta}", "--generate", "3"),
    "steer-prompt": (*STEER, "--prompt", "Tokyo is", "--answers", "big,small"),
    "graph": ("graph", "229", "179"),
    "graph-whole": ("graph", "--whole", "--threshold", "0.2"),
}


@pytest.mark.parametrize("name", WORDS)
def test_the_keys_of_a_commands_json(
    opened: Lab, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    subjects = opened.subject("Tokyo"), opened.subject("Paris")
    meta = next(one.meta for one in opened.experiment(*subjects).pieces if one.side == "source")
    check(f"cli-{name}", shape(run(capsys, *(word.format(meta=meta) for word in WORDS[name]))))


@pytest.mark.real_model
def test_the_keys_of_fetch(capsys: pytest.CaptureFixture[str]) -> None:
    check("cli-fetch", shape(run(capsys, "fetch")))


def test_examples_are_of_the_posts_model_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--preset" in refused(capsys, ["examples"])
    monkeypatch.setattr(exploring, "opened_explorer", lambda _: None)
    both = [Check("Nearest", "0.50", "0.50", True), Check("Split", "7", "6", False)]
    monkeypatch.setattr(post_examples, "checks", lambda _: both)
    check("cli-examples", shape(run(capsys, "examples", "--preset", "gpt2-small")))


def test_the_keys_of_a_further_way_of_editing() -> None:
    reached = Reached({"language": True}, MetaLatentEdit(((3, 0.0),)), 0.5, True)
    way = Variant("default", (1,), (2,), 1, 1, 4, 4, (reached,), 0.1, "")
    check("variant", shape(way.to_dict()))


def test_graphml_has_its_attributes(
    opened: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "graph.graphml"
    assert main(["graph", "5", "6", "--format", "graphml", "--out", str(out)]) == 0
    space = "{http://graphml.graphdrawing.org/xmlns}"
    keys = ElementTree.parse(out).getroot().findall(f"{space}key")
    told = [[one.get("for"), one.get("attr.name"), one.get("attr.type")] for one in keys]
    check("graphml", sorted(told))
    capsys.readouterr()


# Evidence and labels.


@pytest.mark.slow
def test_evidence_and_labels(
    opened: Lab, cache: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text, out = tmp_path / "text.txt", tmp_path / "out"
    lines = (f"{name} is a city, and people there speak of {name} often." for name in
             opened.city_names())  # fmt: skip
    text.write_text("\n\n".join(lines))
    words = ("describe", "--width", "576", "--out", str(out))
    told = run(capsys, *words, "--text", str(text), "--tokens", "400")
    again = run(capsys, *words, "--labels-only")
    check("cli-describe", {"whole": shape(told), "labels only": shape(again)})
    check("evidence", {"own": contents(out), "cache": names(cache)})


def test_the_shipped_evidence() -> None:
    check("evidence-shipped", contents(SHIPPED / "data" / "evidence" / "smollm2-135m"))


# What is shipped.


def test_the_shipped_files() -> None:
    check("shipped", contents(SHIPPED / "weights" / "smollm2-135m"))


# Links.


QUERIES: tuple[dict[str, str], ...] = (
    {},
    {"source": "Kyiv", "target": "São Paulo"},
    {"v": "1", "source": "#12, #45", "target": "Paris"},
    {"preset": "gpt2-small", "source_latents": "12.45", "target_latents": "7"},
    {"source": "Kyiv", "target": "Oslo", "wording": "post"},
    {"edit": "none"},
    {"edit": "swap"},
    {"edit": "swap~noerror~all"},
    {"edit": "12_0~40_1"},
    {"edit": "12_0.25~40_-1.5~residual~noerror~all"},
    {"edit": "hundredfold~12_0~40_1~all"},
    {"edit": "residual"},
    {"edit": "12_0", "pin": "swap"},
    {"pin": "none"},
    {"ask": "In Tokyo, & over, you see the", "answers": "Eiffel Tower, sea,sea"},
    {"write": "Tokyo is", "tokens": "12", "temperature": "0.7", "seed": "3"},
    {"v": "1", "source": "Tokyo", "target": "Paris"},
    {"v": "1", "source": "Cairo", "target": "Rome"},
    {
        "v": "1",
        "source": "#12,#45",
        "target": "Paris",
        "preset": "gpt2-small",
        "target_latents": "3.4",
        "ask": "In {city} people eat",
        "answers": "sushi,fish & chips",
    },
    {"v": "1", "source": "Tokyo", "target": "Paris", "edit": "12_0~40_1.5"},
    {
        "v": "1",
        "source": "Tokyo",
        "target": "Paris",
        "edit": "swap~noerror~all",
        "pin": "hundredfold~3_-0.25~residual",
    },
    {
        "v": "1",
        "source": "Tokyo",
        "target": "Paris",
        "preset": "smollm2-135m+mine",
        "write": "I live in {city}",
        "tokens": "50",
        "temperature": "0.7",
        "seed": "9",
    },
)


def test_links_of_steer_are_read_and_written_as_ever() -> None:
    table = []
    for query in QUERIES:
        view = View.from_query(query)
        table.append(
            {
                "query": query,
                "setting": asdict(view.setting) | {"preset": str(view.setting.preset)},
                "edit": view.edit.to_dict(),
                "pinned": None if view.pinned is None else view.pinned.to_dict(),
                "writing": asdict(view.writing),
                "written": view.to_query(),
            }
        )
    check("links-steer", table)


def test_a_view_is_written_as_ever() -> None:
    for row in frozen_links():
        setting: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in row["setting"].items()
        }
        # A preset is a value of its own, which the link gives as a text.
        setting["preset"] = View.from_query(row["query"]).setting.preset
        pinned = row["pinned"]
        view = View(
            Setting(**setting),
            Edit.from_dict(row["edit"]),
            None if pinned is None else Edit.from_dict(pinned),
            Writing(**row["writing"]),
        )
        assert view.to_query() == row["written"]
        assert View.from_query(row["written"]) == view == View.from_query(row["query"])


def frozen_links() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((EXPECTED / "links-steer.json").read_text())
    return rows


SPEC = {"preset": "smollm2-135m", "source": "London", "target": "Oslo", "wording": "post"}

SPECS: tuple[dict[str, Any], ...] = (
    {},
    {"attributes": ["currency", "language"]},
    {"removed": [0.0, 0.5], "added": [0.5, 1.0]},
    {"removed": [0.0, -1.0], "added": [1.0, 2.0], "wording": "reworded"},
)


def test_links_of_enumerate_are_written_and_read_as_ever() -> None:
    queries: list[dict[str, str]] = []
    for more in (*SPECS, {"wording": "default"}):
        spec = Spec.from_dict(SPEC | more)
        queries.append(View(Setting(wording=spec.wording)).to_query() | to_query(spec))
    queries += [{"attributes": "mayor", "strengths": "x"}, {"attributes": "currency"}]
    read = [[*from_query(one), View.from_query(one).setting.wording] for one in queries]
    check("links-enumerate", list(map(list, zip(queries, read, strict=True))))


def test_links_of_latents_are_written_as_ever() -> None:
    places = Place(17, 576), Place(5, 18432, "Tokyo & Kyoto")
    check("links-latents", [place.to_query() for place in places])


def test_links_of_graph_are_read_and_written_as_ever(
    opened: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "get_lab", lambda preset: opened)
    st.cache_resource.clear()
    st.cache_data.clear()
    written = []
    for query in (
        {"latent": "5,6", "depth": "2", "top": "1", "least": "0.4"},
        {"latent": "#7, 8", "depth": "1", "top": "5", "least": "0"},
    ):
        app = open_page("graph", **query)
        assert not app.exception and not app.error
        sliders = {key: app.slider(key=key).value for key in ("graph-depth", "graph-top",
                                                              "graph-least")}  # fmt: skip
        now = {name: str(value[0] if isinstance(value, list) else value)
               for name, value in app.query_params.items()}  # fmt: skip
        written.append([query, sliders, now])
    check("links-graph", written)


# Steer's files.


def test_steers_files_are_written_and_read_as_ever(opened: Lab) -> None:
    view = View.from_query({"edit": "swap~all", "source": "Tokyo", "target": "Paris"})
    experiment = opened.experiment(opened.subject("Tokyo"), opened.subject("Paris"))
    outcome = experiment.apply(view.edit)
    written = json_file(outcome, view)
    check(
        "steer-files",
        {
            "csv": csv_file(outcome, view).splitlines()[0].split(","),
            "json": shape(json.loads(written)),
        },
    )
    kept = FIXTURES / "steer.json"
    if REGENERATE:
        FIXTURES.mkdir(exist_ok=True)
        asked = opened.questions(experiment.source, experiment.target, templates=WORDINGS["post"])
        kept.write_text(json_file(experiment.replaced(questions=asked).apply(view.edit), view))
    # It is older than the choice of a wording: the questions were the post's.
    post = view.with_setting(wording="post")
    assert view_from_json(kept.read_bytes(), opened.provenance).view == post
    # As the command line writes it: without a view.
    bare = json.loads(kept.read_bytes())
    del bare["view"]
    read = view_from_json(json.dumps(bare).encode(), opened.provenance).view
    check("steer-read", read.to_query())


# Searches.


ID_SPECS: tuple[dict[str, Any], ...] = (
    *SPECS,
    {"source": "Tokyo", "source_latents": [5, 6], "target": "#7"},
    {"screened": True, "estimating": True},
    {"options": {"kind": "meta", "strengths": {}, "keep_residual": True, "keep_error": False,
                 "position": "all"}},
    {"options": {"kind": "hundredfold", "strengths": {}, "keep_residual": False,
                 "keep_error": True, "position": "last"}},
    {"source": "Tokyo", "target": "Paris"},
    {"source": "Paris", "target": "Tokyo", "estimating": True},
    {"source": "Tokyo", "source_latents": [229], "target": "Paris", "target_latents": [179]},
    {"source": "Tokyo", "target": "Cairo", "attributes": ["country", "currency"],
     "options": {"kind": "hundredfold", "strengths": {}, "keep_residual": True,
                 "keep_error": False, "position": "all"},
     "removed": [0.0, -1.0], "added": [1.0, 2.0], "screened": False, "wording": "reworded"},
)  # fmt: skip


def test_a_search_keeps_its_id(opened: Lab) -> None:
    specs = [Spec.from_dict(SPEC | more) for more in ID_SPECS]
    written = [[spec.to_dict(), Job(opened, spec).id] for spec in specs]
    check("search-ids", written)
    assert [Spec.from_dict(values) for values, _ in written] == specs
    pairs = all_pairs(
        opened, ["Tokyo", "Paris", "Cairo"], Spec(EMBEDDED.opened, "", "", wording="post")
    )
    check("pairs-id", pairs.id)


POST = ("--attributes", "currency", "--wording", "post")
ONE = ("search", "--source", "London", "--target", "Bangkok", *POST)
MANY = ("search", "--cities", "Tokyo,Moscow,Berlin", "--all-pairs", *POST)
UNSCREENED = Spec(
    EMBEDDED.opened,
    "Tokyo",
    "Cairo",
    attributes=("language", "currency"),
    screened=False,
    wording="post",
)


def as_if_killed(name: str, go_on: Callable[[], Any], left: Sequence[str], cache: Path) -> str:
    """A search that an earlier version began, in the cache; returns its id.

    All files are written whole, one after the other: a search that was killed has left the first
    of them.
    """
    kept = FIXTURES / name
    if REGENERATE:
        go_on()
        (made,) = (cache / "searches").iterdir()
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for file in left:
            shutil.copy(made / file, kept / file)
        shutil.rmtree(made)
    assert sorted(path.name for path in kept.iterdir()) == sorted(left)
    identity: str = json.loads((kept / "job.json").read_text())["id"]
    shutil.copytree(kept, cache / "searches" / identity)
    return identity


def asked_for(written: Mapping[str, Any], lab: Lab) -> Job | PairsJob:
    """The search that a ``job.json`` is about."""
    if "specs" in written:
        specs = [Spec.from_dict(one) for one in written["specs"]]
        return PairsJob(lab, specs, most=written["most"])
    return Job(lab, Spec.from_dict(written["spec"]))


def gone_on_with(
    name: str,
    go_on: Callable[[], Any],
    left: Sequence[str],
    before: tuple[int, int],
    lab: Lab,
    cache: Path,
) -> tuple[Job | PairsJob, Any]:
    """A search that an earlier version began, now finished, and what `go_on` told of it.

    Args:
        name: what its fixture is called.
        go_on: runs the search, from wherever it is.
        left: the files the earlier version left.
        before: how much of how much it had done.
    """
    identity = as_if_killed(name, go_on, left, cache)
    begun = asked_for(json.loads((FIXTURES / name / "job.json").read_text()), lab)
    state = begun.state()
    assert (state.done, state.total, state.finished) == (*before, False)
    told = go_on()
    assert begun.id == identity and begun.state().finished
    # What was done was neither done again nor changed.
    for path in (FIXTURES / name).iterdir():
        assert (cache / "searches" / identity / path.name).read_bytes() == path.read_bytes()
    return begun, told


def files_of(job: Job | PairsJob, cache: Path, folder: Path) -> dict[str, Any]:
    """What a search leaves in the cache, and the columns of its exported files of all formats."""
    for ending in ("parquet", "csv", "json"):
        job.export(folder / f"all.{ending}")
    note, header = (folder / "all.csv").read_text().splitlines()[:2]
    assert note.startswith("# ")
    return {
        "files": names(cache),
        "contents": contents(cache / "searches" / job.id),
        "exported": {
            "parquet": columns(folder / "all.parquet"),
            "csv": {"note": shape(json.loads(note[2:])), "columns": header.split(",")},
            "json": shape(json.loads((folder / "all.json").read_text())),
        },
    }


@pytest.mark.long
def test_a_search_begun_earlier_is_gone_on_with(
    opened: Lab, cache: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    left, out = ("job.json", "part-00000000.parquet"), tmp_path / "told.parquet"
    begun, told = gone_on_with(
        "search", lambda: run(capsys, *ONE, "--out", str(out)), left, (256, 512), opened, cache
    )
    assert told["id"] == begun.id
    check("cli-search", shape(told))
    check("search-files", files_of(begun, cache, tmp_path))
    assert columns(out) == columns(tmp_path / "all.parquet")
    reached = told["patterns"]
    what = [[one["pattern"], one["edit"], one["number"], one["sentence"]] for one in reached]
    check("search-patterns", [begun.id, what])
    margins = [one["margin"] for one in reached]
    assert margins == pytest.approx(frozen("search-margins", margins), abs=1e-3)


@pytest.mark.slow
def test_the_keys_of_a_search_of_several_attributes(
    opened: Lab, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("search", "--source", "Tokyo", "--target", "Cairo")
    told = run(capsys, *words, "--attributes", "language,currency")
    check("cli-search-attributes", shape(told))


@pytest.mark.slow
def test_a_search_begun_in_small_parts_is_gone_on_with(
    opened: Lab, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "STEP", 16)
    monkeypatch.setattr(job_module, "PARTS", 1000)
    monkeypatch.setattr(exhaustive, "CHUNK", 8)
    reported: list[float] = []

    def report(stage: str, fraction: float, note: str = "") -> None:
        reported.append(fraction)

    def go_on() -> Any:
        reported.clear()
        return Job(opened, UNSCREENED).run(report)

    left = ("job.json", "part-00000000.parquet", "part-00000001.parquet")
    begun, summary = gone_on_with("job", go_on, left, (32, 64), opened, cache)
    # Nothing that was there is computed again: it begins at the half, and ends a chunk at a time.
    assert sorted(set(reported)) == [0.5, 0.625, 0.75, 0.875, 1.0]
    check("small-parts-files", files_of(begun, cache, tmp_path))
    what = [[one.pattern, one.edit.to_dict(), one.sentence] for one in summary.patterns]
    check("small-parts-patterns", [begun.id, what])
    margins = [one.margin for one in summary.patterns]
    assert margins == pytest.approx(frozen("small-parts-margins", margins), abs=1e-3)


@pytest.mark.slow
def test_an_estimating_search_has_its_files(
    opened: Lab, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("search", "--source", "Bangkok", "--target", "Vienna", *POST)
    told = run(capsys, *words, "--estimate")
    check("cli-search-estimate", {"files": names(cache), "id": told["id"], "told": shape(told)})


@pytest.mark.slow
def test_a_search_of_pairs_begun_earlier_is_gone_on_with(
    opened: Lab, cache: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    left = ("job.json", "pair-00000000.json", "pair-00000001.json")
    out = tmp_path / "told.parquet"
    begun, told = gone_on_with(
        "pairs", lambda: run(capsys, *MANY, "--out", str(out)), left, (2, 6), opened, cache
    )
    assert told["id"] == begun.id
    check("cli-search-pairs", shape(told))
    check("pairs-files", files_of(begun, cache, tmp_path))
    assert columns(out) == columns(tmp_path / "all.parquet")
    what = [
        [one["source"], one["target"], one["pattern"], one["edit"], one["number"]]
        for one in told["patterns"]
    ]
    check("pairs-patterns", [begun.id, what])


@pytest.mark.long
def test_the_keys_of_side_effects(
    opened: Lab, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("search", "--cities", "Tokyo,Moscow", "--all-pairs", "--attributes", "currency")
    check("cli-search-pairs-effects", shape(run(capsys, *words, "--side-effects")))


# Trainings.


CONFIG = replace(RECIPE, width=12, k=2, steps=40, batch=64, lr=0.003)
TRAIN = (
    "train-meta", "--sae", "rows.npy", "--out", "out", "--width", "12", "--k", "2",
    "--steps", "40", "--batch", "64", "--lr", "0.003",
)  # fmt: skip


@pytest.fixture
def trained_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with directions, the one we are in; candidates are found in fp32 on any machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PRECISION, lambda: torch.float32)
    kept = FIXTURES / "training"
    if REGENERATE and not kept.exists():
        draw = np.random.default_rng(3)
        kept.mkdir(parents=True)
        np.save(kept / "rows.npy", draw.standard_normal((96, 12)).astype(np.float32))
    shutil.copy(kept / "rows.npy", tmp_path)
    return tmp_path


def test_a_training_begun_earlier_is_gone_on_with(
    trained_in: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = FIXTURES / "training"
    files = ("out.order.json", "out.meta-sae.checkpoint")
    if REGENERATE:
        with pytest.raises(Stopped):
            make(
                open_directions(["rows.npy"]), CONFIG, Path("out"),
                stopped=iter(24 * [False] + [True]).__next__,
            )  # fmt: skip
        for name in files:
            shutil.move(trained_in / name, kept / name)
    for name in files:
        shutil.copy(kept / name, trained_in)
    (order,) = unfinished_trainings(trained_in)
    assert (order.out.name, order.sources, order.controls) == ("out", ("rows.npy",), ())
    assert order.config == CONFIG
    assert main([*TRAIN]) == 1 and "--resume" in capsys.readouterr().err
    told = run(capsys, *TRAIN, "--resume")
    assert told["config"] == json.loads(json.dumps(asdict(CONFIG)))
    # Nothing but the folder is left, and it is what a training without a stop would have made.
    assert sorted(path.name for path in trained_in.iterdir()) == ["out", "rows.npy"]
    check("training", {"told": shape(told), "contents": contents(trained_in / "out")})
    weights = load_file(trained_in / "out" / "sae_weights.safetensors")
    if REGENERATE:
        shutil.copy(trained_in / "out" / "sae_weights.safetensors", kept / "final.safetensors")
    final = load_file(kept / "final.safetensors")
    assert weights.keys() == final.keys()
    for name, expected in final.items():
        torch.testing.assert_close(weights[name], expected, rtol=0, atol=1e-4)


def test_a_training_begun_earlier_goes_on_at_the_step_it_was_stopped_at(trained_in: Path) -> None:
    kept = FIXTURES / "training"
    shutil.copy(kept / "out.meta-sae.checkpoint", "checkpoint")
    steps: list[int] = []

    def watch(moment: Moment) -> bool:
        steps.append(moment.step)
        return False

    trainer = Trainer(open_directions(["rows.npy"]), CONFIG)
    trainer.run(Path("checkpoint"), watch=watch)
    assert steps == list(range(26, CONFIG.steps + 1))
    final = load_file(kept / "final.safetensors")["W_dec"]
    torch.testing.assert_close(trainer.result().W_dec, final, rtol=0, atol=1e-4)


def test_a_stopped_training_with_a_control_leaves_its_files(trained_in: Path) -> None:
    config = replace(RECIPE, width=4, k=2, steps=8, batch=16)
    with pytest.raises(Stopped):
        make(
            open_directions(["rows.npy"]), config, Path("half"), ("gaussian",),
            stopped=iter([False, False, True]).__next__,
        )  # fmt: skip
    order = json.loads(Path("half.order.json").read_text())
    check("training-stopped", {"files": names(trained_in), "order": shape(order)})


def test_a_training_with_controls_has_its_files(
    trained_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = run(
        capsys, "train-meta", "--sae", "rows.npy", "--out", "out", "--width", "4", "--k", "2",
        "--steps", "6", "--batch", "16", "--control", "gaussian", "--control", "pca",
    )  # fmt: skip
    check("training-controls", {"told": shape(told), "contents": contents(trained_in / "out")})


@pytest.fixture
def small(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a preset whose model is small."""
    hub = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    preset = small_gpt2(hub)
    monkeypatch.setitem(PRESETS, preset.name, preset)
    return preset.name


def test_a_base_sae_has_its_files(
    small: str, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, out = tmp_path / "text.txt", tmp_path / "out"
    text.write_text("\n\n".join(f"Sentence {n} is about Tokyo and Paris." for n in range(200)))
    words = (
        "train-sae", "--preset", small, "--text", str(text), "--tokens", "1500", "--width", "32",
        "--k", "3", "--steps", "4", "--batch", "64", "--out", str(out),
    )  # fmt: skip
    checkpoint = tmp_path / "out.sae.checkpoint"
    checkpoint.write_bytes(b"what a stopped run left")
    assert main([*words]) == 1 and "--resume" in capsys.readouterr().err
    checkpoint.unlink()
    told = run(capsys, *words)
    check("base-sae", {"told": shape(told), "contents": contents(out), "cache": names(cache)})
