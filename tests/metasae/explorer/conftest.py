"""A language model behind a server that tests ask."""

from collections.abc import Iterator

import pytest

from tests.label_servers import Server, serving
from tests.metasae.explorer.scored_text import perfect


@pytest.fixture
def server() -> Iterator[Server]:
    """One that is right about the made-up text."""
    with serving() as made:
        made.saying = perfect
        yield made
