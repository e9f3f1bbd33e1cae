"""Where every latent fires: its contexts over a text, how often, how strongly.

One pass of the lower layers over the text serves the SAEs of all widths. Of each latent are kept
the windows where it is strongest and, for each band of activation, one drawn at random, so that
what it does at a tenth of its maximum can be seen too. Kept are positions, never text: snippets are
read from the token windows, which come from the data wheels or the user's own files.

Shapes: N entries (a latent active on a token), F latents, B bands.
"""

import functools
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from metasae import assets
from metasae.activations import length_batches, lower_layers, not_massive
from metasae.autoencoders import SparseAutoencoder
from metasae.batch_topk import select_topk
from metasae.corpus import Windows, files, windows
from metasae.errors import UserError
from metasae.model import LanguageModel
from metasae.presets import Preset
from metasae.products import fast_dtype
from metasae.progress import Progress, silent

SHIPPED = Path(__file__).parent / "data" / "evidence"
"""Evidence and labels that come with the package, a folder each preset."""

TOKENS = 1_000_000
"""Tokens that are read unless something else is asked for."""

TOP = 8
"""Strongest windows of a latent that are kept."""

SAMPLED = 6
"""Windows kept beside them, spread over the bands of activation."""

BANDS = 24
"""Bands of activation, half an octave each, up to four times the median norm of a residual."""

_PENDING = 2_000_000
"""Entries that are gathered before the weaker ones are thrown away."""


def band(activation: np.ndarray, median_norm: float) -> np.ndarray:
    """The band of each activation: half octaves, the last ending at 4 × the median norm."""
    octaves = np.log2(np.maximum(activation, 1e-9) / (4 * median_norm))
    return np.clip(np.floor(2 * octaves) + BANDS, 0, BANDS - 1).astype(np.int64)


def band_start(number: int, median_norm: float) -> float:
    """Where a band begins."""
    return float(4 * median_norm * 2 ** ((number - BANDS) / 2))


@dataclass
class _Gatherer:
    """The entries of one SAE that may yet be kept, and the counts of all there were."""

    width: int
    median_norm: float
    counts: np.ndarray = field(init=False)
    _parts: list[np.ndarray] = field(default_factory=list)
    _pending: int = 0

    def __post_init__(self) -> None:
        self.counts = np.zeros((self.width, BANDS), dtype=np.int64)

    def add(self, entries: np.ndarray) -> None:
        """Take entries as columns latent, window, position, activation; a window comes once."""
        bands = band(entries["activation"], self.median_norm)
        flat = entries["latent"].astype(np.int64) * BANDS + bands
        self.counts += np.bincount(flat, minlength=self.width * BANDS).reshape(-1, BANDS)
        self._parts.append(entries)
        self._pending += len(entries)
        if self._pending > _PENDING:
            self._parts, self._pending = [self._kept()], 0

    def _kept(self) -> np.ndarray:
        every = np.concatenate(self._parts)
        every = every[np.lexsort((every["position"], every["window"], every["latent"]))]
        group, first = _groups(every["latent"], every["window"])
        peak = np.maximum.reduceat(every["activation"], first)
        latent, window = every["latent"][first], every["window"][first]
        keep = _rank(latent, np.lexsort((-peak, latent))) < TOP
        bands = band(peak, self.median_norm)
        key = latent.astype(np.int64) * BANDS + bands
        # The draw depends on the latent and the window alone: throwing away in between changes
        # nothing.
        draw = (latent.astype(np.uint64) * 0x9E3779B1 + window.astype(np.uint64)) * 0x85EBCA77
        keep |= _rank(key, np.lexsort((draw % np.uint64(2**32), key))) < 1
        kept: np.ndarray = every[keep[group]]
        return kept

    def table(self) -> pd.DataFrame:
        """What is kept: columns latent, context, window, position, activation.

        Contexts are numbered from 0, the strongest first; from `TOP` on they are drawn.
        """
        if not self._parts:
            return pd.DataFrame(
                {name: np.zeros(0, dtype=kind) for name, kind in _COLUMNS.items()}
            ).astype(_COLUMNS)
        every = self._kept()
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


