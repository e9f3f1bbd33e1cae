"""A result is a folder of tables, a picture and figures."""

from pathlib import Path

from metasae.lab.lab import Lab
from metasae.ravel.evaluation import Configuration, evaluate
from metasae.ravel.files import RESULT, write
from metasae.sources.files import read_json
from tests.ravel_data import small_data


def test_a_result_is_a_folder(small_lab: Lab, tmp_path: Path) -> None:
    config = Configuration(methods=("nothing", "latent-swap"), seeds=1, sources=3, targets=2)
    finding = evaluate(small_lab, small_data(), config)
    write(tmp_path / "out", finding, small_lab.provenance, config)
    values = read_json(tmp_path / "out" / RESULT)
    assert values["verdict"] == finding.verdict and values["configuration"]["sources"] == 3
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {RESULT, "scores.parquet", "triples.parquet", "scores.vl.json"}
