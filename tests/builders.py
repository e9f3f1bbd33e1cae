"""Small SAEs with known numbers, and what several tests ask of an error's text."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from torch import Tensor

from metasae.errors import UserError
from metasae.lab.city_records import CityRecord, RankedLatent
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from metasae.steering.questions import Questions
from metasae.steering.verdict import verdict
from metasae.training.residuals import Residuals

D_MODEL = 6
THRESHOLDS = (0.2, 0.2, 0.2, 0.2, 0.2, 2.0)
"""Of the six meta-latents; the last one never fires on the latents below, so what a latent has
along it is the meta-SAE's residual."""

LATENTS = (
    (1.2, 1.28, 0.96, 0.0, 0.0, 1.5),  # norm 2.5, of which 2 explained
    (0.0, 0.0, 0.48, 0.8, 0.36, 0.0),  # norm 1, shares meta-latent 2 with the first
    (0.5, 0.0, 0.0, 0.0, 0.7, 0.0),
    (0.0, 0.0, 0.0, 0.1, 0.0, 0.1),  # no meta-latent is active on it
)
"""Decoder directions in the basis of the meta-latents' directions."""


def basis() -> Tensor:
    """Orthonormal rows: the meta-latents' directions."""
    draw = torch.Generator().manual_seed(3)
    return torch.linalg.qr(torch.randn(D_MODEL, D_MODEL, generator=draw))[0]


def in_basis(*coordinates: float) -> Tensor:
    """The vector with these coordinates along the meta-latents' directions."""
    return torch.tensor(coordinates) @ basis()


def orthonormal_decomposition(b_dec: Sequence[float] = (0.0,) * D_MODEL) -> Decomposition:
    """`LATENTS` under an orthonormal meta-SAE whose bias has the given coordinates."""
    directions = basis()
    W_dec = torch.tensor(LATENTS) @ directions
    sae = SparseAutoencoder(
        W_enc=W_dec.T.contiguous(),
        b_enc=torch.zeros(len(LATENTS)),
        W_dec=W_dec,
        b_dec=torch.zeros(D_MODEL),
        k=2,
    )
    meta = SparseAutoencoder(
        W_enc=directions.T.contiguous(),
        b_enc=torch.zeros(D_MODEL),
        W_dec=directions,
        b_dec=torch.tensor(b_dec) @ directions,
        threshold=torch.tensor(THRESHOLDS),
    )
    return Decomposition(sae, meta)


def random_sae(d_in: int, width: int, *, k: int | None, seed: int = 0) -> SparseAutoencoder:
    """An SAE of random weights: TopK with a k, else JumpReLU."""
    draw = torch.Generator().manual_seed(seed)
    return SparseAutoencoder(
        W_enc=torch.randn(d_in, width, generator=draw),
        b_enc=torch.randn(width, generator=draw),
        W_dec=torch.randn(width, d_in, generator=draw),
        b_dec=torch.randn(d_in, generator=draw),
        k=k,
        threshold=None if k else torch.rand(width, generator=draw),
    )


def unit_rows(seed: int, count: int = 40, width: int = 10) -> Tensor:
    """Random directions of length 1."""
    draw = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, width, generator=draw))


def unit_sae(width: int, d_model: int, *, seed: int = 0) -> SparseAutoencoder:
    """A TopK SAE of four active latents; unit encoder rows, the same ones threefold to decode."""
    rows = unit_rows(seed, width, d_model)
    return SparseAutoencoder(
        rows.T.contiguous(), torch.zeros(width), 3 * rows, torch.zeros(d_model), k=4
    )


def residuals(
    values: Tensor, window: Sequence[int], position: Sequence[int], mean: Tensor | None = None
) -> Residuals:
    """Residuals in memory, of numbers that fp16 holds exactly.

    Args:
        mean: what is said of their mean; what it is when left out.
    """
    kept = values.half().numpy()
    assert (kept == values.numpy()).all()
    return Residuals(
        resid=kept,
        window=np.array(window),
        position=np.array(position),
        token=np.zeros(len(kept), dtype=np.int32),
        median_norm=1.0,
        mean=values.mean(0) if mean is None else mean,
    )


def city_record(name: str, country: str, *chosen: int) -> CityRecord:
    """A city of a country with its latents, everything else plain."""
    return CityRecord(
        name=name,
        country=country,
        continent="",
        language="",
        currency="",
        answers={},
        known={},
        latents=tuple(RankedLatent(latent, 1.0, 0.9, 0.5, True, True) for latent in chosen),
    )


def judging(**values: Any) -> Any:
    """What is judged of an experiment, with the verdict of the real one.

    Args:
        values: ``questions``, ``baseline``, ``target`` with a label, and whatever else is asked.
    """
    values["questions"] = Questions(tuple(values["questions"]))
    made = SimpleNamespace(**({"strict": False} | values))
    made.verdict = lambda scores: verdict(made.questions, made.baseline, scores, made.target.label)
    return made


def never(why: str) -> Callable[..., NoReturn]:
    """A function nobody may call, and why not."""

    def called(*_: object, **__: object) -> NoReturn:
        raise AssertionError(why)

    return called


def everything_below(folder: Path) -> list[str]:
    """Files and folders below a folder, as paths from there."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def one_sentence(raised: pytest.ExceptionInfo[UserError]) -> str:
    """The text of an error, once it is seen to be a single sentence for a person."""
    text = str(raised.value)
    assert text.endswith((".", "?")), text
    assert "\n" not in text and "Traceback" not in text, text
    assert not re.search(r"[.!?] +[A-Z]", re.sub(r'"[^"]*"', '""', text)), text
    assert len(text.split()) > 3, text
    return text


def cut_off(name: str) -> Callable[[Path], object]:
    """Spoils a folder: the file of that name keeps its first half only."""

    def cut(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return cut
