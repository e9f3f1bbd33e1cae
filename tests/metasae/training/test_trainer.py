"""The trainer that base SAEs and meta-SAEs share."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from metasae.errors import UserError
from metasae.training import explained
from metasae.training.config import TrainConfig
from metasae.training.rows import TensorRows
from metasae.training.threshold import with_threshold
from metasae.training.trainer import Moment, Trainer, precision_of
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


def test_a_checkpoint_from_before_a_setting_existed_is_gone_on_with(tmp_path: Path) -> None:
    trainer = Trainer(TensorRows(ROWS), config(steps=60), device="cpu")
    trainer.advance()
    trainer.save(tmp_path / "new")
    with safe_open(tmp_path / "new", "pt") as file:
        header = file.metadata()
    values = json.loads(header["config"])
    del values["first_k"], values["settled"]
    tensors = load_file(tmp_path / "new")
    save_file(tensors, tmp_path / "old", header | {"config": json.dumps(values)})
    back = Trainer(TensorRows(ROWS), config(steps=60), device="cpu")
    back.restore(tmp_path / "old")
    assert back.step == 1
    with pytest.raises(UserError, match="another configuration"):
        Trainer(TensorRows(ROWS), config(steps=60, first_k=2.0)).restore(tmp_path / "old")


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
