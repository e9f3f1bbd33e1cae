"""A language model behind a server that tests ask."""

from collections.abc import Iterator

import pytest

from metasae.explorer import label_server
from tests.label_servers import Server, serving
from tests.metasae.explorer.scored_text import perfect


@pytest.fixture
def server() -> Iterator[Server]:
    """One that is right about the made-up text."""
    with serving() as made:
        made.saying = perfect
        yield made


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is asked again at once."""
    monkeypatch.setattr(label_server, "FIRST_PAUSE", 0.0)
