"""The password before the workbench: who has it is let in, who guesses is stopped."""

import hmac
import time

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from workbench import door, visitor
from workbench.allowed import PASSWORD


def asked() -> None:
    """The door, and what is behind it."""
    import streamlit as st

    from workbench import door

    if door.let_in():
        st.write("inside")


@pytest.fixture(autouse=True)
def fresh() -> None:
    st.cache_resource.clear()
    door.wrong.cache_clear()


def opened() -> AppTest:
    return AppTest.from_function(asked).run()


def tried(app: AppTest, typed: str) -> AppTest:
    app.text_input[0].set_value(typed)
    return app.button[0].click().run()


def inside(app: AppTest) -> bool:
    return [one.value for one in app.markdown] == ["inside"]


def test_without_a_password_there_is_no_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD, raising=False)
    assert inside(opened())


def test_the_password_opens_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "sésame")
    app = opened()
    assert not inside(app)
    tried(app, "sesame")
    assert not inside(app) and "isn't the password" in app.error[0].value
    tried(app, "sésame")
    assert inside(app) and inside(app.run())


def test_another_password_closes_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "old")
    app = tried(opened(), "old")
    assert inside(app)
    monkeypatch.setenv(PASSWORD, "new")
    assert not inside(app.run())


def test_a_session_has_few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "right")
    app = opened()
    for _ in range(door.TRIES):
        tried(app, "wrong")
    assert len(app.text_input) == 0 and "too many" in app.error[0].value
    assert not inside(app.run())


def test_all_sessions_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "right")
    for _ in range(door.ALL_TRIES):
        door.wrong().add()
    app = tried(opened(), "right")
    assert not inside(app) and "wait a minute" in app.error[0].value
    monkeypatch.setattr(door.wrong(), "seconds", 0.0)
    time.sleep(0.01)
    assert inside(tried(app, "right"))


def test_it_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for typed in ("", "right", "righ", "\ud800", "x" * 200):
        assert door.is_right(typed, "right") is (typed == "right")
    assert set(compared) == {(32, 32)}


def test_what_is_counted_is_not_kept_where_a_browser_can_empty_it() -> None:
    door.wrong().add()
    visitor.searches().add("192.0.2.1")
    st.cache_resource.clear()  # as a browser's message has it done
    assert door.wrong().count() == 1 and visitor.searches().count("192.0.2.1") == 1
    visitor.searches.cache_clear()
