"""Masks tick what they have of a pair, are kept and exchanged whole, and are refused elsewhere."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.ravel import masks
from metasae.ravel.masks import Mask, masked, with_scores
from metasae.sources import cache
from metasae.sources.cache import CACHE_VARIABLE
from metasae.steering.edit_space import Piece
from metasae.steering.edits import NO_EDIT, EditOptions, LatentSwap, MetaLatentEdit
from tests.builders import one_sentence

PIECES = (
    Piece(1, "source", 0.9, 0.0),
    Piece(2, "target", 0.0, 0.8),
    Piece(3, "shared", 0.7, 0.6),
    Piece(4, "source", 0.5, 0.0),
    Piece(5, "target", 0.0, 0.4),
)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def country(small_lab: Lab) -> Mask:
    """A mask over the small lab's meta-latents."""
    return Mask(
        name="country", attribute="country", method="mask-gradient", pieces=(1, 2, 3, 9),
        keep_residual=False, keep_error=True, position="last", meta_sae=small_lab.weights.meta_sae,
        made=small_lab.provenance, run="0" * 12, data="taught cities", learned_on=4, scored_on=3,
        cause=0.5, isolate=0.75, disentangle=0.625, low=0.5, high=0.7,
    )  # fmt: skip


def test_the_sources_own_go_and_the_targets_own_enter(country: Mask) -> None:
    """Of 1, 2, 3 and 9 the pair has 1 of the source, 2 of the target; 3 is of both and stays."""
    assert country.added_to(NO_EDIT, PIECES).strengths == ((1, 0.0), (2, 1.0))


def test_a_second_mask_adds_to_the_first(country: Mask) -> None:
    first = country.added_to(NO_EDIT, PIECES)
    both = replace(country, pieces=(2, 4)).added_to(first, PIECES)
    assert both.strengths == ((1, 0.0), (2, 1.0), (4, 0.0))
    # The same again changes nothing more.
    assert country.added_to(both, PIECES) == both


def test_an_edit_takes_the_masks_options(country: Mask) -> None:
    begun = MetaLatentEdit(((5, 0.5),), options=EditOptions(variant="everywhere", position="all"))
    kept = replace(country, keep_residual=True).added_to(begun, PIECES)
    assert kept.options == EditOptions(keep_residual=True)
    assert kept.strengths == ((1, 0.0), (2, 1.0), (5, 0.5))
    assert country.added_to(LatentSwap(), PIECES).strengths == ((1, 0.0), (2, 1.0))


def test_a_mask_without_a_piece_of_the_pairs_own_says_so(country: Mask) -> None:
    with pytest.raises(UserError) as raised:
        replace(country, pieces=(3, 9)).added_to(NO_EDIT, PIECES)
    assert "changes nothing" in one_sentence(raised)


def test_what_was_typed_beside_masks_stays(small_lab: Lab, country: Mask) -> None:
    typed = MetaLatentEdit(((1, 0.5), (5, 1.0)), options=EditOptions(position="all"))
    made = masked(small_lab, typed, [replace(country, keep_residual=True)], PIECES)
    assert made == MetaLatentEdit(
        ((1, 0.5), (2, 1.0), (5, 1.0)), options=EditOptions(keep_residual=True, position="all")
    )
    assert masked(small_lab, LatentSwap(), [], PIECES) == LatentSwap()


def test_a_mask_is_saved_found_and_forgotten(country: Mask, tmp_path: Path) -> None:
    assert masks.saved() == ()
    path = country.save()
    assert path == cache.mask("country") and masks.find("country") == country
    assert masks.find(str(path)) == country
    assert masks.from_text(path.read_bytes(), "mine.json") == country
    later = replace(country, pieces=(7,), disentangle=None, low=None)
    later.save()
    assert masks.saved() == (later,) and "not scored" in later.sentence
    masks.forget("country")
    assert masks.saved() == ()


def test_its_sentence_says_how_it_scored(country: Mask) -> None:
    assert country.sentence == (
        "4 meta-latents, learned on 4 names; Disentangle 0.62 (0.50 to 0.70) on 3 held-out names"
    )


@pytest.mark.parametrize("name", ["", " ", "../up", "a/b", "x" * 61, "a\nb", ".hidden", "*"])
def test_a_name_that_is_no_files_is_refused(country: Mask, name: str) -> None:
    with pytest.raises(UserError) as raised:
        replace(country, name=name).save()
    one_sentence(raised)
    assert masks.saved() == ()


@pytest.mark.parametrize("name", ["language", "../country", "x" * 5000, ""])
def test_an_unknown_mask_is_said(country: Mask, name: str) -> None:
    country.save()
    with pytest.raises(UserError) as raised:
        masks.find(name)
    assert '"country"' in one_sentence(raised)


@pytest.mark.parametrize(
    "changes",
    [
        {"pieces": []},
        {"pieces": [-1]},
        {"pieces": ["1"]},
        {"pieces": None},
        {"position": "first"},
        {"name": "../up"},
        {"made": {}},
        {"nonsense": 1},
        {"format": 2},
    ],
)
def test_a_damaged_file_is_said_and_passed_over(country: Mask, changes: dict[str, object]) -> None:
    path = country.save()
    path.write_text(json.dumps(country.to_dict() | changes), "utf-8")
    with pytest.raises(UserError) as raised:
        masks.find("country")
    one_sentence(raised)
    assert masks.saved() == ()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "{}"])
def test_what_holds_no_mask_is_said(text: str) -> None:
    with pytest.raises(UserError) as raised:
        masks.from_text(text, "mine.json")
    assert "mine.json" in one_sentence(raised)


def test_another_meta_sae_is_refused(small_lab: Lab, country: Mask) -> None:
    country.check_opened(small_lab)
    with pytest.raises(UserError) as raised:
        replace(country, meta_sae="0" * 64).check_opened(small_lab)
    assert '"country"' in one_sentence(raised)


def test_scores_are_of_the_masks_own_rows() -> None:
    """One pair, country: moved on 1 of 2 prompts, the language stayed on 1 of 1."""
    row = {"seed": 0, "method": "m", "edited": "country", "source": "A", "target": "B",
           "template": "", "differs": True, "choice": "other"}  # fmt: skip
    triples = pd.DataFrame(
        [
            row | {"asked": "country", "greedy": "target"},
            row | {"asked": "country", "greedy": "source"},
            row | {"asked": "language", "greedy": "source"},
        ]
    )
    learned = pd.DataFrame(
        {"method": ["m"], "attribute": ["country"], "pieces": ["1.2"], "learned_on": [5]}
    )
    (scored,) = with_scores(learned, triples, ["country", "language"]).to_dict("records")
    assert (scored["cause"], scored["isolate"], scored["disentangle"]) == (0.5, 1.0, 0.75)
    assert scored["scored_on"] == 1 and scored["pieces"] == "1.2"
