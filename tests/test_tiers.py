"""The tiers of tests: unmarked ones open no real model; what fixtures tell isn't marked by hand."""

import pytest

from metasae.lm import loading
from metasae.sources.presets import EMBEDDED


@pytest.mark.parametrize("name", ["load_model", "prepare_model"])
def test_the_embedded_model_stays_closed_without_the_mark(name: str) -> None:
    with pytest.raises(pytest.fail.Exception, match="mark it real_model"):
        getattr(loading, name)(EMBEDDED)


def test_what_fixtures_tell_is_not_marked_by_hand(request: pytest.FixtureRequest) -> None:
    marks = {item: list(item.iter_markers("real_model")) for item in request.session.items}
    assert [item.nodeid for item, found in marks.items() if len(found) > 1] == []
