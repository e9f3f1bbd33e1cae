"""Every page on presets of other families, and the side bar that opens them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from metasae.errors import UserError
from metasae.sources import user_presets
from metasae.sources.presets import Opened
from tests.other_presets import OtherPreset, experiment_with_own_pieces, only_here
from tests.pages.opening import open_page
from tests.small_models import WIDTHS, own_folders
from workbench import shared


@pytest.fixture
def opened(other_preset: OtherPreset) -> Iterator[OtherPreset]:
    """A small preset in the place of the real one."""
    with other_preset.in_place():
        yield other_preset


@pytest.mark.parametrize(
    "page", ["steer", "enumerate", "latents", "meta_latents", "graph", "train"]
)
def test_every_page_works(opened: OtherPreset, page: str) -> None:
    experiment = experiment_with_own_pieces(opened.lab)
    app = open_page(
        page, preset=opened.preset.name,
        source=experiment.source.label, target=experiment.target.label,
    )  # fmt: skip
    assert not app.exception and not app.error, [one.value for one in app.error]
    assert app.selectbox(key="preset").value == opened.preset.name
    expected = {
        "steer": "Change what a language model believes about a city",
        "enumerate": "Which traits can be moved alone?",
        "latents": "What is a latent made of?",
        "meta_latents": "The pieces latents are made of",
        "graph": "What latents share",
        "train": "Take another SAE apart",
    }
    assert app.title[0].value == expected[page]
    if page == "meta_latents":
        # Without labels each is called by its number, and not twice.
        assert not app.dataframe[0].value["called"].str.contains("meta-latent .* meta-latent").any()
    if page == "train":
        app.selectbox(key="train-what").set_value("all widths together").run()
        assert any(f"{sum(WIDTHS)} directions" in one.value for one in app.caption)
        assert not app.exception and not app.error


@pytest.fixture
def shut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is there, and nothing opens."""

    def refuse(preset: Opened) -> None:
        raise UserError("Shut.")

    monkeypatch.setattr(shared, "get_lab", refuse)
    with only_here(tmp_path):
        yield


def test_the_sidebar_opens_folders_and_keeps_them(shut: None, tmp_path: Path) -> None:
    mine = own_folders(tmp_path)
    app = open_page()
    app.sidebar.text_input[0].set_value(str(mine["model"]))
    app.sidebar.text_area[0].set_value("\n".join(mine["saes"]))  # type: ignore[arg-type]
    app.sidebar.text_input[2].set_value("not a name!")
    app.sidebar.button[0].click().run()
    assert "can't be the name" in app.sidebar.error[0].value
    app.sidebar.text_input[2].set_value("mine")
    app.sidebar.button[0].click().run()
    assert not app.exception
    assert app.query_params["preset"] == "mine" and user_presets.names()[-1] == "mine"
    assert app.selectbox(key="preset").value == "mine"


def test_the_sidebar_says_what_an_opening_costs(shut: None) -> None:
    app = open_page()
    app.selectbox(key="preset").set_value("gpt2-small").run()
    assert "preset" not in app.query_params
    assert any("downloads about 851 MB" in one.value for one in app.sidebar.markdown)
    app.button(key="preset-open").click().run()
    assert app.query_params["preset"] == "gpt2-small"
