"""Steer's tab that shows an edit in another SAE or model beside this one, on a small lab."""

import pytest
from streamlit.testing.v1 import AppTest

from metasae.lab.lab import Lab
from metasae.lab.other_sae import asked_in, with_sae
from metasae.steering.edits import LatentSwap
from metasae.steering.experiment import Experiment
from metasae.steering.side_by_side import side_by_side
from tests.pages.opening import open_page as opened
from tests.pages.opening import query
from tests.small_lab import NARROW
from workbench.steer.side_by_side import TAB


@pytest.fixture(autouse=True)
def lab(on_small: Lab) -> Lab:
    return on_small


def table(app: AppTest) -> dict[str, list[float]]:
    """The comparison's table, by columns."""
    found = [one.value for one in app.dataframe if "There" in one.value]
    assert len(found) == 1
    return {str(name): list(values) for name, values in found[0].items()}


def test_an_sae_is_chosen_and_stands_beside_this_one(lab: Lab, experiment: Experiment) -> None:
    app = opened(edit="swap")
    app.session_state["below"] = TAB
    app.run()
    box = app.selectbox(key="beside")
    # Presets that were never opened here are not offered: opening one may take long.
    assert box.options == [f"the SAE of {NARROW:,} latents"] and box.value is None
    box.set_value(str(NARROW)).run()
    assert query(app)["beside"] == str(NARROW) and not app.exception and not app.error
    found = side_by_side(experiment, asked_in(with_sae(lab, NARROW), experiment), LatentSwap())
    shown = table(app)
    assert shown["Here"] == pytest.approx(found.here.logprobs.tolist(), abs=0.0051)
    assert shown["There"] == pytest.approx(found.there.logprobs.tolist(), abs=0.0051)
    difference = found.table["difference"].tolist()
    assert shown["Changes more there"] == pytest.approx(difference, abs=0.0051)
    assert "Before, there" not in shown  # one model has one beginning
    said = [one.value.replace("\\", "") for one in app.markdown]
    assert all(sentence in said for sentence in found.sentences)
    app.button(key="undo").click().run()
    assert "beside" not in query(app)
    assert not any("There" in one.value for one in app.dataframe)


def test_a_link_opens_it_once(lab: Lab) -> None:
    app = opened(edit="swap", beside=str(NARROW))
    assert table(app)["There"]
    app.session_state["below"] = "Save and share"
    app.run()
    assert app.session_state["below"] == "Save and share" and not app.exception
    assert not any("There" in one.value for one in app.dataframe)


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ("17", "There is no SAE of 17 latents"),
        ("gpt2-small", "gpt2-small was never opened on this machine"),
        ("nobodys", 'There is no preset "nobodys"'),
        ("hf:some/body", "are not allowed"),
    ],
)
def test_what_cannot_stand_beside_is_said(beside: str, said: str) -> None:
    app = opened(edit="swap", beside=beside)
    assert not app.exception
    shown = [one.value.replace("\\", "") for one in app.error]
    if beside.startswith("hf:"):  # on one's own machine it may be opened: it is not there
        assert len(shown) == 1 and "some/body" in shown[0]
    else:
        assert len(shown) == 1 and said in shown[0]
