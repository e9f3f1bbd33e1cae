"""Which latents a name claims, on numbers small enough to follow."""

import torch

from metasae.lab.claims import claims, sharing_note
from metasae.lab.reference import NameReference


def reference(*rows: list[float]) -> NameReference:
    names = [f"name {number}" for number in range(len(rows))]
    return NameReference.of(names, torch.tensor(rows))


OTHERS = reference([0.0, 4.0, 0.0, 0.0], [2.0, 4.0, 0.0, 0.0], [2.0, 0.0, 0.0, 4.0])
"""The floor is a quarter of 4."""


def test_own_are_those_that_are_selective_and_not_faint() -> None:
    ranked = claims(OTHERS, "new", torch.tensor([12.0, 8.0, 0.9, 4.0]))
    # Of 0 three quarters are on it, of 1 half, of 2 all of a faint activation, of 3 half.
    assert {one.latent: one.own for one in ranked} == {0: True, 1: False, 2: False, 3: False}
    assert [one.latent for one in ranked] == [0, 1, 3, 2]
    assert [one.latent for one in ranked if one.chosen] == [0]
    assert ranked[0].selectivity == 0.75 and ranked[0].activation == 12.0


def test_an_own_one_much_weaker_than_the_strongest_is_not_chosen() -> None:
    strong = claims(OTHERS, "new", torch.tensor([0.0, 0.0, 8.0, 0.0]))
    assert [one.latent for one in strong if one.chosen] == [2]
    wide = reference([4.0, 0.0, 0.0], [4.0, 0.0, 0.0])
    ranked = claims(wide, "new", torch.tensor([0.0, 8.0, 1.9]))
    assert [(one.latent, one.own, one.chosen) for one in ranked] == [
        (1, True, True), (2, True, False),
    ]  # fmt: skip
    ranked = claims(wide, "new", torch.tensor([0.0, 8.0, 2.0]))
    assert [one.chosen for one in ranked] == [True, True]


def test_a_reference_name_is_compared_with_the_others() -> None:
    ranked = claims(OTHERS, "name 2", OTHERS.activations("name 2"))
    assert [(one.latent, one.own) for one in ranked] == [(3, True), (0, False)]


def test_without_an_own_one_the_best_is_chosen_and_a_note_says_what_it_shares() -> None:
    ranked = claims(OTHERS, "new", torch.tensor([1.0, 3.0, 0.0, 0.0]))
    assert [one.latent for one in ranked if one.chosen] == [1]
    assert sharing_note(OTHERS, "new", ranked) == (
        "new has no latent of its own here: it is edited by #1, which also fires on name 0 and "
        "name 1."
    )
    own = claims(OTHERS, "new", torch.tensor([12.0, 0.0, 0.0, 0.0]))
    assert sharing_note(OTHERS, "new", own) == ""


def test_a_faint_one_and_none_are_said() -> None:
    faint = claims(OTHERS, "new", torch.tensor([0.0, 0.0, 0.5, 0.0]))
    note = sharing_note(OTHERS, "new", faint)
    assert "its most selective, #2, is faint (0.5, where 1.0 is asked for)" in note
    none = claims(OTHERS, "new", torch.zeros(4))
    assert none == () and sharing_note(OTHERS, "new", none).startswith("No latent fires on new")
