"""Where every latent fires: its contexts over a text, how often, how strongly.

Kept are positions, never text: snippets are read from the token windows, which come from the data
wheels or the user's own files. `gathering` says which contexts are kept.

Shapes: F latents, B bands, T tokens, D = d_model.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.errors import UserError
from metasae.explorer.bands import BANDS, TOP, band_start
from metasae.explorer.copies import Peak, span
from metasae.lm.halves import not_massive
from metasae.lm.language_model import LanguageModel
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.encoder import Encoder
from metasae.sources import cache
from metasae.sources.files import CHECKED, CHECKING, read_json, write_json, written_whole
from metasae.sources.presets import Preset
from metasae.sources.records import from_values, to_values
from metasae.sources.versions import EVIDENCE
from metasae.text.documents import is_written
from metasae.text.windows import Windows

SHIPPED = Path(__file__).parent.parent / "data" / "evidence"
"""Evidence and labels that come with the package, a folder each preset."""

TOKENS = 1_000_000
"""Tokens that are read unless something else is asked for."""


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
class _Facts:
    """What a file says of an SAE's evidence beside its tables; see `Evidence`.

    Attributes:
        bands: columns of the counts.
    """

    tokens: int
    median_norm: float
    text: str
    bands: int
    copies: int | None = None


@dataclass(frozen=True)
class Evidence:
    """Where the latents of one SAE fire over one text.

    Attributes:
        contexts: columns latent, context, window, position, activation, sorted by the first two.
        counts: (F, B): tokens on which each latent fires, by band of activation.
        tokens: tokens that were read.
        median_norm: of the residual stream, the unit of the bands.
        text: `fingerprint` of the text.
        copies: contexts that were left out since they repeat a stronger one of the same latent
            (see `copies`); None in files of earlier versions, which left out none.
    """

    contexts: pd.DataFrame
    counts: np.ndarray
    tokens: int
    median_norm: float
    text: str
    copies: int | None = None

    @functools.cached_property
    def _starts(self) -> np.ndarray:
        return np.searchsorted(self.contexts["latent"], np.arange(len(self.counts) + 1))

    def of(self, latent: int) -> tuple[Context, ...]:
        """A latent's contexts, the strongest first."""
        rows = self.contexts.iloc[self._starts[latent] : self._starts[latent + 1]]
        contexts: dict[int, Context] = {}
        columns = (rows[name].tolist() for name in ("context", "window", "position", "activation"))
        for number, window, position, activation in zip(*columns, strict=True):
            one = contexts.setdefault(number, Context(window, {}, number >= TOP))
            one.activations[position] = activation
        return tuple(contexts[number] for number in sorted(contexts))

    def peaks(self) -> list[list[Peak]]:
        """Where the contexts of every latent are strongest, in the order of `of`."""
        found: list[list[Peak]] = [[] for _ in self.counts]
        strongest = self.contexts.groupby(["latent", "context"], sort=True)["activation"].idxmax()
        rows = self.contexts.loc[strongest, ["latent", "window", "position"]]
        for latent, window, position in rows.itertuples(index=False):
            found[latent].append((int(window), int(position)))
        return found

    def density(self, latent: int) -> float:
        """Share of the tokens a latent fires on."""
        return float(self.counts[latent].sum()) / max(1, self.tokens)

    @functools.cached_property
    def densities(self) -> pd.DataFrame:
        """How many latents fire on how large a share of the tokens: columns from, to, latents.

        Bands are a quarter of a decade wide; latents that are silent on all of the text are left
        out.
        """
        shares = self.counts.sum(1) / max(1, self.tokens)
        bands = np.floor(4 * np.log10(shares[shares > 0]) + 1e-9).astype(np.int64)
        filled, latents = np.unique(bands, return_counts=True)
        return pd.DataFrame(
            {"from": 10.0 ** (filled / 4), "to": 10.0 ** ((filled + 1) / 4), "latents": latents}
        )

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
        with written_whole(folder / f"contexts-{width}.parquet") as part:
            # Half precision: strengths are shown with two digits.
            small = self.contexts.astype({"activation": "float16"})
            small.to_parquet(part, index=False, compression="zstd", **CHECKED)
        facts = _Facts(self.tokens, self.median_norm, self.text, BANDS, self.copies)
        latent, number = np.nonzero(self.counts)
        rows = pd.DataFrame(
            {
                "latent": latent.astype(np.int32),
                "band": number.astype(np.int8),
                "tokens": self.counts[latent, number].astype(np.int32),
            }
        )
        with written_whole(folder / f"counts-{width}.parquet") as part:
            rows.to_parquet(part, index=False, compression="zstd", **CHECKED)
        write_json(folder / f"facts-{width}.json", EVIDENCE.stamp | to_values(facts))

    @staticmethod
    def load(folder: Path, width: int) -> "Evidence":
        """Read the evidence of one width.

        Raises:
            UserError: when it is missing, damaged, or of a newer version.
        """
        try:
            values = read_json(folder / f"facts-{width}.json")
            EVIDENCE.check(values, f"The evidence of the {width:,} latents in {folder}")
            facts = from_values(_Facts, values)
            contexts = pd.read_parquet(folder / f"contexts-{width}.parquet", **CHECKING)
            # Sums of pages leave out the names of columns: another one is none of ours.
            contexts = contexts[["latent", "context", "window", "position", "activation"]]
            rows = pd.read_parquet(folder / f"counts-{width}.parquet", **CHECKING)
            counts = np.zeros((width, facts.bands), dtype=np.int64)
            counts[rows["latent"], rows["band"]] = rows["tokens"]
            return Evidence(
                contexts.astype({"activation": "float32"}), counts, facts.tokens,
                facts.median_norm, facts.text, facts.copies,
            )  # fmt: skip
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise UserError(
                f"The evidence of the {width:,} latents in {folder} is missing or damaged; make it "
                "with: python -m metasae describe."
            ) from error


