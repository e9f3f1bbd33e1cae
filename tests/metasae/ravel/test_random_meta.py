"""The control's decoder is random and stays so; it is trained once."""

from pathlib import Path

import pytest
import torch

from metasae.lab.lab import Lab
from metasae.progress import silent
from metasae.ravel import random_meta
from metasae.ravel.random_meta import random_meta_sae
from metasae.studies import kept_meta_saes
from tests.builders import never
from tests.metasae.studies.brief_training import train_briefly


def test_the_decoder_stays_random_and_is_kept(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("METASAE_CACHE", str(tmp_path))
    train_briefly(monkeypatch, random_meta, 30)
    made = random_meta_sae(small_lab, 0, silent)
    monkeypatch.setattr(kept_meta_saes, "train_meta_sae", never("it is kept"))
    assert torch.equal(random_meta_sae(small_lab, 0, silent).W_dec, made.W_dec)
    monkeypatch.undo()
    monkeypatch.setenv("METASAE_CACHE", str(tmp_path / "other"))
    train_briefly(monkeypatch, random_meta, 1)
    briefly = random_meta_sae(small_lab, 0, silent)
    torch.testing.assert_close(briefly.W_dec, made.W_dec)
    assert not torch.allclose(briefly.W_enc, made.W_enc)
