"""Measuring a release again gives its figures again."""

import json
import math
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from metasae.errors import UserError
from metasae.lab.city_records import CityRecord
from metasae.lab.lab import Lab, open_lab
from metasae.lab.reference_names import ReferenceNames
from metasae.lab.stored_report import stored_report
from metasae.progress import silent
from metasae.release import measure as module
from metasae.release import pair_table as pair_table_module
from metasae.release.material import material, text_used
from metasae.release.measure import kept_base, measure, measure_base, measure_meta
from metasae.saes import formats
from metasae.search.combinations import Combinations
from metasae.search.patterns import FoundEdit
from metasae.sources.files import sha256
from metasae.sources.user_presets import find_preset
from metasae.steering.experiment import Experiment
from metasae.text.cities import ATTRIBUTES
from metasae.text.overlap import for_figures
from metasae.text.windows import Windows
from metasae.training import explained
from tests.builders import city_record, never, one_sentence, random_sae
from tests.small_release import OUTSIDE, RECIPE, TITLES, Built, small_preset


def held(document: list[int], sources: tuple[str, ...], held_out: tuple[bool, ...]) -> Windows:
    """A window of ten tokens a number, no two of them with a run in common."""
    count = len(document)
    return Windows(
        tokens=torch.arange(count * 10, dtype=torch.int32).reshape(count, 10),
        lengths=torch.full((count,), 10),
        document=torch.tensor(document),
        sources=sources,
        held_out=held_out,
    )


