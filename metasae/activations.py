"""A stream of residuals: one pass of the lower layers over the text, kept on disk for all widths.

What is kept is every token's residual stream at the hook but the start token's and massive
activations (a few tokens in ten thousand whose norm is tens of times the median: one of them in a
batch wrecks an SAE's loss). About 1.2 kB a token.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae import assets
from metasae.corpus import Windows
from metasae.model import LanguageModel
from metasae.products import fast_dtype
from metasae.progress import Progress, silent

MASSIVE = 4.0
"""A residual whose norm exceeds this many times the median norm is a massive activation."""

_TOKENS_PER_BATCH = 4096


@dataclass(frozen=True)
class Activations:
    """Residuals of the training windows, in shuffled window order.

    Attributes:
        resid: fp16, memory-mapped.
        window, position, token: where each row comes from.
        median_norm: median of the rows' norms.
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
        """The residuals at some indices, fp32."""
        return torch.from_numpy(self.resid[np.sort(index)]).float()


def not_massive(norm: Float[Tensor, "*N"], median: float) -> Bool[Tensor, "*N"]:
    """Which residuals an SAE may be asked about, by their norms."""
    return norm <= MASSIVE * median


def lower_layers(
    model: LanguageModel, dtype: torch.dtype
) -> Callable[[Int[Tensor, "B T"]], Float[Tensor, "B T D"]]:
    """The model up to the hook in another precision, as a function of tokens."""
    lower = _copy(model, dtype)
    layers, norm = model.family.stack
    setattr(lower, layers, getattr(lower, layers)[: model.hook_layer])
    setattr(lower, norm, torch.nn.Identity())

    def run(tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        with torch.inference_mode():
            return lower(tokens, use_cache=False).last_hidden_state

    return run


def upper_layers(
    model: LanguageModel, dtype: torch.dtype
) -> Callable[[Float[Tensor, "B T D"]], Float[Tensor, "B T D"]]:
    """The model above the hook in another precision, its final norm included; differentiable."""
    upper = _copy(model, dtype)
    upper.layers = upper.layers[model.hook_layer :]

    def run(resid: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        return upper(inputs_embeds=resid.to(dtype), use_cache=False).last_hidden_state

    return run


def _copy(model: LanguageModel, dtype: torch.dtype) -> Any:
    from transformers import AutoModel

    whole = AutoModel.from_config(model.hf.config).to(dtype).eval().requires_grad_(False)
    whole.load_state_dict(model.hf.base_model.state_dict())
    return whole


def collect(
    model: LanguageModel, windows: Windows, folder: Path, progress: Progress = silent
) -> Activations:
    """Run the lower layers over all training windows; picks up where an earlier call stopped.

    Args:
        folder: where the rows are kept; needs about 1.2 kB a token.

    Raises:
        UserError: no space.
    """
    done = folder / "done.json"
    if not done.exists():
        _collect(model, windows, folder, progress)
    facts = json.loads(done.read_text())
    count, width = facts["rows"], model.d_model
    resid = np.memmap(folder / "resid.f16", dtype=np.float16, mode="r", shape=(count, width))
    place = np.fromfile(folder / "place.i32", dtype=np.int32).reshape(-1, 3)[:count]
    return Activations(
        resid=resid,
        window=place[:, 0],
        position=place[:, 1],
        token=place[:, 2],
        median_norm=facts["median_norm"],
        mean=torch.tensor(facts["mean"]),
    )


def length_batches(windows: Windows) -> list[np.ndarray]:
    """Training windows of like length together, the batches in a seeded random order."""
    held_out = np.array(windows.held_out)[windows.document.numpy()]
    order = np.flatnonzero(~held_out)
    lengths = windows.lengths.numpy()
    order = order[np.argsort(lengths[order], kind="stable")]
    batches, begin = [], 0
    while begin < len(order):
        size = 1
        while begin + size < len(order) and (size + 1) * lengths[order[begin + size]] <= (
            _TOKENS_PER_BATCH
        ):
            size += 1
        batches.append(order[begin : begin + size])
        begin += size
    np.random.default_rng(0).shuffle(batches)
    return batches


def _collect(model: LanguageModel, windows: Windows, folder: Path, progress: Progress) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    state_file = folder / "state.json"
    tokens_in_all = int(windows.lengths.sum())
    batches = length_batches(windows)
    state = json.loads(state_file.read_text()) if state_file.exists() else None
    if state is None:
        assets.need_space(folder, tokens_in_all * model.d_model * 2, "Keeping the residuals")
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
            norm = resid.norm(dim=-1)
            inside = torch.arange(tokens.shape[1])[None] < lengths[:, None]
            inside[:, 0] = False
            if not state["median_norm"]:
                state["median_norm"] = float(norm[inside].median())
            keep = inside & not_massive(norm, state["median_norm"])
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
                with assets.written_whole(state_file) as part:
                    part.write_text(json.dumps(state))
            progress(stage, (number + 1) / len(batches), f"{state['rows']:,} tokens")
    facts = {
        "rows": state["rows"],
        "median_norm": state["median_norm"],
        "mean": (total / state["rows"]).tolist(),
    }
    with assets.written_whole(folder / "done.json") as part:
        part.write_text(json.dumps(facts))
