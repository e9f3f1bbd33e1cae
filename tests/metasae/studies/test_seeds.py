"""Further meta-SAEs: trained once, kept, and alike but for the start."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.studies import kept_meta_saes, seeds
from metasae.studies.seeds import meta_saes, missing
from tests.builders import never, one_sentence
from tests.metasae.studies.brief_training import train_briefly


def test_one_seed_trains_nothing(small_lab: Lab) -> None:
    assert meta_saes(small_lab, 1) == ()


def test_seeds_differ_and_are_kept(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("METASAE_CACHE", str(tmp_path))
    train_briefly(monkeypatch, seeds)
    assert [missing(small_lab, count) for count in (1, 2, 3)] == [0, 1, 2]
    first, second = meta_saes(small_lab, 3)
    assert [missing(small_lab, count) for count in (3, 4)] == [0, 1]
    assert first.width == 16 and not torch.allclose(first.W_dec, second.W_dec)
    monkeypatch.setattr(kept_meta_saes, "train_meta_sae", never("they are kept"))
    again = meta_saes(small_lab, 3)
    assert torch.equal(again[0].W_dec, first.W_dec) and torch.equal(again[1].W_dec, second.W_dec)
    assert not list(tmp_path.rglob("*.checkpoint"))


def test_the_open_ones_own_seed_is_not_trained_again(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    meta = replace(small_lab.decomposition.meta, metadata={"training": {"seed": 1}})
    other = replace(small_lab, decomposition=replace(small_lab.decomposition, meta=meta))
    monkeypatch.setattr(seeds, "_meta_sae", lambda lab, seed, progress: seed)
    assert meta_saes(other, 3) == (0, 2)
    assert meta_saes(small_lab, 3) == (1, 2)


@pytest.mark.parametrize("count", [0, 11])
def test_a_number_of_seeds_out_of_bounds_is_refused(small_lab: Lab, count: int) -> None:
    with pytest.raises(UserError) as raised:
        meta_saes(small_lab, count)
    one_sentence(raised)
