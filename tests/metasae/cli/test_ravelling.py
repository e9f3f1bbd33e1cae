"""``metasae ravel`` as a person calls it."""

import json
from pathlib import Path

import pytest

from metasae.cli.main import main
from metasae.lab.lab import Lab
from metasae.ravel import evaluation
from metasae.ravel.evaluation import Configuration
from metasae.sources.cache import CACHE_VARIABLE
from tests.ravel_data import small_data


@pytest.fixture
def taught_cities(small_lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr("metasae.lab.lab.open_lab", lambda *_: small_lab)
    monkeypatch.setattr("metasae.ravel.data.own_cities", small_data)
    quick = Configuration(seeds=1, sources=2, targets=1, views=1, learned_towards=2, steps=4)
    monkeypatch.setattr(evaluation, "QUICK", quick)


@pytest.mark.usefixtures("taught_cities")
def test_a_table_is_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["ravel", "--quick", "--methods", "nothing,latent-swap", "--out", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    rows = {(row["rule"], row["method"], row["attribute"]): row for row in printed["methods"]}
    for rule in ("greedy", "choice"):
        row = rows[rule, "nothing", "all"]
        assert (row["cause"], row["isolate"], row["disentangle"]) == (0.0, 1.0, 0.5)
        assert {"low", "high", "seeds"} <= set(row)
    assert printed["quick"] and printed["facts"]["names"]["kept_held_out"] == 4
    assert printed["made"]["preset"] and (tmp_path / "out" / "triples.parquet").exists()
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "A quick sample" in text and "latent-swap" in text


@pytest.mark.usefixtures("taught_cities")
@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--data", "nowhere"], "nowhere"),
        (["--methods", "magic"], "magic"),
        (["--methods", ","], "method"),
        (["--seeds", "0"], "--seeds"),
    ],
)
def test_bad_input_is_one_sentence(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ravel", "--quick", *words]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("metasae: ") and named in said
