"""The command that measures a release anew, on a small one."""

import functools
import json
from pathlib import Path

import pytest

from metasae import cli
from metasae.cli.about import _text
from metasae.release import measure as measure_module
from tests.command_line import run
from tests.small_release import RECIPE, Built


def test_the_text_that_was_written_for_training_is_counted() -> None:
    def used(documents: int, tokens: int, held_out: int = 0) -> dict[str, int]:
        return {
            "documents": documents, "tokens": tokens,
            "held_out_documents": held_out, "held_out_tokens": 10 * held_out,
        }  # fmt: skip

    sources = {
        "wikipedia-en": used(100, 5000, 10), "factbook": used(40, 2400),
        "city names": used(200, 1500), "titles": used(50, 500),
    }  # fmt: skip
    # 150 of others and 250 of ours; 7,500 tokens and 2,000.
    assert _text(sources) == [
        "text: 400 documents, of which 250 are sentences written for training (21% of the tokens)"
    ]
    assert _text({"mine.txt": used(3, 30)}) == _text(["mine.txt"]) == _text(None) == []


@pytest.mark.long
def test_measuring_gives_the_stored_figures_again(
    built: Built, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The release was made by this recipe instead of the shipped one, which would take hours.
    small = functools.partial(measure_module.measure, recipe=RECIPE)
    monkeypatch.setattr(measure_module, "measure", small)
    (folder / "report.json").unlink()
    measured = run(capsys, "info", "--measure", "--preset", "small")
    assert measured == json.loads(json.dumps(built.report))
    assert json.loads((folder / "report.json").read_text()) == measured
    assert cli.main(["info", "--preset", "small"]) == 0
    said = capsys.readouterr().out
    assert f"meta-SAE: 12 meta-latents, L0 {measured['meta_sae']['l0']:.2f}" in said
    assert all(f"{one['fve']:>18.3f}" in said for one in measured["saes"])
