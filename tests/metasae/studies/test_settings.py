"""What settings mean is read off the configurations' docstrings, for every study there is."""

from dataclasses import dataclass, fields

import pytest

from metasae.studies.registry import STUDIES, study
from metasae.studies.settings import meanings


@dataclass(frozen=True)
class Configuration:
    """How it is asked.

    Attributes:
        one: what it is; it
            goes on, and ends
            here.
        two, three: of both.

    Raises:
        UserError: for one: none.
    """

    one: int = 1
    two: int = 2
    three: int = 3
    silent: int = 4


def test_a_field_has_its_lines() -> None:
    assert meanings(Configuration) == {
        "one": "what it is; it goes on, and ends here.",
        "two": "of both.",
        "three": "of both.",
    }


def test_without_a_docstring_there_is_nothing() -> None:
    assert meanings(object().__class__) == {} and meanings(type("Bare", (), {})) == {}


@pytest.mark.parametrize("name", STUDIES)
def test_every_setting_of_every_study_is_explained(name: str) -> None:
    configuration = study(name).configuration
    assert set(meanings(configuration)) == {field.name for field in fields(configuration)}
