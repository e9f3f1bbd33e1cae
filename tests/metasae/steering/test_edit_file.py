"""An edit's file is read as it was written, and refused where a part of it is missing or odd."""

import json
import math
from typing import Any

import pytest

from metasae.lab.lab import Lab
from metasae.sources.versions import NewerError
from metasae.steering.edit_file import EditFile, Side
from metasae.steering.edits import LatentSwap
from metasae.steering.outcome import Outcome
from metasae.steering.provenance import WEIGHTS


@pytest.fixture
def outcome(small_lab: Lab) -> Outcome:
    pair = small_lab.experiment(small_lab.subject("Tokyo"), small_lab.subject("Paris"))
    return pair.apply(LatentSwap())


def test_what_was_written_is_read(outcome: Outcome) -> None:
    values = json.loads(json.dumps(outcome.to_dict()))
    read = EditFile.of(values, "It")
    made = outcome.provenance
    assert str(read.preset) == made.preset
    assert read.made_with == {name: getattr(made, name) for name in WEIGHTS}
    assert read.edit == LatentSwap() and read.view is None
    for side, subject in ((read.source, outcome.source), (read.target, outcome.target)):
        assert side == Side(subject.label, subject.latents)
    assert read.questions == tuple(outcome.questions)
    assert read.asked_about == "Tokyo"
    del values["asked_about"]
    assert EditFile.of(values, "It").asked_about == "Tokyo"
    assert EditFile.of(values | {"view": {"v": "1"}}, "It").view == {"v": "1"}


PARTS = ("preset", "source", "target", "attributes", "edit", *WEIGHTS)


@pytest.mark.parametrize("name", PARTS)
def test_every_part_that_is_missing_is_noticed(outcome: Outcome, name: str) -> None:
    values = outcome.to_dict()
    EditFile.of(values, "It")
    del values[name]
    with pytest.raises(ValueError, match="no edit"):
        EditFile.of(values, "It")


ODD: list[tuple[str, Any]] = [
    ("preset", 3), ("source", "Tokyo"), ("target", {"label": "x", "latents": [math.inf]}),
    ("target", {"label": "x", "latents": ["a"]}), ("attributes", 3), ("attributes", [{}]),
    ("view", 3), ("format", "x"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), ODD)
def test_what_is_odd_is_noticed(outcome: Outcome, name: str, value: Any) -> None:
    with pytest.raises(ValueError):
        EditFile.of(outcome.to_dict() | {name: value}, "It")


@pytest.mark.parametrize("values", [[], "x", None, {}])
def test_what_is_no_file_of_an_edit_is_refused(values: Any) -> None:
    with pytest.raises(ValueError):
        EditFile.of(values, "It")


def test_a_newer_file_is_refused_as_such(outcome: Outcome) -> None:
    with pytest.raises(NewerError, match="It is of another version"):
        EditFile.of(outcome.to_dict() | {"format": 9}, "It")
