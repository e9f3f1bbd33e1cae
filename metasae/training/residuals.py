"""Residuals that base SAEs are trained on: one pass of the lower layers over a text, kept on disk.

Kept is the residual stream at the hook of every token except start tokens and massive activations
(a few tokens in ten thousand whose norm is tens of times the median: one of them in a batch wrecks
an SAE's loss). It takes 2 bytes × d_model a token, 1.2 kB for the embedded default.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.errors import UserError
from metasae.lm.halves import lower_layers, usable
from metasae.lm.language_model import LanguageModel
from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress, silent
from metasae.sources.files import need_space, read_json, write_json
from metasae.sources.versions import TRAINING
from metasae.text.windows import Windows, length_batches


@dataclass(frozen=True)
class Residuals:
    """Residuals of the training windows, in a seeded random order of the windows' batches.

    Attributes:
        resid: (N, D), fp16, memory-mapped.
        window, position, token: (N,) each: index of the row's window, position in it, token id.
        median_norm: median norm of the first batch's residuals.
        mean: mean residual.
    """

    resid: np.ndarray
    window: np.ndarray
    position: np.ndarray
    token: np.ndarray
    median_norm: float
    mean: Float[Tensor, " D"]

    def __len__(self) -> int:
        return len(self.resid)

    def rows(self, index: np.ndarray) -> Float[Tensor, "B D"]:
        """The residuals at some indices, fp32, in the order of the indices."""
        # Read in the file's order, which a disk is much faster at, and put back in the asked one.
        order = np.argsort(index)
        rows = np.empty((len(index), self.resid.shape[1]), self.resid.dtype)
        rows[order] = self.resid[index[order]]
        return torch.from_numpy(rows).float()


def collect(
    model: LanguageModel, windows: Windows, folder: Path, progress: Progress = silent
) -> Residuals:
    """Residuals of all training windows, collected on the first call and then read from a folder.

    A call that was stopped is gone on with by the next one.

    Args:
        folder: where the rows are kept.

    Raises:
        UserError: when there is no space for them or nothing to train on in the text, or what was
            kept is damaged.
    """
    done = folder / "done.json"
    if not done.exists():
        try:
            _collect(model, windows, folder, progress)
        except OSError as error:
            raise UserError(
                f"The residuals can't be kept in {folder} ({error.strerror or error}); make room "
                "and start again, which goes on where this stopped."
            ) from error
    with _undamaged(folder):
        facts = read_json(done)
        TRAINING.check(facts, f"The folder {folder}")
        count, width = facts["rows"], model.d_model
        resid = np.memmap(folder / "resid.f16", dtype=np.float16, mode="r", shape=(count, width))
        place = np.fromfile(folder / "place.i32", dtype=np.int32, count=3 * count)
        place = place.reshape(count, 3)
        return Residuals(
            resid=resid,
            window=place[:, 0],
            position=place[:, 1],
            token=place[:, 2],
            median_norm=float(facts["median_norm"]),
            mean=torch.tensor(facts["mean"]).reshape(width),
        )


@contextmanager
def _undamaged(folder: Path) -> Iterator[None]:
    """Says in a sentence that what is kept in a folder can't be read."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UserError(
            f"The residuals in {folder} are damaged; delete that folder and start again."
        ) from error


def _cut(file: BinaryIO, size: int) -> None:
    """Cut a file to a size: a killed run may have written past its last state.

    Raises:
        ValueError: when it is shorter.
    """
    if os.fstat(file.fileno()).st_size < size:
        raise ValueError("shorter than its state says")
    file.truncate(size)


def _collect(model: LanguageModel, windows: Windows, folder: Path, progress: Progress) -> None:
    batches = length_batches(windows)
    if not batches:
        raise UserError("There is nothing to train on in the text; give more of it.")
    folder.mkdir(parents=True, exist_ok=True)
    state_file = folder / "state.json"
    tokens_in_all = int(windows.lengths.sum())
    width = model.d_model
    if state_file.exists():
        with _undamaged(folder):
            state = read_json(state_file)
            TRAINING.check(state, f"The folder {folder}")
            total = np.array(state["sum"]).reshape(width)
    else:
        need_space(folder, tokens_in_all * width * 2, "Keeping the residuals")
        state, total = {"batches": 0, "rows": 0, "median_norm": 0.0}, np.zeros(width)
    dtype = fast_dtype()
    run = lower_layers(model, dtype)
    stage = f"Residuals before layer {model.hook_layer} ({str(dtype).removeprefix('torch.')})"
    with (folder / "resid.f16").open("ab") as resids, (folder / "place.i32").open("ab") as places:
        with _undamaged(folder):
            _cut(resids, state["rows"] * width * 2)
            _cut(places, state["rows"] * 12)
        for number in range(state["batches"], len(batches)):
            index = torch.from_numpy(batches[number])
            lengths = windows.lengths[index]
            tokens = windows.tokens[index, : int(lengths.max())].long()
            resid = run(tokens).float()
            if not state["median_norm"]:
                first = resid[usable(resid, lengths, math.inf)]
                state["median_norm"] = float(first.norm(dim=-1).median())
            keep = usable(resid, lengths, state["median_norm"])
            which, position = keep.nonzero(as_tuple=True)
            kept = resid[keep]
            total += kept.double().sum(0).numpy()
            resids.write(kept.half().numpy().tobytes())
            place = torch.stack([index[which], position, tokens[keep]], dim=1)
            places.write(place.to(torch.int32).numpy().tobytes())
            state["rows"] += len(kept)
            state["batches"] = number + 1
            if number % 50 == 49 or number + 1 == len(batches):
                resids.flush()
                places.flush()
                os.fsync(resids.fileno())
                state["sum"] = total.tolist()
                write_json(state_file, state | TRAINING.stamp)
            progress(stage, (number + 1) / len(batches), f"{state['rows']:,} tokens")
    facts = TRAINING.stamp | {
        "rows": state["rows"],
        "median_norm": state["median_norm"],
        "mean": (total / state["rows"]).tolist(),
    }
    write_json(folder / "done.json", facts)
