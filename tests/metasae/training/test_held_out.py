"""Quality on held-out text, by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor

from metasae.saes.autoencoder import SparseAutoencoder
from metasae.text.windows import Windows
from metasae.training.held_out import base_quality, held_out_batches


def windows(lengths: list[int], documents: list[int], held_out: tuple[bool, ...]) -> Windows:
    tokens = torch.zeros(len(lengths), 96, dtype=torch.int32)
    for row, length in enumerate(lengths):
        tokens[row, :length] = row + 1
    return Windows(
        tokens=tokens,
        lengths=torch.tensor(lengths),
        document=torch.tensor(documents),
        sources=("text",) * len(held_out),
        held_out=held_out,
    )


def test_held_out_batches_hold_no_training_text_and_no_scraps() -> None:
    lengths = [30, 9, 8, 50, 20, 96]
    text = windows(lengths, [0, 1, 1, 2, 3, 3], (False, True, False, True))
    batches = held_out_batches(text)
    # Windows 1 (9 tokens), 4 and 5 are of held-out documents and longer than 8, shortest first.
    assert len(batches) == 1
    tokens, kept = batches[0]
    assert kept.tolist() == [9, 20, 96]
    assert tokens.shape == (3, 96) and tokens.dtype == torch.int64
    assert tokens[:, 0].tolist() == [2, 5, 6]
    assert tokens[0].count_nonzero() == 9


def test_held_out_batches_are_spread_over_the_text_and_cut_to_their_longest() -> None:
    lengths = [10 + n % 50 for n in range(200)]
    text = windows(lengths, list(range(200)), (True,) * 200)
    batches = held_out_batches(text, 40)
    rows = torch.cat([tokens[:, 0] for tokens, _ in batches]) - 1
    assert len(rows) == len(set(rows.tolist())) == 40
    assert rows.min() == 0 and rows.max() == 199
    assert rows.sort().values.diff().max() <= 6
    for tokens, kept in batches:
        assert tokens.shape[1] == kept.max()
    together = torch.cat([kept for _, kept in batches])
    assert together.tolist() == sorted(together.tolist())


class TokenModel:
    """A model whose residual stream is a vector of the token and whose logits are linear in it."""

    def __init__(self, width: int, vocabulary: int) -> None:
        self.table = torch.randn(vocabulary, width)
        self.table[10] = 500.0  # a massive activation
        self.out = torch.randn(width, vocabulary)

    def residual(self, tokens: Tensor) -> Tensor:
        return self.table[tokens]

    def logits_above(self, resid: Tensor) -> Tensor:
        return resid @ self.out


def linear_sae(W: Tensor, b_dec: Tensor) -> SparseAutoencoder:
    """An SAE that gives (x − b_dec) W + b_dec: every latent once for either sign."""
    eye = torch.eye(len(W))
    return SparseAutoencoder(
        W_enc=torch.cat([eye, -eye], dim=1),
        b_enc=torch.zeros(2 * len(W)),
        W_dec=torch.cat([W, -W]),
        b_dec=b_dec,
        k=len(W),
    )


def test_base_quality_of_an_exact_an_empty_and_a_halving_sae() -> None:
    model: Any = TokenModel(5, 11)
    draw = torch.Generator().manual_seed(2)
    tokens = torch.randint(1, 10, (6, 12), generator=draw)
    tokens[:, 0] = 0
    tokens[2, 4] = 10
    lengths = torch.tensor([12, 12, 10, 9, 9, 12])
    inside = torch.arange(12)[None] < lengths[:, None]
    scored = inside.clone()
    scored[:, 0] = False
    scored &= tokens != 10
    x = model.table[tokens][scored]
    mean = x.mean(0)
    saes = {
        3: linear_sae(torch.eye(5), mean),
        1: linear_sae(torch.zeros(5, 5) + 1e-30, mean),
        2: linear_sae(0.5 * torch.eye(5), mean),
    }
    empty, half, exact = base_quality(
        model, saes, [(tokens[:3], lengths[:3]), (tokens[3:], lengths[3:])], mean, 2.0
    )
    assert (empty["width"], half["width"], exact["width"]) == (1, 2, 3)
    assert (exact["fve"], exact["ce_recovered"]) == pytest.approx((1.0, 1.0), abs=1e-5)
    assert (empty["fve"], empty["ce_recovered"]) == pytest.approx((0.0, 0.0), abs=1e-5)
    # What is left is half of x − mean, so a quarter of its square.
    assert half["fve"] == pytest.approx(0.75, abs=1e-5)
    assert half["l0"] == pytest.approx(5.0)
    assert exact["tokens"] == int((lengths - 1).sum())

    def nats(replaced: Tensor) -> float:
        """By hand: the mean over every token that has a predecessor in its window."""
        total, count = 0.0, 0
        for row in range(6):
            for at in range(1, int(lengths[row])):
                logits = replaced[row, at - 1] @ model.out
                total -= float(logits.log_softmax(-1)[tokens[row, at]])
                count += 1
        return total / count

    resid = model.table[tokens]
    halved = torch.where(scored[..., None], mean + 0.5 * (resid - mean), resid)
    averaged = torch.where(scored[..., None], mean, resid)
    assert exact["ce_clean"] == pytest.approx(nats(resid), rel=1e-5)
    assert half["ce_spliced"] == pytest.approx(nats(halved), rel=1e-5)
    assert half["ce_ablated"] == pytest.approx(nats(averaged), rel=1e-5)
    share = (nats(averaged) - nats(halved)) / (nats(averaged) - nats(resid))
    assert half["ce_recovered"] == pytest.approx(share, rel=1e-4)


def test_of_scraps_alone_no_batch_is_made() -> None:
    assert held_out_batches(windows([8, 30], [0, 1], (True, False))) == []


def test_held_out_batches_are_among_those_asked_for() -> None:
    text = windows([30, 40, 50], [0, 1, 2], (True, False, True))
    among = torch.tensor([False, True, True])
    ((tokens, lengths),) = held_out_batches(text, among=among)
    assert lengths.tolist() == [50] and tokens[0, 0] == 3
