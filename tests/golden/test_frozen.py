"""What links, files and half-done work rely on, frozen beside what `test_golden` freezes.

``expected/`` holds shapes (keys and the types of leaves, not numbers), tables of links, ids and
columns; ``fixtures/`` work that the code before the library's division into floors (commit ee85aed)
began or wrote: a search of one pair and of many, a training, a downloaded file. Later code has to
read these and go on with them.

What this module keeps is made anew, only on purpose, by

    METASAE_REGENERATE_GOLDEN=1 pytest tests/golden/test_frozen.py

and the difference is read before it is committed: each line of it is a promise that is broken.
Searches are of the shipped weights and the package's version, which their ids name: where those
change on purpose, the ids and fixtures are made anew.

As much as can be goes through the command line; where a module is named, it is named at the top.
"""

import dataclasses
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import huggingface_hub.constants
import numpy as np
import pyarrow.parquet as pq
import pytest
import streamlit as st
import torch
from safetensors.torch import load_file
from streamlit.testing.v1 import AppTest

from metasae.cli import main
from metasae.lab.lab import Lab
from metasae.release.post_examples import Check
from metasae.saes.directions import open_directions
from metasae.search.job import Job
from metasae.search.pairs_job import PairsJob
from metasae.search.spec import Spec
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import PRESETS
from metasae.steering.edits import Edit
from metasae.training.meta_sae import RECIPE
from metasae.training.meta_sae_run import make
from metasae.training.trainer import Stopped
from metasae.training.unfinished import unfinished_trainings
from tests.small_models import small_gpt2
from workbench import shared
from workbench.enumerate.choose import from_query, to_query
from workbench.explore.place import Place
from workbench.state import Setting, View, Writing
from workbench.steer.tables import csv_file, json_file, view_from_json

OPEN_LAB = "metasae.lab.lab.open_lab"
PRECISION = "metasae.training.meta_sae_run.fast_dtype"

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SHIPPED = ROOT / "metasae"
EXPECTED, FIXTURES = HERE / "expected", HERE / "fixtures"
REGENERATE = bool(os.environ.get("METASAE_REGENERATE_GOLDEN"))


# How things are frozen.