def test_the_base_saes_are_measured_source_by_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of b is document 3, of a 1 and 7; 0 and 2 are for choices, 4 and 5 are trained on, and the
    # second window of 7 is one of the training text again.
    windows = held(
        [0, 1, 2, 3, 4, 5, 7, 7], ("a", "a", "b", "b", "a", "b", "a", "a"),
        (True, True, True, True, False, False, True, True),
    )  # fmt: skip
    windows.tokens[7] = windows.tokens[5]
    saes = {16: random_sae(8, 16, k=2), 32: random_sae(8, 32, k=2)}
    for width, sae in saes.items():
        formats.save(sae, tmp_path / f"sae-{width}")
    preset = replace(small_preset(tmp_path, tmp_path), widths=(16, 32))
    seen: list[list[int]] = []

    def quality(model: Any, by_width: Any, batches: Any, mean: Any, median: float, _: Any) -> Any:
        assert (model, mean, median) == ("model", "mean", 3.5)
        assert {width: sae.width for width, sae in by_width.items()} == {16: 16, 32: 32}
        seen.append(sorted(int(first) // 10 for tokens, _ in batches for first in tokens[:, 0]))
        return [len(seen)]

    monkeypatch.setattr(module, "base_quality", quality)
    acts = SimpleNamespace(median_norm=3.5, mean="mean")
    text: Any = SimpleNamespace(model="model", windows=windows, activations=acts)
    assert measure_base(preset, tmp_path, text) == {
        "median_norm": 3.5,
        "text": text_used(windows),
        "saes": [1],
        "saes_by_source": {"a": [1], "b": [2]},
    }
    assert seen == [[1, 6], [3]]


def test_figures_are_kept_while_the_weights_are_the_same(tmp_path: Path) -> None:
    preset = replace(small_preset(tmp_path, tmp_path), widths=(16, 32))
    hashes = {}
    for width in preset.widths:
        formats.save(random_sae(8, width, k=2), tmp_path / f"sae-{width}")
        name = f"sae-{width}/{formats.WEIGHTS}"
        hashes[name] = sha256(tmp_path / name)
    figures = {"median_norm": 2.0, "text": {}, "saes": [1], "saes_by_source": {"a": [1]}}
    for change in ({}, {"weights_sha256": hashes | {f"sae-32/{formats.WEIGHTS}": "other"}}):
        report = figures | {"weights_sha256": hashes, "cities": 3} | change
        (tmp_path / "report.json").write_text(json.dumps(report))
        assert kept_base(preset, tmp_path) == (None if change else figures)
    (tmp_path / "report.json").write_text(json.dumps({"weights_sha256": hashes}))
    assert kept_base(preset, tmp_path) is None
    (tmp_path / "report.json").unlink()
    assert kept_base(preset, tmp_path) is None


def test_the_report_says_what_was_measured_on_the_meta_sae_and_the_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = replace(small_preset(tmp_path, tmp_path), widths=(16, 32))
    for width in preset.widths:
        formats.save(random_sae(8, width, k=2), tmp_path / f"sae-{width}")
    formats.save(random_sae(8, 12, k=None), tmp_path / "meta-sae")
    largest, meta = formats.load(tmp_path / "sae-32"), formats.load(tmp_path / "meta-sae")
    cities = [replace(city_record("Oslo", "Norway", 1), known=dict.fromkeys(ATTRIBUTES, True))]
    reference = ReferenceNames.of(["Oslo"], torch.ones(1, 32))
    lab = object()

    def measured(model: Any, sae: Any, median: float, progress: Any) -> Any:
        assert (model.name, sae.width, median) == ("a model", 32, 2.0)
        return cities, reference

    def opened(of: Any, progress: Any) -> Any:
        assert of == replace(preset, weights=tmp_path)
        # The lab reads what is written by now.
        assert json.loads((tmp_path / "report.json").read_text())["median_norm"] == 2.0
        return lab

    def controls(of: Any, sae: Any, text: Any, about: Any, recipe: Any, progress: Any) -> Any:
        assert (of, sae.width, text(), about, recipe) == (preset, 32, "text", {"a": 1}, RECIPE)
        return {"gaussian": {"fve": 0.25}}

    monkeypatch.setattr(module, "measured_cities", measured)
    monkeypatch.setattr(module, "open_lab", opened)
    monkeypatch.setattr(module, "meta_controls", controls)
    monkeypatch.setattr(module, "figures_on_names", lambda one, _: ("names", one is lab))
    monkeypatch.setattr(module, "pair_table", lambda one, *pair: ("pair", one is lab, *pair))
    monkeypatch.setattr(module, "opening", lambda one, _: ("opening", one is lab))
    base = {"median_norm": 2.0, "text": {"a": 1}, "saes": [], "saes_by_source": {}}
    model: Any = SimpleNamespace(name="a model")
    text: Any = lambda: "text"  # noqa: E731
    report = measure_meta(preset, tmp_path, base, model, text, recipe=RECIPE)
    own = explained.quality(meta, largest.W_dec)
    assert meta.threshold is not None
    assert report == {
        "preset": "small",
        "model": "a model",
        "hook": "blocks.2.hook_resid_pre",
        **base,
        "meta_sae": {
            "width": 12, "l0": own.l0, "fve": own.fve, "fve_centred": own.fve_centred,
            "dead": own.dead, "fve_control": 0.25, "controls": {"gaussian": {"fve": 0.25}},
            "threshold": float(meta.threshold[0]),
        },
        "cities": {
            "total": 1, "with_latent": 1, "known_facts": dict.fromkeys(ATTRIBUTES, 1),
            "all_four_known": 1,
        },
        "recipe": RECIPE.to_dict(preset),
        "weights_sha256": {
            f"{folder}/{formats.WEIGHTS}": sha256(tmp_path / folder / formats.WEIGHTS)
            for folder in ("meta-sae", "sae-16", "sae-32")
        },
        "names": ("names", True),
        "tokyo_paris": ("pair", True, "Tokyo", "Paris"),
        "opening": ("opening", True),
    }  # fmt: skip
    assert json.loads((tmp_path / "report.json").read_text()) == json.loads(json.dumps(report))
    written = json.loads((tmp_path / "cities.json").read_text())["cities"]
    assert [CityRecord.from_dict(one) for one in written] == cities
    assert ReferenceNames.load(tmp_path / "names.parquet", 32).activations("Oslo").sum() == 32


def test_a_meta_sae_without_a_threshold_has_none_to_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "meta_controls", lambda *_: {"gaussian": {"fve": 0.5}})
    largest, meta = random_sae(8, 32, k=2), random_sae(8, 12, k=3)
    text: Any = never("it is kept")
    preset = small_preset(tmp_path, tmp_path)
    told = module._meta_quality(preset, largest, meta, text, {}, RECIPE, silent)
    assert (told["threshold"], told["l0"], told["fve_control"]) == (0.0, 3.0, 0.5)


def test_all_is_measured_on_the_presets_text(monkeypatch: pytest.MonkeyPatch) -> None:
    text = SimpleNamespace(model="model")
    monkeypatch.setattr(module, "material", lambda preset, _: (preset, text)[1])
    monkeypatch.setattr(module, "measure_base", lambda *given: given[:3])
    monkeypatch.setattr(module, "measure_meta", lambda *given: given)
    named: Any = "preset"
    made: Any = measure(named, Path("out"), recipe=RECIPE)
    preset, out, base, model, read, _, recipe = made
    assert (preset, out, base) == ("preset", Path("out"), ("preset", Path("out"), text))
    assert (model, read(), recipe) == ("model", text, RECIPE)


@pytest.mark.slow
def test_measuring_again_reproduces_every_figure(built: Built, tmp_path: Path) -> None:
    out = tmp_path / "weights"
    shutil.copytree(built.folder, out)
    for name in ("report.json", "cities.json", "names.parquet"):
        (out / name).unlink()
    with built.release.open():
        again = measure(built.release.preset, out, recipe=RECIPE)
    assert again == built.report
    for name in ("report.json", "cities.json", "names.parquet"):
        assert (out / name).read_bytes() == (built.folder / name).read_bytes()


@pytest.mark.slow
def test_the_report_is_of_the_weights_that_are_there(built: Built) -> None:
    assert stored_report(built.release.preset) == json.loads(json.dumps(built.report))
    largest = formats.load(built.folder / "sae-64")
    quality = explained.quality(formats.load(built.folder / "meta-sae"), largest.W_dec)
    told = built.report["meta_sae"]
    assert (told["l0"], told["fve"], told["dead"]) == (quality.l0, quality.fve, quality.dead)
    # Directions with structure are explained better than those without.
    assert told["fve"] > told["fve_control"] > 0


@pytest.mark.slow
def test_a_pair_of_single_latents_is_searched_once_each_way(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[bool] = []

    def search(experiment: Experiment, combinations: Combinations) -> tuple[FoundEdit, ...]:
        searched.append(combinations.options.keep_error)
        edit = combinations.edit(1)
        return (FoundEdit(edit, {"country": True}, math.inf, "one"),)

    monkeypatch.setattr(pair_table_module, "search", search)
    lab = open_lab(built.release.preset)
    made = lab.subject
    monkeypatch.setattr(
        Lab, "subject", lambda self, name, latents=None: replace(
            one := made(name, latents), latents=one.latents[:1], activations=one.activations[:1]
        )
    )  # fmt: skip
    table = pair_table_module.pair_table(lab, "Tokyo", "Paris")
    assert searched == [True, False]
    (row,) = json.loads(json.dumps(table["patterns"], allow_nan=False))
    assert row["margin"] is None and row["pattern"] == {"country": True}


@pytest.mark.slow
def test_the_cities_are_counted_and_swapped(built: Built) -> None:
    count = len(built.release.cities)
    assert built.report["cities"]["total"] == count
    assert built.report["cities"]["all_four_known"] == count
    swap = built.report["names"]["table"]["swap"]
    assert swap["cities"] == [city.name for city in built.release.cities]
    assert swap["pairs"] == count * (count - 1)
    different = [
        getattr(one, name) != getattr(other, name)
        for one in built.release.cities
        for other in built.release.cities
        for name in ATTRIBUTES
    ]
    assert swap["attributes"] == sum(different)
    table = built.report["tokyo_paris"]
    assert [one["attribute"] for one in table["baseline"]] == list(ATTRIBUTES)
    patterns = [tuple(one["pattern"].values()) for one in table["patterns"]]
    assert patterns == sorted(set(patterns)) and patterns[0] == (False,) * 4


@pytest.mark.slow
def test_what_is_found_outside_the_table_stands_beside_it(built: Built) -> None:
    names = built.report["names"]
    assert names["cities"]["own"]["of"] == len(OUTSIDE)
    assert names["titles"]["own"]["of"] == len(TITLES)
    assert names["table"]["own"]["count"] == built.report["cities"]["with_latent"]
    assert set(names["cities"]) == set(names["table"])


@pytest.mark.slow
def test_figures_are_of_documents_nothing_was_chosen_by(built: Built) -> None:
    with built.release.open():
        windows = material(built.release.preset).windows
    kept = windows.document[for_figures(windows)]
    assert (kept % 2 == 1).all() and len(kept) > 0
    assert set(built.report["saes_by_source"]) == {"kept"}
    assert built.report["saes"] == built.report["saes_by_source"]["kept"]


@pytest.mark.slow
@pytest.mark.parametrize("spoil", ["weights", "key", "json", "missing"])
def test_figures_of_other_weights_are_not_kept(built: Built, tmp_path: Path, spoil: str) -> None:
    out = tmp_path / "weights"
    shutil.copytree(built.folder, out)
    preset = built.release.preset
    kept = kept_base(preset, out)
    assert kept == {
        name: built.report[name] for name in ("median_norm", "text", "saes", "saes_by_source")
    }
    path = out / "report.json"
    if spoil == "weights":
        shutil.copy(out / "sae-32" / formats.WEIGHTS, out / "sae-16" / formats.WEIGHTS)
    elif spoil == "key":
        values = json.loads(path.read_text())
        del values["saes"]
        path.write_text(json.dumps(values))
    elif spoil == "json":
        path.write_text(path.read_text()[:-5])
    else:
        path.unlink()
    assert kept_base(preset, out) is None


def test_what_to_do_about_a_preset_nobody_has_opened_can_be_typed(
    tmp_path: Path,
) -> None:
    file = tmp_path / "my own.json"
    values = {"name": "mine", "model": f"a/b@{40 * '0'}", "saes": ["R:ID"], "widths": [64]}
    file.write_text(json.dumps(values | {"hook_layer": 2}))
    with pytest.raises(UserError) as raised:
        stored_report(find_preset(str(file)))
    words = shlex.split(one_sentence(raised).rstrip("."))
    assert find_preset(words[-1]).opened.name == str(file)
