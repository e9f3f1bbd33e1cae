"""Quality of base SAEs on held-out text, which `text.documents` marks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.lm.halves import usable
from metasae.lm.language_model import LanguageModel
from metasae.progress import Progress, silent
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.neighbours import nearest_cosine
from metasae.text.windows import Windows

HELD_OUT_WINDOWS = 160
"""Held-out windows that are measured on by default."""

_BATCH = 16


def held_out_batches(
    windows: Windows, count: int = HELD_OUT_WINDOWS, among: Bool[Tensor, " N"] | None = None
) -> list[tuple[Tensor, Tensor]]:
    """Batches (tokens, lengths) of held-out windows of similar length, spread over the text.

    Args:
        count: most windows.
        among: which windows may be taken; all that are held out when left out.
    """
    kept = torch.tensor(windows.held_out)[windows.document] & (windows.lengths > 8)
    if among is not None:
        kept &= among
    index = kept.nonzero()[:, 0]
    index = index[torch.linspace(0, len(index) - 1, min(count, len(index))).round().long()]
    index = index[windows.lengths[index].argsort(stable=True)]
    batches = []
    # Of an empty index torch makes one empty part.
    for part in index.split(_BATCH) if len(index) else ():
        lengths = windows.lengths[part]
        batches.append((windows.tokens[part, : int(lengths.max())].long(), lengths))
    return batches


@torch.inference_mode()
def base_quality(
    model: LanguageModel,
    saes: Mapping[int, SparseAutoencoder],
    batches: Sequence[tuple[Tensor, Tensor]],
    mean: Float[Tensor, " D"],
    median_norm: float,
    progress: Progress = silent,
) -> list[dict[str, Any]]:
    """L0, explained variance and recovered cross-entropy of each SAE on held-out text.

    An SAE's reconstruction replaces the residual at every position except the start token's and
    massive activations'. The recovered share is (ablated − spliced) / (ablated − clean), where
    "ablated" has the mean residual at the same positions; cross-entropies are in nats a token.

    Args:
        saes: TopK SAEs by their width.
        batches: as `held_out_batches` gives them.
        mean: mean residual of the training text.
        median_norm: median norm of the training text's residuals.
    """
    nats: dict[Any, float] = defaultdict(float)
    left: dict[int, float] = defaultdict(float)
    active: dict[int, float] = defaultdict(float)
    spread, rows, tokens_scored = 0.0, 0, 0
    for number, (tokens, lengths) in enumerate(batches):
        resid = model.residual(tokens)
        put = usable(resid, lengths, median_norm)
        x = resid[put]
        spread += float((x - mean).double().square().sum())
        rows += len(x)
        tokens_scored += int((lengths - 1).sum())
        nats["clean"] += _nats(model, resid, tokens, lengths)
        nats["ablated"] += _nats(model, _put(resid, put, mean), tokens, lengths)
        for width, sae in saes.items():
            acts, latents = sae.encode_sparse(x)
            recon = sae.decode_sparse(acts, latents)
            left[width] += float((x - recon).double().square().sum())
            active[width] += float((acts > 0).sum())
            nats[width] += _nats(model, _put(resid, put, recon), tokens, lengths)
        progress("Measuring the SAEs on held-out text", (number + 1) / len(batches), "")
    clean, ablated = nats["clean"] / tokens_scored, nats["ablated"] / tokens_scored
    return [
        {
            "width": width,
            "l0": active[width] / rows,
            "fve": 1 - left[width] / spread,
            "ce_recovered": (ablated - nats[width] / tokens_scored) / (ablated - clean),
            "ce_clean": clean,
            "ce_spliced": nats[width] / tokens_scored,
            "ce_ablated": ablated,
            "tokens": tokens_scored,
            "nearest_cosine": nearest_cosine(saes[width].W_dec),
        }
        for width in sorted(saes)
    ]


def _put(resid: Tensor, where: Tensor, what: Tensor) -> Tensor:
    out = resid.clone()
    out[where] = what
    return out


def _nats(model: LanguageModel, resid: Tensor, tokens: Tensor, lengths: Tensor) -> float:
    return float(window_nats(model, resid, tokens, lengths).sum())


def window_nats(
    model: LanguageModel,
    resid: Float[Tensor, "B T D"],
    tokens: Int[Tensor, "B T"],
    lengths: Int[Tensor, " B"],
) -> Float[Tensor, " B"]:
    """Cross-entropy of each window's next tokens, in nats, summed over the positions that have one.

    Args:
        resid: at the hook.
        lengths: real tokens of each window.
    """
    inside = torch.arange(1, tokens.shape[1])[None] < lengths[:, None]
    logits = model.logits_above(resid)[:, :-1][inside]
    nats = torch.nn.functional.cross_entropy(logits, tokens[:, 1:][inside], reduction="none")
    return torch.zeros(len(tokens)).index_add_(0, inside.nonzero()[:, 0], nats)
