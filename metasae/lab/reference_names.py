"""Reference names and the latents active on them: what makes a latent one name's own.

Shapes: C names, F latents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.sources.files import CHECKED, CHECKING, written_whole
from metasae.text.names import same_name

FLOOR = 0.25
"""Share of the usual strongest activation below which no latent is a name's own."""


@dataclass(frozen=True, eq=False)
class ReferenceNames:
    """Well-known names and how strongly every latent is active on them.

    Attributes:
        table: columns name, latent, activation (mean over the contexts, in residual-stream units);
            only what is active, in the names' order.
        width: number of latents.
    """

    table: pd.DataFrame
    width: int

    @staticmethod
    def of(names: Sequence[str], activations: Float[Tensor, "C F"]) -> "ReferenceNames":
        """These names with their activations."""
        rows, latents = activations.nonzero(as_tuple=True)
        table = pd.DataFrame(
            {
                "name": [names[row] for row in rows.tolist()],
                "latent": latents.numpy().astype(np.int32),
                "activation": activations[rows, latents].numpy(),
            }
        )
        return ReferenceNames(table, activations.shape[1])

    @staticmethod
    def load(path: Path, width: int) -> "ReferenceNames":
        """What `save` wrote.

        Raises:
            OSError, ValueError, KeyError: for anything else, or names of an SAE of another width.
        """
        table = pd.read_parquet(path, **CHECKING)[["name", "latent", "activation"]]
        if not table["latent"].between(0, width - 1).all():
            raise ValueError(f"{path} is about another SAE")
        return ReferenceNames(table, width)

    def save(self, path: Path) -> None:
        """Write the table into a file."""
        with written_whole(path) as part:
            dense: dict[str, Any] = {"compression": "zstd", "compression_level": 19}
            self.table.to_parquet(part, index=False, **dense, **CHECKED)

    @cached_property
    def floor(self) -> float:
        """Activation from which a latent may be a name's own: `FLOOR` times the median, over the
        names on which any latent is active, of their strongest one."""
        strongest = self.table.groupby("name")["activation"].max()
        return FLOOR * float(strongest.median()) if len(strongest) else 0.0

    @cached_property
    def largest(self) -> dict[int, float]:
        """Latent → its activation on the name it is most active on."""
        most = self.table.groupby("latent")["activation"].max()
        return {int(str(latent)): float(value) for latent, value in most.items()}

    def activations(self, name: str) -> Float[Tensor, " F"]:
        """How active every latent is on one of the names."""
        return self._summed((self.table["name"] == name).to_numpy())

    def share(self, name: str, activations: Float[Tensor, " F"]) -> Float[Tensor, " F"]:
        """Each latent's selectivity for a name: the share of its activation there in the sum over
        that and all reference names that are others.

        Args:
            name: any; a reference name that is the same (see `names.same_name`) is no other.
            activations: on that name.
        """
        return activations / (activations + self._summed(self._others(name))).clamp(min=1e-9)

    def most_active(self, latent: int, besides: str) -> list[tuple[str, float]]:
        """The reference names other than one on which a latent is active, the strongest first."""
        rows = self.table[self._others(besides) & (self.table["latent"] == latent).to_numpy()]
        rows = rows.sort_values("activation", ascending=False, kind="stable")
        return list(zip(rows["name"], rows["activation"].astype(float), strict=True))

    def _others(self, name: str) -> np.ndarray:
        """Which rows are of names other than one."""
        same = [one for one in self.table["name"].unique() if same_name(one, name)]
        others: np.ndarray = ~self.table["name"].isin(same).to_numpy()
        return others

    def _summed(self, rows: np.ndarray) -> Float[Tensor, " F"]:
        """Sum of some rows' activations, latent by latent."""
        some = self.table[rows]
        latents, activations = some["latent"].to_numpy(), some["activation"].to_numpy()
        sums = np.bincount(latents, activations, minlength=self.width)
        return torch.from_numpy(sums).float()
