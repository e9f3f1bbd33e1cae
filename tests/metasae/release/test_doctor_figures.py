"""What a doctor measures of SAEs: around which mean, and where there is nothing to compare with."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metasae.lab.lab import Lab
from metasae.lab.preset_files import REPORT
from metasae.release import doctor_figures
from metasae.release.doctor_figures import around, figures
from metasae.release.findings import DIFFERS, OK, UNCHECKED, Finding
from metasae.sources.files import read_json, write_json
from metasae.sources.presets import Preset
from tests.builders import never


@pytest.fixture
def preset(small_lab: Lab, tmp_path: Path) -> Preset:
    """The small lab's, with files of its own; its report says nothing of its SAEs."""
    assert small_lab.preset.weights is not None
    shutil.copytree(small_lab.preset.weights, tmp_path / "weights")
    return replace(small_lab.preset, weights=tmp_path / "weights")


NOBODY = "Nobody has published L0 or variance of these SAEs."


def test_where_nobody_published_figures_the_meta_sae_alone_is_measured(
    preset: Preset, small_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_figures, "text_of", never("no text is read"))
    path = tmp_path / "weights" / REPORT
    report = read_json(path)
    # Planted so that it rebuilds every direction.
    for said, verdict in ((1.0, OK), (0.99, DIFFERS)):
        write_json(path, report | {"meta_sae": {"fve": said}})
        nobody, meta = figures(preset, small_lab.model)
        assert nobody == NOBODY and isinstance(meta, Finding)
        assert meta.name.startswith("meta-SAE") and meta.verdict == verdict
        assert meta.found.startswith("1.000 at L0 ")


def test_a_report_that_is_gone_is_said_of_all_it_would_be_compared_with(
    preset: Preset, small_lab: Lab, tmp_path: Path
) -> None:
    (tmp_path / "weights" / REPORT).unlink()
    published, nobody, meta = figures(preset, small_lab.model)
    assert nobody == NOBODY
    for one in (published, meta):
        assert isinstance(one, Finding) and one.verdict == UNCHECKED
        assert one.found == "what it reads is missing or damaged"


def test_variance_around_another_mean_by_hand() -> None:
    rows = torch.tensor([[0.0, 1.0], [2.0, 1.0]])
    # Around (1, 1) the spread is 2; around (1, 3) it is 2 + 2 · 4. Of it 1 is left unexplained.
    assert around(0.5, rows, None) == 0.5
    assert around(0.5, rows, torch.tensor([1.0, 3.0])) == pytest.approx(0.9)
