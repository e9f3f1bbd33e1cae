"""Lesson 2, held against figures that are worked out another way."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from metasae.lessons.bench import Bench
from metasae.lessons.lesson import Bars
from metasae.lessons.walks import pieces
from metasae.progress import silent


def test_the_closest_is_closer_than_chance(taught: Bench) -> None:
    found = pieces.neighbours(taught, silent)
    rows = normalize(taught.lab.decomposition.sae.W_dec)
    cosines = rows @ rows[taught.latent]
    cosines[taught.latent] = -1
    best = int(cosines.argmax())
    assert found.holds
    assert f"#{best} " in found.answer and f"cosine of {float(cosines[best]):.2f}" in found.answer
    assert isinstance(found.after, Bars)
    # √(2 ln N / D), about what the largest of N random cosines in D dimensions is.
    assert 0.12 < found.after.bars[-1].value < 0.22


def test_the_pieces_and_the_rest_add_up(taught: Bench) -> None:
    found = pieces.taken_apart(taught, silent)
    decomposition = taught.lab.decomposition
    direction = decomposition.sae.W_dec[taught.latent]
    acts = decomposition.meta.encode(direction[None])
    left = (direction - decomposition.meta.decode(acts)[0]).square().sum()
    share = float(left / direction.square().sum())
    assert found.holds
    assert found.answer.startswith(f"{int((acts > 0).sum())} pieces: ")
    assert found.more.startswith(f"{share:.0%} of the direction")
    assert isinstance(found.after, Bars)
    *bars, rest = found.after.bars
    assert [one.value for one in bars] == pytest.approx(
        acts[acts > 0].sort(descending=True).values.tolist(), 1e-4
    )
    assert rest.value == pytest.approx(share**0.5, 1e-3)


def test_a_latent_without_pieces_is_no_sum(small: Bench) -> None:
    lab = small.lab
    meta = replace(lab.decomposition.meta, threshold=torch.full((lab.n_meta,), 1e9))
    other = replace(lab, decomposition=replace(lab.decomposition, meta=meta))
    on = Bench(replace(small.explorer, lab=other), small.experiment)
    found = pieces.taken_apart(on, silent)
    assert not found.holds and found.answer == "0 pieces: none."
    assert "100% of the direction" in found.more
    alone = pieces.elsewhere(on, silent)
    assert not alone.holds and alone.answer == "The latent has no piece to look for."


def test_the_strongest_piece_is_counted(taught: Bench) -> None:
    found = pieces.elsewhere(taught, silent)
    acts = taught.lab.decomposition.activations.to_dense()
    meta = int(acts[taught.latent].argmax())
    count = int((acts[:, meta] > 0).sum())
    assert found.holds is (count > 1)
    assert found.answer.startswith(f"It is in {count:,} of 18,432 latents")
    assert f"#{int(acts[:, meta].argmax())} " in found.answer
    assert found.place is not None and found.place.query == {"meta": str(meta)}


def test_what_both_have_is_counted(taught: Bench) -> None:
    found = pieces.shared(taught, silent)
    acts = taught.lab.decomposition.activations.to_dense() > 0
    subjects = taught.experiment.source, taught.experiment.target
    mine, theirs = (acts[list(one.latents)].any(0) for one in subjects)
    both, every = int((mine & theirs).sum()), int((mine | theirs).sum())
    assert found.holds is (both > 0)
    assert found.answer.startswith(f"{both} of {every} pieces ")


def test_random_directions_do_worse(taught: Bench) -> None:
    found = pieces.any_directions(taught, silent)
    own = 1 - taught.lab.decomposition.unexplained([taught.latent])
    assert found.holds and f"pieces explain {own:.0%} of the direction" in found.answer
    assert isinstance(found.after, Bars)
    assert found.after.bars[0].value == pytest.approx(own)
    assert 0 < found.after.bars[1].value < own


def test_a_planted_latent_is_the_sum_of_its_pieces(small: Bench) -> None:
    found = pieces.taken_apart(small, silent)
    assert found.holds and found.more.startswith("0% of the direction")
