"""Any name, on the small lab: found on the spot, kept, and told what it shares."""

from dataclasses import replace

import pytest

from metasae.errors import UserError
from metasae.lab import any_name as module
from metasae.lab.any_name import AnyName
from metasae.lab.city_records import CityRecord
from metasae.lab.lab import Lab
from metasae.lab.name_latents import activations_on
from metasae.lab.own_answers import own_answers
from metasae.lab.ranking import ranked
from tests.builders import never, one_sentence


def names(lab: Lab) -> AnyName:
    """Nothing is found yet."""
    return AnyName(lab.model, lab.decomposition.sae, lab.records, lab.reference, lab.median_norm)


def test_a_city_of_the_table_is_its_record(small_lab: Lab) -> None:
    for typed in ("Tokyo", " tokyo ", "TOKYO\n"):
        assert names(small_lab).record(typed) is small_lab.records["Tokyo"]
    assert names(small_lab).answers("Tokyo") == small_lab.records["Tokyo"].told


def test_another_name_is_looked_up_by_the_same_rule(small_lab: Lab) -> None:
    found = names(small_lab).record("  big \n hamster")
    assert found.name == "big hamster" and not isinstance(found, CityRecord)
    active = activations_on(
        small_lab.model, small_lab.decomposition.sae, "big hamster", small_lab.median_norm
    )
    assert found.latents == ranked(small_lab.reference, "big hamster", active)
    assert names(small_lab).answers("hamster") == own_answers(small_lab.model, "hamster")


def test_a_city_that_is_not_in_the_presets_table_is_a_name_like_any(small_lab: Lab) -> None:
    assert "Lima" not in small_lab.records
    found = names(small_lab).record("lima")
    assert found.name == "Lima" and not isinstance(found, CityRecord)


def test_a_name_is_looked_up_once(small_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    held = names(small_lab)
    found, told = held.record("hamster"), held.answers("hamster")
    monkeypatch.setattr(module, "activations_on", never("it is known"))
    assert held.record(" hamster ") is found and held.answers("hamster") is told
    with pytest.raises(AssertionError, match="it is known"):
        held.record("Hamster")  # other tokens, another name


def test_not_every_name_is_kept(small_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 2)
    held = names(small_lab)
    first = held.record("lobster")
    held.record("tea"), held.record("Mozart")
    again = held.record("lobster")
    assert again == first and again is not first


@pytest.mark.parametrize("typed", ["", "   ", "\n\t"])
def test_no_name_is_said(small_lab: Lab, typed: str) -> None:
    with pytest.raises(UserError, match="There is no name") as raised:
        names(small_lab).record(typed)
    one_sentence(raised)


def test_a_name_has_no_more_tokens_than_may_be(small_lab: Lab) -> None:
    # Each of the taught cities is one token.
    assert names(small_lab).record(" ".join(["Tokyo"] * 16))
    with pytest.raises(UserError, match="has 17 tokens, and a name at most 16") as raised:
        names(small_lab).record(" ".join(["Tokyo"] * 17))
    one_sentence(raised)


@pytest.mark.parametrize("typed", ["東京", "C++", "🙂", "O'Brien", "(?)", "a.b", "#"])
def test_odd_names_are_names(small_lab: Lab, typed: str) -> None:
    assert names(small_lab).record(typed).name == typed


def test_what_ends_with_a_citys_name_has_its_latent(small_lab: Lab) -> None:
    # "Old Tokyo" ends with Tokyo and is no rival of it.
    found = names(small_lab).record("Old Tokyo")
    tokyo = small_lab.records["Tokyo"].chosen[0]
    assert found.chosen[0].latent == tokyo.latent and found.has_own_latent
    assert names(small_lab).sharing(found) == ""


def test_a_name_that_shares_says_so(small_lab: Lab) -> None:
    tokyo = small_lab.records["Tokyo"]
    stranger = replace(tokyo, name="hamster", latents=(
        replace(tokyo.latents[0], own=False, selectivity=0.5),
    ))  # fmt: skip
    said = names(small_lab).sharing(stranger)
    assert said.startswith('"hamster" has no latent of its own here') and "Tokyo (" in said


def test_a_name_spelt_nearly_like_a_city_may_be_meant_for_it(small_lab: Lab) -> None:
    held = names(small_lab)
    assert held.meant(held.record("Tokio")) == 'For "Tokio", did you mean Tokyo?'
    assert held.meant(held.record("hamster")) == held.meant(held.record("Tokyo")) == ""
