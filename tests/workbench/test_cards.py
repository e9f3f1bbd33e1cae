"""What a card says of a pattern, by hand."""

import math
from dataclasses import replace

import pytest

from metasae.search.controls import Control
from metasae.search.patterns import FoundEdit
from metasae.search.report import Assessment, Lead, Pick
from metasae.search.side_effects import Divergence, SideEffects
from metasae.steering.edits import MetaLatentEdit
from workbench.enumerate.cards import details, figures, moves

PATTERN = {"language": True, "country": False}
FOUND = FoundEdit(MetaLatentEdit(((3, 0.0),)), PATTERN, 0.52, "…", 1, 0.031)

TEXT = Divergence(mean=0.25, largest=1.0, positions=10, changed=2, sentences=3, touched=0.3)
NOTE = Assessment(
    side_effects=SideEffects(TEXT, TEXT, replace(TEXT, mean=0.0004), ()),
    top={"language": Pick("French", False, " Spanish")},
    leads={"language": Lead("French", -1.5, 0.52), "country": Lead("Japan", None, None)},
    control=Control(PATTERN, 0.031, 0.0, 2 / 64, 64, False, 0.1),
)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ({"language": False}, "Nothing moves"),
        (PATTERN, "Language moves"),
        ({"language": True, "currency": True}, "Language and currency move"),
    ],
)
def test_a_pattern_in_words(pattern: dict[str, bool], words: str) -> None:
    assert moves(pattern) == words


def test_the_figures_say_what_they_are_of() -> None:
    assert figures(FOUND, NOTE) == [
        "margin 0.52 nats among the candidates",
        "reached by 3 % of all combinations",
        "beyond chance: 2 of 64 random edits of the same size reach it",
    ]
    marked = replace(NOTE, control=replace(NOTE.control, marked=True))
    assert figures(FOUND, marked)[-1].startswith("chance does as well: 2 of 64 ")
    assert figures(FOUND, None) == figures(FOUND, NOTE)[:2]
    # What nobody counted, and what nothing rivals, is not said; nor is chance of doing nothing.
    alone = replace(FOUND, margin=math.inf, reached_by=math.nan, pattern={"language": False})
    assert figures(alone, NOTE) == []


def test_the_details_are_lines_to_read() -> None:
    assert details(NOTE) == [
        "Language: French leads the next candidate by 0.52 nats (−1.50 unedited)",
        "Country: Japan is the only candidate",
        "Other text about the source: 0.250 nats a token (KL divergence of the next token, "
        "unedited from edited)",
        "Text without the city: 0.000 nats a token",
        "No other city shares a latent with the source",
    ]
