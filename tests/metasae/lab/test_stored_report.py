"""The report that is read is about what is opened, and what is said when it isn't there."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metasae.cli.about import Report
from metasae.errors import UserError
from metasae.lab.preset_files import REPORT
from metasae.lab.stored_report import stored_report
from metasae.sources import cache
from metasae.sources.presets import EMBEDDED, GPT2
from tests.builders import one_sentence

OWN = {"width": 1152, "l0": 4.0, "fve": 0.6, "fve_control": 0.1, "dead": 0}

MINE: dict[str, Any] = {
    "config": {"width": 64},
    "quality": {"l0": 3.0, "fve": 0.25, "dead": 7},
    "controls": {},
}


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A folder with a report of no weights."""
    folder = tmp_path / "weights"
    folder.mkdir()
    cities = {"total": 1, "with_latent": 1, "known_facts": {}}
    report = {
        "model": "m", "hook": "h", "saes": [], "meta_sae": OWN, "cities": cities,
        "weights_sha256": {},
    }  # fmt: skip
    (folder / REPORT).write_text(json.dumps(report))
    return folder


def test_the_figures_are_those_of_the_chosen_meta_sae(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "meta_saes", lambda base: tmp_path / base)
    preset = replace(EMBEDDED, weights=shipped)
    assert stored_report(preset)["meta_sae"] == OWN
    chosen = replace(preset, meta_sae="mine")
    with pytest.raises(UserError) as raised:
        stored_report(chosen)
    assert "train the meta-SAE again" in one_sentence(raised)
    folder = tmp_path / EMBEDDED.name / "mine"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(MINE))
    report = stored_report(chosen)
    assert report["meta_sae"] == MINE["quality"] | {"width": 64, "fve_control": None}
    # Nothing is claimed of a control that wasn't trained.
    assert "64 meta-latents, L0 3.00, variance explained 0.250, 7 dead" in Report(report).text()


def test_what_to_do_depends_on_whether_the_weights_are_shipped(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "preset", lambda name: tmp_path / name)
    with pytest.raises(UserError) as raised:
        stored_report(GPT2)
    assert "Nothing has been made" in one_sentence(raised)
    made = tmp_path / GPT2.name
    made.mkdir()
    for report in ("{", '{"weights_sha256": {"gone": "0"}}'):
        for folder in (made, shipped):
            (folder / REPORT).write_text(report)
        with pytest.raises(UserError) as raised:
            stored_report(replace(EMBEDDED, weights=shipped))
        assert "info --measure" in one_sentence(raised)
        with pytest.raises(UserError) as raised:
            stored_report(GPT2)
        assert f"delete {made} and open the preset again" in one_sentence(raised)
