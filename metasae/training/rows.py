"""Training rows of SAEs, read by index."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


class Rows(Protocol):
    """A source of training rows."""

    def __len__(self) -> int: ...

    def rows(self, index: np.ndarray) -> Float[Tensor, "B D"]:
        """The rows at some indices, fp32: the n-th row is that of the n-th index."""
        ...


def width_of(rows: Rows) -> int:
    """Width of a source's rows."""
    return rows.rows(np.zeros(1, dtype=np.int64)).shape[1]


@dataclass(frozen=True)
class TensorRows:
    """Training rows in memory, such as a decoder's."""

    tensor: Float[Tensor, "N D"]

    def __len__(self) -> int:
        return len(self.tensor)

    def rows(self, index: np.ndarray) -> Float[Tensor, "B D"]:
        """The rows at some indices, in the order of the indices."""
        return self.tensor.index_select(0, torch.from_numpy(index))


def parts_of(x: Rows | Float[Tensor, "N D"], chunk: int = 4096) -> Iterator[Float[Tensor, "n D"]]:
    """All rows in order, at most ``chunk`` at a time."""
    for begin in range(0, len(x), chunk):
        end = min(begin + chunk, len(x))
        yield x[begin:end] if isinstance(x, Tensor) else x.rows(np.arange(begin, end))
