"""Lesson 5, held against figures that are worked out another way."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from metasae.lab.lab import Lab
from metasae.lessons.bench import Bench
from metasae.lessons.lesson import Bars
from metasae.lessons.walks import smaller
from metasae.progress import silent
from metasae.saes import formats
from tests.benches import bench


def test_each_width_leaves_out_what_its_error_is(taught: Bench) -> None:
    found = smaller.misses(taught, silent)
    lab = taught.lab
    tokens = lab.model.prompt_tokens("She flew to Tokyo")
    resid = lab.model.residual(torch.tensor([tokens]))[0, -1]
    held = (resid - lab.decomposition.sae.b_dec).square().sum()
    shares = []
    for width in taught.explorer.widths:
        sae = formats.open_sae(lab.preset.sae(width), lab.preset.sae_size(width))
        shares.append(float((resid - sae.decode(sae.encode(resid[None]))[0]).square().sum() / held))
    assert isinstance(found.after, Bars)
    assert [one.value for one in found.after.bars] == pytest.approx(shares, 1e-3)
    assert found.holds is (shares[0] > shares[-1])


def test_the_nearest_of_the_smaller_is_found(taught: Bench) -> None:
    found = smaller.nearest_there(taught, silent)
    rows = normalize(taught.explorer.decomposition(2304).sae.W_dec)
    cosines = rows @ normalize(taught.lab.decomposition.sae.W_dec[taught.latent], dim=0)
    best = float(cosines.max())
    assert f"#{int(cosines.argmax())} " in found.answer
    assert f"cosine of {best:.2f}" in found.answer and found.holds is (best < 0.7)


def test_one_latent_is_rebuilt_by_both(taught: Bench) -> None:
    found = smaller.one_rebuilt(taught, silent)
    assert isinstance(found.after, Bars)
    own, there, chance = (one.value for one in found.after.bars)
    assert own == pytest.approx(1 - taught.lab.decomposition.unexplained([taught.latent]))
    # The first row that is taken is the nearest: no fit of more explains less.
    rows = normalize(taught.explorer.decomposition(2304).sae.W_dec)
    direction = normalize(taught.lab.decomposition.sae.W_dec[taught.latent], dim=0)
    assert float((rows @ direction).max()) ** 2 <= there + 1e-6
    assert found.holds is (own > there) and chance < there


@pytest.mark.slow
def test_all_latents_are_rebuilt(taught: Bench) -> None:
    found = smaller.all_rebuilt(taught, silent)
    decomposition = taught.lab.decomposition
    directions = decomposition.sae.W_dec
    left = (directions - decomposition.meta.decode(decomposition.meta.encode(directions))).square()
    own = float(1 - left.sum() / directions.square().sum())
    assert isinstance(found.after, Bars)
    values = [one.value for one in found.after.bars]
    assert values[0] == pytest.approx(own, 1e-4)
    assert found.holds is (values[0] > values[1] and values[2] > values[3])
    assert min(values[:4]) > values[4]


def test_close_meta_latents_are_counted(taught: Bench) -> None:
    found = smaller.same_directions(taught, silent)
    meta = normalize(taught.lab.decomposition.meta.W_dec)
    rows = normalize(taught.explorer.decomposition(2304).sae.W_dec)
    share = float(((meta @ rows.T).amax(1) > 0.7).float().mean())
    assert found.answer.startswith(f"{share:.1%} of 2,304") and found.holds is (share < 0.5)


@pytest.mark.parametrize("step", smaller.LESSON.steps, ids=lambda one: one.check.__name__)
def test_without_a_smaller_sae_no_step_claims_anything(step: object, small_lab: Lab) -> None:
    alone = replace(small_lab, preset=replace(small_lab.preset, widths=(small_lab.n_latents,)))
    found = step.found(bench(alone))  # type: ignore[attr-defined]
    assert not found.holds
    assert found.more == "This preset has no smaller SAE of the same hook to compare with."


def test_a_smaller_sae_that_has_the_latent_is_said_to_have_it(small_lab: Lab) -> None:
    """The planted one has the first latents of the other, among them the cities'."""
    found = smaller.nearest_there(bench(small_lab), silent)
    assert not found.holds and "cosine of 1.00" in found.answer
    assert "the smaller SAE has it" in found.more
