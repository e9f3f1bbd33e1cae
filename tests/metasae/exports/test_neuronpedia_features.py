"""Latents in Neuronpedia's layout: every row, and what its own client makes of them."""

import gzip
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from metasae.explorer.explorer import META
from metasae.exports import neuronpedia_features
from metasae.exports.directions import Directions
from metasae.exports.neuronpedia_names import model_id, source_id
from metasae.exports.to_neuronpedia import TARGET
from metasae.lab.lab import Lab
from tests.metasae.exports.making import is_installed
from tests.metasae.exports.seen import HOSTILE, STRENGTHS, seen


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    found = []
    for path in sorted((folder / name).glob("*.jsonl.gz")):
        found += [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    return found


@pytest.fixture
def written(small_lab: Lab, tmp_path: Path) -> Path:
    explorer = seen(small_lab, tmp_path / "none")
    TARGET.export(Directions(explorer, str(small_lab.n_latents), (5, 6)), tmp_path / "out")
    return tmp_path / "out"


def test_rows_hold_what_is_known(small_lab: Lab, written: Path) -> None:
    five, six = lines(written, "features")
    whose = {"modelId": model_id(small_lab.preset), "layer": f"0-res-{small_lab.n_latents}"}
    for row in (five, six):
        assert whose.items() <= row.items() and not row["hasVector"] and row["vector"] == []
    assert (five["index"], six["index"]) == ("5", "6")
    assert five["maxActApprox"] == STRENGTHS[0] and six["maxActApprox"] == 0
    assert five["frac_nonzero"] == 10 / 200 and six["frac_nonzero"] == 0
    assert sum(five["freq_hist_data_bar_heights"]) == 10
    assert len(five["pos_str"]) == len(five["pos_values"]) > 0
    assert five["pos_values"] == sorted(five["pos_values"], reverse=True)
    first, second = lines(written, "activations")
    assert first["index"] == "5" and first["maxValue"] == STRENGTHS[0]
    assert first["values"][first["maxValueTokenIndex"]] == STRENGTHS[0]
    assert len(first["tokens"]) == len(first["values"]) and first["id"] != second["id"]
    said = {row["index"]: row["description"] for row in lines(written, "explanations")}
    assert said == {"5": HOSTILE, "6": "Paris"}  # the word it fires on, without a better label
    for name in ("model", "source", "sourceset", "release"):
        json.loads((written / f"{name}.jsonl").read_text("utf-8"))


def test_meta_latents_are_vectors(small_lab: Lab, tmp_path: Path) -> None:
    directions = Directions(seen(small_lab, tmp_path), META, (0, 3))
    TARGET.export(directions, tmp_path / "out")
    rows = lines(tmp_path / "out", "features")
    assert [row["vector"] for row in rows] == directions.rows.tolist()
    assert rows[0]["vectorLabel"] == "cities" and rows[0]["hookName"] == small_lab.preset.hook_point
    assert lines(tmp_path / "out", "activations") == []
    said = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "on latents, not on text" in said and "takes no directions" in said


def test_many_are_written_in_batches(
    small_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neuronpedia_features, "BATCH", 30)
    explorer = seen(small_lab, tmp_path)
    TARGET.export(Directions.of(explorer, str(small_lab.n_latents), None), tmp_path / "out")
    names = sorted(one.name for one in (tmp_path / "out" / "features").iterdir())
    assert names == [f"batch-{number}.jsonl.gz" for number in range(3)]
    rows = lines(tmp_path / "out", "features")
    assert [row["index"] for row in rows] == [str(one) for one in range(small_lab.n_latents)]


def test_names_are_neuronpedias_where_it_has_some(small_lab: Lab, tmp_path: Path) -> None:
    from dataclasses import replace

    preset = replace(small_lab.preset, neuronpedia="gpt2-small/8-res_fs{width}-jb")
    lab = replace(small_lab, preset=preset)
    width = str(lab.n_latents)
    assert model_id(preset) == "gpt2-small"
    assert source_id(Directions(seen(lab, tmp_path), width, (5,))) == f"8-res_fs{width}-jb"


@pytest.mark.skipif(not is_installed("neuronpedia"), reason="neuronpedia is not installed")
def test_neuronpedias_client_takes_them(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from neuronpedia.np_activation import Activation
    from neuronpedia.np_explanation import Explanation
    from neuronpedia.requests.base_request import NPRequest

    for row in lines(written, "activations"):
        fired = Activation.from_np_db_json(row | {"source": row["layer"]})
        assert fired.values == row["values"]
    for row in lines(written, "explanations"):
        read = Explanation.from_np_db_json(row | {"source": row["layer"]})
        assert read.text == row["description"]
    sent: list[dict[str, Any]] = []
    monkeypatch.setenv("NEURONPEDIA_API_KEY", "none")
    monkeypatch.setattr(
        NPRequest, "send_request", lambda self, method, uri, json: sent.append(json)
    )
    runpy.run_path(str(written / "upload_features.py"), run_name="__main__")
    (payload,) = sent
    assert [one["index"] for one in payload["features"]] == [5, 6]
    five, six = payload["features"]
    assert five["explanations"][0]["text"] == HOSTILE
    assert six["activations"] == []
    assert len(five["activations"]) == 2 and len(five["topLogits"]) > 0
