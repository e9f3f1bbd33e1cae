"""The list of studies, and what each refuses to be asked."""

import math
from typing import Any

import pytest

from metasae.errors import UserError
from metasae.studies.registry import ELSEWHERE, STUDIES, study
from tests.builders import one_sentence

SENSELESS: dict[str, list[dict[str, Any]]] = {
    "max-cosine": [{"threshold": 0.0}, {"threshold": 1.2}, {"smaller_share": 1.0}],
    "rebuild": [{"smallest": 1.0}, {"steps": -1}, {"batch": 0}],
    "graphs": [{"smaller_share": 0.0}, {"commonest": 0.0}, {"commonest": 1.5}],
    "cooccurrence": [{"tokens": 0}, {"pairs": 0}, {"tolerance": 0.0}, {"groups": 0}],
    "splitting": [{"threshold": 1.0}, {"fewest": 1}, {"drawn": 0}],
    "stitching": [
        {"smaller_share": 1.0}, {"threshold": 0.0}, {"threshold": 1.0}, {"windows": 0},
        {"steps": 1}, {"steps": 1001},
    ],
    "global-edit": [
        {"countries": 0}, {"windows": 0}, {"least": 1}, {"meta": -2}, {"strength": 3.0},
        {"strength": math.nan},
    ],
    "saebench": [{"steps": 0}, {"starts": 0}, {"rate": 0.0}],
    "ravel": [{"where": "first"}, {"sources": -1}],
}  # fmt: skip
"""Study → settings of it that make no sense, each on its own."""


def test_every_study_is_registered_under_its_own_name() -> None:
    assert {name: study(name).name for name in STUDIES} == {name: name for name in STUDIES}


def test_an_unknown_study_is_refused() -> None:
    with pytest.raises(UserError) as raised:
        study("nonsense")
    assert "max-cosine" in one_sentence(raised)


@pytest.mark.parametrize(
    ("name", "wrong"), [(name, one) for name, wrong in SENSELESS.items() for one in wrong]
)
def test_settings_that_make_no_sense_are_refused(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError) as raised:
        study(name).configuration(**wrong)
    one_sentence(raised)


def test_none_is_asked_whatever_is_set() -> None:
    assert SENSELESS.keys() == {*STUDIES, *ELSEWHERE}
