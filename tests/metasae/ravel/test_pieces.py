"""Exchanging pieces is the edit of the Steer page, and what its formula says."""

import torch

from metasae.lab.lab import Lab
from metasae.ravel.engine import Asked, Pair
from metasae.ravel.facts import Known
from metasae.ravel.pieces import AllMetaPieces, LatentPieces, MetaPieces, SpanPieces
from metasae.ravel.portraits import Portrait
from metasae.steering.edits import EditOptions, MetaLatentEdit
from tests.ravel_data import ANSWERS


def pair(lab: Lab, known: Known, people: dict[str, Portrait], source: str, target: str) -> Pair:
    one = people[source]
    return Asked(lab, one, known.templates(one.entity), ANSWERS).pair(people[target])


def test_a_mask_is_an_edit_of_its_pieces(
    small_lab: Lab, known: Known, people: dict[str, Portrait]
) -> None:
    made = pair(small_lab, known, people, "Tokyo", "Lyon")
    experiment = small_lab.experiment(made.source.subject, made.target.subject)
    own = [one for one in experiment.pieces if one.side != "shared"]
    for keep in (False, True):
        pieces = MetaPieces(small_lab.decomposition, keep)
        assert set(pieces.present(made).tolist()) == {one.meta for one in own}
        for some in (own[:1], own[1:3], own):
            mask = torch.zeros(pieces.width)
            mask[[one.meta for one in some]] = 1.0
            strengths = {one.meta: 0.0 if one.side == "source" else 1.0 for one in some}
            options = EditOptions(keep_residual=keep)
            edit = MetaLatentEdit(tuple(strengths.items()), options=options)
            expected = experiment.compiled(edit).change(experiment.firing(made.rows))
            torch.testing.assert_close(pieces.change(made, mask), expected)
            assert pieces.edit(made, mask) == edit


def test_a_mask_of_nothing_changes_nothing(
    small_lab: Lab, known: Known, people: dict[str, Portrait]
) -> None:
    made = pair(small_lab, known, people, "Tokyo", "Lyon")
    for pieces in (
        MetaPieces(small_lab.decomposition),
        LatentPieces(small_lab.decomposition.sae),
        AllMetaPieces(small_lab.decomposition),
    ):
        assert not pieces.change(made, torch.zeros(pieces.width)).any()
        absent = torch.ones(pieces.width)
        absent[pieces.present(made)] = 0.0
        assert not pieces.change(made, absent).any()


def test_all_latents_exchanged_is_the_targets_reconstruction(
    small_lab: Lab, known: Known, people: dict[str, Portrait]
) -> None:
    sae = small_lab.decomposition.sae
    made = pair(small_lab, known, people, "Tokyo", "Lyon")
    pieces = LatentPieces(small_lab.decomposition.sae)
    after = made.rows + pieces.change(made, torch.ones(pieces.width))
    error = made.rows - sae.reconstruct(made.rows)
    expected = sae.decode(made.target.activations[None]) + error
    torch.testing.assert_close(after, expected.expand_as(after), atol=1e-4, rtol=1e-4)


def test_meta_latents_of_all_latents_add_up_to_what_the_meta_sae_explains(
    small_lab: Lab, known: Known, people: dict[str, Portrait]
) -> None:
    both = small_lab.decomposition
    made = pair(small_lab, known, people, "Tokyo", "Lyon")
    pieces = AllMetaPieces(both)
    off = made.target.activations - both.sae.encode(made.rows)
    explained = both.meta.decode(both.meta.encode(both.sae.W_dec)) - both.meta.b_dec
    expected = off @ explained
    found = pieces.change(made, torch.ones(pieces.width))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_gradients_reach_the_weights_of_what_is_present(
    small_lab: Lab, known: Known, people: dict[str, Portrait]
) -> None:
    made = pair(small_lab, known, people, "Tokyo", "Lyon")
    for pieces in (MetaPieces(small_lab.decomposition), LatentPieces(small_lab.decomposition.sae)):
        weights = torch.zeros(pieces.width, requires_grad=True)
        pieces.change(made, weights).square().sum().add(
            pieces.change(made, weights).sum()
        ).backward()
        assert weights.grad is not None
        touched = set(weights.grad.nonzero()[:, 0].tolist())
        assert touched and touched <= set(pieces.present(made).tolist())


def test_what_lies_in_a_span_becomes_the_targets(
    small_lab: Lab, known: Known, people: dict[str, Portrait]
) -> None:
    made = pair(small_lab, known, people, "Tokyo", "Lyon")
    rows = small_lab.decomposition.meta.W_dec
    pieces = SpanPieces(3.0 * rows)  # lengths do not matter
    mask = torch.zeros(pieces.width)
    assert not pieces.change(made, mask).any()
    mask[[2, 5]] = 1.0
    basis = torch.linalg.qr(rows[[2, 5]].T).Q
    off = made.on_target - made.rows
    changed = pieces.change(made, mask)
    # Nothing outside the span moves, and inside it nearly all.
    torch.testing.assert_close(changed, changed @ basis @ basis.T, atol=1e-4, rtol=1e-4)
    inside = off @ basis @ basis.T
    assert (changed - inside).norm() < 0.2 * inside.norm()


def test_a_span_has_gradients_for_every_direction(
    small_lab: Lab, known: Known, people: dict[str, Portrait]
) -> None:
    made = pair(small_lab, known, people, "Tokyo", "Lyon")
    pieces = SpanPieces(small_lab.decomposition.meta.W_dec)
    weights = torch.full((pieces.width,), 0.1, requires_grad=True)
    pieces.change(made, weights).square().sum().backward()
    assert weights.grad is not None and weights.grad.all()
