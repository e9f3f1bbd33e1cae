"""The training kernel: selection against a plain top-k, hand-written gradients against autograd."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from metasae.errors import UserError
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.selection import Entries, select_batch_topk, select_topk
from metasae.training import explained
from metasae.training.config import TrainConfig
from metasae.training.gradients import Parameters, loss_and_gradients
from metasae.training.rows import TensorRows
from metasae.training.threshold import with_threshold
from metasae.training.trainer import Moment, Trainer


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Many tiny products: on a busy machine threads would mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def parameters(width: int, d_in: int, seed: int = 0) -> Parameters:
    draw = torch.Generator().manual_seed(seed)
    W_dec = torch.randn(width, d_in, generator=draw)
    return Parameters(
        W_enc=torch.randn(width, d_in, generator=draw),
        b_enc=0.1 * torch.randn(width, generator=draw),
        W_dec=W_dec / W_dec.norm(dim=1, keepdim=True),
        b_dec=0.1 * torch.randn(d_in, generator=draw),
    )


@pytest.mark.parametrize(("width", "k"), [(1024, 3), (1024, 4), (640, 2), (37, 5)])
def test_topk_selects_what_a_plain_topk_selects(width: int, k: int) -> None:
    pre = torch.randn(50, width)
    entries = select_topk(pre, k)
    dense = torch.zeros(50, width, dtype=torch.bool)
    dense[entries.row, entries.latent] = True
    expected = torch.zeros_like(dense).scatter_(1, pre.topk(k, dim=1).indices, True)
    assert torch.equal(dense, expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(2, 30), st.integers(1, 2), st.integers(0, 99))
def test_batch_topk_keeps_the_k_times_b_largest(rows: int, width: int, k: int, seed: int) -> None:
    pre = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))
    entries = select_batch_topk(pre, k)
    kept = pre[entries.row, entries.latent]
    assert len(kept) == k * rows
    assert len(set(zip(entries.row.tolist(), entries.latent.tolist(), strict=True))) == len(kept)
    mask = torch.ones_like(pre, dtype=torch.bool)
    mask[entries.row, entries.latent] = False
    if mask.any():
        assert kept.min() >= pre[mask].max()


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


def planted(count: int = 3000, atoms: int = 12, d_in: int = 24) -> torch.Tensor:
    draw = torch.Generator().manual_seed(7)
    basis = torch.linalg.qr(torch.randn(d_in, atoms, generator=draw))[0].T
    parts = torch.rand(count, atoms, generator=draw).argsort(1)[:, :2]
    rows = basis[parts[:, 0]] + 0.8 * basis[parts[:, 1]]
    return rows / rows.norm(dim=1, keepdim=True)


def config(**changes: object) -> TrainConfig:
    base: dict[str, object] = {
        "width": 16, "k": 2, "steps": 400, "batch": 256, "selection": "batch_topk",
        "start": "random", "encoder_scale": 1.0, "lr": 3e-3, "warmup": 10, "dead_after": 20,
    }  # fmt: skip
    return TrainConfig(**(base | changes))  # type: ignore[arg-type]


def test_training_finds_planted_structure_and_the_threshold_keeps_its_l0() -> None:
    x = planted()
    trainer = Trainer(TensorRows(x), config())
    trainer.run()
    norms = trainer.p.W_dec.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones_like(norms))
    sae = with_threshold(trainer.result(), x, 2)
    found = explained.quality(sae, x)
    assert found.l0 == pytest.approx(2.0, abs=0.01)
    assert found.fve > 0.9
    gaussian = torch.randn(3000, 24, generator=torch.Generator().manual_seed(1))
    gaussian /= gaussian.norm(dim=1, keepdim=True)
    control = Trainer(TensorRows(gaussian), config())
    control.run()
    against = explained.quality(with_threshold(control.result(), gaussian, 2), gaussian)
    assert against.fve < found.fve - 0.3


@pytest.mark.parametrize("seed", [0, 1])
def test_the_auxiliary_loss_revives_dead_latents(seed: int) -> None:
    x = planted()

    # Twelve encoder rows too short to be selected beside the four others, which can't explain the
    # twelve atoms. Four latents more than atoms may stay dead.
    def dead_and_explained(auxiliary: float) -> tuple[int, float]:
        trainer = Trainer(TensorRows(x), config(auxiliary=auxiliary, steps=300, seed=seed))
        trainer.p.W_enc[:12] *= 0.02
        trainer.run()
        sae = with_threshold(trainer.result(), x, 2)
        return int((trainer.silent > 20).sum()), explained.quality(sae, x).fve

    dead, fve = dead_and_explained(0.0)
    assert dead >= 10 and fve < 0.6
    dead, fve = dead_and_explained(1 / 4)
    assert dead <= 6 and fve > 0.9


def test_a_training_begins_with_more_latents_a_row_and_ends_with_k() -> None:
    falling = config(width=24, k=4, first_k=2.0, settled=0.5, steps=10)
    assert [falling.active(step) for step in range(10)] == [8, 7, 6, 6, 5, 4, 4, 4, 4, 4]
    assert {config(width=24, k=4, steps=10).active(step) for step in range(10)} == {4}
    assert config(width=6, k=4, first_k=2.0).active(0) == 6
    trainer = Trainer(TensorRows(planted()), falling, device="cpu")
    seen = [trainer.advance().l0 for _ in range(10)]
    assert 6 < seen[0] <= 8 and 3 < seen[-1] <= 4


def test_a_checkpoint_from_before_a_setting_existed_is_gone_on_with(tmp_path: Path) -> None:
    trainer = Trainer(TensorRows(planted()), config(steps=60), device="cpu")
    trainer.advance()
    trainer.save(tmp_path / "new")
    with safe_open(tmp_path / "new", "pt") as file:
        header = file.metadata()
    values = json.loads(header["config"])
    del values["first_k"], values["settled"]
    tensors = load_file(tmp_path / "new")
    save_file(tensors, tmp_path / "old", header | {"config": json.dumps(values)})
    back = Trainer(TensorRows(planted()), config(steps=60), device="cpu")
    back.restore(tmp_path / "old")
    assert back.step == 1
    with pytest.raises(UserError, match="another configuration"):
        Trainer(TensorRows(planted()), config(steps=60, first_k=2.0)).restore(tmp_path / "old")


def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    x = planted()
    whole = Trainer(TensorRows(x), config(steps=60), device="cpu")
    whole.run()
    first = Trainer(TensorRows(x), config(steps=60), device="cpu")
    while first.step < 25:
        first.advance()
    first.save(tmp_path / "checkpoint.safetensors")
    second = Trainer(TensorRows(x), config(steps=60), device="cpu")
    second.run(tmp_path / "checkpoint.safetensors")
    for name, tensor in whole.p.tensors().items():
        torch.testing.assert_close(second.p.tensors()[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize(("every", "left"), [(0.0, 7), (3600.0, None)])
def test_a_killed_training_leaves_what_was_kept_in_time(
    every: float, left: int | None, tmp_path: Path
) -> None:
    def kill(moment: Moment) -> bool:
        if moment.step == 8:
            raise KeyboardInterrupt
        return False

    path = tmp_path / "c"
    with pytest.raises(KeyboardInterrupt):
        Trainer(TensorRows(planted()), config(steps=60), device="cpu").run(path, every, watch=kill)
    assert path.exists() == (left is not None)
    if left is not None:
        back = Trainer(TensorRows(planted()), config(steps=60), device="cpu")
        back.restore(path)
        assert back.step == left


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here to train on")
@pytest.mark.parametrize("selection", ["topk", "batch_topk"])
def test_a_gpu_trains_what_the_processor_does(selection: str, tmp_path: Path) -> None:
    x = planted()
    made = {}
    for device in ("cpu", "cuda"):
        trainer = Trainer(TensorRows(x), config(steps=40, selection=selection), device=device)
        trainer.run(tmp_path / device, every=0)
        assert trainer.p.W_dec.device.type == device
        made[device] = trainer.result()
    assert made["cuda"].W_dec.device.type == "cpu"
    torch.testing.assert_close(made["cuda"].W_dec, made["cpu"].W_dec, rtol=0, atol=1e-2)
    back = Trainer(TensorRows(x), config(steps=40, selection=selection), device="cuda")
    back.restore(tmp_path / "cpu")
    torch.testing.assert_close(back.result().W_dec, made["cpu"].W_dec, rtol=0, atol=0)


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    trainer = Trainer(TensorRows(planted()), config(steps=60))
    trainer.advance()
    trainer.save(tmp_path / "c")
    with pytest.raises(UserError, match="another configuration"):
        Trainer(TensorRows(planted()), config(steps=61)).restore(tmp_path / "c")
    with pytest.raises(UserError, match="other data"):
        Trainer(TensorRows(planted() + 1), config(steps=60)).restore(tmp_path / "c")
    save_file({"silent": torch.zeros(1)}, tmp_path / "strange")
    with pytest.raises(UserError, match="damaged"):
        trainer.restore(tmp_path / "strange")
    with safe_open(tmp_path / "c", "pt") as file:
        header = file.metadata()
    tensors = load_file(tmp_path / "c")
    for name in ("silent", "W_dec", "m.W_enc", "v.b_dec"):
        rest = {key: value for key, value in tensors.items() if key != name}
        save_file(rest, tmp_path / "incomplete", header)
        with pytest.raises(UserError, match="damaged"):
            trainer.restore(tmp_path / "incomplete")
    (tmp_path / "c").write_bytes((tmp_path / "c").read_bytes()[:100])
    with pytest.raises(UserError, match="damaged"):
        trainer.restore(tmp_path / "c")


def test_quality_by_hand() -> None:
    sae = SparseAutoencoder(
        W_enc=torch.eye(2), b_enc=torch.zeros(2), W_dec=torch.eye(2), b_dec=torch.zeros(2),
        threshold=torch.tensor([0.5, 5.0]),
    )  # fmt: skip
    x = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    # Only latent 0 is ever above its threshold: (0, 2) and (0, 0) are left of 1 + 4 + 9.
    found = explained.quality(sae, x)
    assert found.l0 == 1.0
    assert found.dead == 1
    assert found.fve == pytest.approx(1 - 4 / 14)
    # Around the mean (2, 1) the rows have 1 + 1 + 1 + 1.
    assert found.fve_centred == pytest.approx(1 - 4 / 4)


def test_the_batches_of_an_epoch_are_a_permutation() -> None:
    rows = TensorRows(torch.arange(512.0)[:, None] + 1)
    trainer = Trainer(rows, config(width=4, k=1, batch=128))
    seen = torch.cat([trainer.batch(step) for step in range(4)])[:, 0]
    assert sorted(seen.tolist()) == list(np.arange(1.0, 513.0))
