"""Directions that are exported: which, their labels, and what is refused."""

from pathlib import Path

import pytest
import torch

from metasae.errors import UserError
from metasae.explorer.explorer import META
from metasae.exports.directions import Directions
from metasae.lab.lab import Lab
from tests.metasae.exports.seen import HOSTILE, seen


def test_rows_and_labels_are_the_named_ones(small_lab: Lab, tmp_path: Path) -> None:
    explorer, width = seen(small_lab, tmp_path), str(small_lab.n_latents)
    some = Directions.of(explorer, width, [5, 2, 5])
    assert some.indices == (5, 2)
    assert torch.equal(some.rows, small_lab.decomposition.sae.W_dec[[5, 2]])
    assert some.labels[0] == HOSTILE
    metas = Directions.of(explorer, META, None)
    assert len(metas.indices) == small_lab.n_meta and metas.labels[0] == "cities"
    assert torch.equal(metas.rows, small_lab.decomposition.meta.W_dec)


@pytest.mark.parametrize(
    ("kind", "indices", "why"),
    [
        ("64", (), "at least one"), ("64", (64,), "no latent 64"), ("64", (-1,), "no latent -1"),
        (META, (10**9,), "no meta-latent"), ("65", (0,), "no SAE of 65"),
    ],
)  # fmt: skip
def test_what_isnt_there_is_refused(
    small_lab: Lab, tmp_path: Path, kind: str, indices: tuple[int, ...], why: str
) -> None:
    with pytest.raises(UserError, match=why):
        Directions(seen(small_lab, tmp_path), kind, indices)
