"""A meta-latent changed in every latent, by hand on directions with known numbers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metasae.errors import UserError
from metasae.steering.edits import EditOptions, MetaLatentEdit
from metasae.steering.global_edit import GlobalEdit
from tests.builders import LATENTS, in_basis, one_sentence, orthonormal_decomposition
from tests.metasae.steering.compiled import compile_edit
from tests.metasae.studies.planted import material_of
from tests.strategies import STRENGTHS

EVERYWHERE = EditOptions("everywhere", keep_residual=True, position="all")


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_what_has_the_meta_latent_loses_it_and_keeps_its_length() -> None:
    # Meta-latent 2 is on latents 0 (0.96 of length 2.5) and 1 (0.48 of length 1).
    made = GlobalEdit.of(orthonormal_decomposition(), {2: 0.0})
    assert made.latents.tolist() == [0, 1]
    first = torch.tensor([1.2, 1.28, 0.0, 0.0, 0.0, 1.5])
    second = torch.tensor([0.0, 0.0, 0.0, 0.8, 0.36, 0.0])
    first, second = 2.5 * first / first.norm(), second / second.norm()
    close(made.step[0], in_basis(*(first - torch.tensor(LATENTS[0])).tolist()))
    close(made.step[1], in_basis(*(second - torch.tensor(LATENTS[1])).tolist()))


def test_without_the_residual_it_is_the_meta_saes_reconstruction() -> None:
    made = GlobalEdit.of(orthonormal_decomposition(), {2: 2.0}, keep_residual=False)
    first = torch.tensor([1.2, 1.28, 1.92, 0.0, 0.0, 0.0])
    first = 2.5 * first / first.norm()
    close(made.step[0], in_basis(*(first - torch.tensor(LATENTS[0])).tolist()))


def test_a_latent_of_which_nothing_is_left_adds_nothing() -> None:
    # Latent 2 has the meta-latents 0 and 4 alone, all of it explained.
    for kept in (True, False):
        made = GlobalEdit.of(orthonormal_decomposition(), {0: 0.0, 4: 0.0}, keep_residual=kept)
        place = made.latents.tolist().index(2)
        close(made.step[place], in_basis(*(-torch.tensor(LATENTS[2])).tolist()))


def test_a_strength_of_one_or_a_meta_latent_on_nothing_changes_nothing() -> None:
    for strengths in ({2: 1.0}, {5: 0.0}, {}):
        for kept in (True, False):
            made = GlobalEdit.of(orthonormal_decomposition(), strengths, keep_residual=kept)
            assert made.latents.tolist() == []
            assert made.change(torch.randn(3, 6)).count_nonzero() == 0


@given(st.integers(0, 4), STRENGTHS, st.booleans())
def test_lengths_stay_and_other_latents_are_not_touched(
    meta: int, strength: float, kept: bool
) -> None:
    decomposition = orthonormal_decomposition()
    made = GlobalEdit.of(decomposition, {meta: strength}, kept)
    having = {n for n in range(4) if decomposition.activations.to_dense()[n, meta] > 0}
    assert set(made.latents.tolist()) == (having if strength != 1 else set())
    own = decomposition.sae.W_dec[made.latents]
    new = (own + made.step).norm(dim=1)
    gone = new < 1e-4
    close(new[~gone], own.norm(dim=1)[~gone])


def test_the_residual_changes_by_what_each_latent_adds_now_instead() -> None:
    # The axes are the meta-latents, and latents read along themselves: all can be done by hand.
    decomposition = material_of([(0,), (0, 1), (2,)]).decomposition
    made = GlobalEdit.of(decomposition, {0: 0.0})
    x = torch.zeros(2, 8)
    x[0, 1], x[1, 2] = 2.0, 5.0
    # Latent (0, 1) fires at √2 on the first row and points along axis 1 alone afterwards.
    expected = torch.zeros(2, 8)
    expected[0, :2] = torch.tensor([-1.0, 2**0.5 - 1.0])
    close(made.change(x), expected)
    whole = decomposition.sae.W_dec.clone()
    whole[made.latents] += made.step
    close(made.change(x), decomposition.sae.encode(x) @ (whole - decomposition.sae.W_dec))


def test_of_a_topk_sae_all_latents_compete() -> None:
    decomposition = orthonormal_decomposition()  # of two latents a row
    made = GlobalEdit.of(decomposition, {3: 0.0})
    x = torch.tensor(LATENTS) @ decomposition.meta.W_dec
    whole = decomposition.sae.W_dec.clone()
    whole[made.latents] += made.step
    expected = decomposition.sae.encode(x) @ (whole - decomposition.sae.W_dec)
    assert expected.abs().max() > 0.1
    close(made.change(x), expected)


def test_what_a_pair_adds_of_the_targets_own_takes_no_part() -> None:
    decomposition = orthonormal_decomposition()
    x = torch.tensor(LATENTS) @ decomposition.meta.W_dec
    edits = [
        MetaLatentEdit(strengths, options=EVERYWHERE)
        for strengths in (((0, 0.0),), ((0, 0.0), (3, 1.5)))
    ]
    alone, with_added = (
        compile_edit(decomposition, edit, [0], [1], [7.0]).everywhere for edit in edits
    )
    assert alone is not None and with_added is not None
    assert alone.latents.tolist() == [0, 2]  # beyond the source
    close(alone.change(x), with_added.change(x))


def test_a_meta_latent_of_neither_or_of_none_is_refused() -> None:
    decomposition = orthonormal_decomposition()
    with pytest.raises(UserError) as raised:
        compile_edit(
            decomposition, MetaLatentEdit(((5, 0.0),), options=EVERYWHERE), [0], [1], [7.0]
        )
    assert "Meta-latent 5" in one_sentence(raised)
    with pytest.raises(UserError, match="no meta-latent 99"):
        GlobalEdit.of(decomposition, {99: 0.0})
