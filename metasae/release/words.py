"""The words each latent is most active on."""

import numpy as np
import pandas as pd

from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress, silent
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.encoder import Encoder
from metasae.training.base_sae import TrainingText

CONTEXTS = 48

WORDS = 6
"""Activations of a latent that are looked at for its words, and words kept."""


def words_of_latents(
    material: TrainingText,
    sae: SparseAutoencoder,
    progress: Progress = silent,
    rows: int = 1_500_000,
) -> pd.DataFrame:
    """The words each latent is most active on: columns latent, rank, word, activation.

    Taken from the strongest of its activations over a seeded sample of the residuals; a word is
    what stands between spaces up to the token, so that a name of two tokens reads whole.
    """
    acts = material.activations
    sample = np.random.default_rng(0).choice(len(acts), min(rows, len(acts)), replace=False)
    sample.sort()
    entries = []
    encoder = Encoder.of(sae, fast_dtype())
    for part in np.array_split(sample, max(1, len(sample) // 4096)):
        row, latent, value = encoder.entries(acts.rows(part))
        entries.append(np.stack([latent.numpy(), part[row.numpy()], value.numpy()], axis=1))
        progress("Collecting each latent's words", (part[-1] + 1) / len(acts), "")
    table = pd.DataFrame(np.concatenate(entries), columns=["latent", "row", "activation"])
    table = table.sort_values(["latent", "activation"], ascending=False)
    table = table[table.groupby("latent").cumcount() < CONTEXTS]
    table["word"] = [_word(material, int(row)) for row in table["row"]]
    table = table[table["word"] != ""]
    counted = (
        table.groupby(["latent", "word"])["activation"]
        .agg(["size", "max"])
        .reset_index()
        .sort_values(["latent", "size", "max"], ascending=[True, False, False])
    )
    counted["rank"] = counted.groupby("latent").cumcount()
    counted = counted[counted["rank"] < WORDS]
    return pd.DataFrame(
        {
            "latent": counted["latent"].astype("int32"),
            "rank": counted["rank"].astype("int8"),
            "word": counted["word"],
            "activation": counted["max"].astype("float32"),
        }
    ).reset_index(drop=True)


def _word(material: TrainingText, row: int) -> str:
    """The word that ends with a row's token."""
    acts, text = material.activations, material.windows
    tokens = text.tokens[int(acts.window[row])]
    end = int(acts.position[row])
    pieces: list[str] = []
    for at in range(end, max(0, end - 6), -1):
        pieces.insert(0, material.model.decode(int(tokens[at])))
        if pieces[0][:1].isspace():
            break
    return " ".join("".join(pieces).split())
