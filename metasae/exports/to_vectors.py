"""Directions as a plain matrix: safetensors or Parquet, each row with its number and its label."""

import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.errors import UserError
from metasae.explorer.explorer import open_explorer
from metasae.exports.directions import Directions
from metasae.exports.edited import Edited
from metasae.exports.target import Target, told
from metasae.saes.formats import save_tensors
from metasae.sources.files import CHECKED
from metasae.steering.edits import LatentSwap

NOTE = "metasae"
"""Key of what a Parquet file says of itself, as JSON."""


def _table(thing: Directions | Edited) -> tuple[pd.DataFrame, Float[Tensor, "N D"]]:
    """Rows with columns kind, index, label; and their directions."""
    if isinstance(thing, Directions):
        kind = "meta-latent" if thing.is_meta else "latent"
        about = {"kind": kind, "index": thing.indices, "label": thing.labels}
        return pd.DataFrame(about), thing.rows
    if isinstance(thing.edit, LatentSwap):
        raise UserError(
            "A latent swap makes no directions of its own; export those of its latents by their "
            "numbers instead."
        )
    made = thing.experiment.compiled(thing.edit)
    latents, steps = list(thing.experiment.space.source), made.from_source
    if made.everywhere is not None:
        latents, steps = made.everywhere.latents.tolist(), made.everywhere.step
    moved = steps.any(1)
    if not moved.any():
        raise UserError("This edit changes no direction; export it to another format.")
    edited = torch.tensor(latents)[moved]
    explorer, width = open_explorer(thing.lab), str(thing.lab.n_latents)
    labels = [explorer.label(width, one) for one in edited.tolist()]
    about = {"kind": "edited latent", "index": edited.tolist(), "label": labels}
    return pd.DataFrame(about), thing.lab.decomposition.sae.W_dec[edited] + steps[moved]


def _write(thing: Directions | Edited, out: Path) -> tuple[str, ...]:
    table, rows = _table(thing)
    width = thing.lab.n_latents if isinstance(thing, Edited) else thing.width
    made = told(thing.lab) if isinstance(thing, Edited) else thing.made
    note = json.dumps(asdict(made) | {"width": width}, ensure_ascii=False)
    if out.suffix.lower() == ".safetensors":
        named = {"rows": json.dumps(table.to_dict("records"), ensure_ascii=False), NOTE: note}
        save_tensors({"directions": rows}, out, named)
        return ()
    table["direction"] = list(rows.numpy())
    table.attrs[NOTE] = note  # pandas keeps these with the file
    table.to_parquet(out, index=False, compression="zstd", **CHECKED)
    return ()


TARGET = Target(
    "vectors",
    "Directions as safetensors or Parquet",
    (Directions, Edited),
    _write,
    endings=(".safetensors", ".parquet"),
)
