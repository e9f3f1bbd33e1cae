"""Use this edit in another tool: what stands on "Save and share"."""

import pytest
from streamlit.testing.v1 import AppTest

from metasae.exports.edited import Edited
from metasae.exports.one_vector import one_vector
from metasae.exports.registry import TARGETS
from metasae.lab.lab import Lab
from metasae.steering.edits import LatentSwap
from tests.pages.opening import open_page, until


@pytest.fixture(autouse=True)
def lab(on_small: Lab) -> Lab:
    return on_small


def choosing(**query: str) -> AppTest:
    app = open_page(**query)
    app.session_state["below"] = "Save and share"
    return app.run()


def files(app: AppTest) -> list[str]:
    return [one.label for one in app.get("download_button") if one.label.startswith("Export")]


def test_a_tool_is_chosen_and_the_file_is_there(lab: Lab) -> None:
    app = choosing(source="Tokyo", target="Paris", edit="swap", v="1")
    assert files(app) == []
    tool = next(one for one in app.selectbox if one.label == "Tool")
    for name in ("transformers", "lm-eval"):
        tool.select(TARGETS[name].title)
        until(lambda: files(app.run()))
        assert not app.exception and not app.error
        assert files(app) == ["Export (Tokyo-Paris.zip)"]
    experiment = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"))
    said = one_vector(Edited(lab, experiment, LatentSwap())).sentence
    shown = "\n".join(one.value for one in app.markdown).replace("\\", "")
    assert said in shown


def test_what_a_tool_cant_express_is_one_sentence() -> None:
    app = choosing(source="Tokyo", target="Paris", edit="swap~noerror", v="1")
    tool = next(one for one in app.selectbox if one.label == "Tool")
    tool.select(TARGETS["lm-eval"].title)
    until(lambda: app.run() and app.error)
    assert not app.exception and len(app.error) == 1 and files(app) == []
    assert "no single vector" in app.error[0].value


def test_without_an_edit_there_is_nothing_to_choose() -> None:
    app = choosing(source="Tokyo", target="Paris", edit="none", v="1")
    assert not [one for one in app.selectbox if one.label == "Tool"]
    assert any("changes nothing yet" in one.value for one in app.caption)
