"""The material of a study, its settings, and intervals."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from metasae.cli.studying import Listed
from metasae.errors import UserError
from metasae.saes.decomposition import Decomposition
from metasae.studies.registry import STUDIES, study
from metasae.studies.study import (
    Finding,
    Study,
    mean_with_interval,
    ratio_with_interval,
    share_with_interval,
)
from tests.builders import one_sentence
from tests.metasae.studies.planted import material_of, sae_of

TWO = ((0,), (0, 1), (1, 2))


def test_the_nearest_smaller_width_is_found_by_its_ratio() -> None:
    material = material_of(TWO * 8, ((0,), (1,), (2,)))
    assert material.nearest_width(1 / 16) == 3


def test_a_preset_without_smaller_saes_is_refused() -> None:
    with pytest.raises(UserError) as raised:
        material_of(TWO).nearest_width(0.1)
    assert "smaller" in one_sentence(raised)


def test_a_width_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError) as raised:
        material_of(TWO, ((0,), (1,))).smaller(5)
    assert "there are: 2" in str(raised.value)


def test_an_sae_of_another_residual_stream_is_refused() -> None:
    made = material_of(TWO, ((0,), (1,)))
    first = replace(made.sae, metadata={"hook_name": "blocks.1.hook_resid_pre"})
    other = replace(first, metadata={"hook_name": "blocks.2.hook_resid_pre"})
    opened = replace(made, decomposition=Decomposition(first, made.decomposition.meta))
    narrow = sae_of(torch.eye(4))
    for wrong in (other, narrow):
        with pytest.raises(UserError) as raised:
            replace(opened, open_smaller=lambda _: wrong).smaller(2)  # noqa: B023 - called here
        assert "one hook" in one_sentence(raised)
    same = replace(first, metadata={"hook_name": "blocks.0.hook_resid_post"})
    assert replace(opened, open_smaller=lambda _: same, _opened={}).smaller(2) is same
    # Of one that does not say what it reads nothing is known.
    assert opened.smaller(2).metadata == {}


def test_text_is_refused_where_no_model_is() -> None:
    with pytest.raises(UserError) as raised:
        material_of(TWO).fires(10, False, lambda *_: None)
    one_sentence(raised)


@pytest.mark.parametrize("name", STUDIES)
def test_settings_are_read_by_their_kind(name: str) -> None:
    one = study(name)
    assert one.configured({}) == one.configuration()
    assert one.configured({"seed": "7"}).seed == 7
    for given in ({"nonsense": "1"}, {"seed": "many"}, {"seed": "-1"}):
        with pytest.raises(UserError) as raised:
            one.configured(given)
        one_sentence(raised)


@dataclass(frozen=True)
class Settings:
    """One of each kind."""

    least: float = 0.5
    count: int = 3
    which: str = "all"
    signed: bool = True
    seed: int = 0


OWN = Study("own", "", "", "", Settings, lambda *_: Finding("", {}, {}))


def test_a_study_of_ones_own_may_have_settings_of_every_kind() -> None:
    given = {"least": "1e-3", "count": "4", "which": "7", "signed": "False", "seed": "1"}
    assert OWN.configured(given) == Settings(0.001, 4, "7", False, 1)
    assert OWN.configured({"signed": "true"}).signed is True
    assert "which=all signed=True" in Listed((OWN,)).text()


@pytest.mark.parametrize(
    "given",
    [{"signed": "maybe"}, {"least": "nan"}, {"least": "inf"}, {"least": "1e400"},
     {"count": "9" * 30}, {"count": "-" + "9" * 30}, {"count": "9" * 5000}, {"count": "1.5"},
     {"seed": str(2**31)}],
)  # fmt: skip
def test_settings_that_are_no_finite_number_or_too_large_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(UserError) as raised:
        OWN.configured(given)
    assert len(one_sentence(raised)) < 150


def test_yes_and_no_are_read_and_nothing_else() -> None:
    for text, value in (("yes", True), ("True", True), ("no", False), ("False", False)):
        assert OWN.configured({"signed": text}).signed is value
    for text in ("", "0", "maybe"):
        with pytest.raises(UserError) as raised:
            OWN.configured({"signed": text})
        assert "give yes or no" in one_sentence(raised)


@pytest.mark.parametrize("name", STUDIES)
def test_words_for_figures_say_something(name: str) -> None:
    words = study(name).words
    assert words and all(text == text.strip() != "" for text in words.values())


def test_an_interval_holds_the_mean_and_narrows_with_more_latents() -> None:
    few = share_with_interval(np.array([True, False] * 10))
    many = share_with_interval(np.array([True, False] * 1000))
    assert few["value"] == many["value"] == 0.5
    assert few["low"] < many["low"] < 0.5 < many["high"] < few["high"]
    # Of 2,000 fair coins the middle 95 % lies within 1.96 · 0.5 / √2000 of a half.
    assert many["high"] - many["low"] == pytest.approx(2 * 1.96 * 0.5 / 2000**0.5, rel=0.15)


def test_an_interval_of_equal_values_is_a_point() -> None:
    assert mean_with_interval(np.full(5, 0.25)) == {"value": 0.25, "low": 0.25, "high": 0.25}


def test_values_that_go_together_are_drawn_again_together() -> None:
    values = np.repeat([0.0, 1.0], 50)
    alone = mean_with_interval(values)
    together = mean_with_interval(values, groups=np.repeat([0, 1], 50))
    assert together["value"] == alone["value"] == 0.5
    # Two groups: both are the same one half of the time.
    assert (together["low"], together["high"]) == (0.0, 1.0)
    assert 0.3 < alone["low"] < 0.5 < alone["high"] < 0.7


def test_a_share_of_sums_counts_by_what_it_is_of() -> None:
    # 2 of 1 and 8 of 3: whichever is drawn, the share is 2, 10/4 or 8/3.
    found = ratio_with_interval(np.array([2.0, 8.0]), np.array([1.0, 3.0]))
    assert found == {"value": 2.5, "low": 2.0, "high": pytest.approx(8 / 3)}
    assert found == mean_with_interval(np.array([2.0, 8 / 3]), weights=np.array([1.0, 3.0]))


def test_a_mean_of_nothing_is_refused() -> None:
    with pytest.raises(UserError) as raised:
        mean_with_interval(np.empty(0))
    one_sentence(raised)
