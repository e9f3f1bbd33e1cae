"""The session's view under clicks that follow each other faster than a page is drawn."""

import pytest
from streamlit.runtime.state.query_params_proxy import QueryParamsProxy
from streamlit.testing.v1 import AppTest

from tests.pages.opening import query

ASKED = {"v": "1", "source": "Tokyo", "target": "Paris"}


def script() -> None:
    """A page with a switch and a text that show the view, and buttons that change it."""
    from dataclasses import replace

    import streamlit as st

    from metasae.steering.edits import LatentSwap
    from workbench import session

    session.read_link()
    session.write_link()

    def switch(on: bool) -> None:
        session.change(replace(session.view(), percent=on))

    def name(source: str) -> None:
        st.session_state["typed"] = [*st.session_state.get("typed", []), source]
        if source != "refused":
            session.change_setting(source=source)

    def freeze(frozen: bool) -> None:
        session.change(replace(session.view(), frozen=frozen))

    shows = session.shows
    st.toggle("A", key="percent", on_change=shows("percent", lambda view: view.percent, switch))
    st.text_input("B", key="name", on_change=shows("name", lambda view: view.setting.source, name))
    of_pair = shows("frozen", lambda view: view.frozen, freeze, pair=True)
    st.toggle("C", key="frozen", on_change=of_pair)
    st.button("In percent", key="by-button", on_click=switch, args=(True,))
    st.button("Swap", key="swap", on_click=session.change_edit, args=(LatentSwap(),))
    st.button("Exchange", key="exchange", on_click=session.change_setting, kwargs={"source": "X"})
    st.button("Undo", key="undo", on_click=session.undo)
    st.button("Nothing", key="nothing")


@pytest.fixture
def app() -> AppTest:
    app = AppTest.from_function(script)
    app.query_params.update(ASKED)
    return app.run()


def from_before(app: AppTest, address: dict[str, str] = ASKED) -> AppTest:
    """The page as a browser asks for it that hasn't drawn the last answer yet."""
    app.query_params.clear()
    app.query_params.update(address)
    return app


def test_what_a_browser_showed_before_an_answer_is_no_choice(app: AppTest) -> None:
    app.button(key="by-button").click().run()
    assert app.toggle(key="percent").value and query(app)["units"] == "percent"
    app.toggle(key="percent").set_value(False)  # as it was drawn before
    from_before(app).button(key="nothing").click().run()
    assert app.toggle(key="percent").value and query(app)["units"] == "percent"
    app.toggle(key="percent").set_value(False).run()  # a person's choice
    assert not app.toggle(key="percent").value and query(app) == ASKED


def test_a_switch_that_is_pressed_twice_at_once_is_off_again(app: AppTest) -> None:
    app.toggle(key="percent").set_value(True).run()
    assert query(app)["units"] == "percent"
    from_before(app).toggle(key="percent").set_value(False).run()
    assert query(app) == ASKED
    # That one was chosen is forgotten when it is taken back.
    app.toggle(key="percent").set_value(True).run()
    app.button(key="undo").click().run()
    assert query(app) == ASKED
    app.toggle(key="percent").set_value(True).run()
    assert query(app)["units"] == "percent"


def test_what_was_refused_can_be_asked_for_again(app: AppTest) -> None:
    for _ in range(2):
        app.text_input(key="name").set_value("refused").run()
        assert app.text_input(key="name").value == "Tokyo"
    assert app.session_state["typed"] == ["refused", "refused"]


def test_what_belongs_to_another_pair_says_nothing_of_this_one(app: AppTest) -> None:
    app.button(key="exchange").click().run()
    app.text_input(key="name").set_value("Tokyo")
    from_before(app).toggle(key="frozen").set_value(True).run()
    assert query(app) == ASKED | {"source": "X"} and not app.toggle(key="frozen").value
    app.toggle(key="frozen").set_value(True).run()
    assert query(app)["attention"] == "frozen"


def test_an_address_that_is_late_is_no_link_that_was_followed(app: AppTest) -> None:
    app.button(key="swap").click().run()
    swapped = query(app)
    from_before(app).button(key="nothing").click().run()
    assert query(app) == swapped == ASKED | {"edit": "swap"}
    # Any other address is followed.
    from_before(app, ASKED | {"source": "Rome"}).run()
    assert query(app) == ASKED | {"source": "Rome"} and app.text_input(key="name").value == "Rome"


def test_the_address_is_sent_again_where_the_browser_was_sent_another_since(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, send = [], QueryParamsProxy.from_dict

    def sending(self: QueryParamsProxy, said: dict[str, str]) -> None:
        sent.append(said)
        send(self, said)

    monkeypatch.setattr(QueryParamsProxy, "from_dict", sending)
    app.button(key="swap").click().run()
    from_before(app).button(key="undo").click().run()
    assert sent == [ASKED | {"edit": "swap"}, ASKED]
    app.button(key="nothing").click().run()
    from_before(app, ASKED | {"source": "Rome"}).run()  # a link that is followed has its address
    assert len(sent) == 2 and app.text_input(key="name").value == "Rome"
