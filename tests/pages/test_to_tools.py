"""Use this edit in another tool: what stands on "Save and share"."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox

from metasae.exports.edited import Edited
from metasae.exports.one_vector import one_vector
from metasae.exports.registry import TARGETS
from metasae.lab.lab import Lab
from metasae.steering.edits import LatentSwap
from tests.pages.opening import open_page, until


@pytest.fixture(autouse=True)
def lab(on_small: Lab) -> Lab:
    return on_small


def shows(app: AppTest, wanted: list[str]) -> bool:
    return files(app.run()) == wanted


def choosing(**query: str) -> AppTest:
    app = open_page(**query)
    app.session_state["below"] = "Save and share"
    return app.run()


def tool_of(app: AppTest) -> Selectbox:
    return next(one for one in app.selectbox if one.label == "Tool")


def files(app: AppTest) -> list[str]:
    buttons: Sequence[Any] = app.get("download_button")
    return [one.label for one in buttons if one.label.startswith("Export")]


def test_a_tool_is_chosen_and_the_file_is_there(lab: Lab) -> None:
    app = choosing(source="Tokyo", target="Paris", edit="swap", v="1")
    assert files(app) == []
    for name in ("transformers", "lm-eval"):
        tool_of(app).select(TARGETS[name].title)
        wanted = [f"Export (Tokyo-Paris-{name}.zip)"]
        until(partial(shows, app, wanted))
        assert not app.exception and not app.error
        assert any("README.md in it says" in one.value for one in app.caption)
    experiment = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"))
    said = one_vector(Edited(lab, experiment, LatentSwap())).sentence
    shown = "\n".join(one.value for one in app.markdown).replace("\\", "")
    assert said in shown


def test_what_a_tool_cant_express_is_one_sentence() -> None:
    app = choosing(source="Tokyo", target="Paris", edit="swap~noerror", v="1")
    tool_of(app).select(TARGETS["lm-eval"].title)
    until(lambda: app.run() and app.error)
    assert not app.exception and len(app.error) == 1 and files(app) == []
    assert "no single vector" in app.error[0].value


def test_without_an_edit_there_is_nothing_to_choose() -> None:
    app = choosing(source="Tokyo", target="Paris", edit="none", v="1")
    assert not [one for one in app.selectbox if one.label == "Tool"]
    assert any("changes nothing yet" in one.value for one in app.caption)
