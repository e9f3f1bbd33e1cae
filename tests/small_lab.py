"""A lab of a small model: its SAE and meta-SAE planted, everything else the real code.

The model is a Llama that was taught `TAUGHT`, their names one token each. Each of these cities has
a latent whose decoder direction is where the city's name puts the residual stream. The meta-latents
are an orthonormal basis in both signs, of which the first axes span the cities' directions: every
direction is the sum of its meta-latents, two cities share those on whose side both lie, and each
has the others to itself.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.lab.city_records import CityRecord, RankedLatent
from metasae.lab.lab import Lab, open_lab
from metasae.lab.name_latents import activation_table, residuals_on_names
from metasae.lab.preset_files import META_SAE, NAMES
from metasae.lab.reference import NameReference
from metasae.lm.language_model import LanguageModel, padded
from metasae.lm.loading import load_model
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.sources.files import write_json
from metasae.sources.presets import Preset
from metasae.text.cities import ATTRIBUTES, City, find_city
from metasae.text.prompts import QUESTIONS, fill
from tests.small_models import D_MODEL, TAUGHT, llama
from tests.small_release import small_preset

NARROW, N_LATENTS, N_META = 16, 64, 2 * D_MODEL
HOOK = 0
"""The small model passes on what it knows of a city in its very first block."""


def preset_of_small_lab(model: Path, weights: Path) -> Preset:
    """The preset of a small lab.

    Args:
        model: folder of the Llama.
        weights: folder of the SAE, the meta-SAE and the tables.
    """
    return replace(
        small_preset(model, weights), hook_layer=HOOK, widths=(NARROW, N_LATENTS), meta_width=N_META
    )


def make(folder: Path) -> Lab:
    """A small lab, made in a folder and opened."""
    model, weights = folder / "model", folder / "weights"
    llama(model, map(find_city, TAUGHT), steps=200, whole_names=True)
    preset = preset_of_small_lab(model, weights)
    _plant(load_model(preset), preset, weights)
    return open_lab(preset)


def _plant(model: LanguageModel, preset: Preset, folder: Path) -> None:
    """Write what `open_lab` reads."""
    cities = [find_city(name) for name in TAUGHT]
    prompts = {city: [fill(one, city.name) for one in QUESTIONS.values()] for city in cities}
    rows = [model.prompt_tokens(prompt) for asked in prompts.values() for prompt in asked]
    resid = model.residual(padded(rows, model.start_token))
    texts = torch.cat([one[1 : len(row)] for one, row in zip(resid, rows, strict=True)])
    median = float(texts.norm(dim=-1).median())
    names = [residuals_on_names(model, prompts[city], city.name).mean(0) for city in cities]
    sae, meta = _saes(torch.stack(names), texts.mean(0))
    for width in preset.widths:
        formats.save(_first(sae, width), Path(preset.sae(width)), torch.float32)
    formats.save(meta, folder / META_SAE, torch.float32)
    called = [city.name for city in cities]
    reference = NameReference.of(called, activation_table(model, sae, called, median))
    reference.write(folder / NAMES)
    records = _records(cities, reference)
    words = pd.DataFrame({"latent": range(len(cities)), "word": [city.name for city in cities]})
    words.to_parquet(folder / "words.parquet")
    write_json(folder / "cities.json", {"cities": [record.to_dict() for record in records]})
    explained = {"fve": 1.0, "l0": 5.0, "fve_control": 0.3}
    report = {"median_norm": median, "saes": [], "meta_sae": explained}
    write_json(folder / "report.json", report)


def _saes(
    named: Float[Tensor, "C D"], mean: Float[Tensor, " D"]
) -> tuple[SparseAutoencoder, SparseAutoencoder]:
    """An SAE with a latent a city and some others, and a meta-SAE that rebuilds it exactly.

    Args:
        named: residual stream on each city's name.
        mean: of the residual stream.
    """
    draw = torch.Generator().manual_seed(0)
    off = named - mean
    count = len(named)
    # Orthonormal: first what all cities have in common, then what tells them apart.
    common = off.mean(0, keepdim=True)
    apart = (off - common)[:-1]
    rest = torch.randn(D_MODEL - count, D_MODEL, generator=draw)
    mixed = torch.linalg.qr(torch.randn(count - 1, count - 1, generator=draw))[0] @ apart
    basis = torch.linalg.qr(torch.cat([common, mixed, rest]).T)[0].T
    W_meta = torch.cat([basis, -basis])
    meta = SparseAutoencoder(
        W_enc=W_meta.T.contiguous(), b_enc=torch.zeros(N_META), W_dec=W_meta,
        b_dec=torch.zeros(D_MODEL), threshold=torch.full((N_META,), 0.05),
    )  # fmt: skip
    others = torch.zeros(N_LATENTS - count, N_META)
    for row in others:
        row[torch.randperm(D_MODEL, generator=draw)[:3]] = torch.rand(3, generator=draw) + 0.3
    W_dec = torch.cat([off, others @ W_meta])
    W_dec /= W_dec.norm(dim=1, keepdim=True)
    W_enc = W_dec.T.clone()
    W_enc[:, :count] = torch.linalg.pinv(W_dec[:count])
    threshold = 0.3 * off.norm(dim=1).mean() * torch.ones(N_LATENTS)
    sae = SparseAutoencoder(
        W_enc=W_enc.contiguous(), b_enc=torch.zeros(N_LATENTS), W_dec=W_dec, b_dec=mean,
        threshold=threshold,
    )  # fmt: skip
    return sae, meta


def _first(sae: SparseAutoencoder, width: int) -> SparseAutoencoder:
    """The SAE with its first latents alone."""
    assert sae.threshold is not None
    return replace(
        sae, W_enc=sae.W_enc[:, :width], b_enc=sae.b_enc[:width], W_dec=sae.W_dec[:width],
        threshold=sae.threshold[:width],
    )  # fmt: skip


def _records(cities: list[City], reference: NameReference) -> list[CityRecord]:
    """The cities' records: each has chosen the latent of its number, and it is its own."""
    records = []
    for number, city in enumerate(cities):
        active = reference.activations(city.name)
        share = reference.selectivity(city.name, active)
        best = [number, *(n for n in active.argsort(descending=True)[:3].tolist()
                          if n != number)]  # fmt: skip
        ranked = tuple(
            RankedLatent(
                n, float(active[n]), float(share[n]), 1.0, chosen=n == number, own=n == number
            )
            for n in best
            if active[n] > 0
        )
        facts: dict[str, Any] = {name: getattr(city, name) for name in ATTRIBUTES}
        answers = {name: city.answers(name)[0] for name in ATTRIBUTES}
        known = dict.fromkeys(ATTRIBUTES, True)
        records.append(
            CityRecord(name=city.name, answers=answers, known=known, latents=ranked, **facts)
        )
    return records
