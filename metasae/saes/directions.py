"""Unit decoder directions that a meta-SAE is trained on, read from one SAE's files or several.

Read are SAELens releases (``RELEASE:ID``, from the hub) and folders of any architecture, the post's
authors' checkpoints (``config.json`` and ``sae.pt``), and plain matrices (``.safetensors``,
``.npy``, ``.pt``). Nothing is unpickled but tensors.

Shapes: N directions, D their width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from metasae.errors import UserError
from metasae.saes.formats import HASH, load_tensors
from metasae.sources.files import expanded
from metasae.sources.releases import GEMMA_SCOPE, SAELENS, is_release, release_folder

_DECODERS = ("W_dec", "w_dec")
"""Name of the decoder in SAELens's files and those of the post's authors, and in Gemma Scope's."""

_CHECKPOINT = "sae.pt"
"""Name of a checkpoint of the post's authors."""

_CHUNK = 16384
"""Rows whose norms are computed at once."""


@dataclass(frozen=True)
class Directions:
    """Unit decoder rows of one SAE, or of several one after the other.

    The matrices are held once, in the precision of their files; rows are scaled when they are read.

    Attributes:
        names: the sources' names.
        parts: their decoder matrices, (N, D) each.

    Raises:
        UserError: for a matrix that can't hold directions; of another of another width
            than the first.
    """

    names: tuple[str, ...]
    parts: tuple[Float[Tensor, "N D"], ...]

    def __post_init__(self) -> None:
        for name, part in zip(self.names, self.parts, strict=True):
            if part.shape[-1] != self.parts[0].shape[-1]:
                raise UserError(
                    f"The directions of {name} have width {part.shape[-1]}, those of "
                    f"{self.names[0]} {self.parts[0].shape[-1]}; take apart SAEs of one width "
                    "together."
                )
        _ = self._scales

    @cached_property
    def _scales(self) -> tuple[Float[Tensor, " N"], ...]:
        return tuple(
            1 / _row_norms(name, part) for name, part in zip(self.names, self.parts, strict=True)
        )

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.cumsum([0, *map(len, self.parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def d_in(self) -> int:
        """Width of the directions."""
        return self.parts[0].shape[1]

    def rows(self, index: np.ndarray) -> Float[Tensor, "B D"]:
        """Unit rows at some indices, fp32, in the order of the indices."""
        if len(self.parts) == 1:
            return self._part(0, torch.from_numpy(index))
        out = torch.empty(len(index), self.d_in)
        which = np.searchsorted(self._starts, index, side="right") - 1
        for number in range(len(self.parts)):
            here = torch.from_numpy(np.flatnonzero(which == number))
            out[here] = self._part(
                number, torch.from_numpy(index)[here] - int(self._starts[number])
            )
        return out

    def _part(self, number: int, index: Tensor) -> Float[Tensor, "B D"]:
        rows = self.parts[number].index_select(0, index).float()
        return rows.mul_(self._scales[number][index, None])


def _row_norms(name: str, matrix: Tensor) -> Float[Tensor, " N"]:
    """Norms of a matrix's rows, all finite and positive.

    Args:
        name: of the matrix, for the error.

    Raises:
        UserError: when it is no matrix, or a row is zero or holds NaN or infinities.
    """
    if matrix.ndim != 2 or not matrix.is_floating_point() or 0 in matrix.shape:
        raise UserError(
            f"{name} holds no matrix of directions: it is {tuple(matrix.shape)} of "
            f"{str(matrix.dtype).removeprefix('torch.')}; give one row per latent."
        )
    norms = torch.cat([part.float().norm(dim=1) for part in matrix.split(_CHUNK)])
    for what, bad in (
        ("is not finite (NaN or infinite)", ~norms.isfinite()),
        ("is zero", norms == 0),
    ):
        if bad.any():
            raise UserError(
                f"Row {int(bad.nonzero()[0])} of {name} {what}, so it has no direction "
                f"({int(bad.sum()):,} such of {len(norms):,}); leave such rows out."
            )
    return norms


def open_directions(sources: Sequence[str]) -> Directions:
    """The directions of one source or several.

    Args:
        sources: folders, files, or ``RELEASE:ID`` of SAELens.

    Raises:
        UserError: when one can't be opened or holds no directions, or their widths differ.
    """
    if not sources:
        raise UserError("Name at least one SAE to take apart.")
    return Directions(tuple(sources), tuple(_matrix(source) for source in sources))


def _matrix(source: str) -> Tensor:
    path = expanded(source)
    if path.is_dir():
        for layout in (SAELENS, GEMMA_SCOPE):
            if (path / layout.weights).exists():
                return _safetensors(path / layout.weights)
        if (path / _CHECKPOINT).exists():
            return _checkpoint(path / _CHECKPOINT)
        raise UserError(
            f"{path} is no SAE: it holds neither {SAELENS.weights} (SAELens) nor {_CHECKPOINT} "
            "(the authors' checkpoint)."
        )
    if path.is_file():
        if path.suffix == ".npy":
            return _numpy(path)
        if path.suffix == ".safetensors":
            return _safetensors(path)
        if path.suffix in (".pt", ".pth"):
            return _checkpoint(path)
        raise UserError(
            f"{path.name} is of a kind that isn't opened; give .safetensors, .npy or .pt, or a "
            "folder."
        )
    if is_release(source):
        return _matrix(str(release_folder(source)))
    raise UserError(
        f'There is no file or folder "{source}"; for an SAE of the hub write RELEASE:ID.'
    )


def _only_matrix(name: str, tensors: dict[str, Any]) -> str:
    """Key of the decoder, or of the only matrix."""
    for decoder in _DECODERS:
        if decoder in tensors:
            return decoder
    matrices = [key for key, shape in tensors.items() if len(shape) == 2]
    if len(matrices) == 1:
        return matrices[0]
    raise UserError(
        f"{name} holds {len(matrices)} matrices and none is called {_DECODERS[0]}; give a file "
        f"whose decoder is called {_DECODERS[0]}, one row per latent."
    )


def _safetensors(path: Path) -> Tensor:
    try:
        with safe_open(path, "pt") as file:
            shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
            name = _only_matrix(str(path), shapes)
            if HASH not in (file.metadata() or {}):
                return file.get_tensor(name)
        return load_tensors(path)[0][name]
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path} is damaged or no safetensors file; fetch or write it again."
        ) from error


def _numpy(path: Path) -> Tensor:
    try:
        # Copy-on-write: torch asks for memory it may write to, the file never changes.
        return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))
    except Exception as error:  # a damaged header makes its reader raise whatever it stumbles over
        raise UserError(
            f"{path} is damaged or holds something else than numbers; write it with numpy.save."
        ) from error


def _checkpoint(path: Path) -> Tensor:
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        if isinstance(tensors, Tensor):
            return tensors
        shapes = {key: value.shape for key, value in tensors.items() if isinstance(value, Tensor)}
    except Exception as error:  # the unpickler raises whatever damaged bytes make it stumble over
        raise UserError(
            f"{path} is damaged or holds more than tensors, and is not opened; save its tensors "
            "alone, best as .safetensors."
        ) from error
    matrix: Tensor = tensors[_only_matrix(str(path), shapes)]
    return matrix
