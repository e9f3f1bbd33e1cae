"""Which latents fire on which tokens of the preset's text: a sparse matrix, tokens × latents.

Shapes: N tokens, F latents.
"""

import numpy as np
import scipy.sparse as sp
import torch

from metasae.lab.lab import Lab
from metasae.lm.halves import lower_layers, usable
from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress, silent
from metasae.saes.encoder import Encoder
from metasae.text.kept_windows import text_of
from metasae.text.windows import length_batches


def firing(lab: Lab, tokens: int, progress: Progress = silent) -> sp.csr_array:
    """Ones where a latent of the open SAE fires on a token, (N, F).

    Args:
        tokens: about how many are read, of windows in an order drawn by seed.

    Raises:
        UserError: when the text can't be had.
    """
    text, dtype = text_of(lab.preset, lab.model, (), progress), fast_dtype()
    run, encoder = lower_layers(lab.model, dtype), Encoder.of(lab.decomposition.sae, dtype)
    rows, columns, read = list[np.ndarray](), list[np.ndarray](), 0
    for index in length_batches(text):
        which = torch.from_numpy(index)
        lengths = text.lengths[which]
        resid = run(text.tokens[which, : int(lengths.max())].long()).float()
        x = resid[usable(resid, lengths, lab.median_norm)]
        row, column, _ = encoder.entries(x)
        rows.append(row.numpy() + read)
        columns.append(column.numpy())
        read += len(x)
        progress("Where latents fire", min(1.0, read / tokens), f"{read:,} tokens")
        if read >= tokens:
            break
    token, latent = np.concatenate(rows), np.concatenate(columns)
    ones = np.ones(len(token), np.float32)
    return sp.csr_array((ones, (token, latent)), shape=(read, lab.n_latents))
