"""An edit's directions and its change of the residual stream, computed by hand.

The meta-SAE's directions are orthonormal, so everything can be told in their coordinates. Source
latent 0 is (1.2, 1.28, 0.96, 0, 0 | 1.5) with norm 2.5, target latent 1 is (0, 0, 0.48, 0.8, 0.36);
what stands behind the bar no meta-latent explains.
"""

import math
from collections.abc import Mapping

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from metasae.errors import UserError
from metasae.saes.decomposition import Decomposition
from metasae.steering.edit_space import EditSpace, Firing, Piece, Swapped, pieces
from metasae.steering.edits import (
    NO_EDIT,
    Edit,
    EditOptions,
    LatentSwap,
    MetaLatentEdit,
)
from tests.builders import LATENTS, in_basis, one_sentence, orthonormal_decomposition
from tests.metasae.steering.compiled import compile_edit
from tests.strategies import STRENGTHS

NORM = 2.5


META_LATENTS = [0, 1, 2, 3, 4]


NOTHING_SWAPPED = Swapped((), {})


def edited(edit: Edit, latent: int = 0) -> Tensor:
    return direction(orthonormal_decomposition(), latent, edit)


def direction(
    decomposition: Decomposition, latent: int, edit: Edit, source: tuple[int, ...] = (0, 2)
) -> Tensor:
    """What the edit puts in the place of one of the source's latents; the target's is latent 1."""
    source = source if latent in source[1:] else (latent,)
    pair = EditSpace(decomposition, source, (1,), NOTHING_SWAPPED)
    change = pair.compiled(edit).from_source[source.index(latent)]
    return change + decomposition.sae.W_dec[latent]


def normalised(*coordinates: float) -> Tensor:
    """By hand: the vector with these coordinates, brought to the source direction's norm."""
    vector = in_basis(*coordinates)
    return vector * (NORM / math.sqrt(sum(value**2 for value in coordinates)))


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_pieces_say_whose_they_are_strongest_first() -> None:
    found = pieces(orthonormal_decomposition(), [0], [1])
    assert [(p.meta, p.side) for p in found] == [
        (1, "source"),
        (0, "source"),
        (2, "shared"),
        (3, "target"),
        (4, "target"),
    ]
    assert [p.on_source for p in found] == pytest.approx([1.28, 1.2, 0.96, 0.0, 0.0])
    assert [p.on_target for p in found] == pytest.approx([0.0, 0.0, 0.48, 0.8, 0.36])
    assert [p.default for p in found] == [1.0, 1.0, 1.0, 0.0, 0.0]


def test_pieces_of_several_latents_count_by_the_strongest() -> None:
    found = {p.meta: p for p in pieces(orthonormal_decomposition(), [0, 2], [1])}
    assert found[0].on_source == pytest.approx(1.2)  # 1.2 on latent 0, 0.5 on latent 2
    assert found[4].side == "shared"  # on latent 2 of the source and on the target
    assert (found[4].on_source, found[4].on_target) == pytest.approx((0.7, 0.36))


def test_pieces_of_a_latent_out_of_range() -> None:
    with pytest.raises(UserError, match="There is no latent 4"):
        pieces(orthonormal_decomposition(), [0], [4])


def test_removing_an_own_piece() -> None:
    # (0, 1.28, 0.96) has norm 1.6.
    close(edited(MetaLatentEdit(((0, 0.0),))), in_basis(0.0, 2.0, 1.5, 0.0, 0.0, 0.0))


def test_adding_a_piece_of_the_target_at_its_activation_there() -> None:
    expected = normalised(1.2, 1.28, 0.96, 0.8, 0.0, 0.0)
    close(edited(MetaLatentEdit(((3, 1.0),))), expected)


def test_removing_and_adding_with_strengths() -> None:
    edit = MetaLatentEdit(((0, 0.0), (1, -0.5), (3, 2.0), (4, -1.0)))
    close(edited(edit), normalised(0.0, -0.64, 0.96, 1.6, -0.36, 0.0))


def test_a_shared_piece_is_scaled_from_its_activation_on_the_source() -> None:
    close(edited(MetaLatentEdit(((2, 2.0),))), normalised(1.2, 1.28, 1.92, 0.0, 0.0, 0.0))
    close(edited(MetaLatentEdit(((2, 0.0),))), normalised(1.2, 1.28, 0.0, 0.0, 0.0, 0.0))


def test_the_residual_is_dropped_unless_it_is_kept() -> None:
    edit = MetaLatentEdit(((0, 0.0), (3, 1.0)))
    close(edited(edit), normalised(0.0, 1.28, 0.96, 0.8, 0.0, 0.0))
    kept = MetaLatentEdit(edit.strengths, options=EditOptions(keep_residual=True))
    close(edited(kept), normalised(0.0, 1.28, 0.96, 0.8, 0.0, 1.5))


