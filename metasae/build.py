"""Making the embedded default: text → residuals → SAEs of all widths → meta-SAE → city tables.

Every stage leaves its result on disk and is skipped when that is there, so a build that was stopped
goes on where it was. The results are what the repository ships, beside the report that says how
they were made and how good they are.
"""

import functools
import json
from collections import Counter
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from metasae import assets, autoencoders, batch_topk, evaluate
from metasae.activations import collect
from metasae.autoencoders import SparseAutoencoder
from metasae.base_sae import Text
from metasae.batch_topk import TensorRows, TrainConfig, Trainer
from metasae.catalogue import counted, knowledge, records
from metasae.cities import load_cities
from metasae.corpus import WINDOW, Windows, windows
from metasae.decomposition import Decomposition
from metasae.edits import Edit
from metasae.evidence import Encoder
from metasae.finetune import Follower
from metasae.lab import Lab, open_lab
from metasae.locate import activation_table, selectivity
from metasae.meta_sae import RECIPE, gaussian_like, train_meta
from metasae.model import LanguageModel, load_model
from metasae.presets import Preset
from metasae.products import fast_dtype
from metasae.progress import Progress, silent
from metasae.search import Combinations, search
from metasae.steering import Provenance

CITY_STARTS = True
"""Whether the largest SAE starts with a latent for every city: half the cities of the table would
otherwise have no direction near them at the start."""

COUNTRY_STARTS = True
"""Whether the meta-SAE starts with a meta-latent for every country: what its cities' latents have
in common beside what all cities' have. Nothing holds them there afterwards."""

NEAR_A_CITY = 0.5
"""Cosine to a city's mean residual above which a residual is no start for another latent."""

BASE = TrainConfig(width=18432, k=4, steps=2600)
"""Recipe of the largest SAE; the smaller ones train for fewer steps."""

FOLLOW = replace(BASE, start="sae", steps=480, batch=768, lr=2e-4, warmup=20, decay=1.0)
"""How the largest SAE is trained on, with what the model makes of it beside squared error."""

SMALLER_STEPS = 1200

CONTEXTS = 48
WORDS = 6
"""Activations of a latent that are looked at for its words, and words kept."""

META = replace(RECIPE, batch=4096, first_k=1.0, lr=1e-3)
"""Recipe of the meta-SAE that is shipped and of its Gaussian control."""


def build_folder(preset: Preset) -> Path:
    """Where intermediate results are kept: residuals and checkpoints."""
    return assets.cache_dir() / "build" / preset.name


def material(preset: Preset, progress: Progress = silent) -> Text:
    """The model, the text and the residuals, collected on first use.

    Raises:
        UserError: no network on first use, or no space.
    """
    model = load_model(preset, progress)
    text = windows(model, progress)
    folder = build_folder(preset) / "activations"
    return Text(model, text, collect(model, text, folder, progress))


def start_directions(
    material: Text, config: TrainConfig, city_starts: bool
) -> Float[Tensor, "F D"]:
    """Centred residuals to start the decoder from.

    With ``city_starts`` the first is what the names of all cities have in common, then comes what
    each city adds to it, and no other start is close to a city: a latent that starts on the name
    of one city in one text would hold both.
    """
    acts = material.activations
    draw = np.random.default_rng(config.seed)
    if not city_starts:
        return acts.rows(draw.choice(len(acts), config.width, replace=False)) - acts.mean
    cities = city_means(material) - acts.mean
    common = cities.mean(0, keepdim=True)
    rows = acts.rows(draw.choice(len(acts), 2 * config.width, replace=False)) - acts.mean
    closest = torch.nn.functional.normalize(rows) @ torch.nn.functional.normalize(cities).T
    others = rows[closest.amax(1) < NEAR_A_CITY]
    return torch.cat([common, cities - common, others])[: config.width]


def city_means(material: Text, most: int = 256) -> Float[Tensor, "C D"]:
    """Mean residual on the name of every city that occurs in the training text.

    Args:
        most: occurrences of a city that are looked at.
    """
    acts, text = material.activations, material.windows
    city = text.city.numpy()[acts.window]
    on_name = (city >= 0) & (acts.position == text.city_at.numpy()[acts.window])
    rows = np.flatnonzero(on_name)
    rows = rows[np.argsort(city[rows], kind="stable")]
    parts = np.split(rows, np.flatnonzero(np.diff(city[rows])) + 1)
    return torch.stack([acts.rows(part[:most]).mean(0) for part in parts])


