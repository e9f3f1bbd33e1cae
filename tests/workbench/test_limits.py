"""Limits are read from the environment, and each that is reached is said in a sentence."""

import pytest

from metasae.errors import UserError
from workbench import limits
from workbench.limits import Limit


def test_a_limit_is_its_variable_or_what_is_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = Limit("TEST_LIMIT", 7)
    monkeypatch.delenv("TEST_LIMIT", raising=False)
    assert limit.most == 7
    monkeypatch.setenv("TEST_LIMIT", " 12 ")
    assert limit.most == 12
    monkeypatch.setenv("TEST_LIMIT", "")
    assert limit.most == 7


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "²", "9" * 30])
def test_what_is_no_number_is_said(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METASAE_SESSIONS", text)
    with pytest.raises(UserError, match=r"METASAE_SESSIONS is .* write a whole number from 1"):
        limits.check()


def test_what_is_reached_says_the_number_and_who_can_raise_it() -> None:
    for limit in (limits.SESSIONS, limits.WAITING):
        said = str(limit.error())
        assert said.startswith(f"{limit.usual} ") and limit.variable in said
        assert "try again when" in said
