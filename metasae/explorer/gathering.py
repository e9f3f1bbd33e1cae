"""Gathers where every latent fires: one pass of the lower layers serves the SAEs of all widths.

Of each latent are kept the windows where it is strongest and, for each band of activation, one
drawn at random, so that what it does at a tenth of its maximum can be seen too. None of them is a
copy of a stronger one (see `copies`).

Shapes: N entries (a latent active on a token), F latents, B bands.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from metasae.explorer import half_gathered
from metasae.explorer.bands import BANDS, TOP, band
from metasae.explorer.copies import CopyFinder
from metasae.explorer.evidence import TOKENS, Evidence
from metasae.explorer.half_gathered import HalfGathered
from metasae.lm.halves import lower_layers, usable
from metasae.lm.language_model import LanguageModel
from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress, silent
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.encoder import Encoder
from metasae.sources.presets import Preset
from metasae.text.kept_windows import fingerprint, text_of
from metasae.text.windows import Windows, length_batches

PRECISIONS = {str(one): one for one in (torch.float32, torch.bfloat16)}
"""By their names in a file."""

SAMPLED = 6
"""Windows of a latent kept beside its `TOP` strongest, spread over the bands of activation."""

_PENDING = 2_000_000
"""Entries that are gathered before the weaker ones are thrown away."""

_SPARE = 8
"""Strongest windows kept beside the `TOP` until all are read: a stronger one that comes later may
turn out to be what several of them copy."""


@dataclass
class _Gatherer:
    """The entries of one SAE that may yet be kept, and the counts of all there were.

    Attributes:
        finder: tells copies among the contexts.
        copies: windows that were thrown away since they copy a stronger one.
    """

    width: int
    median_norm: float
    finder: CopyFinder
    counts: np.ndarray = field(init=False)
    copies: int = 0
    _parts: list[np.ndarray] = field(default_factory=list)
    _pending: int = 0

    def __post_init__(self) -> None:
        self.counts = np.zeros((self.width, BANDS), dtype=np.int64)

    def state(self) -> dict[str, np.ndarray]:
        """All that what comes next depends on, as arrays."""
        self._parts = [np.concatenate(self._parts)] if self._parts else []
        return {
            "entries": self._parts[0] if self._parts else np.empty(0, dtype=_ENTRY),
            "counts": self.counts,
            "numbers": np.array([self.copies, self._pending]),
        }

    def go_on(self, state: Mapping[str, np.ndarray]) -> None:
        """Hold what another one held; see `state`."""
        self._parts, self.counts = [state["entries"]], state["counts"]
        self.copies, self._pending = state["numbers"].tolist()

    def add(self, entries: np.ndarray) -> None:
        """Take entries as columns latent, window, position, activation; a window comes once."""
        bands = band(entries["activation"], self.median_norm)
        flat = entries["latent"].astype(np.int64) * BANDS + bands
        self.counts += np.bincount(flat, minlength=self.width * BANDS).reshape(-1, BANDS)
        self._parts.append(entries)
        self._pending += len(entries)
        if self._pending > _PENDING:
            self._throw_away(TOP + _SPARE)

    def _throw_away(self, top: int) -> np.ndarray:
        """Keep the strongest windows and the drawn ones; what is left, sorted."""
        every = np.concatenate(self._parts)
        every = every[np.lexsort((every["position"], every["window"], every["latent"]))]
        group, first = _groups(every["latent"], every["window"])
        peaks = every[np.lexsort((-every["activation"], group))[first]]
        kept: np.ndarray = every[self._chosen(peaks, top)[group]]
        self._parts, self._pending = [kept], 0
        return kept

    def _chosen(self, peaks: np.ndarray, top: int) -> np.ndarray:
        """Which windows are kept, by the entries of their peaks, which are sorted by latent."""
        latent, window = peaks["latent"], peaks["window"]
        bands = band(peaks["activation"], self.median_norm)
        # The draw depends on the latent and the window alone, not on how often is thrown away.
        draw = (latent.astype(np.uint64) * 0x9E3779B1 + window.astype(np.uint64)) * 0x85EBCA77
        strongest = np.lexsort((-peaks["activation"], latent)).tolist()
        drawn = np.lexsort((draw % np.uint64(2**32), -bands, latent)).tolist()
        windows, places, band_of = window.tolist(), peaks["position"].tolist(), bands.tolist()
        keep, copy = np.zeros((2, len(peaks)), dtype=bool)
        _, first = _groups(latent)
        for begin, end in pairwise([*first.tolist(), len(peaks)]):
            seen: set[int] = set()
            left = top
            for row in strongest[begin:end]:
                if not left:
                    break
                if self.finder.adds(seen, windows[row], places[row]):
                    keep[row] = True
                    left -= 1
                else:
                    copy[row] = True
            done = -1
            for row in drawn[begin:end]:
                if band_of[row] == done or copy[row]:
                    continue
                if keep[row] or self.finder.adds(seen, windows[row], places[row]):
                    keep[row], done = True, band_of[row]
                else:
                    copy[row] = True
        self.copies += int(copy.sum())
        return keep

    def table(self) -> pd.DataFrame:
        """What is kept: columns latent, context, window, position, activation.

        Contexts are numbered from 0, the strongest first; from `TOP` on they are drawn.
        """
        if not self._parts:
            return pd.DataFrame(
                {name: np.zeros(0, dtype=kind) for name, kind in _COLUMNS.items()}
            ).astype(_COLUMNS)
        every = self._throw_away(TOP)
        group, first = _groups(every["latent"], every["window"])
        peak = np.maximum.reduceat(every["activation"], first)
        latent = every["latent"][first]
        rank = _rank(latent, np.lexsort((-peak, latent)))
        # Of those beyond the strongest, some spread evenly over what is left of the range.
        count = np.bincount(latent, minlength=self.width)[latent]
        left = np.maximum(count - TOP, 1)
        place = (rank - TOP) * SAMPLED // left
        before = (rank - TOP - 1) * SAMPLED // left
        chosen = (rank < TOP) | (left <= SAMPLED) | (place != before)
        number = _rank(latent, np.lexsort((-peak, np.where(chosen, 0, 1), latent)))
        rows = chosen[group]
        return pd.DataFrame(
            {
                "latent": every["latent"][rows],
                "context": number[group][rows],
                "window": every["window"][rows],
                "position": every["position"][rows],
                "activation": every["activation"][rows],
            }
        ).astype(_COLUMNS)


_COLUMNS = {
    "latent": "int32",
    "context": "int16",
    "window": "int32",
    "position": "int16",
    "activation": "float32",
}

_ENTRY = np.dtype(
    [("latent", np.int32), ("window", np.int32), ("position", np.int16), ("activation", np.float32)]
)


def _groups(*keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For sorted rows: the number of each row's group, and where the groups begin."""
    new = np.ones(len(keys[0]), dtype=bool)
    new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return np.cumsum(new) - 1, np.flatnonzero(new)


