"""The command that scores labels: its cost, its scores, delphi's files, and refusals."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from metasae import cli
from metasae.cli import scoring
from metasae.explorer.delphi_files import Run
from metasae.explorer.explorer import open_explorer
from metasae.lab.lab import open_lab
from metasae.sources.presets import PRESETS
from tests.command_line import refused, run
from tests.label_servers import Server, serving
from tests.metasae.explorer.scored_text import coin

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        made.saying = coin()
        yield made


def test_the_kinds_are_delphis() -> None:
    from metasae.explorer.label_questions import KINDS

    assert scoring.KINDS == KINDS


def test_labels_are_scored_once_the_cost_is_agreed_to(
    folder: Path, tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    text, out = tmp_path / "text.txt", tmp_path / "out"
    places = ("Tokyo", "Paris", "Cairo", "Lyon", "Osaka", "Kyoto", "Marseille", "Alexandria")
    text.write_text(
        "\n\n".join(
            " ".join(
                f"{name} lies {word}, {one} {number} stays." for name in places for one in "ab"
            )
            for number, word in enumerate(["north", "south", "east", "west", "up", "far"] * 8)
        )
    )
    assert cli.main(["describe", "--preset", "small", "--text", str(text)]) == 0
    explorer = open_explorer(open_lab(PRESETS["small"]))
    table = explorer.table("64")
    assert table is not None
    words = [
        "score-labels", "--preset", "small", "--endpoint", server.url, "--endpoint-model", "tiny",
        "--pieces", "4", "--quantiles", "2", "--out", str(out),
    ]  # fmt: skip
    capsys.readouterr()
    assert cli.main(words) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "times, about" in said and "--yes" in said and not server.asked
    found = run(capsys, *words, "--yes")
    asked = len(server.asked)
    assert f"asked {asked} times" in said and asked > 0
    assert found["model"] == "tiny" and {one["kind"] for one in found["scores"]} == set(
        scoring.KINDS
    )
    # Without the agreement: all is answered.
    assert run(capsys, *words) == found and len(server.asked) == asked
    written = Run.of(out)
    labels = {one["latent"]: one["label"] for one in found["scores"]}
    assert labels.items() <= written.explanations().items()
    assert {*labels} <= {*written.read_activations().latent.tolist()}
    # Beside themselves, and alone, the same.
    alone = run(capsys, "score-labels", "--beside", str(out))["published"]
    assert {(one["latent"], one["kind"]): one["value"] for one in alone} == {
        (one["latent"], one["kind"]): one["score"]["value"] for one in found["scores"]
    }
    assert cli.main([*words, "--beside", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(found["scores"]) + 3
    assert "for other latents' labels" in lines[-3] and "by chance" in lines[-1]
    # The explorer shows them.
    latent = next(iter(labels))
    shown = open_explorer(open_lab(PRESETS["small"])).label_scores("64", latent)
    assert shown is not None and shown[0] == "tiny" and set(shown[1]["kind"]) == set(scoring.KINDS)
    # The run that was written is scored as others' are.
    server.saying = coin(1)
    other = tmp_path / "other"
    again = [*words[:-2], "--delphi", str(out), "--width", "16", "--out", str(other), "--yes"]
    assert {one["latent"] for one in run(capsys, *again)["scores"]} <= set(labels)
    (cached,) = other.glob("latents/**/*.safetensors")
    assert int(cached.stem.split("_")[1]) >= max(labels) >= 16
    # The run that is read is never written over.
    before = {one: one.read_bytes() for one in out.rglob("*.*") if one.is_file()}
    assert "name another folder" in refused(capsys, [*words, "--delphi", str(out), "--yes"])
    assert {one: one.read_bytes() for one in before} == before


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ([], "--endpoint"),
        (["--beside", "nowhere"], "no run of delphi"),
        (["--endpoint", "ftp://x"], "is no address"),
        (["--endpoint", "http://x", "--pieces", "3", "--quantiles", "5"], "can't be drawn"),
        (["--endpoint", "http://x", "--latents", "a"], "numbers like"),
        (["--endpoint", "http://x", "--delphi", "nowhere"], "no run of delphi"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_opened(
    closed: None, more: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why in refused(capsys, ["score-labels", *more])
