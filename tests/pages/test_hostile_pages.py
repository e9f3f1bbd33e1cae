"""Hostile labels, words and links on every page: nothing of them acts."""

import re
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from metasae.explorer.explorer import META
from metasae.lab.lab import Lab
from tests.pages.opening import open_page
from tests.workbench.test_hostile import ALL, HOSTILE
from workbench import shared

MARKED = ("markdown", "caption", "title", "header", "subheader", "info", "error", "warning")

RAW = re.compile(
    r"(?<!\\)<(?:img|script|b |/style)|(?<!\\)\[x(?<!\\)\]\(|(?<!\\)\$x|(?<!\\):material/delete"
    r"|(?<!\\):red\[x|(?<!\\)`code|[\u202a-\u202e\u2066-\u2069]"
)
"""What of the hostile strings would act where Markdown is read."""


@pytest.fixture
def beset(on_small: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab all of whose words and labels are hostile."""
    several = len(HOSTILE)
    words: dict[int, tuple[str, ...]] = {
        one: (HOSTILE[one % several],) * 2 for one in range(on_small.n_latents)
    }
    lab = replace(on_small, words=words)
    monkeypatch.setattr(shared, "get_lab", lambda preset: lab)
    explorer = shared.get_explorer(lab)
    changed = explorer.corrections
    for kind, count in ((META, lab.n_meta), (str(lab.n_latents), lab.n_latents)):
        for index in range(count):
            changed = changed.with_label(kind, index, HOSTILE[index % several])
    explorer.correct(changed)
    return lab


def shown(app: AppTest) -> list[tuple[str, str]]:
    """Whatever is read as Markdown: kind and text."""
    assert not app.exception
    found: list[tuple[str, str]] = []
    for kind in MARKED:
        found += [(kind, str(getattr(one, "value", ""))) for one in app.get(kind)]
    labelled: list[Any] = []
    for kind in ("button", "checkbox", "toggle", "text_input", "selectbox", "multiselect",
                 "number_input", "slider", "radio", "expander", "tab"):  # fmt: skip
        labelled += list(app.get(kind))
    for one in labelled:
        found.append((one.type, str(getattr(one, "label", ""))))
        found.append((f"help of {one.type}", str(getattr(one, "help", "") or "")))
    return found


@pytest.mark.parametrize(
    ("page", "link"),
    [
        ("steer", {}), ("enumerate", {}), ("latents", {"latent": "3"}), ("latents", {"q": "Tokyo"}),
        ("meta_latents", {"meta": "3"}), ("graph", {}), ("studies", {}), ("ravel", {}),
    ],
)  # fmt: skip
def test_words_and_labels_are_text(beset: Lab, page: str, link: dict[str, str]) -> None:
    found = shown(open_page(page, **link))
    assert [one for one in found if RAW.search(one[1])] == []


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("steer", "preset"), ("steer", "source"), ("steer", "target"), ("steer", "ask"),
        ("steer", "write"), ("steer", "edit"), ("steer", "wording"), ("latents", "q"),
        ("latents", "latent"), ("meta_latents", "filter"), ("meta_latents", "meta"),
        ("graph", "latent"), ("studies", "study"), ("studies", "run"), ("enumerate", "cities"),
    ],
)  # fmt: skip
def test_links_are_text(on_small: Lab, page: str, name: str) -> None:
    found = shown(open_page(page, **{name: ALL}))
    assert [one for one in found if RAW.search(one[1])] == []
