"""The command that measures a release anew, on a small one."""

import functools
import json
from pathlib import Path

import pytest

from metasae import cli
from metasae.release import measure as measure_module
from tests.command_line import run
from tests.small_release import RECIPE, Built


@pytest.mark.slow
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
