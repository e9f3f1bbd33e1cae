"""A text is read token by token as the library reads it, and told as text and as JSON."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from metasae import cli
from metasae.cli import texts
from metasae.explorer.explorer import Explorer
from metasae.explorer.token_table import read_text
from metasae.lab.lab import Lab
from tests.command_line import refused, run

TEXT = "Tokyo is in the country of Japan"

WORDS = ("latents", "--text", TEXT, "--token-by-token")


@pytest.fixture
def explorer(small_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Explorer:
    made = Explorer(small_lab, tmp_path)
    monkeypatch.setattr(texts, "opened_explorer", lambda _: made)
    return made


def counted(explorer: Explorer, dense: int) -> None:
    """Have it known that a latent fires on a fifth of all tokens, and the others on 0.1 %."""
    known: Any = SimpleNamespace(density=lambda latent: 0.2 if latent == dense else 0.001)
    explorer._evidence[explorer.lab.n_latents] = known


def test_a_text_is_read_token_by_token(
    explorer: Explorer, capsys: pytest.CaptureFixture[str]
) -> None:
    values, width = run(capsys, *WORDS), explorer.lab.n_latents
    read = read_text(explorer, width, TEXT, most=texts.MOST)
    assert set(values) == {"text", "width", "tokens", "left_out"}
    assert values["text"] == TEXT and values["width"] == width and values["left_out"] == 0
    assert [one["position"] for one in values["tokens"]] == list(range(1, len(read.tokens)))
    for one in values["tokens"]:
        row = read.tokens.iloc[one["position"]]
        assert (one["token"], one["next"]) == (row["token"], row["next"])
        assert one["logprob"] == pytest.approx(row["logprob"], abs=1e-6)
        assert one["next_logprob"] == pytest.approx(row["next_logprob"], abs=1e-6)
        here = read.of(one["position"])
        assert [latent["latent"] for latent in one["latents"]] == list(here["latent"])
        assert all(latent["density"] is None for latent in one["latents"])
    assert any(one["latents"] for one in values["tokens"])


def test_the_filters_are_the_librarys(
    explorer: Explorer, capsys: pytest.CaptureFixture[str]
) -> None:
    strongest = run(capsys, *WORDS, "--most", "1")["tokens"][0]["latents"]
    assert len(strongest) == 1
    dense = strongest[0]["latent"]
    counted(explorer, dense)
    values = run(capsys, *WORDS, "--densest", "0.1", "--start-token")
    assert values["left_out"] > 0
    named = {latent["latent"] for one in values["tokens"] for latent in one["latents"]}
    assert named and dense not in named
    start = values["tokens"][0]
    assert start["position"] == 0 and start["logprob"] is None and start["latents"]
    assert dense in {
        latent["latent"]
        for one in run(capsys, *WORDS, "--densest", "0.2")["tokens"]
        for latent in one["latents"]
    }


def test_the_same_as_lines(explorer: Explorer, capsys: pytest.CaptureFixture[str]) -> None:
    dense = run(capsys, *WORDS, "--most", "1")["tokens"][0]["latents"][0]["latent"]
    counted(explorer, dense)
    words = (*WORDS, "--most", "2", "--densest", "0.1", "--start-token")
    values = run(capsys, *words)
    assert cli.main([*words]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert "log-probability (nats)" in head
    assert lines.pop() == f"{values['left_out']:,} more are denser and left out."
    said = iter(lines)
    for one in values["tokens"]:
        line = next(said)
        assert line.strip().startswith(repr(one["token"]))
        assert f"expected next: {one['next']!r} " in line
        assert (one["logprob"] is None) is (one["position"] == 0)
        if one["logprob"] is not None:
            assert float(line.split("expected")[0].split()[-1]) == pytest.approx(
                one["logprob"], abs=0.006
            )
        for latent in one["latents"]:
            line = next(said)
            assert f"latent {latent['latent']}: " in line and line.endswith("(0.10% of all tokens)")
            assert math.isclose(float(line.split()[0]), latent["activation"], abs_tol=0.06)
    assert next(said, None) is None


@pytest.mark.parametrize("words", [("--most", "2"), ("--densest", "0.1"), ("--start-token",)])
def test_the_filters_need_the_table(
    closed: None, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert "--token-by-token" in refused(capsys, ["latents", "--text", TEXT, *words])


def test_a_density_nobody_counted_is_said(
    explorer: Explorer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "metasae describe" in refused(capsys, [*WORDS, "--densest", "0.01"])


def test_a_text_that_is_none_is_said(
    explorer: Explorer, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, ["latents", "--text", "", "--token-by-token"])
