"""The list of names beside the cities, and when two names are one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasae.text.cities import city_called, fold
from metasae.text.names import load_names, one_line, same_name

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def test_there_are_about_as_many_names_as_cities_each_once_and_no_city() -> None:
    names = load_names()
    assert 240 <= len(names) <= 300 and load_names() is names
    assert len({fold(name) for name in names}) == len(names)
    assert [name for name in names if city_called(name) or name != one_line(name)] == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Einstein", "Albert Einstein", True),
        ("albert EINSTEIN", "Albert Einstein", True),
        ("São Paulo", "sao paulo", True),
        ("Albert", "Albert Einstein", False),
        ("stein", "Einstein", False),
        ("Mexico City", "Quebec City", False),
        ("!", "!", True),
        ("!", "?", False),
        ("", "Tokyo", False),
        ("東京", "東京", True),
    ],
)
def test_two_names_are_one_when_one_ends_with_the_other(one: str, other: str, same: bool) -> None:
    assert same_name(one, other) is same and same_name(other, one) is same


@given(TEXTS, TEXTS)
def test_sameness_is_symmetric_and_of_everything_with_itself(one: str, other: str) -> None:
    assert same_name(one, other) == same_name(other, one)
    assert same_name(one, one) == bool(one.split())


@given(TEXTS)
def test_a_name_is_one_line(name: str) -> None:
    line = one_line(name)
    assert line == line.strip() == one_line(line) and "\n" not in line
    assert line.split() == name.split()
