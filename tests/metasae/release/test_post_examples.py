"""The post's worked examples, on directions planted to have its figures, and to miss them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metasae.errors import UserError
from metasae.explorer.explorer import Explorer
from metasae.lab.lab import Lab
from metasae.release.post_examples import checks
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.neighbours import split_into
from tests.builders import one_sentence
from tests.post_figures import SMALL, at_cosine, of_rows, planted_explorer


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Explorer:
    return planted_explorer(monkeypatch)


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
