"""Mutated links to every page: it is drawn, what is wrong is said, and its own link leads back."""

import random
from pathlib import Path

import pytest

from metasae.lab.lab import Lab
from metasae.sources import cache
from metasae.sources.cache import CACHE_VARIABLE
from tests.bad_input import mutations
from tests.bad_input.watching import SECONDS, WRITES, is_a_sentence
from tests.pages.opening import open_page, query
from workbench.state import View

CASES = 15
"""Of each page."""

STEER = {
    "v": "1", "source": "Tokyo", "target": "Paris", "source_latents": "0.1", "target_latents": "2",
    "edit": "1_0~32_1~all", "pin": "swap", "wording": "post", "ask": "I like {city} and",
    "answers": "tea,jazz", "write": "In {city}", "tokens": "3", "temperature": "0.5", "seed": "1",
    "units": "percent",
}  # fmt: skip

PAIR = {name: STEER[name] for name in ("v", "source", "target", "wording")}

LINKS = {
    "steer": STEER,
    "enumerate": PAIR | {"attributes": "country.currency", "strengths": "halves", "moved": "itself",
                         "cities": "Tokyo.Paris", "pairs": "all"},
    "latents": PAIR | {"latent": "5", "width": "64", "q": "tea", "token": "1", "real": "1"},
    "meta_latents": PAIR | {"meta": "3", "width": "16", "filter": "tea"},
    "graph": PAIR | {"latent": "5,6", "depth": "1", "top": "3", "least": "0.1"},
    "train": PAIR,
    "studies": PAIR | {"study": "graphs", "run": "0123456789ab", "set": "seed:1,share:0.5",
                       "seeds": "2"},
    "ravel": PAIR | {"run": "0123456789ab"},
}  # fmt: skip


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with nothing on it."""
    for name in (CACHE_VARIABLE, "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


def check(page: str, link: dict[str, str]) -> None:
    app = open_page(page, 2 * SECONDS, **link)
    assert not app.exception, [one.message for one in app.exception]
    assert app.title, "the page has no head"
    for one in app.error:
        is_a_sentence(one.value.replace("\\", ""))
    written = query(app)
    view = View.from_query(written)
    assert view.to_query().items() <= written.items()


@pytest.mark.parametrize("page", LINKS)
def test_a_mutated_link_shows_a_page(page: str, on_small: Lab, home: Path) -> None:
    assert cache.cache_dir() == home
    check(page, LINKS[page])
    draw = random.Random(f"links {page}")
    found = []
    for _ in range(CASES):
        link = mutations.query(draw, LINKS[page], tuple(STEER))
        try:
            with WRITES.only_in(home):
                check(page, link)
        except Exception as error:
            found.append(f"{str(link)[:600]}: {type(error).__name__}: {str(error)[:400]}")
    assert not found, "\n".join(found)
