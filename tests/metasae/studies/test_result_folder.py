"""A result that is written is read back, and damage is said."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import altair as alt
import numpy as np
import pandas as pd
import pytest
import torch

from metasae.errors import UserError
from metasae.progress import silent
from metasae.sources.files import read_json, write_json
from metasae.steering.provenance import Provenance, Weights
from metasae.studies import result_folder
from metasae.studies.registry import study
from metasae.studies.study import Finding
from tests.builders import cut_off, one_sentence
from tests.metasae.studies.planted import material_of

MADE = Provenance("small", "model@1", "blocks.0.hook_resid_pre", "sae@2", "meta@3", "9.9")
WEIGHTS = Weights("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    one = study("max-cosine")
    configuration = one.configured({"threshold": "0.6"})
    finding = one.answer(material_of(((0,), (0, 1)), ((0,),)), configuration, silent)
    result_folder.write(tmp_path / "result", one, configuration, finding, MADE, 3, WEIGHTS, 2.5)
    return tmp_path / "result"


def test_a_result_is_read_as_it_was_written(folder: Path) -> None:
    read = result_folder.read(folder)
    one = study("max-cosine")
    finding = one.answer(material_of(((0,), (0, 1)), ((0,),)), one.configured({"threshold": "0.6"}))
    assert read.verdict == finding.verdict and read.figures == dict(finding.figures)
    assert read.configuration["threshold"] == 0.6
    assert read.made["meta_sae"] == "meta@3" and read.weights["meta_sae"] == "c" * 64
    assert (read.seeds, read.seconds) == (3, 2.5)
    for name, table in finding.tables.items():
        pd.testing.assert_frame_equal(read.tables[name], table, check_dtype=False)
    assert list(read.charts) == ["largest-cosines"]
    assert read.charts["largest-cosines"]["$schema"].startswith("https://vega.github.io/")


def test_the_code_names_the_preset_and_every_setting(folder: Path) -> None:
    code = result_folder.read(folder).code
    compile(code, "snippet", "exec")
    assert "find_preset('small')" in code and "threshold=0.6" in code


def test_the_command_asks_the_same(folder: Path) -> None:
    words = shlex.split(result_folder.command(result_folder.read(folder)))
    assert words[:4] == ["python", "-m", "metasae", "study"]
    assert "--preset=small" in words and "--seeds=3" in words and "--set=threshold=0.6" in words


def test_every_picture_is_there_as_svg_that_says_what_it_is_of(folder: Path) -> None:
    (drawn,) = (folder / "charts").glob("*.svg")
    assert drawn.stem == "largest-cosines"
    picture = ElementTree.fromstring(drawn.read_text("utf-8"))
    description = picture.find("{http://www.w3.org/2000/svg}desc")
    assert description is not None and description.text is not None
    assert json.loads(description.text)["meta_sae"] == "meta@3"


def test_a_result_of_a_former_version_is_read(folder: Path) -> None:
    values = read_json(folder / "result.json")
    for later in ("weights", "seconds", "tables", "charts"):
        del values[later]
    write_json(folder / "result.json", values)
    read = result_folder.read(folder)
    assert read.weights == {} and read.seconds is None


def test_tables_and_pictures_come_in_the_studys_order(folder: Path) -> None:
    read = result_folder.read(folder)
    assert list(read.tables) == ["shares", "histograms"]
    # Where it isn't said, as in a former version, or isn't of this folder: by name.
    values = read_json(folder / "result.json") | {"tables": ["gone", "../result"]}
    write_json(folder / "result.json", values)
    assert list(result_folder.read(folder).tables) == ["histograms", "shares"]


@pytest.mark.parametrize(
    "spoil",
    [
        cut_off("result.json"),
        cut_off("tables/shares.parquet"),
        cut_off("charts/largest-cosines.vl.json"),
        lambda folder: (folder / "result.json").unlink(),
    ],
)
def test_a_damaged_folder_is_refused(folder: Path, spoil: Callable[[Path], object]) -> None:
    spoil(folder)
    with pytest.raises(UserError) as raised:
        result_folder.read(folder)
    one_sentence(raised)


def test_a_newer_format_is_refused(folder: Path) -> None:
    values = read_json(folder / "result.json")
    write_json(folder / "result.json", values | {"format": 2})
    with pytest.raises(UserError) as raised:
        result_folder.read(folder)
    assert "newer" in one_sentence(raised)


def test_numbers_of_other_libraries_and_any_name_can_be_written(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": [1, 2]})
    figures = {
        "share": np.float32(0.5), "count": table["x"].max(), "all": np.arange(2),
        "none": np.float64("nan"), "torch": torch.tensor(2.0), "hit": np.bool_(True),
    }  # fmt: skip
    chart = alt.Chart(table).mark_point().encode(x="x:Q")
    finding = Finding("", figures, {"own/meta": table}, {"own vs. meta/latents": chart})
    one = study("max-cosine")
    result_folder.write(tmp_path / "r", one, one.configuration(), finding, MADE, 1, WEIGHTS)
    read = result_folder.read(tmp_path / "r")
    assert read.figures == {
        "share": 0.5, "count": 2, "all": [0, 1], "none": None, "torch": 2.0, "hit": True
    }  # fmt: skip
    assert list(read.tables) == ["own-meta"] and list(read.charts) == ["own-vs.-meta-latents"]
