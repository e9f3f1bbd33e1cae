"""The names every name is compared with: which latents fire on them, and how strongly.

They are the table's cities and `data/names.csv`: people, animals, foods, things, ideas. A name's
latent is its own by comparison with all of them, whether the name is one of them or was typed just
now, so the rule is one.

Shapes: R reference names, F latents.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.sources.files import written_whole
from metasae.text.cities import load_cities

FLOOR = 0.25
"""A latent that fires weaker on a name than this share of what is usual is not the name's own."""


@dataclass(frozen=True)
class NameReference:
    """Activations of latents on the reference names, the zeros left out.

    Attributes:
        names: the reference names.
        width: number of latents.
        entries: columns name (index of the name), latent, activation (above 0, in residual-stream
            units, mean over the contexts).
    """

    names: tuple[str, ...]
    width: int
    entries: pd.DataFrame

    @staticmethod
    def of(names: Sequence[str], table: Float[Tensor, "R F"]) -> "NameReference":
        """The reference of a dense table of activations."""
        name, latent = table.nonzero(as_tuple=True)
        entries = pd.DataFrame(
            {
                "name": name.numpy().astype(np.int32),
                "latent": latent.numpy().astype(np.int32),
                "activation": table[name, latent].numpy().astype(np.float32),
            }
        )
        return NameReference(tuple(names), table.shape[1], entries)

    @cached_property
    def total(self) -> Float[Tensor, " F"]:
        """Sum of each latent's activations over all reference names."""
        summed = self.entries.groupby("latent")["activation"].sum()
        total = torch.zeros(self.width)
        total[torch.from_numpy(summed.index.to_numpy().astype(np.int64))] = torch.from_numpy(
            summed.to_numpy().astype(np.float32)
        )
        return total

    @cached_property
    def floor(self) -> float:
        """Least activation of a name's own latent: `FLOOR` times the median, over the reference
        names, of the activation of their strongest latent.
        """
        strongest = self.entries.groupby("name")["activation"].max()
        return FLOOR * float(strongest.reindex(range(len(self.names)), fill_value=0.0).median())

    def activations(self, name: str) -> Float[Tensor, " F"]:
        """Activations on a reference name.

        Raises:
            ValueError: for any other name.
        """
        mine = self.entries[self.entries["name"] == self.names.index(name)]
        row = torch.zeros(self.width)
        row[torch.from_numpy(mine["latent"].to_numpy().astype(np.int64))] = torch.from_numpy(
            mine["activation"].to_numpy()
        )
        return row

    def selectivity(self, name: str, activations: Float[Tensor, " F"]) -> Float[Tensor, " F"]:
        """The share of each latent's activation over the reference names and this one that is its.

        Args:
            activations: of the latents on the name.
        """
        total = self.total if name in self.names else self.total + activations
        return activations / total.clamp(min=1e-9)

    def also_on(self, latent: int, name: str, count: int = 3) -> list[str]:
        """The other names a latent is most active on, the strongest first."""
        others = self.entries[self.entries["latent"] == latent]
        strongest = others.sort_values("activation", ascending=False)["name"]
        called = (self.names[index] for index in strongest)
        return [one for one in called if one != name][:count]

    def write(self, path: Path) -> None:
        """Write a Parquet file, which `read` reads.

        Raises:
            UserError: when the disk is full or the folder can't be written.
        """
        frame = self.entries.assign(name=[self.names[index] for index in self.entries["name"]])
        frame.attrs = {"names": list(self.names), "width": self.width}
        with written_whole(path) as part:
            frame.to_parquet(part, index=False)

    @staticmethod
    def read(path: Path) -> "NameReference":
        """The reference that `write` wrote.

        Raises:
            OSError, ValueError, KeyError: for a missing or damaged file.
        """
        frame = pd.read_parquet(path)
        names = tuple(frame.attrs["names"])
        index = {name: number for number, name in enumerate(names)}
        entries = frame.assign(name=frame["name"].map(index).astype(np.int32))
        entries.attrs = {}
        return NameReference(names, int(frame.attrs["width"]), entries)


@cache
def reference_names() -> tuple[str, ...]:
    """The cities of the table, and the names of `data/names.csv`."""
    path = resources.files("metasae").joinpath("data", "names.csv")
    others = [row["name"] for row in csv.DictReader(path.read_text("utf-8").splitlines())]
    return tuple(dict.fromkeys([*(city.name for city in load_cities()), *others]))
