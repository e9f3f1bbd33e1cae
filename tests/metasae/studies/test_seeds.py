"""Further meta-SAEs: trained once, kept, and alike but for the start."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import silent
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.studies import seeds
from metasae.studies.seeds import meta_saes, recipe
from metasae.studies.study import Material
from metasae.training.rows import Rows
from tests.builders import never, one_sentence


def test_one_seed_trains_nothing(small_lab: Lab) -> None:
    assert meta_saes(small_lab, 1) == ()


def test_seeds_differ_and_are_kept(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("METASAE_CACHE", str(tmp_path))
    small = replace(recipe(small_lab, 0), width=16, steps=20, batch=32, warmup=0)
    monkeypatch.setattr(seeds, "recipe", lambda lab, seed: replace(small, seed=seed))
    first, second = meta_saes(small_lab, 3)
    assert first.width == 16 and not torch.allclose(first.W_dec, second.W_dec)
    monkeypatch.setattr(seeds, "train_meta_sae", never("they are kept"))
    again = meta_saes(small_lab, 3)
    assert torch.equal(again[0].W_dec, first.W_dec) and torch.equal(again[1].W_dec, second.W_dec)
    assert not list(tmp_path.rglob("*.checkpoint"))


def test_the_recipe_is_the_open_ones_where_it_is_noted(small_lab: Lab) -> None:
    noted = replace(recipe(small_lab, 0), k=3, lr=0.5, seed=9)
    meta = replace(small_lab.decomposition.meta, metadata={"training": asdict(noted)})
    other = replace(small_lab, decomposition=replace(small_lab.decomposition, meta=meta))
    made = recipe(other, 2)
    assert (made.k, made.lr, made.seed, made.width) == (3, 0.5, 2, meta.width)
    assert recipe(small_lab, 2) == replace(
        seeds.RECIPE, width=meta.width, batch=small_lab.n_latents, seed=2, start="random"
    )


def test_the_open_ones_own_seed_is_not_trained_again(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    meta = replace(small_lab.decomposition.meta, metadata={"training": {"seed": 1}})
    other = replace(small_lab, decomposition=replace(small_lab.decomposition, meta=meta))
    monkeypatch.setattr(seeds, "_meta_sae", lambda lab, seed, progress: seed)
    assert meta_saes(other, 3) == (0, 2)
    assert meta_saes(small_lab, 3) == (1, 2)


def test_one_meta_sae_of_all_widths_is_trained_on_every_direction_and_kept(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("METASAE_CACHE", str(tmp_path))
    small = replace(recipe(small_lab, 0), width=16, steps=20, batch=32, warmup=0)
    monkeypatch.setattr(seeds, "recipe", lambda lab, seed: replace(small, seed=seed))
    seen, train = [], seeds.train_meta_sae

    def watched(directions: Rows, *some: Any, **named: Any) -> SparseAutoencoder:
        seen.append(directions.rows(np.arange(len(directions))))
        return train(directions, *some, **named)

    monkeypatch.setattr(seeds, "train_meta_sae", watched)
    material = Material.of(small_lab, (small_lab.decomposition.meta,))
    first, second = material.metas_of_all_widths(silent)
    expected = torch.cat([normalize(one.W_dec) for one in material.widths])
    assert torch.allclose(seen[0], expected, atol=1e-6) and len(seen) == 2
    assert first.width == 16 and not torch.allclose(first.W_dec, second.W_dec)
    again = seeds.of_all_widths(small_lab, material.widths, 0)
    assert torch.equal(again.W_dec, first.W_dec) and len(seen) == 2
    # Of other SAEs it is another.
    other = replace(material.widths[0], W_dec=-material.widths[0].W_dec)
    seeds.of_all_widths(small_lab, (other, *material.widths[1:]), 0)
    assert len(seen) == 3


@pytest.mark.parametrize("count", [0, 11])
def test_a_number_of_seeds_out_of_bounds_is_refused(small_lab: Lab, count: int) -> None:
    with pytest.raises(UserError) as raised:
        meta_saes(small_lab, count)
    one_sentence(raised)