@dataclass(frozen=True)
class Encoder:
    """An SAE made ready to say which latents fire, in a fast precision."""

    sae: SparseAutoencoder
    W_enc: Float[Tensor, "D F"]
    b_enc: Float[Tensor, " F"]

    @staticmethod
    def of(sae: SparseAutoencoder, dtype: torch.dtype) -> "Encoder":
        """In one precision."""
        return Encoder(sae, sae.W_enc.to(dtype), sae.b_enc.to(dtype))

    def entries(self, x: Float[Tensor, "N D"]) -> tuple[Tensor, Tensor, Tensor]:
        """Rows, latents and activations of all that fires, in the order of the rows."""
        pre = torch.addmm(self.b_enc, (x - self.sae.b_dec).to(self.W_enc.dtype), self.W_enc)
        if self.sae.k is not None:
            chosen = select_topk(pre, self.sae.k)
            row, latent = chosen.row, chosen.latent
            value = pre[row, latent].float()
        else:
            assert self.sae.threshold is not None
            on = (pre > self.sae.threshold.to(pre.dtype)) & (pre > 0)
            row, latent = on.nonzero(as_tuple=True)
            value = pre[row, latent].float()
        fires = value > 0
        return row[fires], latent[fires], value[fires]


def collect(
    model: LanguageModel,
    text: Windows,
    saes: Mapping[int, SparseAutoencoder],
    median_norm: float,
    tokens: int | None = None,
    progress: Progress = silent,
) -> dict[int, "Evidence"]:
    """Run the lower layers over the text once and gather the evidence of every SAE.

    Args:
        tokens: about how many are read, of windows drawn by seed; all when left out.
    """
    dtype = fast_dtype()
    run = lower_layers(model, dtype)
    encoders = {width: Encoder.of(sae, dtype) for width, sae in saes.items()}
    gathered = {width: _Gatherer(width, median_norm) for width in saes}
    batches, tokens_seen = length_batches(text), 0
    most = min(tokens or int(text.lengths.sum()), int(text.lengths.sum()))
    for number, index in enumerate(batches):
        which = torch.from_numpy(index)
        lengths = text.lengths[which]
        ids = text.tokens[which, : int(lengths.max())].long()
        resid = run(ids).float()
        inside = torch.arange(ids.shape[1])[None] < lengths[:, None]
        inside[:, 0] = False
        inside &= not_massive(resid.norm(dim=-1), median_norm)
        window, position = inside.nonzero(as_tuple=True)
        x = resid[inside]
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
    digest = fingerprint(text)
    return {
        width: Evidence(one.table(), one.counts, tokens_seen, median_norm, digest)
        for width, one in gathered.items()
    }


