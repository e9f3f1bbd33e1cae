"""Meta-SAEs by the open one's recipe; one of all widths is trained on every direction."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from metasae.lab.lab import Lab
from metasae.progress import silent
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.studies import kept_meta_saes as module
from metasae.studies.kept_meta_saes import of_all_widths, recipe
from metasae.studies.study import Material
from metasae.training.rows import Rows
from tests.metasae.studies.brief_training import train_briefly


def test_the_recipe_is_the_open_ones_where_it_is_noted(small_lab: Lab) -> None:
    noted = replace(recipe(small_lab, 0), k=3, lr=0.5, seed=9)
    meta = replace(small_lab.decomposition.meta, metadata={"training": asdict(noted)})
    other = replace(small_lab, decomposition=replace(small_lab.decomposition, meta=meta))
    made = recipe(other, 2)
    assert (made.k, made.lr, made.seed, made.width) == (3, 0.5, 2, meta.width)
    assert recipe(small_lab, 2) == replace(
        module.RECIPE, width=meta.width, batch=small_lab.n_latents, seed=2, start="random"
    )


def test_one_meta_sae_of_all_widths_is_trained_on_every_direction_and_kept(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("METASAE_CACHE", str(tmp_path))
    train_briefly(monkeypatch, module)
    seen, train = [], module.train_meta_sae

    def watched(directions: Rows, *some: Any, **named: Any) -> SparseAutoencoder:
        seen.append(directions.rows(np.arange(len(directions))))
        return train(directions, *some, **named)

    monkeypatch.setattr(module, "train_meta_sae", watched)
    material = Material.of(small_lab, (small_lab.decomposition.meta,))
    first, second = material.metas_of_all_widths(silent)
    expected = torch.cat([normalize(one.W_dec) for one in material.widths])
    assert torch.allclose(seen[0], expected, atol=1e-6) and len(seen) == 2
    assert first.width == 16 and not torch.allclose(first.W_dec, second.W_dec)
    again = of_all_widths(small_lab, material.widths, 0)
    assert torch.equal(again.W_dec, first.W_dec) and len(seen) == 2
    # Of other SAEs it is another.
    other = replace(material.widths[0], W_dec=-material.widths[0].W_dec)
    of_all_widths(small_lab, (other, *material.widths[1:]), 0)
    assert len(seen) == 3
