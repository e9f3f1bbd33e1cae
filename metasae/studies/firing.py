"""Which latents fire on which tokens, and how much: sparse matrices, tokens × latents.

Shapes: N tokens, F latents, D = d_model.
"""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lm.halves import lower_layers, usable
from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress, silent
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.encoder import Encoder
from metasae.text.kept_windows import text_of
from metasae.text.overlap import clean_windows
from metasae.text.windows import Windows, length_batches
from metasae.training.held_out import held_out_batches

_CHUNK = 1024
"""Rows whose pre-activations are held at once."""


def firing(
    lab: Lab, tokens: int, held_out: bool = False, progress: Progress = silent
) -> sp.csr_array:
    """Ones where a latent of the open SAE fires on a token, (N, F).

    Args:
        tokens: about how many are read, of windows in an order drawn by seed; fewer where the text
            has fewer.
        held_out: read documents that nothing was trained on, without what they have in common with
            those that were; else the ones the SAEs were trained on.

    Raises:
        UserError: when the text can't be had, or there is none of the kind.
    """
    text, dtype = text_of(lab.preset, lab.model, (), progress), fast_dtype()
    run, encoder = lower_layers(lab.model, dtype), Encoder.of(lab.decomposition.sae, dtype)
    rows, columns, read = list[np.ndarray](), list[np.ndarray](), 0
    for some, lengths in _held_out(text) if held_out else _trained_on(text):
        resid = run(some).float()
        x = resid[usable(resid, lengths, lab.median_norm)]
        row, column, _ = encoder.entries(x)
        rows.append(row.numpy() + read)
        columns.append(column.numpy())
        read += len(x)
        progress("Where latents fire", min(1.0, read / tokens), f"{read:,} tokens")
        if read >= tokens:
            break
    if not read:
        which = "held out" if held_out else "for training"
        raise UserError(f"None of the text is {which}, so there is nothing to read.")
    token, latent = np.concatenate(rows), np.concatenate(columns)
    ones = np.ones(len(token), np.float32)
    return sp.csr_array((ones, (token, latent)), shape=(read, lab.n_latents))


def activations(
    sae: SparseAutoencoder, x: Float[Tensor, "N D"], progress: Progress = silent
) -> sp.csr_array:
    """Activations of an SAE on some rows, (N, F), without a dense matrix of all of them."""
    encoder, parts = Encoder.of(sae, sae.W_enc.dtype), list[sp.csr_array]()
    for some in x.split(_CHUNK):
        row, latent, value = (part.numpy() for part in encoder.entries(some))
        parts.append(sp.csr_array((value, (row, latent)), shape=(len(some), sae.width)))
        progress("Encoding the text", min(1.0, len(parts) * _CHUNK / len(x)), "")
    return sp.csr_array(sp.vstack(parts))


def _trained_on(text: Windows) -> Iterator[tuple[Tensor, Tensor]]:
    for index in length_batches(text):
        lengths = text.lengths[torch.from_numpy(index)]
        yield text.tokens[torch.from_numpy(index), : int(lengths.max())].long(), lengths


def _held_out(text: Windows) -> Iterator[tuple[Tensor, Tensor]]:
    batches = held_out_batches(text, len(text.lengths), clean_windows(text))
    # They come by length; whoever reads some of them should not read the short ones alone.
    for number in np.random.default_rng(0).permutation(len(batches)):
        yield batches[number]
