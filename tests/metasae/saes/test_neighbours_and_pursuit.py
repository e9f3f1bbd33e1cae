"""Neighbours, matching pursuit, and what a direction does."""

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metasae.lab.lab import Lab
from metasae.lm.logit_lens import vocabulary_ends
from metasae.lm.token_change import NEUTRAL, token_change
from metasae.saes.neighbours import nearest, nearest_cosine, siblings, split_into
from metasae.saes.pursuit import pursuit


def rows(seed: int, count: int = 40, width: int = 10) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, width, generator=draw))


def test_the_nearest_are_the_largest_cosines() -> None:
    directions = rows(0) * torch.arange(1, 41)[:, None]  # lengths don't matter
    found = nearest(directions, 3 * directions[7], 5, without=7)
    cosine = torch.nn.functional.cosine_similarity(directions, directions[7][None])
    cosine[7] = -2
    order = cosine.argsort(descending=True)[:5]
    assert found["latent"].tolist() == order.tolist()
    assert found["cosine"].tolist() == pytest.approx(cosine[order].tolist(), abs=1e-5)
    assert nearest(directions, directions[7], 1)["latent"].tolist() == [7]


@st.composite
def directions_with_equals(draw: st.DrawFn) -> torch.Tensor:
    """Random rows of any length, some of them multiples of others: equal directions."""
    different = rows(draw(st.integers(0, 10**6)), draw(st.integers(1, 9)), draw(st.integers(2, 6)))
    which = draw(st.lists(st.integers(0, len(different) - 1), min_size=2, max_size=24))
    lengths = draw(st.lists(st.floats(0.1, 30.0), min_size=len(which), max_size=len(which)))
    return different[which] * torch.tensor(lengths)[:, None]


def cosines(directions: torch.Tensor, direction: torch.Tensor) -> list[float]:
    """Cosines of one direction with some others, in double precision."""
    return [
        float(one.double() @ direction.double() / (one.double().norm() * direction.double().norm()))
        for one in directions
    ]


@settings(max_examples=100, deadline=None)
@given(directions_with_equals(), st.integers(1, 8), st.integers(1, 7))
def test_siblings_are_the_closest_others_even_among_equals(
    directions: torch.Tensor, count: int, chunk: int
) -> None:
    made = siblings(directions, count, chunk)
    assert made.shape == (len(directions), min(count, len(directions) - 1))
    for latent, others in enumerate(made.tolist()):
        assert latent not in others and len(set(others)) == len(others)
        cosine = cosines(directions, directions[latent])
        expected = sorted(cosine[:latent] + cosine[latent + 1 :], reverse=True)[: len(others)]
        assert [cosine[other] for other in others] == pytest.approx(expected, abs=1e-5)


@settings(max_examples=100, deadline=None)
@given(directions_with_equals(), st.data())
def test_the_nearest_and_the_parts_of_one_are_those_of_brute_force(
    directions: torch.Tensor, data: st.DataObject
) -> None:
    latent = data.draw(st.integers(0, len(directions) - 1))
    cosine = cosines(directions, directions[latent])
    others = cosine[:latent] + cosine[latent + 1 :]
    table = nearest(directions, directions[latent], 4, without=latent)
    assert latent not in table["latent"].tolist()
    expected = sorted(others, reverse=True)[:4]
    assert table["cosine"].tolist() == pytest.approx(expected, abs=1e-5)
    assert [cosine[one] for one in table["latent"]] == pytest.approx(expected, abs=1e-5)
    parts = split_into(directions, directions[latent], 0.5)
    beyond = {one for one, value in enumerate(cosine) if value > 0.5 + 1e-5}
    within = {one for one, value in enumerate(cosine) if value > 0.5 - 1e-5}
    assert beyond <= set(parts) <= within and len(set(parts)) == len(parts)
    ordered = [cosine[part] for part in parts]
    assert ordered == pytest.approx(sorted(ordered, reverse=True), abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(directions_with_equals(), st.integers(1, 7))
def test_the_median_of_the_nearest_cosines_is_that_of_brute_force(
    directions: torch.Tensor, chunk: int
) -> None:
    best = []
    for latent, direction in enumerate(directions):
        cosine = cosines(directions, direction)
        best.append(max(cosine[:latent] + cosine[latent + 1 :]))
    expected = sorted(best)[(len(best) - 1) // 2]
    assert nearest_cosine(directions, chunk) == pytest.approx(expected, abs=1e-5)


def test_one_direction_alone_has_no_neighbours() -> None:
    alone = torch.ones(1, 3)
    assert siblings(alone).shape == (1, 0) and nearest_cosine(alone) == -1.0
    assert nearest(alone, alone[0], without=0).empty
    assert split_into(alone, alone[0]) == [0]


def test_pursuit_finds_a_planted_sum() -> None:
    directions = torch.eye(10)
    made = pursuit(directions, torch.tensor([0, 3.0, 0, 0, 2, 0, 0, 0, 0, 1]), 3)
    assert made.table["latent"].tolist() == [1, 4, 9]
    assert made.table["weight"].tolist() == pytest.approx([3, 2, 1])
    assert made.explained == pytest.approx((9 / 14, 13 / 14, 1.0))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_pursuit_explains_more_with_every_row_and_leaves_nothing_along_them(
    seed: int, count: int
) -> None:
    directions, target = rows(seed), rows(seed + 1, 1)[0]
    made = pursuit(directions, target, count)
    assert list(made.explained) == sorted(made.explained)
    chosen = directions[made.table["latent"].tolist()]
    left = target - torch.tensor(made.table["weight"].tolist()) @ chosen
    assert (chosen @ left).abs().max() < 1e-4
    assert made.explained[-1] == pytest.approx(1 - float(left.square().sum()), abs=1e-4)
    assert made.table["latent"].is_unique


def test_a_direction_promotes_what_its_logits_say(lab: Lab) -> None:
    model = lab.model
    word = model.encode(" Japan")[0]
    direction = model.hf.lm_head.weight[word] / model.hf.model.norm.weight.clamp(min=0.1)
    promoted, suppressed = vocabulary_ends(model, direction)
    assert " Japan" in promoted["token"].tolist()
    assert promoted["score"].is_monotonic_decreasing
    assert suppressed["score"].max() < 0 < promoted["score"].min()


def test_the_change_is_that_of_a_hooked_pass(lab: Lab) -> None:
    model = lab.model
    tokyo = lab.city_record("Tokyo").latents[0]
    direction = lab.decomposition.sae.W_dec[tokyo.latent]
    raised, lowered = token_change(model, direction, tokyo.activation)
    expected = torch.zeros(model.hf.config.vocab_size)
    for prompt in NEUTRAL:
        tokens = torch.tensor([model.prompt_tokens(prompt)])

        def write(resid: torch.Tensor, start: int) -> torch.Tensor:
            out = resid.clone()
            out[0, -1] += tokyo.activation * direction
            return out

        with torch.inference_mode():
            before = model.hf(tokens, use_cache=False).logits[0, -1].log_softmax(-1)
            with model.edited(write):
                after = model.hf(tokens, use_cache=False).logits[0, -1].log_softmax(-1)
        expected += (after - before) / len(NEUTRAL)
    both: list[pd.DataFrame] = [raised, lowered]
    for table in both:
        for token, nats in zip(table["token"], table["nats"], strict=True):
            ids = [n for n in model.encode(token) if model.decode(n) == token]
            assert ids and min(abs(float(expected[n]) - nats) for n in ids) < 1e-3
    assert raised["nats"].min() > 0 > lowered["nats"].max()
