"""Residuals that base SAEs are trained on: one pass of the lower layers over a text, kept on disk.

Kept is the residual stream at the hook of every token except start tokens and massive activations
(a few tokens in ten thousand whose norm is tens of times the median: one of them in a batch wrecks
an SAE's loss). It takes 2 bytes × d_model a token, 1.2 kB for the embedded default.
"""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.lm.halves import lower_layers, usable
from metasae.lm.language_model import LanguageModel
from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress, silent
from metasae.sources.files import need_space, write_json
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
        UserError: when there is no space for them.
    """
    done = folder / "done.json"
    if not done.exists():
        _collect(model, windows, folder, progress)
    facts = json.loads(done.read_text())
    count, width = facts["rows"], model.d_model
    resid = np.memmap(folder / "resid.f16", dtype=np.float16, mode="r", shape=(count, width))
    place = np.fromfile(folder / "place.i32", dtype=np.int32).reshape(-1, 3)[:count]
    return Residuals(
        resid=resid,
        window=place[:, 0],
        position=place[:, 1],
        token=place[:, 2],
        median_norm=facts["median_norm"],
        mean=torch.tensor(facts["mean"]),
    )


def _collect(model: LanguageModel, windows: Windows, folder: Path, progress: Progress) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    state_file = folder / "state.json"
    tokens_in_all = int(windows.lengths.sum())
    batches = length_batches(windows)
    state = json.loads(state_file.read_text()) if state_file.exists() else None
    if state is None:
        need_space(folder, tokens_in_all * model.d_model * 2, "Keeping the residuals")
        state = {"batches": 0, "rows": 0, "median_norm": 0.0}
    dtype = fast_dtype()
    run = lower_layers(model, dtype)
    stage = f"Residuals before layer {model.hook_layer} ({str(dtype).removeprefix('torch.')})"
    width = model.d_model
    total = np.zeros(width) if state["batches"] == 0 else np.array(state["sum"])
    with (folder / "resid.f16").open("ab") as resids, (folder / "place.i32").open("ab") as places:
        # A killed run may have written past its last checkpoint.
        resids.truncate(state["rows"] * width * 2)
        places.truncate(state["rows"] * 12)
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
                write_json(state_file, state)
            progress(stage, (number + 1) / len(batches), f"{state['rows']:,} tokens")
    facts = {
        "rows": state["rows"],
        "median_norm": state["median_norm"],
        "mean": (total / state["rows"]).tolist(),
    }
    write_json(folder / "done.json", facts)