def own_folder(preset: Preset) -> Path:
    """Where evidence that the user computes is kept."""
    return cache.evidence(preset.kept_as)


def shipped_evidence(preset: Preset) -> Path:
    """Where the evidence that comes with a preset is, if some does."""
    return SHIPPED / preset.kept_as


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

    @property
    def written(self) -> bool:
        """Whether it is from a sentence that was written for training (see `is_written`)."""
        return is_written(self.source)


def snippet(model: LanguageModel, text: Windows, context: Context) -> Snippet:
    """The tokens around a context's peak."""
    places = span(context.peak, int(text.lengths[context.window]))
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
    """Which latents fire on a text, token by token; see `firing_of`.

    Raises:
        UserError: for a text without a token, or one longer than the model reads.
    """
    tokens = model.typed_tokens(typed)
    resid = model.residual(torch.tensor([tokens]))[0]
    return firing_of(model, sae, tokens, resid, median_norm)


def firing_of(
    model: LanguageModel,
    sae: SparseAutoencoder,
    tokens: Sequence[int],
    resid: Float[Tensor, "T D"],
    median_norm: float,
    start: bool = False,
) -> pd.DataFrame:
    """Which latents fire on some tokens, from their residual stream at the hook.

    Args:
        tokens: T ids, the start token first.
        start: read the start token, too.

    Returns:
        Columns position, token, latent, activation, of each token the strongest first; massive
        activations left out.
    """
    usable = not_massive(resid.norm(dim=-1), median_norm)
    usable[0] = start
    at = usable.nonzero()[:, 0]
    row, latent, value = Encoder.of(sae, torch.float32).entries(resid[at])
    position = at[row]
    texts = [model.decode(token) for token in tokens]
    table = pd.DataFrame(
        {
            "position": position.numpy(),
            "token": [texts[place] for place in position.tolist()],
            "latent": latent.numpy(),
            "activation": value.numpy(),
        }
    )
    return table.sort_values(["position", "activation"], ascending=[True, False], ignore_index=True)
