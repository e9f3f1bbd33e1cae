"""The written-out gradients equal autograd."""

import pytest
import torch

from metasae.saes.selection import Entries, select_batch_topk
from metasae.training.gradients import Parameters, loss_and_gradients

pytestmark = pytest.mark.usefixtures("one_thread")


def parameters(width: int, d_in: int, seed: int = 0) -> Parameters:
    draw = torch.Generator().manual_seed(seed)
    W_dec = torch.randn(width, d_in, generator=draw)
    return Parameters(
        W_enc=torch.randn(width, d_in, generator=draw),
        b_enc=0.1 * torch.randn(width, generator=draw),
        W_dec=W_dec / W_dec.norm(dim=1, keepdim=True),
        b_dec=0.1 * torch.randn(d_in, generator=draw),
    )


@pytest.mark.parametrize("auxiliary_k", [2, 50])
def test_gradients_equal_autograd(auxiliary_k: int) -> None:
    p = parameters(24, 8)
    x = torch.randn(10, 8, generator=torch.Generator().manual_seed(1))
    dead = torch.tensor([3, 5, 11, 20])
    pre = (x - p.b_dec) @ p.W_enc.T + p.b_enc
    entries = select_batch_topk(pre, 3)
    result = loss_and_gradients(p, x, entries, dead, 0.25, auxiliary_k)

    for tensor in p.tensors().values():
        tensor.requires_grad_(True)
    pre = (x - p.b_dec) @ p.W_enc.T + p.b_enc
    chosen = torch.zeros_like(pre)
    chosen[entries.row, entries.latent] = 1.0
    recon = (pre.relu() * chosen) @ p.W_dec + p.b_dec
    loss = (x - recon).square().sum() / len(x)
    left = (x - recon).detach()
    acts = pre.relu()[:, dead]
    top = acts.topk(min(auxiliary_k, len(dead)), dim=1)
    acts = torch.zeros_like(acts).scatter(1, top.indices, top.values)
    auxiliary = (left - acts @ p.W_dec[dead]).square().sum() / len(x)
    (loss + 0.25 * auxiliary).backward()
    assert result.loss == pytest.approx(loss.item(), rel=1e-5)
    for name, tensor in p.tensors().items():
        torch.testing.assert_close(result.gradients[name], tensor.grad, rtol=1e-4, atol=1e-5)


def test_the_loss_of_one_row_by_hand() -> None:
    p = Parameters(
        W_enc=torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
        b_enc=torch.tensor([0.0, -0.5]),
        W_dec=torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
        b_dec=torch.zeros(2),
    )
    x = torch.tensor([[3.0, 2.0]])
    # Only latent 1 is selected: it is active at 2 − 0.5 = 1.5, so (3, 0.5) is left: 9.25.
    result = loss_and_gradients(p, x, Entries(torch.tensor([0]), torch.tensor([1])))
    assert result.loss == pytest.approx(9.25)
    # d/d recon = −2 · (3, 0.5); the decoder row gets it times the activation.
    torch.testing.assert_close(result.gradients["W_dec"][1], torch.tensor([-9.0, -1.5]))
    torch.testing.assert_close(result.gradients["b_enc"], torch.tensor([0.0, -1.0]))
    assert result.active.tolist() == [1]
