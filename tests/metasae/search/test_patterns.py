"""What combinations reach, and the clearest of every pattern."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metasae.search.patterns import AMONG, BestByPattern, Chunk, FoundEdit
from metasae.steering.edits import NO_EDIT, MetaLatentEdit
from metasae.steering.own_words import OwnWord
from metasae.steering.verdict import OTHER
from tests.metasae.search.made_up import made_up


def test_judging_by_hand() -> None:
    scores = torch.tensor(
        [
            [0.0, -2.0, 0.0, -1.0, -3.0],  # as before: leads 2 and 1
            [-2.0, -0.5, 0.0, -4.0, -9.0],  # country moved: leads 1.5 and 4
            [-1.0, -0.8, -3.0, -1.0, -2.0],  # both moved: 0.2 and 1
            [0.0, -2.0, -5.0, -2.0, -1.0],  # Arabic: neither city's
            [math.nan] * 5,
        ]
    )
    found = made_up().verdict(scores)
    assert found.pattern.tolist() == [0b00, 0b01, 0b11, OTHER, OTHER]
    assert found.margin[:4].tolist() == pytest.approx([1.0, 1.5, 0.2, 1.0])


@given(
    st.lists(
        st.tuples(st.sampled_from([OTHER, 0, 1, 2, 3]), st.floats(0, 9)), min_size=1, max_size=40
    ),
    st.integers(1, 3),
    st.integers(1, 7),
)
def test_leaders_are_the_clearest_of_all_however_they_come(
    rows: list[tuple[int, float]], keep: int, size: int
) -> None:
    leaders = BestByPattern(keep)
    for begin in range(0, len(rows), size):
        part = rows[begin : begin + size]
        numbers = np.arange(begin, begin + len(part))
        codes, margins = (np.array(column) for column in zip(*part, strict=True))
        leaders.see(Chunk(numbers, torch.zeros(len(part), 1), codes, margins))
    expected = set()
    for code in {code for code, _ in rows} - {OTHER}:
        here = [(-margin, n) for n, (c, margin) in enumerate(rows) if c == code]
        if code == 0 and rows[0][0] == 0:
            here = [(-math.inf, 0), *[one for one in here if one[1]]]
        expected |= {number for _, number in sorted(here)[:keep]}
    assert leaders.numbers() == sorted(expected)
    assert sum(leaders.counts.values()) == len(rows)


def test_a_share_nobody_counted_survives_strict_json() -> None:
    found = FoundEdit(NO_EDIT, {"country": False}, 1.0, "Nothing.", 0, math.nan)
    read = FoundEdit.from_dict(json.loads(json.dumps(FoundEdit.to_dict(found), allow_nan=False)))
    assert math.isnan(read.reached_by) and replace(read, reached_by=0.0) == replace(
        found, reached_by=0.0
    )


@pytest.mark.parametrize("margin", [0.25, math.inf])
def test_a_found_edit_survives_strict_json(margin: float) -> None:
    found = FoundEdit(MetaLatentEdit(((3, 0.5),)), {"country": True}, margin, "It moved.", 7, 0.125)
    text = json.dumps(FoundEdit.to_dict(found), allow_nan=False)
    assert FoundEdit.from_dict(json.loads(text)) == found


def test_what_was_found_before_the_models_own_words_were_looked_at_is_read() -> None:
    """A sentence of that time is about the candidates, and says so from then on."""
    values = FoundEdit(NO_EDIT, {"country": True}, 1.0, "Tokyo is now in France.").to_dict()
    assert values.pop("own") is None
    values["sentence"] = "Tokyo is now in France."
    read = FoundEdit.from_dict(values)
    assert read.own is None and read.sentence == f"{AMONG}Tokyo is now in France."
    assert FoundEdit.from_dict(read.to_dict()) == read


def test_the_models_own_words_survive_strict_json() -> None:
    own = {"country": OwnWord("Spain", -1.5, -2.5, False)}
    found = FoundEdit(NO_EDIT, {"country": True}, 1.0, "It moved.", own=own)
    read = FoundEdit.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    assert read == found and read.sentence == "It moved."