def test_a_bias_of_the_meta_sae_stays_in_the_direction() -> None:
    decomposition = orthonormal_decomposition(b_dec=(0.2, 0.0, 0.0, 0.1, 0.0, 0.0))
    # The target's activation on 3 is 0.8 − 0.1; the bias's own 0.1 is there already.
    edit = MetaLatentEdit(((0, 0.0), (3, 1.0)))
    close(direction(decomposition, 0, edit), normalised(0.2, 1.28, 0.96, 0.8, 0.0, 0.0))


def test_each_of_several_source_latents_keeps_its_own_activations_and_norm() -> None:
    decomposition = orthonormal_decomposition()
    edit = MetaLatentEdit(((0, 0.5), (1, 2.0), (3, 1.0), (4, 2.0)))
    # Latent 2 is (0.5, 0, 0, 0, 0.7): 0 at half of its own activation, 4 at twice its own. 1 is
    # the other source latent's: it stays out. 3 is the target's: it enters as on the target.
    vector = in_basis(0.25, 0.0, 0.0, 0.8, 1.4, 0.0)
    expected = vector * math.sqrt(0.25 + 0.49) / math.sqrt(0.0625 + 0.64 + 1.96)
    close(direction(decomposition, 2, edit), expected)
    # 4 is shared and latent 0 lacks it: it stays out there.
    change = compile_edit(decomposition, edit, [0, 2], [1], [7.0]).from_source[0]
    first = change + decomposition.sae.W_dec[0]
    close(first, normalised(0.6, 2.56, 0.96, 0.8, 0.0, 0.0))


def test_nothing_left_of_a_direction_is_said() -> None:
    edit = MetaLatentEdit(((0, 0.0), (1, 0.0), (2, 0.0)))
    with pytest.raises(UserError) as raised:
        edited(edit)
    assert "Nothing is left of latent 0" in one_sentence(raised)
    kept = MetaLatentEdit(edit.strengths, options=EditOptions(keep_residual=True))
    close(edited(kept), in_basis(0.0, 0.0, 0.0, 0.0, 0.0, 2.5))


def test_the_hundredfold_edit_adds_a_hundred_unit_directions_to_the_latents_own() -> None:
    # Removing 0 takes 100 of its unit direction away, adding 3 puts 100 there; the latent's own
    # (1.2, 1.28, 0.96, 0, 0, 1.5) is hardly seen any more.
    edit = MetaLatentEdit(((0, 0.0), (3, 1.0)), options=EditOptions(variant="hundredfold"))
    close(edited(edit), normalised(1.2 - 100, 1.28, 0.96, 100.0, 0.0, 1.5))
    assert MetaLatentEdit(options=EditOptions(variant="hundredfold")).changes_nothing


def test_many_directions_at_once_are_the_same_as_one_by_one() -> None:
    pair = EditSpace(
        orthonormal_decomposition((0.0, 0.1, 0.0, 0.0, 0.0, 0.0)), (0, 2), (1,), NOTHING_SWAPPED
    )
    edits = [MetaLatentEdit(((0, a), (3, b))) for a in (0.0, -1.0, 1.0) for b in (0.0, 1.0, 2.0)]
    strengths = torch.stack([pair.strengths(edit) for edit in edits])
    for keep in (False, True):
        for hundredfold in (False, True):
            options = EditOptions("hundredfold" if hundredfold else "faithful", keep)
            together = pair.directions(strengths, options)
            for row, one in zip(together, strengths, strict=True):
                close(pair.directions(one[None], options)[0], row)


def test_a_direction_of_which_nothing_is_left_is_zero_among_others() -> None:
    pair = EditSpace(orthonormal_decomposition(), (0,), (1,), NOTHING_SWAPPED)
    kept, gone = (
        pair.strengths(MetaLatentEdit(((0, 0.0),))),
        pair.strengths(MetaLatentEdit(((0, 0.0), (1, 0.0), (2, 0.0)))),
    )
    found = pair.directions(torch.stack([kept, gone]))
    assert found[0].norm() > 1 and not found[1].any()


@given(
    st.dictionaries(st.sampled_from(META_LATENTS), STRENGTHS, min_size=1),
    st.booleans(),
    st.sampled_from([0, 2]),
)
def test_an_edited_direction_has_the_norm_of_the_original(
    strengths: Mapping[int, float], keep_residual: bool, latent: int
) -> None:
    edit = MetaLatentEdit(
        tuple(strengths.items()), options=EditOptions(keep_residual=keep_residual)
    )
    try:
        found = edited(edit, latent)
    except UserError as error:
        assert "Nothing is left" in str(error)
        assume(False)
    norm = math.sqrt(sum(value**2 for value in LATENTS[latent]))
    assert float(found.norm()) == pytest.approx(norm, rel=1e-4)


FIRING = Firing(
    source=torch.tensor([[2.0], [0.0], [0.5]]),
    swapped=torch.tensor([[2.0, 0.0], [0.0, 3.0], [0.5, 1.0]]),  # latents 0 and 1
    error=torch.arange(18.0).view(3, 6),
    resid=torch.zeros(3, 6),
)