def frozen(name: str, value: Any) -> Any:
    """What is kept under a name; ``value`` itself, written down, where all is made anew."""
    path = EXPECTED / f"{name}.json"
    if REGENERATE:
        EXPECTED.mkdir(exist_ok=True)
        path.write_text(json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    return json.loads(path.read_text())


def check(name: str, value: Any) -> None:
    """Assert that a JSON-able value is what is kept under that name."""
    assert json.loads(json.dumps(value)) == frozen(name, value)


def shape(value: Any) -> Any:
    """Keys and types of JSON-able values.

    The items of a list are one shape, ``key?`` where only some have the key; keys that are numbers
    of latents or widths are one key, ``#``.
    """
    if isinstance(value, Mapping):
        made: dict[str, Any] = {}
        for key, one in value.items():
            named = "#" if re.fullmatch(r"\d+", key) else key
            made[named] = merged(made[named], shape(one)) if named in made else shape(one)
        return made
    if isinstance(value, list | tuple):
        items = [shape(one) for one in value]
        if not items:
            return []
        whole = items[0]
        for one in items[1:]:
            whole = merged(whole, one)
        return [whole]
    return "null" if value is None else type(value).__name__


def merged(one: Any, other: Any) -> Any:
    """The shape of what has either of two shapes."""
    if one == other:
        return one
    if isinstance(one, dict) and isinstance(other, dict):
        names = sorted({name.removesuffix("?") for name in (*one, *other)})
        made: dict[str, Any] = {}
        for name in names:
            sides = [side.get(name, side.get(f"{name}?")) for side in (one, other)]
            there = [side for side in sides if side is not None]
            certain = name in one and name in other
            made[name if certain else f"{name}?"] = merged(*there) if len(there) == 2 else there[0]
        return made
    if isinstance(one, list) and isinstance(other, list):
        return [merged(one[0], other[0])] if one and other else one or other
    either = {part for side in (one, other) for part in (side if isinstance(side, str) else
              json.dumps(side, sort_keys=True)).split(" | ")}  # fmt: skip
    return " | ".join(sorted(either))


def names(folder: Path) -> list[str]:
    """All files below a folder, digests as ``…``."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(re.sub(r"[0-9a-f]{12,}", "…", path.relative_to(folder).as_posix())
                  for path in paths)  # fmt: skip


def columns(path: Path) -> dict[str, Any]:
    """Columns and types of a Parquet file, in order, and what its note says."""
    schema = pq.read_schema(path)
    note = (schema.metadata or {}).get(b"metasae")
    return {
        "columns": [[field.name, str(field.type)] for field in schema],
        "note": None if note is None else shape(json.loads(note)),
    }


def run(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What a command prints with ``--json``."""
    capsys.readouterr()
    code = main([*words, "--json"])
    said = capsys.readouterr()
    assert code == 0, said.err
    return json.loads(said.out)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    return folder


@pytest.fixture
def opened(lab: Lab, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The command line finds the lab that is open already, and an empty cache."""
    monkeypatch.setattr(OPEN_LAB, lambda *_: lab)
    return lab


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """`main` quietens libraries for its process: not for the tests after this one."""
    for name in ("TRANSFORMERS_VERBOSITY", "HF_HUB_DISABLE_PROGRESS_BARS"):
        monkeypatch.setenv(name, os.environ.get(name, ""))


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


STEER = ("steer", "--source", "Tokyo", "--target", "Paris")

WORDS = {
    "decompose-width": ("decompose", "5", "--width", "576"),
    "latents-word": ("latents", "--text", "Tokyo", "--width", "576"),
    "steer-edit": (*STEER, "--strength", "{meta}=0.5", "--keep-residual", "--position", "all"),
}


@pytest.mark.real_model
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


def test_examples_are_of_the_posts_model_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["examples", "--json"]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and said.err.startswith("metasae: ")
    assert "--preset" in said.err and "Traceback" not in said.err
    check("cli-examples", {"checks": [[one.name for one in dataclasses.fields(Check)]]})


@pytest.mark.real_model
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


@pytest.mark.real_model
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
    check("evidence", {"own": of_evidence(out), "cache": names(cache)})


def test_the_shipped_evidence() -> None:
    check("evidence-shipped", of_evidence(SHIPPED / "data" / "evidence" / "smollm2-135m"))


def of_evidence(folder: Path) -> dict[str, Any]:
    """Files, columns and keys of an evidence folder."""
    contents: dict[str, Any] = {}
    for name in names(folder):
        path = folder / name
        contents[name] = (
            columns(path) if path.suffix == ".parquet" else shape(json.loads(path.read_text()))
        )
    return contents


# What is shipped.


def test_the_shipped_files() -> None:
    folder = SHIPPED / "weights" / "smollm2-135m"
    check(
        "shipped",
        {
            "files": names(folder),
            "report.json": shape(json.loads((folder / "report.json").read_text())),
            "cities.json": shape(json.loads((folder / "cities.json").read_text())),
            "words.parquet": columns(folder / "words.parquet"),
            "meta-sae/cfg.json": shape(json.loads((folder / "meta-sae/cfg.json").read_text())),
        },
    )


# Links.


QUERIES: tuple[dict[str, str], ...] = (
    {},
    {"source": "Kyiv", "target": "São Paulo"},
    {"v": "1", "source": "#12, #45", "target": "Paris"},
    {"preset": "gpt2-small", "source_latents": "12.45", "target_latents": "7"},
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


SPEC = {"preset": "smollm2-135m", "source": "London", "target": "Oslo"}

SPECS: tuple[dict[str, Any], ...] = (
    {},
    {"attributes": ["currency", "language"]},
    {"removed": [0.0, 0.5], "added": [0.5, 1.0]},
    {"removed": [0.0, -1.0], "added": [1.0, 2.0], "wording": "reworded"},
)


def test_links_of_enumerate_are_written_and_read_as_ever() -> None:
    queries = [to_query(Spec.from_dict(SPEC | more)) for more in SPECS]
    odd = [{"attributes": "mayor", "strengths": "x", "wording": "y"}, {"attributes": "currency"}]
    check("links-enumerate", [[query, from_query(query)] for query in (*queries, *odd)])


def test_links_of_latents_are_written_as_ever() -> None:
    places = Place(17, 576), Place(5, 18432, "Tokyo & Kyoto")
    check("links-latents", [place.to_query() for place in places])


@pytest.mark.real_model
def test_links_of_graph_are_read_and_written_as_ever(
    opened: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "get_lab", lambda preset: opened)
    st.cache_resource.clear()
    st.cache_data.clear()
    app = AppTest.from_file(str(ROOT / "workbench" / "app.py"), default_timeout=120).run()
    written = []
    for query in (
        {"latent": "5,6", "depth": "2", "top": "1", "least": "0.4"},
        {"latent": "#7, 8", "depth": "1", "top": "5", "least": "0"},
    ):
        for name, value in query.items():
            app.query_params[name] = value
        app = app.switch_page("../pages/graph.py").run()
        assert not app.exception and not app.error
        sliders = {key: app.slider(key=key).value for key in ("graph-depth", "graph-top",
                                                              "graph-least")}  # fmt: skip
        now = {name: str(value[0] if isinstance(value, list) else value)
               for name, value in app.query_params.items()}  # fmt: skip
        written.append([query, sliders, now])
    check("links-graph", written)


# Steer's files.


@pytest.mark.real_model
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
        kept.write_text(written)
    assert view_from_json(kept.read_bytes(), opened.provenance).view == view
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
)  # fmt: skip


@pytest.mark.real_model
def test_a_search_keeps_its_id(opened: Lab) -> None:
    specs = [Spec.from_dict(SPEC | more) for more in ID_SPECS]
    check("search-ids", [[spec.to_dict(), Job(opened, spec).id] for spec in specs])


ONE = ("search", "--source", "London", "--target", "Oslo", "--attributes", "currency")
MANY = ("search", "--cities", "Tokyo,Moscow,Rome", "--all-pairs", "--attributes", "currency")


def as_if_killed(name: str, words: Sequence[str], left: Sequence[str], cache: Path) -> str:
    """A search that an earlier version began, in the cache; returns its id.

    All files are written whole, one after the other: a search that was killed has left the first
    of them.
    """
    kept = FIXTURES / name
    if REGENERATE:
        assert main([*words]) == 0
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


def untouched_files(name: str, folder: Path) -> bool:
    """Whether what an earlier version had done was neither done again nor changed."""
    return all(
        (folder / path.name).read_bytes() == path.read_bytes()
        for path in (FIXTURES / name).iterdir()
    )


@pytest.mark.real_model
@pytest.mark.slow
def test_a_search_begun_earlier_is_gone_on_with(
    opened: Lab, cache: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    identity = as_if_killed("search", ONE, ("job.json", "part-00000000.parquet"), cache)
    folder = cache / "searches" / identity
    begun = Job(opened, Spec.from_dict(json.loads((folder / "job.json").read_text())["spec"]))
    state = begun.state()
    assert (state.done, state.total, state.finished) == (256, 512, False)
    told = run(capsys, *ONE, "--out", str(tmp_path / "all.parquet"))
    assert told["id"] == begun.id == identity
    assert begun.state().finished and untouched_files("search", folder)
    check("cli-search", shape(told))
    for ending in ("csv", "json"):
        begun.export(tmp_path / f"all.{ending}")
    check(
        "search-files",
        {
            "files": names(cache),
            "job.json": shape(json.loads((folder / "job.json").read_text())),
            "done.json": shape(json.loads((folder / "done.json").read_text())),
            "part": columns(folder / "part-00000000.parquet"),
            "verified": columns(folder / "verified.parquet"),
            "exported": exported(tmp_path, "all"),
        },
    )
    reached = told["patterns"]
    what = [[one["pattern"], one["edit"], one["number"], one["sentence"]] for one in reached]
    check("search-patterns", [identity, what])
    margins = [one["margin"] for one in reached]
    assert margins == pytest.approx(frozen("search-margins", margins), abs=1e-3)


def exported(folder: Path, stem: str) -> dict[str, Any]:
    """The columns of exported files of all formats."""
    note, header = (folder / f"{stem}.csv").read_text().splitlines()[:2]
    whole = json.loads((folder / f"{stem}.json").read_text())
    assert note.startswith("# ")
    return {
        "parquet": columns(folder / f"{stem}.parquet"),
        "csv": {"note": shape(json.loads(note[2:])), "columns": header.split(",")},
        "json": shape(whole),
    }


@pytest.mark.real_model
@pytest.mark.slow
def test_an_estimating_search_has_its_files(
    opened: Lab, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("search", "--source", "Rome", "--target", "Moscow", "--attributes", "currency")
    told = run(capsys, *words, "--estimate")
    check("cli-search-estimate", {"files": names(cache), "id": told["id"], "told": shape(told)})


@pytest.mark.real_model
@pytest.mark.slow
def test_a_search_of_pairs_begun_earlier_is_gone_on_with(
    opened: Lab, cache: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    left = ("job.json", "pair-00000000.json", "pair-00000001.json")
    identity = as_if_killed("pairs", MANY, left, cache)
    folder = cache / "searches" / identity
    asked = json.loads((folder / "job.json").read_text())
    specs = [Spec.from_dict(one) for one in asked["specs"]]
    begun = PairsJob(opened, specs, most=asked["most"])
    state = begun.state()
    assert (state.done, state.total, state.finished) == (2, 6, False)
    told = run(capsys, *MANY, "--out", str(tmp_path / "pairs.parquet"))
    assert told["id"] == begun.id == identity
    assert begun.state().finished and untouched_files("pairs", folder)
    check("cli-search-pairs", shape(told))
    for ending in ("csv", "json"):
        begun.export(tmp_path / f"pairs.{ending}")
    check(
        "pairs-files",
        {
            "files": names(cache),
            "job.json": shape(json.loads((folder / "job.json").read_text())),
            "pairs": shape([json.loads(path.read_text()) for path in folder.glob("pair-*.json")]),
            "exported": exported(tmp_path, "pairs"),
        },
    )
    what = [
        [one["source"], one["target"], one["pattern"], one["edit"], one["number"]]
        for one in told["patterns"]
    ]
    check("pairs-patterns", [identity, what])


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


def tensors(path: Path) -> dict[str, list[Any]]:
    """Names, shapes and types of a file of tensors."""
    return {name: [list(one.shape), str(one.dtype)] for name, one in load_file(path).items()}


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
    check(
        "training",
        {
            "told": shape(told),
            "files": names(trained_in / "out"),
            "report.json": shape(json.loads((trained_in / "out" / "report.json").read_text())),
            "cfg.json": shape(json.loads((trained_in / "out" / "cfg.json").read_text())),
            "weights": tensors(trained_in / "out" / "sae_weights.safetensors"),
        },
    )
    weights = load_file(trained_in / "out" / "sae_weights.safetensors")
    if REGENERATE:
        shutil.copy(trained_in / "out" / "sae_weights.safetensors", kept / "final.safetensors")
    final = load_file(kept / "final.safetensors")
    assert weights.keys() == final.keys()
    for name, expected in final.items():
        torch.testing.assert_close(weights[name], expected, rtol=0, atol=1e-4)


@pytest.fixture
def small(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a preset whose model is small."""
    hub = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    preset = small_gpt2(hub)
    monkeypatch.setitem(PRESETS, preset.name, preset)
    yield preset.name


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
    check(
        "base-sae",
        {
            "told": shape(told),
            "files": names(out),
            "report.json": shape(json.loads((out / "report.json").read_text())),
            "cfg.json": shape(json.loads((out / "cfg.json").read_text())),
            "weights": tensors(out / "sae_weights.safetensors"),
            "cache": names(cache),
        },
    )
