"""The control's decoder is random and stays so; it is trained once."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metasae.lab.lab import Lab
from metasae.progress import silent
from metasae.ravel import random_meta
from metasae.ravel.random_meta import random_meta_sae
from metasae.studies import kept_meta_saes
from metasae.studies.kept_meta_saes import recipe
from tests.builders import never


def test_the_decoder_stays_random_and_is_kept(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("METASAE_CACHE", str(tmp_path))
    small = replace(recipe(small_lab, 0), width=16, steps=1, batch=32, warmup=0)

    def steps(count: int) -> None:
        monkeypatch.setattr(
            random_meta, "recipe", lambda lab, seed: replace(small, seed=seed, steps=count)
        )

    steps(30)
    made = random_meta_sae(small_lab, 0, silent)
    monkeypatch.setattr(kept_meta_saes, "train_meta_sae", never("it is kept"))
    assert torch.equal(random_meta_sae(small_lab, 0, silent).W_dec, made.W_dec)
    monkeypatch.undo()
    monkeypatch.setenv("METASAE_CACHE", str(tmp_path / "other"))
    steps(1)
    briefly = random_meta_sae(small_lab, 0, silent)
    torch.testing.assert_close(briefly.W_dec, made.W_dec)
    assert not torch.allclose(briefly.W_enc, made.W_enc)
