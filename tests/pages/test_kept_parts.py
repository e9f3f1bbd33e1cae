"""What a click must not compute again: texts the model wrote, the parts of a latent's page."""

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from metasae.errors import UserError
from metasae.explorer import latent_page
from metasae.lab.lab import Lab
from metasae.lm.token_change import token_change
from metasae.steering.experiment import Experiment
from tests.pages.opening import open_page
from workbench import shared


def test_the_model_writes_when_it_is_asked_to_and_not_at_a_tick(
    on_small: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote: list[object] = []

    def continuation(self: Experiment, edit: object, *args: object) -> str:
        wrote.append(edit)
        return " and so on"

    monkeypatch.setattr(Experiment, "continuation", continuation)
    app = open_page()
    write = [one.label for one in app.main.button].index("Write both")
    app.main.button[write].click().run()
    assert len(wrote) == 2
    app.checkbox[0].uncheck().run()
    assert len(wrote) == 2 and not app.exception
    assert any("earlier edit" in one.value for one in app.caption)
    app.main.button[write].click().run()
    # What the model writes unedited is the same as before.
    assert len(wrote) == 3
    assert not any("earlier edit" in one.value for one in app.caption)


@pytest.fixture
def real(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(shared, "get_lab", lambda preset: lab)
    return lab


def latents_page() -> AppTest:
    app = open_page("latents")
    assert not app.exception
    return app


def test_a_latents_page_is_computed_once(real: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[float] = []

    def counted(model: object, direction: object, strength: float) -> object:
        ran.append(strength)
        return token_change(model, direction, strength)  # type: ignore[arg-type]

    monkeypatch.setattr(latent_page, "token_change", counted)
    monkeypatch.setattr(shared, "get_text", lambda explorer, width: None)
    app = latents_page()
    app.run()
    assert len(ran) == 1
    # A corrected label is shown in all parts.
    latent = app.query_params["latent"]
    app.text_input(key=f"label-18432-{latent}").set_value("mine")
    app.button(key=f"keep-18432-{latent}").click().run()
    assert not app.exception and app.header[0].value == "mine" and len(ran) == 2


def test_a_text_that_cant_be_fetched_is_not_called_another_text(
    real: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(explorer: object, width: int) -> pd.DataFrame:
        raise UserError("There is no network.")

    monkeypatch.setattr(shared, "get_text", refuse)
    app = latents_page()
    assert [one.value.replace("\\", "") for one in app.error] == ["There is no network."]
    assert not any("is another" in one.value for one in app.info)
