"""The gradient that a base SAE follows the model's output by, against finite differences."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from metasae.lm.language_model import LanguageModel, padded
from metasae.saes.selection import Entries
from metasae.text.windows import Windows
from metasae.training.config import TrainConfig
from metasae.training.gradients import Parameters, loss_and_gradients
from metasae.training.kl_finetune import KLFinetuner
from metasae.training.residuals import Residuals
from tests.builders import random_sae

TEXTS = (
    "The streets of Cairo were full of people when the first train arrived.",
    "In Tokyo the river is low at this time of the year, and nobody swims.",
)


@pytest.fixture(scope="module")
def follower(small_model: LanguageModel) -> KLFinetuner:
    rows = [small_model.prompt_tokens(text) for text in TEXTS]
    lengths = torch.tensor([len(row) for row in rows])
    windows = Windows(
        tokens=padded(rows, small_model.start_token).to(torch.int32),
        lengths=lengths,
        document=torch.zeros(2, dtype=torch.int64),
        sources=("made up",),
        held_out=(False,),
    )
    resid = small_model.residual(padded(rows, small_model.start_token))
    norms = resid[:, 1:].norm(dim=-1)
    activations = Residuals(
        resid=np.zeros((4, small_model.d_model), dtype=np.float16),
        window=np.zeros(4),
        position=np.zeros(4),
        token=np.zeros(4),
        median_norm=float(norms.median()),
        mean=resid[:, 1:].mean((0, 1)),
    )
    sae = random_sae(small_model.d_model, 32, k=4)
    sae = replace(sae, W_dec=sae.W_dec / sae.W_dec.norm(dim=1, keepdim=True))
    config = TrainConfig(width=32, k=4, steps=2, batch=8, start="sae", lr=1e-3)
    return KLFinetuner(small_model, windows, activations, sae, config, 0.1, torch.float32)


def test_the_rows_are_the_residuals_an_sae_may_be_asked_about(
    follower: KLFinetuner, small_model: LanguageModel
) -> None:
    x, _ = follower.draw(0)
    rows = [small_model.prompt_tokens(text) for text in TEXTS]
    assert len(x) <= sum(len(row) - 1 for row in rows)
    resid = small_model.residual(torch.tensor(rows[:1]))[0, 1:] * 0.1
    found = (x[:, None] - resid[None]).norm(dim=-1).amin(0)
    assert float(found.median()) < 1e-3


def test_the_gradient_is_that_of_the_divergence(follower: KLFinetuner) -> None:
    torch.manual_seed(1)
    x, further = follower.draw(0)
    recon = x + 0.3 * torch.randn_like(x)

    def divergence(at: torch.Tensor) -> float:
        further(at, 1.0)
        return follower.divergence

    value = divergence(recon)
    # Both losses weigh the same: the gradient is the divergence's, times squared error over it.
    gradient = further(recon, 5.0) * value / 5.0
    way = torch.randn_like(x)
    way /= way.norm()
    step = 0.02
    slope = (divergence(recon + step * way) - divergence(recon - step * way)) / (2 * step)
    assert slope == pytest.approx(float((gradient * way).sum()), rel=0.05, abs=2e-3)
    steepest = gradient / gradient.norm()
    slope = (divergence(recon + step * steepest) - divergence(recon - step * steepest)) / (2 * step)
    assert slope == pytest.approx(float(gradient.norm()), rel=0.05)
    assert divergence(x) < 1e-4 < value


def test_a_further_loss_adds_its_gradient_to_every_parameters() -> None:
    # ⟨r, x̂⟩ for a fixed r has the gradient r; autograd says what that makes of the parameters.
    torch.manual_seed(2)
    x, r = torch.randn(5, 6), torch.randn(5, 6)
    p = Parameters(torch.randn(7, 6), torch.randn(7), torch.randn(7, 6), torch.randn(6))
    entries = Entries(torch.arange(5).repeat_interleave(2), torch.randint(0, 7, (10,)))
    entries.latent[1::2] = (entries.latent[::2] + 1) % 7
    plain = loss_and_gradients(p, x, entries)
    both = loss_and_gradients(p, x, entries, extra_gradient=lambda recon, squared: r)
    assert both.loss == plain.loss
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in p.tensors().items()}
    acts = torch.zeros(5, 7)
    acts[entries.row, entries.latent] = 1.0
    pre = (x - leaves["b_dec"]) @ leaves["W_enc"].T + leaves["b_enc"]
    recon = (pre.relu() * acts) @ leaves["W_dec"] + leaves["b_dec"]
    (recon * r).sum().backward()
    for name, leaf in leaves.items():
        assert leaf.grad is not None
        torch.testing.assert_close(
            both.gradients[name] - plain.gradients[name], leaf.grad, rtol=1e-4, atol=1e-4
        )


def test_two_steps_are_taken(follower: KLFinetuner) -> None:
    before = follower.p.W_dec.clone()
    follower.run()
    assert follower.step == 2 and follower.divergence > 0
    assert not torch.equal(before, follower.p.W_dec)
    torch.testing.assert_close(follower.p.W_dec.norm(dim=1), torch.ones(32))