def base_config(width: int, largest: int) -> TrainConfig:
    """Recipe of the SAE of one width."""
    if width == largest:
        return replace(BASE, width=width)
    return replace(BASE, width=width, steps=SMALLER_STEPS)


def train_base(
    material: Text,
    config: TrainConfig,
    city_starts: bool,
    checkpoint: Path,
    progress: Progress = silent,
) -> SparseAutoencoder:
    """Train one base SAE on the residuals, started from data."""
    acts = material.activations
    directions = start_directions(material, config, city_starts)
    trainer = Trainer(acts, config, directions, acts.mean, scale=material.scale, dtype=fast_dtype())
    trainer.run(checkpoint, progress=progress, stage=f"SAE of {config.width:,} latents")
    return trainer.result()


def follow(
    material: Text, sae: SparseAutoencoder, checkpoint: Path, progress: Progress = silent
) -> SparseAutoencoder:
    """Train an SAE on so that the model's output with it spliced in follows the unedited one."""
    config = replace(FOLLOW, width=sae.width, k=sae.k or FOLLOW.k)
    trainer = Follower(
        material.model, material.windows, material.activations, sae, config, material.scale,
        fast_dtype(),
    )  # fmt: skip
    trainer.run(checkpoint, 100, progress, "Following the model's output")
    return trainer.result()


def gaussian_control(preset: Preset, width: int, progress: Progress = silent) -> SparseAutoencoder:
    """The meta-SAE of Gaussian rows, kept with the intermediate results: nobody edits with it."""
    folder = build_folder(preset) / f"meta-sae-control-{width}"
    if not folder.exists():
        rows = gaussian_like(torch.zeros(preset.width, preset.model.d_model))
        config = replace(META, width=width)
        control = train_meta(TensorRows(rows), config, progress, "Control on Gaussian rows")
        autoencoders.save(control, folder)
    return autoencoders.load(folder)


def country_directions(
    model: LanguageModel,
    sae: SparseAutoencoder,
    median_norm: float,
    progress: Progress = silent,
) -> Float[Tensor, "C D"]:
    """Per country what the directions of its cities' best latents add to all cities' mean."""
    cities = load_cities()
    table = activation_table(model, sae, cities, median_norm, progress)
    rows = sae.W_dec[(table * selectivity(table)).argmax(1)]
    countries = [city.country for city in cities]
    mine = torch.tensor([[one == name for one in countries] for name in dict.fromkeys(countries)])
    return torch.stack([rows[where].mean(0) for where in mine]) - rows.mean(0)


