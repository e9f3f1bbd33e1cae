"""An edit in two experiments: what is carried over, what is left out, and what is said of it."""

from dataclasses import replace

import pytest
import torch

from metasae.lab.lab import Lab
from metasae.saes.decomposition import Decomposition
from metasae.steering.edits import NO_EDIT, EditOptions, LatentSwap, MetaLatentEdit
from metasae.steering.experiment import Experiment
from metasae.steering.side_by_side import SideBySide, side_by_side


@pytest.fixture(scope="module")
def pair(small_lab: Lab) -> Experiment:
    return small_lab.experiment(small_lab.subject("Tokyo"), small_lab.subject("Paris"))


def exchange(experiment: Experiment) -> MetaLatentEdit:
    """All of the source's own out, all of the target's own in."""
    strengths = {"source": 0.0, "target": 1.0}
    own = ((one.meta, strengths[one.side]) for one in experiment.pieces if one.side != "shared")
    return MetaLatentEdit(tuple(own))


def test_an_edit_beside_itself_is_no_difference(pair: Experiment) -> None:
    for edit in (exchange(pair), LatentSwap(), NO_EDIT, NO_EDIT.with_options(keep_error=False)):
        found = side_by_side(pair, pair, edit)
        assert found.there.edit == edit and not found.left_out and not found.swapped
        assert found.table["difference"].tolist() == [0.0] * len(found.table)


def test_what_is_no_piece_there_is_left_out_and_said(small_lab: Lab, pair: Experiment) -> None:
    there = pair.replaced(target=small_lab.subject("Lyon"))
    defaults = {one.meta: one.default for one in there.pieces}
    edit = exchange(pair)
    mine = {one.meta: one.default for one in pair.pieces}
    expected = [meta for meta, _ in edit.strengths if defaults.get(meta) != mine[meta]]
    kept = tuple(one for one in edit.strengths if one[0] not in expected)
    assert expected and kept  # the planted cities have both
    found = side_by_side(pair, there, edit)
    assert list(found.left_out) == expected
    assert found.there.edit == MetaLatentEdit(kept)
    torch.testing.assert_close(found.there.logprobs, there.apply(MetaLatentEdit(kept)).logprobs)
    said = found.sentences[0]
    assert said.startswith("Left out there, as ")
    assert said.endswith(", ".join(map(str, expected)) + ".")
    assert found.to_dict()["left_out"] == expected


def test_other_meta_latents_are_swapped_whole(pair: Experiment) -> None:
    # The same meta-latents in another order: their numbers mean others.
    meta = pair.decomposition.meta
    order = torch.arange(meta.width).roll(1)
    assert meta.threshold is not None
    other = replace(
        meta, W_enc=meta.W_enc[:, order].contiguous(), b_enc=meta.b_enc[order],
        W_dec=meta.W_dec[order], threshold=meta.threshold[order],
    )  # fmt: skip
    there = pair.replaced(decomposition=Decomposition(pair.decomposition.sae, other))
    options = EditOptions(position="all", keep_error=False)
    edit = replace(exchange(pair), options=options)
    found = side_by_side(pair, there, edit)
    assert found.swapped and found.there.edit == LatentSwap(options=options)
    torch.testing.assert_close(
        found.there.logprobs, pair.apply(LatentSwap(options=options)).logprobs
    )
    assert "whole latents are swapped there" in found.sentences[0]
    # What names no meta-latent stays what it is.
    assert not side_by_side(pair, there, LatentSwap()).swapped
    assert side_by_side(pair, there, NO_EDIT).there.edit == NO_EDIT


def test_what_moves_in_both_and_in_one_alone_is_told(pair: Experiment) -> None:
    edited, unedited = pair.apply(exchange(pair)), pair.apply(NO_EDIT)
    moved = [name for name, did in edited.moved.items() if did]
    assert moved  # the planted pair can be moved
    listed = ", ".join(moved)
    for here, there, where in (
        (edited, edited, "both"), (edited, unedited, "here alone"),
        (unedited, edited, "there alone"),
    ):  # fmt: skip
        assert SideBySide(here, there).sentences == (
            f"Moved to Paris's answer: {listed} ({where}).",
        )
    nothing = SideBySide(unedited, unedited)
    assert nothing.sentences == ("Neither moves an answer to Paris's.",)


def test_the_difference_is_that_of_the_changes(pair: Experiment) -> None:
    edited, unedited = pair.apply(exchange(pair)), pair.apply(NO_EDIT)
    # Another model's answers have another beginning: only how far they move is compared.
    shifted = replace(edited, baseline=edited.baseline - 2.0, logprobs=edited.logprobs - 1.5)
    table = SideBySide(unedited, shifted).table
    expected = (edited.logprobs - edited.baseline + 0.5).tolist()
    assert table["difference"].tolist() == pytest.approx(expected, abs=1e-5)
    assert table["baseline_there"].tolist() == pytest.approx(
        (edited.baseline - 2.0).tolist(), abs=1e-5
    )
