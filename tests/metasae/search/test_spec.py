"""What a search is about survives JSON, and nonsense is refused."""

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.search.spec import Spec, asked, experiment_about, experiment_of
from metasae.sources.presets import EMBEDDED, Opened
from metasae.steering.edits import VARIANTS, Edit, EditOptions, LatentSwap, MetaLatentEdit
from metasae.text.prompts import QUESTIONS, WORDINGS
from tests.builders import one_sentence

PAIR = Spec(EMBEDDED.opened, "Tokyo", "Paris")


strengths = st.lists(st.floats(-2, 2), max_size=3).map(tuple)


latents = st.none() | st.lists(st.integers(0, 99), max_size=3).map(tuple)


specs = st.builds(
    Spec,
    preset=st.sampled_from([EMBEDDED.opened, Opened("mine", "fine"), Opened("a+b/c.json")]),
    source=st.just("Tokyo"),
    target=st.text(st.characters(exclude_characters="#", exclude_categories=["Cs"])),
    source_latents=latents,
    target_latents=latents,
    attributes=st.lists(st.sampled_from(list(QUESTIONS)), min_size=1).map(tuple),
    options=st.builds(
        EditOptions,
        variant=st.sampled_from(VARIANTS),
        keep_residual=st.booleans(),
        keep_error=st.booleans(),
        position=st.sampled_from(["last", "all"]),
    ),
    removed=strengths,
    added=strengths,
    screened=st.sampled_from([None, True, False]),
    wording=st.sampled_from(list(WORDINGS)),
    estimating=st.booleans(),
    strict=st.booleans(),
)


@given(specs)
def test_a_spec_survives_json(spec: Spec) -> None:
    assert Spec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_a_search_that_is_not_strict_is_written_as_ever(small_lab: Lab, spec: Spec) -> None:
    """Its files and its id say nothing of it; a strict one is another search."""
    assert "strict" not in spec.to_dict() and "strict" not in experiment_about(small_lab, spec)
    strict = replace(spec, strict=True)
    assert strict.to_dict() == spec.to_dict() | {"strict": True}
    about = experiment_about(small_lab, strict)
    assert about == experiment_about(small_lab, spec) | {"strict": True}
    assert experiment_of(small_lab, strict).strict and not experiment_of(small_lab, spec).strict


def test_attributes_are_in_the_questions_order_and_once() -> None:
    spec = replace(PAIR, attributes=("currency", "country", "currency"))
    assert spec.attributes == ("country", "currency")
    assert spec == replace(PAIR, attributes=("country", "currency"))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"attributes": ("mayor",)}, 'no attribute "mayor"; choose from country'),
        ({"attributes": ()}, "needs an attribute"),
        ({"wording": "rude"}, 'no wording "rude"; choose from default, post'),
        ({"removed": (0.0, -2.5)}, "at strength -2.5"),
        ({"added": (math.nan,)}, "at strength nan"),
        ({"source": " #3", "source_latents": (4,)}, "names its latents already"),
        ({"target": "#3", "target_latents": (4,)}, "names its latents already"),
    ],
)
def test_a_spec_no_search_can_be_made_of(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError) as raised:
        replace(PAIR, **changes)
    assert text in one_sentence(raised)


@pytest.mark.parametrize("edit", [LatentSwap(), MetaLatentEdit(((3, 0.0),))])
def test_the_edits_of_a_search_have_neither_a_swap_nor_strengths_in_common(edit: Edit) -> None:
    with pytest.raises(UserError) as raised:
        Spec.from_dict(PAIR.to_dict() | {"options": edit.to_dict()})
    text = one_sentence(raised)
    assert "give it no swap and no strengths of single meta-latents" in text


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        {},
        {"preset": "p", "source": "Tokyo"},
        PAIR.to_dict() | {"more": 1},
        PAIR.to_dict() | {"target": 3},
        PAIR.to_dict() | {"preset": 3},
        PAIR.to_dict() | {"preset": None},
        PAIR.to_dict() | {"preset": "smollm2-135m+../up"},
        PAIR.to_dict() | {"screened": 1},
        PAIR.to_dict() | {"estimating": 1},
        PAIR.to_dict() | {"wording": ["post"]},
        PAIR.to_dict() | {"attributes": "country"},
        PAIR.to_dict() | {"removed": 0.5},
        PAIR.to_dict() | {"removed": ["much"]},
        PAIR.to_dict() | {"source_latents": [math.inf]},
        PAIR.to_dict() | {"options": {"kind": "meta", "more": 1}},
        PAIR.to_dict() | {"options": 3},
    ],
)
def test_nonsense_is_no_spec(values: Any) -> None:
    with pytest.raises(UserError) as raised:
        Spec.from_dict(values)
    one_sentence(raised)


def test_a_search_of_a_file_by_another_of_its_paths_is_that_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lab: Any = SimpleNamespace(
        preset=SimpleNamespace(opened=Opened(str(tmp_path / "x.json"))),
        subject=lambda text, latents: text,
        questions=lambda source, target, templates: [],
    )
    assert asked(lab, replace(PAIR, preset=Opened("x.json"))) == ("Tokyo", "Paris", [])
    with pytest.raises(UserError, match="open that one"):
        asked(lab, replace(PAIR, preset=Opened("y.json")))
