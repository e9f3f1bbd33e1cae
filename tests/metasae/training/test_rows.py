"""Every source of training rows gives them in the order asked, and trains alike."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metasae.saes.directions import Directions
from metasae.training.config import TrainConfig
from metasae.training.residuals import Residuals
from metasae.training.rows import Rows, TensorRows, parts_of, width_of
from metasae.training.trainer import Trainer
from tests.builders import residuals

FEW = torch.arange(30.0).reshape(10, 3)

COUNT, WIDTH = 300, 8

# Unit rows of four entries ± ½, which fp16 holds exactly: all sources hold the same numbers.
_DRAW = torch.Generator().manual_seed(0)
_SIGNS = torch.randint(0, 2, (COUNT, WIDTH), generator=_DRAW) * 2.0 - 1
_PLACES = torch.rand(COUNT, WIDTH, generator=_DRAW).argsort(1) < 4
VALUES = 0.5 * _SIGNS * _PLACES


def from_disk(folder: Path) -> Residuals:
    """As they are trained on: mapped from a file."""
    path = folder / "resid.f16"
    path.write_bytes(VALUES.half().numpy().tobytes())
    mapped = np.memmap(path, dtype=np.float16, mode="r", shape=(COUNT, WIDTH))
    return replace(residuals(VALUES, [0] * COUNT, [0] * COUNT), resid=mapped)


SOURCES: dict[str, Callable[[Path], Rows]] = {
    "tensor": lambda _: TensorRows(VALUES),
    "one SAE": lambda _: Directions(("a",), (VALUES,)),
    "two SAEs": lambda _: Directions(("a", "b"), (3 * VALUES[:100], VALUES[100:])),
    "residuals": from_disk,
}


@pytest.fixture(scope="module", params=SOURCES)
def rows(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return SOURCES[request.param](tmp_path_factory.mktemp("rows"))


@settings(max_examples=50)
@given(st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=40))
def test_rows_come_in_the_order_asked(rows: Rows, index: list[int]) -> None:
    got = rows.rows(np.array(index))
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, VALUES[index])


def test_all_rows_come_in_parts(rows: Rows) -> None:
    torch.testing.assert_close(torch.cat(list(parts_of(rows, 77))), VALUES)


def test_a_stopped_training_goes_on_as_if_it_had_not_been(rows: Rows, tmp_path: Path) -> None:
    config = TrainConfig(width=16, k=2, steps=30, batch=64, start="random", lr=3e-3, warmup=5)
    whole = Trainer(rows, config, device="cpu")
    whole.run()
    first = Trainer(rows, config, device="cpu")
    while first.step < 13:
        first.advance()
    first.save(tmp_path / "checkpoint")
    second = Trainer(rows, config, device="cpu")
    second.run(tmp_path / "checkpoint")
    for name, tensor in whole.p.tensors().items():
        torch.testing.assert_close(second.p.tensors()[name], tensor, rtol=0, atol=0)


def test_a_training_does_not_depend_on_where_its_rows_lie(rows: Rows) -> None:
    config = TrainConfig(width=16, k=2, steps=1, batch=64, start="random")
    batch = Trainer(rows, config, device="cpu").batch(2)
    torch.testing.assert_close(batch, Trainer(TensorRows(VALUES), config, device="cpu").batch(2))


def test_the_width_of_rows_is_asked_of_one_of_them() -> None:
    rows = TensorRows(FEW)
    assert (len(rows), width_of(rows)) == (10, 3)


@pytest.mark.parametrize("x", [FEW, TensorRows(FEW)])
@pytest.mark.parametrize("chunk", [1, 4, 10, 99])
def test_parts_are_all_rows_in_order(x: torch.Tensor | TensorRows, chunk: int) -> None:
    parts = list(parts_of(x, chunk))
    assert torch.equal(torch.cat(parts), FEW)
    assert {len(part) for part in parts[:-1]} <= {chunk} and len(parts[-1]) <= chunk
