"""Versions of files: none is the first, a newer one is told, nonsense is none."""

from typing import Any

import pytest

from metasae.errors import UserError
from metasae.sources.versions import Format, NewerError


@pytest.mark.parametrize("values", [{}, {"x": 9}, {"format": 1}, {"format": 2}, {"format": 3}])
def test_older_files_and_those_of_today_are_read(values: dict[str, Any]) -> None:
    Format(3).check(values, "a.json")


def test_a_newer_file_says_which_it_is_and_what_to_do() -> None:
    with pytest.raises(NewerError) as raised:
        Format(3).check({"format": 4}, "a.json")
    assert isinstance(raised.value, UserError)
    assert str(raised.value) == (
        "a.json is of another version of this package, a newer one (format 4; this one reads up "
        "to 3); update metasae to open it."
    )


@pytest.mark.parametrize(
    "values", [[], None, "x", 1, *({"format": one} for one in (0, -1, True, 1.0, "1", None))]
)
def test_what_is_no_version_is_no_file_of_ours(values: Any) -> None:
    with pytest.raises(ValueError):
        Format(3).check(values, "a.json")


def test_what_is_written_is_read() -> None:
    one = Format(7)
    assert one.stamp == {"format": 7}
    one.check(one.stamp, "a.json")
