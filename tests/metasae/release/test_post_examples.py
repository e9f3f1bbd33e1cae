"""The post's worked examples, on directions planted to have its figures, and to miss them."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from metasae.errors import UserError
from metasae.explorer.explorer import Explorer
from metasae.lab.lab import Lab
from metasae.release.post_examples import POST, checks
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from metasae.saes.neighbours import split_into
from tests.builders import one_sentence


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


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Explorer:
    meta = SparseAutoencoder(
        torch.eye(16), torch.zeros(16), torch.eye(16), torch.zeros(16),
        threshold=torch.full((16,), 0.3),
    )  # fmt: skip
    wide = of_rows(at_cosine([1.0, 0.504, 0.49, 0.471, 0.1, 0.2]), meta)
    small = of_rows(at_cosine([0.39, 0.388, 0.371, 0.31, -0.9]), meta)
    wider = of_rows(at_cosine([0.71, 0.9, 0.69, 0.8, -0.8]), meta)
    widths = {6: wide, 5: small, 4: wider}
    record = SimpleNamespace(latents=[SimpleNamespace(latent=1)])

    def no_case(*_: object) -> None:
        raise UserError("Tokyo has no meta-latents of its own.")

    lab = SimpleNamespace(
        preset=SimpleNamespace(name="gpt2-small", base="gpt2-small"), decomposition=wide,
        report={"meta_sae": {"fve": 0.56}}, city_record=lambda name: record,
        subject=lambda name: name, experiment=no_case,
    )  # fmt: skip
    monkeypatch.setattr(Explorer, "decomposition", lambda self, width: widths[width])
    return Explorer(lab, Path())  # type: ignore[arg-type]


SMALL = replace(
    POST, einstein=0, smaller=5, split=(6, 0, 4, 3), einstein_pieces=1,
    city_pieces=(("Tokyo", 2), ("Paris", 9)),
)  # fmt: skip


def test_what_agrees_and_what_differs_is_told_apart(planted: Explorer) -> None:
    found = checks(planted, SMALL)
    assert [one.agrees for one in found] == [True, True, True, True, True, True, False, False]
    assert found[0].found == "0.50, 0.49, 0.47"
    assert found[2].found == "3: 1, 3, 0"
    assert "no meta-latents of its own" in found[-1].found
    off = checks(planted, replace(SMALL, same=(0.50, 0.49, 0.46), explained=0.7))
    assert [one.agrees for one in off[:4]] == [False, True, True, False]


def test_the_split_is_sorted_by_cosine() -> None:
    meta = SparseAutoencoder(
        torch.eye(16), torch.zeros(16), torch.eye(16), torch.zeros(16), threshold=torch.ones(16)
    )
    rows = of_rows(at_cosine([0.71, 0.9, 0.69]), meta)
    axis = torch.zeros(16)
    axis[0] = 2.0
    assert split_into(rows.sae.W_dec, axis) == [1, 0]


def test_another_preset_has_no_examples(lab: Lab) -> None:
    with pytest.raises(UserError) as raised:
        checks(Explorer(lab, Path()))
    assert "gpt2-small" in one_sentence(raised)
