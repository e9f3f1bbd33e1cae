"""Where some latents fire, token by token, on a part of a text: what labels are scored on.

Shapes: N rows of tokens, T positions, E entries (a latent active on a token).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from metasae.lm.halves import lower_layers, usable
from metasae.lm.language_model import LanguageModel
from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress, silent
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.encoder import Encoder
from metasae.text.windows import Windows

_TOKENS_A_BATCH = 4096


@dataclass(frozen=True)
class TokenActivations:
    """Where some latents fire on some rows of tokens; every latent's entries are complete.

    Attributes:
        tokens: (N, T) ids.
        lengths: (N,) real tokens of each row.
        latent, row, position, activation: (E,) each.
        first: position of the first token that latents are looked for on: 1 behind a start token.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    latent: np.ndarray
    row: np.ndarray
    position: np.ndarray
    activation: np.ndarray
    first: int = 0

    def of(self, latent: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row, position and activation of one latent's entries."""
        mine = self.latent == latent
        return self.row[mine], self.position[mine], self.activation[mine]


def activations_on(
    model: LanguageModel,
    sae: SparseAutoencoder,
    text: Windows,
    latents: Sequence[int],
    median_norm: float,
    progress: Progress = silent,
) -> TokenActivations:
    """Run the lower layers over windows, and keep where some latents fire.

    Start tokens and massive activations are left out, as everywhere.
    """
    dtype = fast_dtype()
    run, encoder = lower_layers(model, dtype), Encoder.of(sae, dtype)
    wanted, found = np.array(latents), []
    order = text.lengths.argsort(stable=True)
    parts = order.split(max(1, _TOKENS_A_BATCH // text.tokens.shape[1]))
    for number, index in enumerate(parts):
        short = text.lengths[index]
        resid = run(text.tokens[index, : int(short.max())].long()).float()
        read = usable(resid, short, median_norm)
        which, where = read.nonzero(as_tuple=True)
        at, fired, much = encoder.entries(resid[read])
        mine = torch.from_numpy(np.isin(fired.numpy(), wanted))
        at = at[mine]
        found.append((fired[mine], index[which[at]], where[at], much[mine]))
        progress("Where these latents fire", (number + 1) / len(parts), "")
    latent, row, position, value = (torch.cat(one).numpy() for one in zip(*found, strict=True))
    tokens, lengths = text.tokens.numpy(), text.lengths.numpy()
    return TokenActivations(tokens, lengths, latent, row, position, value, first=1)
