"""What the pickers say of cities the model does not know well."""

from dataclasses import replace

import pytest

from metasae.lab.lab import Lab
from metasae.steering.setting import Setting
from workbench.subjects import marked, unknown_facts, warning


@pytest.fixture
def doubtful(small_lab: Lab) -> Lab:
    """The small lab, of whose Tokyo two facts are on file as not known."""
    known = {"country": True, "language": False, "continent": True, "currency": False}
    tokyo = replace(small_lab.records["Tokyo"], known=known)
    return replace(small_lab, records=small_lab.records | {"Tokyo": tokyo})


def test_a_city_says_how_much_of_it_is_known(doubtful: Lab) -> None:
    assert marked("Tokyo", doubtful.records) == "Tokyo (2 of 4 known)"
    assert all(doubtful.records["Paris"].known.values())
    assert marked("Paris", doubtful.records) == "Paris"
    assert marked("hamster", doubtful.records) == "hamster"


def test_wrong_facts_are_told_in_one_sentence() -> None:
    facts = {"country": "Japan", "language": "Japanese", "currency": "yen"}
    assert warning("Tokyo", facts, {"language": "Thai"}) == (
        "The unedited model does not know Tokyo's language (it finds “Thai” likelier than "
        "“Japanese”); an edit says little there."
    )
    assert "Tokyo's country (it finds “Peru” likelier than “Japan”) and currency (" in warning(
        "Tokyo", facts, {"country": "Peru", "currency": "won"}
    )


def test_one_is_warned_of_source_and_target(doubtful: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def misjudged(self: Lab, name: str, wording: str = "default") -> dict[str, str]:
        asked.append((name, wording))
        return {"language": "Thai"}

    monkeypatch.setattr(Lab, "misjudged", misjudged)
    (said,) = unknown_facts(doubtful, Setting(source="Paris", target="Tokyo"))
    assert "Tokyo's language" in said and "likelier than “Japanese”" in said
    # On file are the default words; nobody asks about a city all of whose facts are known in them.
    assert asked == [("Tokyo", "default")]
    asked.clear()
    both = unknown_facts(doubtful, Setting(source="Paris", target="hamster", wording="post"))
    assert asked == [("Paris", "post")] and len(both) == 1
