"""Directions planted to have the figures of a post that is smaller than the real one."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from metasae.errors import UserError
from metasae.explorer.explorer import Explorer
from metasae.release.post_examples import POST
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition


def of_rows(rows: torch.Tensor, meta: SparseAutoencoder) -> Decomposition:
    count, width = rows.shape
    return Decomposition(
        SparseAutoencoder(rows.T, torch.zeros(count), rows, torch.zeros(width), k=1), meta
    )


def at_cosine(values: list[float], width: int = 16) -> torch.Tensor:
    """Unit rows with these cosines to the first axis, each in a plane of its own."""
    rows = torch.zeros(len(values), width)
    for number, value in enumerate(values):
        rows[number, 0] = value
        rows[number, number + 1] = (1 - value**2) ** 0.5
    return rows


def planted_explorer(monkeypatch: pytest.MonkeyPatch) -> Explorer:
    """An explorer of three SAEs that have the figures of `SMALL`, two of them excepted."""
    meta = SparseAutoencoder(
        torch.eye(16), torch.zeros(16), torch.eye(16), torch.zeros(16),
        threshold=torch.full((16,), 0.3),
    )  # fmt: skip
    wide = of_rows(at_cosine([1.0, 0.504, 0.49, 0.471, 0.1, 0.2]), meta)
    small = of_rows(at_cosine([0.39, 0.388, 0.371, 0.31, -0.9]), meta)
    wider = of_rows(at_cosine([0.71, 0.9, 0.69, 0.8, -0.8]), meta)
    widths = {6: wide, 5: small, 4: wider}
    record = SimpleNamespace(latents=[SimpleNamespace(latent=1)])

    def no_experiment(*_: object) -> None:
        raise UserError("Tokyo has no meta-latents of its own.")

    lab = SimpleNamespace(
        preset=SimpleNamespace(name="gpt2-small", kept_as="gpt2-small"), decomposition=wide,
        report={"meta_sae": {"fve": 0.56}}, city_record=lambda name: record,
        subject=lambda name: name, experiment=no_experiment,
        questions=lambda source, target, templates: (),
    )  # fmt: skip
    monkeypatch.setattr(Explorer, "decomposition", lambda self, width: widths[width])
    return Explorer(lab, Path())  # type: ignore[arg-type]


SMALL = replace(
    POST, einstein=0, smaller=5, split=(6, 0, 4, 3), einstein_pieces=1,
    city_pieces=(("Tokyo", 2), ("Paris", 9)),
)  # fmt: skip
