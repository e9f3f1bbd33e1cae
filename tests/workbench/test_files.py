"""A field that takes in a file."""

from streamlit.testing.v1 import AppTest


def script() -> None:
    """A page on which such a field can be hidden."""
    import streamlit as st

    from metasae.errors import UserError
    from workbench import session
    from workbench.files import take_in

    def take(content: bytes) -> None:
        if content == b"wrong":
            raise UserError("It is wrong.")
        st.session_state["taken"] = [*st.session_state.get("taken", []), content]

    session.show_notice()
    if st.checkbox("Shown", True, key="shown"):
        take_in("Load it", "field", take)


def test_a_file_is_taken_in_once() -> None:
    app = AppTest.from_function(script).run()
    app.file_uploader(key="field").upload("a.json", b"{}", "application/json").run()
    before = app._tree.get_widget_states()
    app.checkbox(key="shown").uncheck().run()
    assert not app.file_uploader
    # A click that came before the field was gone tells of it, and of its file.
    said = app._tree.get_widget_states()
    known = {one.id for one in said.widgets}
    said.widgets.extend(one for one in before.widgets if one.id not in known)
    app._run(said)
    assert not app.exception
    assert app.session_state["taken"] == [b"{}"]
    app.checkbox(key="shown").check().run()
    app.file_uploader(key="field").upload("b.json", b"[]", "application/json").run()
    assert app.session_state["taken"] == [b"{}", b"[]"]


def test_what_is_wrong_with_a_file_is_said() -> None:
    app = AppTest.from_function(script).run()
    app.file_uploader(key="field").upload("a.json", b"wrong", "application/json").run()
    assert [one.value.replace("\\", "") for one in app.error] == ["It is wrong."]
    assert "taken" not in app.session_state
