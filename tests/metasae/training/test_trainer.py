"""The trainer that base SAEs and meta-SAEs share."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from metasae.errors import UserError
from metasae.training import explained
from metasae.training.config import TrainConfig
from metasae.training.rows import TensorRows
from metasae.training.threshold import with_threshold
from metasae.training.trainer import Moment, Stopped, Trainer, precision_of
from tests.metasae.training.planted import rows

pytestmark = pytest.mark.usefixtures("one_thread")


ROWS = torch.nn.functional.normalize(rows(3000, seed=7))


def config(**changes: object) -> TrainConfig:
    base: dict[str, object] = {
        "width": 16, "k": 2, "steps": 400, "batch": 256, "selection": "batch_topk",
        "start": "random", "encoder_scale": 1.0, "lr": 3e-3, "warmup": 10, "dead_after": 20,
    }  # fmt: skip
    return TrainConfig(**(base | changes))  # type: ignore[arg-type]


def test_training_finds_planted_structure_and_the_threshold_keeps_its_l0() -> None:
    x = ROWS
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
    x = ROWS

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
    trainer = Trainer(TensorRows(ROWS), falling, device="cpu")
    seen = [trainer.advance().l0 for _ in range(10)]
    assert 6 < seen[0] <= 8 and 3 < seen[-1] <= 4


def begun(path: Path) -> tuple[Trainer, dict[str, str]]:
    """A training that was kept after its first step, and the header of its file."""
    trainer = Trainer(TensorRows(ROWS), config(steps=60), device="cpu")
    trainer.advance()
    trainer.save(path)
    with safe_open(path, "pt") as file:
        return trainer, file.metadata()


def test_a_checkpoint_from_before_a_setting_existed_is_gone_on_with(tmp_path: Path) -> None:
    _, header = begun(tmp_path / "new")
    values = json.loads(header["config"])
    del values["first_k"], values["settled"]
    tensors = load_file(tmp_path / "new")
    save_file(tensors, tmp_path / "old", header | {"config": json.dumps(values)})
    back = Trainer(TensorRows(ROWS), config(steps=60), device="cpu")
    back.restore(tmp_path / "old")
    assert back.step == 1
    with pytest.raises(UserError, match="another configuration"):
        Trainer(TensorRows(ROWS), config(steps=60, first_k=2.0)).restore(tmp_path / "old")


def test_a_checkpoint_of_a_newer_version_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    trainer, header = begun(tmp_path / "c")
    assert header["format"] == "1"
    for said, expected in (("2", "newer"), ("x", "damaged")):
        save_file(load_file(tmp_path / "c"), tmp_path / said, header | {"format": said})
        with pytest.raises(UserError, match=expected):
            trainer.restore(tmp_path / said)
    del header["format"]
    save_file(load_file(tmp_path / "c"), tmp_path / "old", header)
    trainer.restore(tmp_path / "old")


def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    x = ROWS
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
        Trainer(TensorRows(ROWS), config(steps=60), device="cpu").run(path, every, watch=kill)
    assert path.exists() == (left is not None)
    if left is not None:
        back = Trainer(TensorRows(ROWS), config(steps=60), device="cpu")
        back.restore(path)
        assert back.step == left


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here to train on")
@pytest.mark.parametrize("selection", ["topk", "batch_topk"])
def test_a_gpu_trains_what_the_processor_does(selection: str, tmp_path: Path) -> None:
    x = ROWS
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
    trainer = Trainer(TensorRows(ROWS), config(steps=60))
    trainer.advance()
    trainer.save(tmp_path / "c")
    with pytest.raises(UserError, match="another configuration"):
        Trainer(TensorRows(ROWS), config(steps=61)).restore(tmp_path / "c")
    with pytest.raises(UserError, match="other data"):
        Trainer(TensorRows(ROWS + 1), config(steps=60)).restore(tmp_path / "c")
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


def test_the_batches_of_an_epoch_are_a_permutation() -> None:
    rows = TensorRows(torch.arange(512.0)[:, None] + 1)
    trainer = Trainer(rows, config(width=4, k=1, batch=128))
    seen = torch.cat([trainer.batch(step) for step in range(4)])[:, 0]
    assert sorted(seen.tolist()) == list(np.arange(1.0, 513.0))


def test_a_checkpoint_is_gone_on_with_in_its_own_precision(tmp_path: Path) -> None:
    x, path = TensorRows(ROWS), tmp_path / "checkpoint"
    first = Trainer(x, config(), dtype=torch.bfloat16)
    first.advance()
    first.save(path)
    assert precision_of(path) == torch.bfloat16
    second = Trainer(x, config())
    second.advance()  # its scratch memory is in fp32
    second.restore(path)
    assert second.dtype == torch.bfloat16
    first.advance()
    second.advance()
    torch.testing.assert_close(second.p.W_dec, first.p.W_dec, rtol=0, atol=0)
    # One of an earlier version doesn't say.
    with safe_open(path, "pt") as file:
        header = dict(file.metadata())
    del header["dtype"]
    save_file(load_file(path), path, header)
    assert precision_of(path) is None and precision_of(tmp_path / "nowhere") is None
    third = Trainer(x, config())
    third.restore(path)
    assert third.dtype == torch.float32


def plain_steps(
    x: Tensor, config: TrainConfig, W_dec: Tensor, centre: Tensor, scale: float
) -> tuple[dict[str, Tensor], list[Moment]]:
    """The same training by autograd, with every latent of every row; the weights and the course."""
    W_dec = W_dec / W_dec.norm(dim=1, keepdim=True)
    p = {
        "W_enc": config.encoder_scale * W_dec, "b_enc": torch.zeros(config.width),
        "W_dec": W_dec.clone(), "b_dec": centre * scale,
    }  # fmt: skip
    for tensor in p.values():
        tensor.requires_grad_()
    optimiser = torch.optim.Adam(p.values(), lr=config.lr, betas=config.betas)
    silent = torch.zeros(config.width)
    course = []
    for step in range(config.steps):
        epoch, place = divmod(step, len(x) // config.batch)
        order = np.random.default_rng([config.seed, epoch]).permutation(len(x))
        batch = scale * x[order[place * config.batch : (place + 1) * config.batch]]
        pre = (batch - p["b_dec"]) @ p["W_enc"].T + p["b_enc"]
        largest = pre.topk(config.active(step), dim=1).indices
        acts = pre.relu() * torch.zeros_like(pre).scatter_(1, largest, 1.0)
        left = batch - acts @ p["W_dec"] - p["b_dec"]
        loss = left.square().sum() / config.batch
        dead = silent > config.dead_after
        further = torch.tensor(0.0)
        if dead.any():
            some = pre.relu()[:, dead]
            top = some.topk(min(config.auxiliary_k, some.shape[1]), dim=1)
            some = torch.zeros_like(some).scatter(1, top.indices, top.values)
            further = (left.detach() - some @ p["W_dec"][dead]).square().sum() / config.batch
        optimiser.zero_grad()
        (loss + config.auxiliary * further).backward()
        with torch.no_grad():
            gradient, rows = p["W_dec"].grad, p["W_dec"]
            assert gradient is not None
            gradient -= (gradient * rows).sum(1, keepdim=True) * rows
            optimiser.param_groups[0]["lr"] = config.rate(step)
            optimiser.step()
            rows /= rows.norm(dim=1, keepdim=True)
        silent += 1
        silent[(acts > 0).any(0)] = 0
        now = int((silent > config.dead_after).sum())
        active = float((acts > 0).sum()) / config.batch
        course.append(Moment(step + 1, config.steps, loss.item(), active, now))
    return {name: tensor.detach() for name, tensor in p.items()}, course


def test_every_step_is_that_of_a_plain_training() -> None:
    x = ROWS[:200] + 0.25
    told = config(
        width=60, k=1, steps=8, batch=48, selection="topk", start="data", encoder_scale=0.8,
        lr=1e-2, warmup=3, decay=0.5, dead_after=1, auxiliary=0.5, auxiliary_k=3, seed=2,
    )  # fmt: skip
    directions, centre, scale = 3 * ROWS[300:360], x.mean(0), 1.5
    trainer = Trainer(TensorRows(x), told, directions, centre, scale=scale, device="cpu")
    seen: list[Moment] = []
    notes: list[tuple[float, str]] = []

    def watch(moment: Moment) -> bool:
        seen.append(moment)
        return False

    trainer.run(progress=lambda stage, share, note: notes.append((share, note)), watch=watch)
    expected, course = plain_steps(x, told, directions, centre, scale)
    for name, tensor in trainer.p.tensors().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-4)
    # Some are dead from the third step on, more than take part in the auxiliary loss.
    assert max(moment.dead for moment in course) > 3
    for one, plain in zip(seen, course, strict=True):
        assert (one.step, one.steps, one.dead) == (plain.step, plain.steps, plain.dead)
        assert (one.loss, one.l0) == pytest.approx((plain.loss, plain.l0), rel=1e-4)
    assert [share for share, _ in notes] == [(step + 1) / 8 for step in range(8)]
    assert notes[-1][1].endswith(f"dead {course[-1].dead / 60:.1%}")
    # In the rows' own units: what is decoded is as long as they are.
    sae = trainer.result()
    torch.testing.assert_close(sae.W_enc, expected["W_enc"].T, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(sae.W_dec, expected["W_dec"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(sae.b_enc, expected["b_enc"] / scale, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(sae.b_dec, expected["b_dec"] / scale, rtol=1e-4, atol=1e-4)
    assert sae.k == 1


def test_a_start_from_an_sae_is_that_sae() -> None:
    first = Trainer(TensorRows(ROWS), config(steps=30), scale=2.0, device="cpu")
    first.run()
    sae = first.result()
    second = Trainer(TensorRows(ROWS), config(start="sae"), initial=sae, scale=2.0, device="cpu")
    for name, tensor in second.p.tensors().items():
        torch.testing.assert_close(tensor, first.p.tensors()[name])
    second.advance()
    torch.testing.assert_close(first.result().W_dec, sae.W_dec, rtol=0, atol=0)


def test_how_the_start_lies_in_memory_plays_no_part() -> None:
    """An SAE that was loaded has another layout than one that was just trained."""
    first = Trainer(TensorRows(ROWS), config(steps=30), device="cpu")
    first.run()
    sae, ends = first.result(), []
    for layout in (sae.W_enc.contiguous(), sae.W_enc.T.contiguous().T):
        start = replace(sae, W_enc=layout)
        further = Trainer(
            TensorRows(ROWS), config(start="sae", steps=6), initial=start, device="cpu"
        )
        further.run()
        ends.append(further.result())
    torch.testing.assert_close(ends[0].W_enc, ends[1].W_enc, rtol=0, atol=0)


def test_what_a_start_needs_is_asked_for() -> None:
    for start in ("sae", "data", "ngrams"):
        with pytest.raises(ValueError, match="a start from"):
            Trainer(TensorRows(ROWS), config(start=start))


def test_a_decoder_that_is_not_trained_stays() -> None:
    trainer = Trainer(TensorRows(ROWS), config(train_decoder=False), device="cpu")
    before = {name: tensor.clone() for name, tensor in trainer.p.tensors().items()}
    for _ in range(3):
        trainer.advance()
    torch.testing.assert_close(trainer.p.W_dec, before["W_dec"], rtol=0, atol=0)
    assert not torch.equal(trainer.p.W_enc, before["W_enc"])


def test_another_epoch_has_another_order_and_what_is_over_is_left_out() -> None:
    rows = TensorRows(torch.arange(1.0, 11.0)[:, None])
    trainer = Trainer(rows, config(width=4, k=1, batch=4), scale=10.0, device="cpu")
    first = torch.cat([trainer.batch(step) for step in (0, 1)])[:, 0].tolist()
    second = torch.cat([trainer.batch(step) for step in (2, 3)])[:, 0].tolist()
    for epoch in (first, second):
        assert len(set(epoch)) == 8 and set(epoch) <= {10.0 * n for n in range(1, 11)}
    assert first != second
    # Fewer rows than a batch has are one batch, whole.
    whole = Trainer(rows, config(width=4, k=1, batch=64), device="cpu")
    assert sorted(whole.batch(5)[:, 0].tolist()) == [float(n) for n in range(1, 11)]


def test_candidates_are_preactivations_whatever_the_batch_before() -> None:
    trainer = Trainer(TensorRows(ROWS), config(), device="cpu")
    trainer.advance()
    for x in (ROWS[:100], ROWS[:256] * 2, ROWS[50:306]):
        p = trainer.p
        expected = (x - p.b_dec) @ p.W_enc.T + p.b_enc
        torch.testing.assert_close(trainer._candidates(x), expected, rtol=1e-5, atol=1e-5)


def test_a_stopped_training_is_kept_and_says_so(tmp_path: Path) -> None:
    trainer = Trainer(TensorRows(ROWS), config(steps=9), device="cpu")
    told: list[float] = []
    with pytest.raises(Stopped, match=r"Meta-SAE was stopped at step 4; it can go on"):
        trainer.run(
            tmp_path / "c", every=3600, stage="Meta-SAE", watch=lambda now: now.step == 4,
            progress=lambda stage, share, note: told.append(share),
        )  # fmt: skip
    assert told == [1 / 9, 2 / 9, 3 / 9]
    back = Trainer(TensorRows(ROWS), config(steps=9), device="cpu")
    back.run(tmp_path / "c")
    # The end is kept too.
    done = Trainer(TensorRows(ROWS), config(steps=9), device="cpu")
    done.restore(tmp_path / "c")
    assert done.step == 9
    torch.testing.assert_close(done.p.W_enc, back.p.W_enc, rtol=0, atol=0)


def test_a_training_that_its_progress_ends_is_kept(tmp_path: Path) -> None:
    whole = Trainer(TensorRows(ROWS), config(steps=6), device="cpu")
    whole.run()

    def cancels(stage: str, fraction: float, note: str = "") -> None:
        if fraction >= 0.5:
            raise InterruptedError

    path = tmp_path / "checkpoint"
    with pytest.raises(InterruptedError):
        Trainer(TensorRows(ROWS), config(steps=6), device="cpu").run(path, progress=cancels)
    again = Trainer(TensorRows(ROWS), config(steps=6), device="cpu")
    again.restore(path)
    assert again.step == 3
    again.run()
    torch.testing.assert_close(again.result().W_dec, whole.result().W_dec, rtol=0, atol=0)