def _rank(key: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Place of each row among those of its key, in an order that sorts by key first."""
    placed = key[order]
    begin = np.r_[True, placed[1:] != placed[:-1]]
    start = np.maximum.accumulate(np.where(begin, np.arange(len(order)), 0))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - start
    return rank


def collect(
    model: LanguageModel,
    text: Windows,
    saes: Mapping[int, SparseAutoencoder],
    median_norm: float,
    tokens: int | None = None,
    progress: Progress = silent,
    kept: Path | None = None,
) -> dict[int, "Evidence"]:
    """Run the lower layers over the text once and gather the evidence of every SAE.

    Args:
        tokens: about how many are read, of windows drawn by seed; all when left out.
        kept: file in which it is kept how far it has come, and from which it goes on.

    Raises:
        UserError: when that file can't be written.
    """
    batches, tokens_seen = length_batches(text), 0
    digest, behind, written = fingerprint(text), 0, time.monotonic()
    about = half_gathered.identity(f"{digest} {[*map(len, batches)]}", median_norm, saes)
    former = None if kept is None else HalfGathered.load(kept, about)
    dtype = fast_dtype() if former is None else PRECISIONS.get(former.precision, torch.float32)
    run = lower_layers(model, dtype)
    encoders = {width: Encoder.of(sae, dtype) for width, sae in saes.items()}
    finder = CopyFinder(text)
    gathered = {width: _Gatherer(width, median_norm, finder) for width in saes}
    most = min(tokens or int(text.lengths.sum()), int(text.lengths.sum()))
    # One that was to read fewer tokens may be past where this one ends.
    if former is not None and former.tokens < most:
        behind, tokens_seen = former.batches, former.tokens
        for width, one in gathered.items():
            one.go_on(former.states[width])
    for number, index in enumerate(batches):
        if number < behind:
            continue
        which = torch.from_numpy(index)
        lengths = text.lengths[which]
        ids = text.tokens[which, : int(lengths.max())].long()
        resid = run(ids).float()
        read = usable(resid, lengths, median_norm)
        window, position = read.nonzero(as_tuple=True)
        x = resid[read]
        tokens_seen += len(x)
        for width, encoder in encoders.items():
            row, latent, value = encoder.entries(x)
            entries = np.empty(len(row), dtype=_ENTRY)
            entries["latent"] = latent.numpy()
            entries["window"] = index[window[row].numpy()]
            entries["position"] = position[row].numpy()
            entries["activation"] = value.numpy()
            gathered[width].add(entries)
        last = number + 1 == len(batches) or tokens_seen >= most
        done = 1.0 if last else tokens_seen / most
        progress("Where the latents fire", done, f"{tokens_seen:,} tokens")
        if last:
            break
        if kept is not None and time.monotonic() - written >= half_gathered.EVERY:
            states = {width: one.state() for width, one in gathered.items()}
            HalfGathered(number + 1, tokens_seen, str(dtype), states).save(kept, about)
            written = time.monotonic()
    return {
        # The table first: making it throws the last copies away.
        width: Evidence(one.table(), one.counts, tokens_seen, median_norm, digest, one.copies)
        for width, one in gathered.items()
    }


def gather_evidence(
    preset: Preset,
    model: LanguageModel,
    saes: Mapping[int, SparseAutoencoder],
    median_norm: float,
    out: Path,
    texts: Sequence[str | Path] = (),
    tokens: int | None = TOKENS,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Compute the evidence of some widths and write it.

    Returns:
        tokens, seconds, and the widths.

    Raises:
        UserError: no text, no network on first use, or no space.
    """
    text = text_of(preset, model, texts, progress)
    began = time.monotonic()
    kept = out / half_gathered.NAME
    collected = collect(model, text, saes, median_norm, tokens, progress, kept)
    for width, one in collected.items():
        one.save(out, width)
    kept.unlink(missing_ok=True)
    read = max((one.tokens for one in collected.values()), default=0)
    return {"tokens": read, "seconds": time.monotonic() - began, "widths": sorted(collected)}
