"""What a doctor finds of worked examples: the post's, those shipped with a preset, and none."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metasae.errors import UserError
from metasae.lab.lab import POST_PAIR, Lab
from metasae.lab.preset_files import REPORT
from metasae.release import doctor_examples, post_examples
from metasae.release.doctor_examples import examples
from metasae.release.findings import DIFFERS, OK, UNCHECKED, Finding
from metasae.sources.files import read_json, write_json
from metasae.sources.presets import GPT2, Preset
from metasae.steering.edits import NO_EDIT, LatentSwap


@pytest.fixture
def preset(small_lab: Lab, tmp_path: Path) -> Preset:
    """The small lab's, with files of its own; its report has the pair's answers."""
    assert small_lab.preset.weights is not None
    folder = tmp_path / "weights"
    shutil.copytree(small_lab.preset.weights, folder)
    source, target = map(small_lab.subject, POST_PAIR)
    pair = small_lab.experiment(source, target)
    said = {
        "baseline": pair.apply(NO_EDIT).to_dict()["attributes"],
        "swap": pair.apply(LatentSwap()).to_dict()["attributes"],
    }
    write_json(folder / REPORT, read_json(folder / REPORT) | {"tokyo_paris": said})
    return replace(small_lab.preset, weights=folder)


def answer(report: Any, edit: str, city: str) -> Any:
    """A city's answer to the first question, as a report has it."""
    answers = report["tokyo_paris"][edit][0]["answers"]
    return next(one for one in answers if one["city"] == city)


def test_shipped_answers_are_compared_one_by_one(preset: Preset, tmp_path: Path) -> None:
    path = tmp_path / "weights" / REPORT
    report = read_json(path)
    # The source's answers before the edit, the target's after it; the others are nobody's concern.
    for edit, city, off, verdicts in (
        ("swap", "Paris", 0.04, [OK, OK]),
        ("swap", "Paris", 0.2, [OK, DIFFERS]),
        ("baseline", "Tokyo", 0.2, [DIFFERS, OK]),
        ("baseline", "Paris", 0.2, [OK, OK]),
    ):
        was = answer(report, edit, city)["logprob"]
        answer(report, edit, city)["logprob"] = was + off
        write_json(path, report)
        found = [one for one in examples(preset) if isinstance(one, Finding)]
        assert [one.verdict for one in found] == verdicts
        answer(report, edit, city)["logprob"] = was
    assert [one.name for one in found] == [
        "worked example: Tokyo → Paris, unedited", "worked example: Tokyo → Paris, latents swapped",
    ]  # fmt: skip


def test_a_report_without_them_has_none_and_a_damaged_one_is_said(
    preset: Preset, tmp_path: Path
) -> None:
    path = tmp_path / "weights" / REPORT
    report = read_json(path)
    del report["tokyo_paris"]
    write_json(path, report)
    assert list(examples(preset)) == []
    path.write_text("{")
    (one,) = examples(preset)
    assert isinstance(one, Finding) and one.verdict == UNCHECKED
    assert one.found == "what it reads is missing or damaged"


def test_the_posts_stand_beside_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("open_lab", "open_explorer"):
        monkeypatch.setattr(doctor_examples, name, lambda *_: None)
    checks = [
        post_examples.Check("Einstein", "0.50", "0.51", True),
        post_examples.Check("Tokyo", "4", "9", False),
    ]
    monkeypatch.setattr(post_examples, "checks", lambda explorer: checks)
    assert list(examples(GPT2)) == [
        Finding("worked example: Einstein", "0.50 (the post)", "0.51", OK),
        Finding("worked example: Tokyo", "4 (the post)", "9", DIFFERS),
    ]
    (none,) = examples(replace(GPT2, name="another"))
    assert none == "The post has no worked examples of this preset."


def test_a_preset_that_cannot_be_opened_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> Lab:
        raise UserError("There is no network.")

    monkeypatch.setattr(doctor_examples, "open_lab", refused)
    (one,) = examples(GPT2)
    assert one == Finding("worked examples", "the post's", "There is no network.", UNCHECKED)
