"""Log-probabilities from near and far tokens, against a softmax over the whole vocabulary."""

import math

import pytest
import torch
from torch import Tensor

from metasae.lm.next_tokens import (
    EXACT,
    ROUGH,
    SAMPLED,
    NearTokens,
    Unembedding,
    WholeVocabulary,
    edits,
)

EDITS, PLACES, WIDTH, VOCABULARY = 150, 2, 48, 5000

PLACE, TOKEN = torch.tensor([0, 1, 1]), torch.tensor([7, 7, 4999])


class Case:
    """Hidden states near one another after which some of many tokens are likely."""

    def __init__(self, rough: bool, worth_it: bool = True, spread: float = 0.3) -> None:
        draw = torch.Generator().manual_seed(0)
        self.weight = torch.randn(VOCABULARY, WIDTH, generator=draw) * 0.4
        self.gain = 0.5 + torch.rand(WIDTH, generator=draw)
        centre = 2.0 * torch.randn(1, PLACES, WIDTH, generator=draw)
        moved = torch.randn(EDITS, PLACES, WIDTH, generator=draw)
        self.hidden = centre + spread * moved
        self.asked: list[int] = []
        self.next = NearTokens(
            Unembedding(self.weight, self.gain, rough),
            lambda hidden: hidden,
            self.logits,
            PLACE,
            TOKEN,
            lambda: worth_it,
        )

    def logits(self, hidden: Tensor) -> Tensor:
        self.asked.append(len(hidden))
        return hidden @ (self.weight * self.gain).T

    def expected(self, hidden: Tensor) -> Tensor:
        logits = hidden.double() @ (self.weight * self.gain).double().T
        return logits.log_softmax(-1)[:, PLACE, TOKEN].float()


def test_every_logit_gives_a_softmax() -> None:
    case = Case(False)
    whole = WholeVocabulary(case.logits, PLACE, TOKEN)
    torch.testing.assert_close(whole(case.hidden), case.expected(case.hidden), rtol=0, atol=2e-5)
    assert max(case.asked) == edits(case.hidden) == 96


@pytest.mark.parametrize(("rough", "nats"), [(False, 1e-4), (True, 0.03)])
def test_near_and_far_tokens_give_a_softmax(rough: bool, nats: float) -> None:
    case = Case(rough)
    found = case.next(case.hidden)
    torch.testing.assert_close(found, case.expected(case.hidden), rtol=0, atol=nats)
    near = case.next.near
    assert 20 < len(near) < VOCABULARY / 4
    assert set(TOKEN.tolist()) <= set(near.tolist()) and near.tolist() == sorted(near.tolist())
    # The far ones are needed: without them the sum lacks more than it may be wrong by.
    logits = case.hidden.double() @ (case.weight * case.gain).double().T
    rest = 1 - (logits[..., near].logsumexp(-1) - logits.logsumexp(-1)).exp()
    assert nats < rest.max() < (ROUGH if rough else EXACT)


def test_most_are_not_computed_whole() -> None:
    case = Case(False, spread=0.1)
    case.next(case.hidden)
    first = edits(case.hidden)
    # What is near is learned from the first (their logits are made twice), then it suffices.
    assert case.asked == [first, first]
    case.asked.clear()
    case.next(case.hidden)
    assert case.asked == []


def test_where_other_tokens_become_likely_everything_is_computed_and_they_become_near() -> None:
    case = Case(False, spread=0.1)
    case.next(case.hidden)
    known = set(case.next.near.tolist())
    case.asked.clear()
    elsewhere = case.hidden[:4].flip(-1)
    mixed = torch.cat([case.hidden[4:8], elsewhere])
    found = case.next(mixed)
    torch.testing.assert_close(found, case.expected(mixed), rtol=0, atol=1e-4)
    assert sum(case.asked) == 2 * len(elsewhere)
    assert known < set(case.next.near.tolist())


def test_few_hidden_states_and_slow_bf16_are_computed_whole() -> None:
    few, slow = Case(False), Case(False, worth_it=False)
    for case, hidden in ((few, few.hidden[:3]), (slow, slow.hidden)):
        found = case.next(hidden)
        torch.testing.assert_close(found, case.expected(hidden), rtol=0, atol=2e-5)
        assert sum(case.asked) == len(hidden) and not len(case.next.near)


def test_flat_probabilities_are_computed_whole() -> None:
    case = Case(False)
    case.hidden *= 0.01
    torch.testing.assert_close(
        case.next(case.hidden), case.expected(case.hidden), rtol=0, atol=1e-4
    )
    case.asked.clear()
    case.next(case.hidden)
    assert sum(case.asked) == len(case.hidden)


