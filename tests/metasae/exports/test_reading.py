"""Edits from their files and masks on a pair: the same edit comes back, bad files are refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from metasae.errors import UserError
from metasae.exports import reading
from metasae.lab.lab import Lab
from metasae.ravel.masks import Mask
from metasae.sources.files import write_json
from metasae.steering.setting import Setting
from tests.metasae.exports.making import KINDS, edited, pair
from workbench.state import View
from workbench.steer.tables import json_file


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_page_and_the_command_write_is_read_back(
    small_lab: Lab, tmp_path: Path, kind: str
) -> None:
    one = edited(small_lab, kind)
    downloaded = json_file(one.outcome, View(Setting(), one.edit))
    for number, text in enumerate((downloaded, json.dumps(one.outcome.to_dict()))):
        path = tmp_path / f"{number}.json"
        path.write_text(text, "utf-8")
        read = reading.read_edit(path)
        assert read.preset == small_lab.preset.opened
        again = reading.edit_in(small_lab, read)
        assert again.edit == one.edit
        assert torch.equal(again.outcome.logprobs, one.outcome.logprobs)
        assert again.outcome.sentence == one.outcome.sentence


def test_a_persons_own_latents_and_question_are_kept(small_lab: Lab, tmp_path: Path) -> None:
    from dataclasses import replace

    from metasae.exports.edited import Edited
    from metasae.steering.edits import LatentSwap
    from metasae.steering.questions import CUSTOM, Answer, Question

    experiment = pair(small_lab)
    source = small_lab.subject("Tokyo", (7, 3))
    question = Question(CUSTOM, "Tokyo is near", (Answer((), "Osaka"),))
    experiment = experiment.replaced(source=source, questions=(*experiment.questions, question))
    one = Edited(small_lab, experiment, LatentSwap())
    path = tmp_path / "edit.json"
    write_json(path, one.outcome.to_dict())
    again = reading.edit_in(small_lab, reading.read_edit(path))
    assert again.experiment.source.latents == (7, 3)
    assert replace(again.experiment.questions[-1]) == question
    assert torch.equal(again.outcome.logprobs, one.outcome.logprobs)


BROKEN: list[Any] = [
    [], "x", {}, {"edit": 1}, {"edit": {}, "preset": 3}, {"edit": {}, "preset": "small"},
]  # fmt: skip


@pytest.mark.parametrize("values", BROKEN, ids=str)
def test_a_file_that_is_none_is_one_sentence(small_lab: Lab, tmp_path: Path, values: Any) -> None:
    path = tmp_path / "edit.json"
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"holds no edit") as caught:
        reading.read_edit(path)
    assert "\n" not in str(caught.value)


def test_no_file_no_json_and_other_weights_are_told_apart(small_lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "edit.json"
    with pytest.raises(UserError, match="can't be read"):
        reading.read_edit(path)
    path.write_text("{")
    with pytest.raises(UserError, match="holds no edit"):
        reading.read_edit(path)
    write_json(path, edited(small_lab).outcome.to_dict() | {"sae": "other@123"})
    read = reading.read_edit(path)
    with pytest.raises(UserError, match="SAE other@123"):
        reading.edit_in(small_lab, read)


def test_a_mask_becomes_the_edit_it_makes(small_lab: Lab) -> None:
    experiment = pair(small_lab)
    own = next(piece.meta for piece in experiment.pieces if piece.side == "source")
    mask = Mask(
        name="country", attribute="country", method="x", pieces=(own,), keep_residual=False,
        keep_error=True, position="last", meta_sae=small_lab.weights.meta_sae,
        made=small_lab.provenance, run="0", data="x", learned_on=1, scored_on=1,
    )  # fmt: skip
    made = reading.mask_on(small_lab, mask, "Tokyo", "Paris")
    assert dict(made.edit.without_swap().strengths) == {own: 0.0}


def test_a_newer_files_version_is_said(small_lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "edit.json"
    write_json(path, edited(small_lab).outcome.to_dict() | {"format": 99})
    with pytest.raises(UserError, match="a newer one"):
        reading.read_edit(path)
    write_json(path, {"edit": {}, "format": "x"})
    with pytest.raises(UserError, match="holds no edit"):
        reading.read_edit(path)