def words_of_latents(
    material: Text, sae: SparseAutoencoder, progress: Progress = silent, rows: int = 1_500_000
) -> pd.DataFrame:
    """The words each latent is most active on: columns latent, rank, word, activation.

    Taken from the strongest of its activations over a seeded sample of the residuals; a word is
    what stands between spaces up to the token, so that a name of two tokens reads whole.
    """
    acts = material.activations
    sample = np.random.default_rng(0).choice(len(acts), min(rows, len(acts)), replace=False)
    sample.sort()
    entries = []
    encoder = Encoder.of(sae, fast_dtype())
    for part in np.array_split(sample, max(1, len(sample) // 4096)):
        row, latent, value = encoder.entries(acts.rows(part))
        entries.append(np.stack([latent.numpy(), part[row.numpy()], value.numpy()], axis=1))
        progress("Collecting each latent's words", (part[-1] + 1) / len(acts), "")
    table = pd.DataFrame(np.concatenate(entries), columns=["latent", "row", "activation"])
    table = table.sort_values(["latent", "activation"], ascending=False)
    table = table[table.groupby("latent").cumcount() < CONTEXTS]
    table["word"] = [_word(material, int(row)) for row in table["row"]]
    table = table[table["word"] != ""]
    counted = (
        table.groupby(["latent", "word"])["activation"]
        .agg(["size", "max"])
        .reset_index()
        .sort_values(["latent", "size", "max"], ascending=[True, False, False])
    )
    counted["rank"] = counted.groupby("latent").cumcount()
    counted = counted[counted["rank"] < WORDS]
    return pd.DataFrame(
        {
            "latent": counted["latent"].astype("int32"),
            "rank": counted["rank"].astype("int8"),
            "word": counted["word"],
            "activation": counted["max"].astype("float32"),
        }
    ).reset_index(drop=True)


def _word(material: Text, row: int) -> str:
    """The word that ends with a row's token."""
    acts, text = material.activations, material.windows
    tokens = text.tokens[int(acts.window[row])]
    end = int(acts.position[row])
    pieces: list[str] = []
    for at in range(end, max(0, end - 6), -1):
        pieces.insert(0, material.model.decode(int(tokens[at])))
        if pieces[0][:1].isspace():
            break
    return " ".join("".join(pieces).split())


def text_used(windows: Windows) -> dict[str, dict[str, int]]:
    """Documents and tokens of each source, trained on and held out."""
    tokens: Counter[tuple[str, bool]] = Counter()
    for document, length in zip(windows.document.tolist(), windows.lengths.tolist(), strict=True):
        tokens[windows.sources[document], windows.held_out[document]] += length - 1
    documents = Counter(zip(windows.sources, windows.held_out, strict=True))
    return {
        source: {
            "documents": documents[source, False],
            "tokens": tokens[source, False],
            "held_out_documents": documents[source, True],
            "held_out_tokens": tokens[source, True],
        }
        for source in dict.fromkeys(windows.sources)
    }


def build(preset: Preset, out: Path, progress: Progress = silent) -> dict[str, Any]:
    """Make everything the preset ships, in ``out``; what is there already is kept.

    The residuals are collected only if something is missing that is made or measured with them.

    Returns:
        The report: configuration, text, seeds, and every measured figure.

    Raises:
        UserError: no network on first use, or no space.
    """
    stuff = functools.cache(lambda: material(preset, progress))
    scratch = build_folder(preset)
    for width in sorted(preset.widths, reverse=True):
        folder = out / f"sae-{width}"
        if not folder.exists():
            config = base_config(width, preset.width)
            starts = CITY_STARTS and width == preset.width
            checkpoint = scratch / f"sae-{width}.safetensors"
            sae = train_base(stuff(), config, starts, checkpoint, progress)
            notes = _metadata(preset, config)
            if width == preset.width:
                sae = follow(stuff(), sae, scratch / "follow.safetensors", progress)
                notes |= {"trained_on": asdict(replace(FOLLOW, width=width))}
            autoencoders.save(replace(sae, metadata=notes), folder)
    words = out / "words.parquet"
    if not words.exists():
        largest = autoencoders.load(out / f"sae-{preset.width}")
        table = words_of_latents(stuff(), largest, progress)
        with assets.written_whole(words) as part:
            table.to_parquet(part, index=False)
    base = kept_base(preset, out) or measure_base(preset, out, stuff(), progress)
    model = load_model(preset, progress)
    if not (out / "meta-sae").exists():
        largest = autoencoders.load(out / f"sae-{preset.width}")
        config = replace(META, width=preset.meta_width)
        countries = None
        if COUNTRY_STARTS:
            countries = country_directions(model, largest, base["median_norm"], progress)
        meta = train_meta(TensorRows(largest.W_dec), config, progress, "Meta-SAE", countries)
        notes = _metadata(preset, config) | {
            "trained_on": f"decoder of sae-{preset.width}",
            "started_at_countries": 0 if countries is None else len(countries),
        }
        autoencoders.save(replace(meta, metadata=notes), out / "meta-sae")
    return measure_meta(preset, out, base, model, progress)


def measure(preset: Preset, out: Path, progress: Progress = silent) -> dict[str, Any]:
    """Measure what ``out`` holds, all of it, and write its tables."""
    stuff = material(preset, progress)
    base = measure_base(preset, out, stuff, progress)
    return measure_meta(preset, out, base, stuff.model, progress)


def measure_base(
    preset: Preset, out: Path, stuff: Text, progress: Progress = silent
) -> dict[str, Any]:
    """The report's figures of the base SAEs, on held-out text."""
    saes = {width: autoencoders.load(out / f"sae-{width}") for width in preset.widths}
    batches = evaluate.held_out_batches(stuff.windows)
    median = stuff.activations.median_norm
    return {
        "median_norm": median,
        "text": text_used(stuff.windows),
        "saes": evaluate.base_quality(
            stuff.model, saes, batches, stuff.activations.mean, median, progress
        ),
    }


def kept_base(preset: Preset, out: Path) -> dict[str, Any] | None:
    """The same from the report that is there, if it was measured on the very same SAEs."""
    try:
        report = json.loads((out / "report.json").read_text())
        for name in (f"sae-{width}/{autoencoders.WEIGHTS}" for width in preset.widths):
            if report["weights_sha256"][name] != assets.sha256(out / name):
                return None
        return {name: report[name] for name in ("median_norm", "text", "saes")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def measure_meta(
    preset: Preset,
    out: Path,
    base: dict[str, Any],
    model: LanguageModel,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure the meta-SAE and the cities; write ``cities.json`` and ``report.json``.

    Args:
        base: what `measure_base` found.
    """
    median = base["median_norm"]
    largest = autoencoders.load(out / f"sae-{preset.width}")
    meta = autoencoders.load(out / "meta-sae")
    decomposition = Decomposition(largest, meta)
    provenance = Provenance(preset.name, model.name, preset.hook_point, "", "", "")
    cities = load_cities()
    known = knowledge(model, decomposition, cities, provenance, progress)
    table = activation_table(model, largest, cities, median, progress)
    found = records(model, decomposition, cities, known, table, median, provenance, progress)
    _write_json(out / "cities.json", {"cities": [record.to_dict() for record in found]})
    control = gaussian_control(preset, meta.width, progress)
    own = batch_topk.quality(meta, largest.W_dec)
    against = batch_topk.quality(control, gaussian_like(largest.W_dec))
    report: dict[str, Any] = {
        "preset": preset.name,
        "model": model.name,
        "hook": preset.hook_point,
        **base,
        "meta_sae": {
            "width": meta.width,
            "l0": own.l0,
            "fve": own.fve,
            "fve_centred": own.fve_centred,
            "dead": own.dead,
            "fve_control": against.fve,
            "fve_centred_control": against.fve_centred,
            "l0_control": against.l0,
            "threshold": float(meta.threshold[0]) if meta.threshold is not None else 0.0,
        },
        "cities": counted(found),
        "sharing": evaluate.sharing(decomposition, found),
        "recipe": {
            "base": asdict(base_config(preset.width, preset.width)),
            "follow": asdict(replace(FOLLOW, width=preset.width)),
            "smaller_steps": SMALLER_STEPS,
            "city_starts": CITY_STARTS,
            "country_starts": COUNTRY_STARTS,
            "meta": asdict(replace(META, width=preset.meta_width)),
        },
        "weights_sha256": {
            str(path.relative_to(out)): assets.sha256(path)
            for path in sorted(out.rglob("*.safetensors"))
        },
    }
    _write_json(out / "report.json", report)
    lab = open_lab(replace(preset, weights=out), progress)
    names = [record.name for record in evaluate.well_known(found)]
    cases = (lab.case(lab.subject(a), lab.subject(b)) for a, b in evaluate.ordered_pairs(names))
    report["swap"] = evaluate.swaps(cases, len(names) * (len(names) - 1), progress) | {
        "cities": names
    }
    report["tokyo_paris"] = pair_table(lab, "Tokyo", "Paris")
    _write_json(out / "report.json", report)
    return report


def pair_table(lab: Lab, source: str, target: str) -> dict[str, Any]:
    """One pair before, after the swap, and the best edit found for every pattern it can reach.

    All combinations are searched with both cities' default latents and with the best latent of
    each, with the SAE's error kept and dropped; of equal patterns the larger margin stands.
    """
    pair = lab.case(lab.subject(source), lab.subject(target))
    best: dict[tuple[bool, ...], dict[str, Any]] = {}
    every = slice(None)
    for which, keep_error in product((every, slice(1)), (True, False)):
        mine, theirs = pair.source.latents[which], pair.target.latents[which]
        case = lab.case(lab.subject(source, mine), lab.subject(target, theirs))
        options = Edit(keep_error=keep_error)
        for found in search(case, Combinations.of(case, options)):
            key = tuple(found.pattern.values())
            if key not in best or found.margin > best[key]["margin"]:
                best[key] = {
                    "pattern": found.pattern,
                    "source_latents": mine,
                    "target_latents": theirs,
                    "edit": found.edit.to_dict(),
                    "margin": found.margin,
                    "sentence": found.sentence,
                }
    return {
        "baseline": pair.score(Edit()).to_dict()["attributes"],
        "swap": pair.score(Edit("swap")).to_dict()["attributes"],
        "patterns": [best[key] for key in sorted(best)],
    }


def _metadata(preset: Preset, config: TrainConfig) -> dict[str, Any]:
    """What SAELens shows about an SAE of ours."""
    return {
        "model_name": preset.model.name,
        "hook_name": preset.hook_point,
        "prepend_bos": True,
        "context_size": WINDOW,
        "training": asdict(config),
    }


def _write_json(path: Path, values: object) -> None:
    with assets.written_whole(path) as part:
        part.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")