def test_the_sum_of_the_far_tokens_leaves_out_the_near_ones() -> None:
    case = Case(False)
    hidden = case.hidden[:5, 0]
    off = torch.logsumexp(case.logits(hidden), -1) + torch.linspace(-1.0, 1.0, 5)
    without = torch.tensor([0, 16, 17, 4999])
    made = Unembedding(case.weight, case.gain, rough=False).exponentials(hidden, off, without)
    kept = torch.ones(VOCABULARY, dtype=torch.bool)
    kept[without] = False
    exact = (hidden.double() @ (case.weight * case.gain).double().T - off[:, None]).exp()
    torch.testing.assert_close(made, exact[:, kept].sum(1).float(), rtol=1e-2, atol=0)


def test_a_sample_stands_for_the_far_tokens() -> None:
    # Logits are all 0: each far token counts 1, so 5,000 tokens but two sum to 4,998.
    unembedding = Unembedding(torch.zeros(VOCABULARY, WIDTH), torch.ones(WIDTH), rough=True)
    assert len(unembedding.summed) == -(-VOCABULARY // SAMPLED)
    made = unembedding.exponentials(torch.ones(3, WIDTH), torch.zeros(3), torch.tensor([0, 1]))
    torch.testing.assert_close(made, torch.full((3,), 4998.0), rtol=1e-6, atol=0)


@pytest.mark.parametrize("spread", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("worth_it", [True, False])
def test_the_likeliest_of_all_tokens_is_that_of_every_logit(spread: float, worth_it: bool) -> None:
    case = Case(False, worth_it, spread)
    # Some lie where other tokens are likely than those that were learned first.
    case.hidden[-20:] = case.hidden[-20:].flip(-1)
    scores, tops = case.next.with_tops(case.hidden)
    # Wide spread makes large logits, whose rounding is larger.
    nats = 1e-4 if spread < 1 else 1e-3
    torch.testing.assert_close(scores, case.expected(case.hidden), rtol=0, atol=nats)
    logits = case.hidden.double() @ (case.weight * case.gain).double().T
    assert torch.equal(tops, logits.argmax(-1)) and tops.shape == (EDITS, PLACES)
    assert len(set(tops.flatten().tolist())) > 1


def test_a_likeliest_token_that_is_far_is_found_though_all_far_ones_hold_little() -> None:
    """Two hundred near tokens with half a percent each, and a far one that rises above one."""
    far, near = 4000, 200
    case = Case(False)
    case.gain = torch.ones(WIDTH)
    case.weight = torch.zeros(VOCABULARY, WIDTH)
    case.weight[:, 0], case.weight[:near, 0] = -10.0, 8.0
    case.weight[TOKEN, 0], case.weight[far, 1] = 8.0, 1.0
    case.next = NearTokens(
        Unembedding(case.weight, case.gain, False), lambda hidden: hidden, case.logits, PLACE,
        TOKEN, lambda: True,
    )  # fmt: skip
    hidden = torch.zeros(EDITS, PLACES, WIDTH)
    hidden[..., 0] = 1.0
    case.next(hidden)
    known = case.next.near.tolist()
    assert near / 2 < len(known) < VOCABULARY / 4 and far not in known
    raised = hidden[:5].clone()
    raised[:, 1, 1] = 18 + math.log(near * 0.012)
    share = case.logits(raised)[:, 1].softmax(-1)[:, far]
    assert (share > 0.01).all() and (share < EXACT / 2).all()
    # Little enough for the sum, so that log-probabilities come from the near tokens …
    case.asked.clear()
    case.next(raised)
    assert case.asked == []
    # … but not for the likeliest token.
    _, tops = case.next.with_tops(raised)
    assert case.asked and (tops[:, 1] == far).all() and (tops[:, 0] < near).all()


def test_tops_of_a_few_and_of_flat_ones_are_those_of_every_logit() -> None:
    for case, hidden in ((Case(False), None), (Case(False), 0.01)):
        some = case.hidden[:3] if hidden is None else case.hidden * hidden
        _, tops = case.next.with_tops(some)
        logits = some.double() @ (case.weight * case.gain).double().T
        assert torch.equal(tops, logits.argmax(-1))
    none = torch.empty(0, PLACES, WIDTH)
    scores, tops = Case(False).next.with_tops(none)
    assert scores.shape == (0, 3) and tops.shape == (0, PLACES)
