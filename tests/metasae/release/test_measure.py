"""Measuring a release again gives its figures again."""

import json
import math
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from metasae.errors import UserError
from metasae.lab.lab import Lab, open_lab
from metasae.lab.stored_report import stored_report
from metasae.release import pair_table as pair_table_module
from metasae.release.material import material
from metasae.release.measure import for_figures, kept_base, measure
from metasae.saes import formats
from metasae.search.combinations import Combinations
from metasae.search.patterns import FoundEdit
from metasae.sources.user_presets import find_preset
from metasae.steering.experiment import Experiment
from metasae.text.cities import ATTRIBUTES
from metasae.training import explained
from tests.builders import one_sentence
from tests.small_release import OUTSIDE, RECIPE, TITLES, Built

pytestmark = pytest.mark.slow


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


def test_the_report_is_of_the_weights_that_are_there(built: Built) -> None:
    assert stored_report(built.release.preset) == json.loads(json.dumps(built.report))
    largest = formats.load(built.folder / "sae-64")
    quality = explained.quality(formats.load(built.folder / "meta-sae"), largest.W_dec)
    told = built.report["meta_sae"]
    assert (told["l0"], told["fve"], told["dead"]) == (quality.l0, quality.fve, quality.dead)
    # Directions with structure are explained better than those without.
    assert told["fve"] > told["fve_control"] > 0


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


def test_what_is_found_outside_the_table_stands_beside_it(built: Built) -> None:
    names = built.report["names"]
    assert names["cities"]["own"]["of"] == len(OUTSIDE)
    assert names["titles"]["own"]["of"] == len(TITLES)
    assert names["table"]["own"]["count"] == built.report["cities"]["with_latent"]
    assert set(names["cities"]) == set(names["table"])


def test_figures_are_of_documents_nothing_was_chosen_by(built: Built) -> None:
    with built.release.open():
        windows = material(built.release.preset).windows
    kept = windows.document[for_figures(windows)]
    assert (kept % 2 == 1).all() and len(kept) > 0
    assert set(built.report["saes_by_source"]) == {"kept"}
    assert built.report["saes"] == built.report["saes_by_source"]["kept"]


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