def fingerprint(text: Windows) -> str:
    """Tells one text, cut into one model's tokens, from any other."""
    return hashlib.sha256(text.tokens.numpy().tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class Context:
    """One window a latent fires in.

    Attributes:
        window: its number in the text.
        activations: position → activation.
        drawn: whether it was drawn from its band of activation and is none of the strongest.
    """

    window: int
    activations: dict[int, float]
    drawn: bool

    @property
    def peak(self) -> int:
        """Position where the latent is strongest."""
        return max(self.activations, key=self.activations.__getitem__)

    @property
    def strength(self) -> float:
        """Activation there."""
        return self.activations[self.peak]


@dataclass(frozen=True)
class Evidence:
    """Where the latents of one SAE fire over one text.

    Attributes:
        contexts: columns latent, context, window, position, activation, sorted by the first two.
        counts: (F, B): tokens on which each latent fires, by band of activation.
        tokens: tokens that were read.
        median_norm: of the residual stream, the unit of the bands.
        text: `fingerprint` of the text.
    """

    contexts: pd.DataFrame
    counts: np.ndarray
    tokens: int
    median_norm: float
    text: str

    @functools.cached_property
    def _starts(self) -> np.ndarray:
        return np.searchsorted(self.contexts["latent"], np.arange(len(self.counts) + 1))

    def of(self, latent: int) -> tuple[Context, ...]:
        """A latent's contexts, the strongest first."""
        rows = self.contexts.iloc[self._starts[latent] : self._starts[latent + 1]]
        found: dict[int, Context] = {}
        columns = (rows[name].tolist() for name in ("context", "window", "position", "activation"))
        for number, window, position, activation in zip(*columns, strict=True):
            one = found.setdefault(number, Context(window, {}, number >= TOP))
            one.activations[position] = activation
        return tuple(found[number] for number in sorted(found))

    def density(self, latent: int) -> float:
        """Share of the tokens a latent fires on."""
        return float(self.counts[latent].sum()) / max(1, self.tokens)

    def histogram(self, latent: int) -> pd.DataFrame:
        """Tokens by band of activation: columns from, to, tokens; empty bands at both ends left
        out."""
        filled = np.flatnonzero(self.counts[latent])
        rows = range(int(filled[0]), int(filled[-1]) + 1) if len(filled) else range(0)
        return pd.DataFrame(
            [
                (
                    band_start(number, self.median_norm),
                    band_start(number + 1, self.median_norm),
                    int(self.counts[latent, number]),
                )
                for number in rows
            ],
            columns=["from", "to", "tokens"],
        )

    def save(self, folder: Path, width: int) -> None:
        """Write the evidence of one width.

        Raises:
            UserError: when the folder can't be written.
        """
        with assets.written_whole(folder / f"contexts-{width}.parquet") as part:
            # Half precision: strengths are shown with two digits.
            small = self.contexts.astype({"activation": "float16"})
            small.to_parquet(part, index=False, compression="zstd")
        facts = {
            "tokens": self.tokens,
            "median_norm": self.median_norm,
            "text": self.text,
            "bands": BANDS,
        }
        latent, number = np.nonzero(self.counts)
        rows = pd.DataFrame(
            {
                "latent": latent.astype(np.int32),
                "band": number.astype(np.int8),
                "tokens": self.counts[latent, number].astype(np.int32),
            }
        )
        with assets.written_whole(folder / f"counts-{width}.parquet") as part:
            rows.to_parquet(part, index=False, compression="zstd")
        with assets.written_whole(folder / f"facts-{width}.json") as part:
            part.write_text(json.dumps(facts, indent=1) + "\n")

    @staticmethod
    def load(folder: Path, width: int) -> "Evidence":
        """Read the evidence of one width.

        Raises:
            UserError: when it is missing or damaged.
        """
        try:
            facts = json.loads((folder / f"facts-{width}.json").read_text())
            contexts = pd.read_parquet(folder / f"contexts-{width}.parquet")
            rows = pd.read_parquet(folder / f"counts-{width}.parquet")
            counts = np.zeros((width, int(facts["bands"])), dtype=np.int64)
            counts[rows["latent"], rows["band"]] = rows["tokens"]
            return Evidence(
                contexts.astype({"activation": "float32"}), counts, int(facts["tokens"]),
                float(facts["median_norm"]), str(facts["text"]),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise UserError(
                f"The evidence of the {width:,} latents in {folder} is missing or damaged; make it "
                "with: python -m metasae describe."
            ) from error


def own_folder(preset: Preset) -> Path:
    """Where evidence that the user computes is kept."""
    return assets.cache_dir() / "evidence" / preset.base


def shipped_folder(preset: Preset) -> Path:
    """Where the evidence that comes with a preset is, if some does."""
    return SHIPPED / preset.base


def text_of(
    preset: Preset,
    model: LanguageModel,
    texts: Sequence[Path] = (),
    progress: Progress = silent,
) -> Windows:
    """A text as token windows, kept once they are made.

    Args:
        texts: the user's own (see `own_text`); the one the shipped evidence is about without any.

    Raises:
        UserError: no such text, no network on first use.
    """
    path = _windows_file(preset, own=bool(texts))
    if not texts and path.exists():
        return _read_windows(path)
    made = windows(model, progress, list(files(texts)) if texts else None)
    with assets.written_whole(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            tokens=made.tokens.numpy(), lengths=made.lengths.numpy().astype(np.int16),
            document=made.document.numpy().astype(np.int32),
            city=made.city.numpy().astype(np.int16),
            city_at=made.city_at.numpy().astype(np.int16),
            sources=np.array(made.sources), held_out=np.array(made.held_out),
        )  # fmt: skip
    return made


def own_text(preset: Preset) -> Windows | None:
    """The user's own text that was read last, if there is one.

    Raises:
        UserError: when what was kept of it is damaged.
    """
    path = _windows_file(preset, own=True)
    return _read_windows(path) if path.exists() else None


def _windows_file(preset: Preset, own: bool) -> Path:
    home = assets.cache_dir() / "text" / preset.base
    return home / ("own.npz" if own else "windows.npz")


def _read_windows(path: Path) -> Windows:
    try:
        with np.load(path, allow_pickle=False) as found:
            return Windows(
                tokens=torch.from_numpy(found["tokens"]),
                lengths=torch.from_numpy(found["lengths"].astype(np.int64)),
                document=torch.from_numpy(found["document"].astype(np.int64)),
                city=torch.from_numpy(found["city"].astype(np.int64)),
                city_at=torch.from_numpy(found["city_at"].astype(np.int64)),
                sources=tuple(found["sources"].tolist()),
                held_out=tuple(found["held_out"].tolist()),
            )
    except Exception as error:  # numpy and zip have their own families of errors
        raise UserError(f"{path} is damaged; delete it and start again.") from error


@dataclass(frozen=True)
class Snippet:
    """A context as tokens with strengths, ready to be shown.

    Attributes:
        tokens: (text, activation) in order; 0 where the latent is silent.
        source: where the text is from.
    """

    tokens: tuple[tuple[str, float], ...]
    source: str
    drawn: bool


def snippet(
    model: LanguageModel, text: Windows, context: Context, before: int = 16, after: int = 8
) -> Snippet:
    """The tokens around a context's peak."""
    peak = context.peak
    end = min(int(text.lengths[context.window]), peak + after + 1)
    places = range(max(1, peak - before), end)
    return Snippet(
        tokens=tuple(
            (model.decode(int(text.tokens[context.window, at])), context.activations.get(at, 0.0))
            for at in places
        ),
        source=text.sources[int(text.document[context.window])],
        drawn=context.drawn,
    )


def firing_on(
    model: LanguageModel, sae: SparseAutoencoder, typed: str, median_norm: float
) -> pd.DataFrame:
    """Which latents fire on a text, token by token.

    Returns:
        Columns position, token, latent, activation; the start token and massive activations left
        out.

    Raises:
        UserError: for an empty text, or one longer than the model reads.
    """
    tokens = model.prompt_tokens(typed)
    if len(tokens) < 2:
        raise UserError("The text is empty; type a word or a sentence.")
    resid = model.residual(torch.tensor([tokens]))[0]
    usable = not_massive(resid.norm(dim=-1), median_norm)
    usable[0] = False
    at = usable.nonzero()[:, 0]
    row, latent, value = Encoder.of(sae, torch.float32).entries(resid[at])
    position = at[row]
    table = pd.DataFrame(
        {
            "position": position.numpy(),
            "token": [model.decode(tokens[place]) for place in position.tolist()],
            "latent": latent.numpy(),
            "activation": value.numpy(),
        }
    )
    return table.sort_values(["position", "activation"], ascending=[True, False], ignore_index=True)


def make(
    preset: Preset,
    model: LanguageModel,
    saes: Mapping[int, SparseAutoencoder],
    median_norm: float,
    out: Path,
    texts: Sequence[Path] = (),
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
    found = collect(model, text, saes, median_norm, tokens, progress)
    for width, one in found.items():
        one.save(out, width)
    read = max((one.tokens for one in found.values()), default=0)
    return {"tokens": read, "seconds": time.monotonic() - began, "widths": sorted(found)}
