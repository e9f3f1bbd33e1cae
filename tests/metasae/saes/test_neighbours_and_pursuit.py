"""Neighbours, matching pursuit, and what a direction does."""

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metasae.lab.lab import Lab
from metasae.lm.logit_lens import vocabulary_ends
from metasae.lm.token_change import NEUTRAL, token_change
from metasae.saes.neighbours import nearest
from metasae.saes.pursuit import pursuit
from tests import oracle


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
        tokens = model.prompt_tokens(prompt)

        def write(resid: torch.Tensor) -> torch.Tensor:
            out = resid.clone()
            out[-1] += tokyo.activation * direction
            return out

        before, after = (
            oracle.full_pass(model, tokens, one)[-1].log_softmax(-1) for one in (torch.clone, write)
        )
        expected += (after - before) / len(NEUTRAL)
    both: list[pd.DataFrame] = [raised, lowered]
    for table in both:
        for token, nats in zip(table["token"], table["nats"], strict=True):
            ids = [n for n in model.encode(token) if model.decode(n) == token]
            assert ids and min(abs(float(expected[n]) - nats) for n in ids) < 1e-3
    assert raised["nats"].min() > 0 > lowered["nats"].max()
