"""An explorer of the small lab whose latents were seen firing, with labels."""

from pathlib import Path

import numpy as np
import pandas as pd

from metasae.explorer.corrections import Corrections
from metasae.explorer.evidence import Evidence
from metasae.explorer.explorer import META, Explorer
from metasae.lab.lab import Lab
from metasae.text import kept_windows
from tests.metasae.explorer.gathered import text_of

HOSTILE = "<script>alert('x')</script> & \"Japan\" ](x)"
"""A label that is nothing but text."""

STRENGTHS = (6.5, 4.5)
"""Activations of the first context of latent 5, on its tokens 4 and 3."""


def seen(lab: Lab, folder: Path) -> Explorer:
    """Latent 5 fires in two windows, latent 6 in none; 5 and meta-latent 0 have labels."""
    explorer = Explorer(lab, folder)
    words = lab.model.encode(" Tokyo is a city in the country of Japan")
    text = text_of([words, words[::-1]])
    digest = kept_windows.fingerprint(text)
    width = lab.n_latents
    contexts = pd.DataFrame(
        [(5, 0, 0, 3, STRENGTHS[1]), (5, 0, 0, 4, STRENGTHS[0]), (5, 1, 1, 2, 2.5)],
        columns=["latent", "context", "window", "position", "activation"],
    )
    counts = np.zeros((width, 4), dtype=np.int64)
    counts[5] = [1, 2, 0, 7]
    explorer._evidence[width] = Evidence(contexts, counts, 200, lab.median_norm, digest)
    explorer._texts[digest] = text
    made = lab.provenance
    explorer.corrections = Corrections(
        made.sae, made.meta_sae, {str(width): {"5": HOSTILE}, META: {"0": "cities"}}
    )
    return explorer
