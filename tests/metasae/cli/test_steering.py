"""`steer --beside`: the same edit in another SAE of the preset, on a small lab."""

from pathlib import Path

import pytest

from metasae import cli
from metasae.lab.lab import Lab
from metasae.lab.other_sae import asked_in, with_sae
from metasae.sources.cache import CACHE_VARIABLE
from metasae.steering.edits import LatentSwap
from metasae.steering.side_by_side import side_by_side
from tests.command_line import refused, run
from tests.small_lab import NARROW

STEER = ("steer", "--source", "Tokyo", "--target", "Paris", "--swap", "--beside")


@pytest.fixture(autouse=True)
def on_small(small_default: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Lab:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr("metasae.lab.lab.open_lab", lambda *_: small_default)
    return small_default


def test_it_says_what_the_library_says(on_small: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    pair = on_small.experiment(on_small.subject("Tokyo"), on_small.subject("Paris"))
    found = side_by_side(pair, asked_in(with_sae(on_small, NARROW), pair), LatentSwap())
    values = run(capsys, *STEER, str(NARROW))
    assert values["beside"]["sentences"] == list(found.sentences)
    there = values["beside"]["there"]
    assert there["sae"].startswith(f"sae-{NARROW}@") and there["sae"] != values["sae"]
    logprobs = [one["logprob"] for each in there["attributes"] for one in each["answers"]]
    assert logprobs == pytest.approx(found.there.logprobs.tolist(), abs=1e-5)
    assert cli.main([*STEER, str(NARROW)]) == 0
    text = capsys.readouterr().out
    assert f"Beside it, in sae-{NARROW}@" in text
    row = found.table.iloc[0]
    here, more = row["here"] - row["baseline"], row["difference"]
    about = f"{row['attribute']}: {row['answer']} "
    line = next(one for one in text.splitlines() if about in one)
    moves = [float(one) for one in line.split()[-2:]]
    assert moves == pytest.approx([here, here + more], abs=0.006)


def test_what_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is no SAE of 17 latents" in refused(capsys, [*STEER, "17"])
    assert 'There is no preset "nobodys"' in refused(capsys, [*STEER, "nobodys"])