def test_a_meta_latent_edit_changes_the_residual_by_activation_times_new_minus_old() -> None:
    edit = MetaLatentEdit(((0, 0.0),))
    compiled = compile_edit(orthonormal_decomposition(), edit, [0], [1], [7.0])
    # New (0, 2, 1.5, 0, 0, 0) minus old (1.2, 1.28, 0.96, 0, 0, 1.5); the target's own activations
    # and what it has on its own prompts play no part.
    step = in_basis(-1.2, 0.72, 0.54, 0.0, 0.0, -1.5)
    close(compiled.change(FIRING), torch.stack([2 * step, 0 * step, 0.5 * step]))


def test_the_faithful_reconstruction_alone_is_a_change_too() -> None:
    # A strength that equals the default still asks for the rebuilt direction: (1.2, 1.28, 0.96)
    # has norm 2, so it comes back longer and without the residual.
    compiled = compile_edit(orthonormal_decomposition(), MetaLatentEdit(((0, 1.0),)), [0], [1], [7])
    step = in_basis(0.3, 0.32, 0.24, 0.0, 0.0, -1.5)
    close(compiled.change(FIRING), torch.stack([2 * step, 0 * step, 0.5 * step]))


def test_dropping_the_error_takes_it_away_and_nothing_else() -> None:
    decomposition = orthonormal_decomposition()
    for edit in (MetaLatentEdit(((0, 0.0), (4, 1.5))), NO_EDIT, LatentSwap()):
        kept = compile_edit(decomposition, edit, [0], [1], [7.0])
        dropping = edit.with_options(keep_error=False)
        dropped = compile_edit(decomposition, dropping, [0], [1], [7.0])
        close(kept.change(FIRING) - dropped.change(FIRING), FIRING.error)


def test_an_edit_without_strengths_changes_nothing() -> None:
    compiled = compile_edit(orthonormal_decomposition(), NO_EDIT, [0], [1], [7.0])
    assert compiled.change(FIRING).count_nonzero() == 0


def test_the_swap_sets_the_source_to_zero_and_the_target_to_its_own_activation() -> None:
    compiled = compile_edit(orthonormal_decomposition(), LatentSwap(), [0], [1], [7.0])
    source = torch.tensor(LATENTS[0])
    target = torch.tensor(LATENTS[1])
    expected = torch.stack(
        [
            in_basis(*(-2.0 * source + 7.0 * target).tolist()),
            in_basis(*(4.0 * target).tolist()),
            in_basis(*(-0.5 * source + 6.0 * target).tolist()),
        ]
    )
    close(compiled.change(FIRING), expected)


def test_the_swap_takes_out_what_else_is_active_on_the_source_and_sets_it_of_the_target() -> None:
    swapped = Swapped.of({0: 9.0, 2: 9.0}, {1: 7.0})
    compiled = EditSpace(orthonormal_decomposition(), (0,), (1,), swapped).compiled(LatentSwap())
    assert swapped.latents == (0, 2, 1)
    firing = Firing(
        source=torch.tensor([[5.0]]),
        swapped=torch.tensor([[5.0, 3.0, 0.5]]),
        error=torch.zeros(1, 6),
        resid=torch.zeros(1, 6),
    )
    change = -5.0 * torch.tensor(LATENTS[0]) - 3.0 * torch.tensor(LATENTS[2])
    change = change + 6.5 * torch.tensor(LATENTS[1])
    close(compiled.change(firing), in_basis(*change.tolist())[None])


def test_a_latent_that_both_share_is_set_by_the_swap_and_not_removed() -> None:
    compiled = compile_edit(orthonormal_decomposition(), LatentSwap(), [0, 2], [1, 2], [7.0, 4.0])
    # Latent 0 fires at 5, latent 2 (of both) at 6, latent 1 at 0.5: 0 → 0, 1 → 7, 2 → 4.
    firing = Firing(
        source=torch.tensor([[5.0, 6.0]]),
        swapped=torch.tensor([[5.0, 6.0, 0.5]]),  # latents 0, 2 and 1
        error=torch.zeros(1, 6),
        resid=torch.zeros(1, 6),
    )
    change = -5.0 * torch.tensor(LATENTS[0])
    change = change + 6.5 * torch.tensor(LATENTS[1]) - 2.0 * torch.tensor(LATENTS[2])
    close(compiled.change(firing), in_basis(*change.tolist())[None])


def test_a_meta_latent_of_neither_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError) as raised:
        compile_edit(orthonormal_decomposition(), MetaLatentEdit(((5, 1.0),)), [0], [1], [7.0])
    text = one_sentence(raised)
    assert "Meta-latent 5" in text and "choose from 0, 1, 2, 3, 4" in text


def test_a_piece_knows_its_default() -> None:
    assert Piece(1, "source", 1.0, 0.0).default == 1.0
    assert Piece(1, "shared", 1.0, 1.0).default == 1.0
    assert Piece(1, "target", 0.0, 1.0).default == 0.0
