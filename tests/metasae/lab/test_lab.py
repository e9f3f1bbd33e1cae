"""A preset opened: what it tells of cities and latents, and what is said when it can't open."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

import metasae
from metasae.errors import UserError
from metasae.lab import lab as lab_module
from metasae.lab.city_records import RankedLatent
from metasae.lab.lab import Lab, open_lab
from metasae.lab.preset_files import NAMES
from metasae.lab.reference import NameReference
from metasae.release.figures import sharing
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.directions import open_directions
from metasae.sources import cache
from metasae.sources.files import sha256
from metasae.sources.presets import EMBEDDED, Preset
from metasae.sources.user_presets import find_preset
from metasae.text.cities import ATTRIBUTES, load_cities
from metasae.training import explained, meta_sae, meta_sae_run
from tests.builders import city_record, cut_off, one_sentence, random_sae


def unit_sae(d_in: int, width: int) -> SparseAutoencoder:
    """A TopK SAE of random weights and unit decoder rows."""
    base = random_sae(d_in, width, k=2)
    return dataclasses.replace(base, W_dec=torch.nn.functional.normalize(base.W_dec))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Preset:
    """Files of a preset of 16 latents and 8 meta-latents; the model is not loaded."""
    weights = tmp_path / "weights"
    preset = dataclasses.replace(
        EMBEDDED,
        model=dataclasses.replace(EMBEDDED.model, d_model=6),
        widths=(8, 16),
        meta_width=8,
        weights=weights,
    )
    formats.save(unit_sae(6, 16), weights / "sae-16")
    formats.save(random_sae(6, 8, k=None), weights / "meta-sae")
    records = [city_record("Tokyo", "Japan", 3).to_dict(), city_record("Paris", "France").to_dict()]
    (weights / "cities.json").write_text(json.dumps({"cities": records}))
    (weights / "report.json").write_text(json.dumps({"median_norm": 5.0}))
    words = pd.DataFrame(
        {"latent": [3, 3, 5], "rank": [0, 1, 0], "word": ["Tokyo", "Japan", "x"],
         "activation": [2.0, 1.0, 1.0]}
    )  # fmt: skip
    words.to_parquet(weights / "words.parquet")
    NameReference.of(["Tokyo", "Paris"], torch.eye(2, 16)).write(weights / NAMES)
    monkeypatch.setattr("metasae.lab.lab.load_model", lambda preset, progress: "no model")
    return preset


def test_a_small_preset_opens(small: Preset) -> None:
    lab = open_lab(small)
    assert (lab.n_latents, lab.n_meta) == (16, 8)
    assert lab.city_names() == ("Tokyo",)  # Paris has no latent
    assert lab.latent_words(3) == ("Tokyo", "Japan") and lab.latent_words(4) == ()
    assert small.weights is not None
    digest = sha256(small.weights / "sae-16" / formats.WEIGHTS)[:12]
    assert lab.provenance.sae == f"sae-16@{digest}"
    assert lab.provenance.version == metasae.__version__


def rewritten(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda folder: (folder / "cities.json").unlink(), "tables"),
        (lambda folder: (folder / "words.parquet").unlink(), "tables"),
        (lambda folder: (folder / "report.json").unlink(), "tables"),
        (cut_off("cities.json"), "tables"),
        (cut_off("words.parquet"), "tables"),
        (cut_off("report.json"), "tables"),
        (rewritten("cities.json", '{"cities": [{"name": "Tokyo"}]}'), "tables"),
        (rewritten("cities.json", "[]"), "tables"),
        (rewritten("report.json", "{}"), "tables"),
        (cut_off("sae-16/sae_weights.safetensors"), "damaged"),
        (cut_off("meta-sae/cfg.json"), "damaged"),
        (lambda folder: (folder / "sae-16" / "cfg.json").unlink(), "it has no cfg.json"),
        (lambda folder: formats.save(unit_sae(6, 15), folder / "sae-16"), "needs 16"),
        (lambda folder: formats.save(unit_sae(7, 16), folder / "sae-16"), "width 6"),
        (
            lambda folder: formats.save(random_sae(7, 8, k=None), folder / "meta-sae"),
            "reads directions of width 7",
        ),
    ],
)
def test_a_preset_that_is_not_whole_is_refused_in_a_sentence(
    small: Preset, spoil: Callable[[Path], object], text: str
) -> None:
    assert small.weights is not None
    spoil(small.weights)
    with pytest.raises(UserError) as raised:
        open_lab(small)
    assert text in one_sentence(raised)


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError) as raised:
        find_preset("gpt-9")
    assert EMBEDDED.name in one_sentence(raised)


def test_the_version_is_the_packages() -> None:
    pyproject = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    version = metasae.__version__
    assert version == "uninstalled" or f'version = "{version}"' in pyproject


def test_the_cities_are_the_tables(lab: Lab) -> None:
    assert set(lab.records) == {city.name for city in load_cities()}
    assert list(lab.city_names()) == sorted(lab.city_names())
    for name in lab.city_names():
        record = lab.city_record(name)
        assert record.chosen and set(record.known) == set(record.answers) == set(ATTRIBUTES)
        assert len({one.latent for one in record.latents}) == len(record.latents)
        for one in record.latents:
            assert 0 <= one.latent < lab.n_latents and one.activation > 0
            assert 0 <= one.selectivity <= 1 and abs(one.effect) < 50
    assert lab.city_record("  sao PAULO ").name == "São Paulo"


def test_the_report_tells_what_is_there(lab: Lab) -> None:
    report = lab.report
    records = list(lab.records.values())
    assert [one["width"] for one in report["saes"]] == list(EMBEDDED.widths)
    assert report["cities"]["total"] == len(records)
    assert report["cities"]["with_latent"] == sum(record.has_own_latent for record in records)
    known = {a: sum(record.known[a] for record in records) for a in ATTRIBUTES}
    assert report["cities"]["known_facts"] == known
    quality = explained.quality(lab.decomposition.meta, lab.decomposition.sae.W_dec)
    stated = report["meta_sae"]
    assert stated["l0"] == pytest.approx(quality.l0, rel=1e-3)
    assert stated["fve"] == pytest.approx(quality.fve, rel=1e-3)
    assert stated["dead"] == quality.dead
    shared = sharing(lab.decomposition, records)
    assert report["sharing"] == shared


def test_a_city_is_a_subject_by_name(lab: Lab) -> None:
    record = lab.city_record("Tokyo")
    found = lab.subject(" tokyo ")
    assert (found.label, found.city) == ("Tokyo", "Tokyo")
    assert found.latents == tuple(one.latent for one in record.chosen)
    assert found.activations == tuple(one.activation for one in record.chosen)


def test_its_latents_can_be_overridden(lab: Lab) -> None:
    ranked = lab.city_record("Tokyo").latents[-1]
    found = lab.subject("Tokyo", [ranked.latent, 5, ranked.latent])
    assert found.city == "Tokyo" and found.latents == (ranked.latent, 5)
    assert found.activations[0] == ranked.activation and found.activations[1] > 0


@pytest.mark.parametrize("text", ["#12, #45", "#12,45", " # 12 ,# 45", "#12, #45, #12"])
def test_latents_are_a_subject_by_number(lab: Lab, text: str) -> None:
    found = lab.subject(text)
    assert (found.label, found.city, found.latents) == ("#12, #45", None, (12, 45))
    assert len(found.activations) == 2 and min(found.activations) > 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Tokio", "Tokyo"),
        ("Atlantis", "did you mean"),
        ("", "did you mean"),
        ("#18432", "There is no latent 18432: this SAE has the latents 0 to 18431."),
        ("#1, #99999999999999999999", "There is no latent 99999999999999999999"),
        ("#", "names no latents"),
        ("#-3", "names no latents"),
        ("#1.5", "names no latents"),
        ("#Tokyo", "names no latents"),
        ("#1,,2", "names no latents"),
    ],
)
def test_what_is_no_subject(lab: Lab, text: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        lab.subject(text)
    assert said in one_sentence(raised)


def test_a_citys_latents_out_of_range_or_none(lab: Lab) -> None:
    for latents, said in (
        ([-1], "There is no latent -1"),
        ([], "No latent of this SAE fires on Tokyo"),
    ):
        with pytest.raises(UserError) as raised:
            lab.subject("Tokyo", latents)
        assert said in one_sentence(raised)


@pytest.mark.parametrize(("source", "target"), [("Tokyo", " TOKYO"), ("#5, #6", "#5,6")])
def test_source_and_target_must_differ(lab: Lab, source: str, target: str) -> None:
    with pytest.raises(UserError) as raised:
        lab.experiment(lab.subject(source), lab.subject(target))
    assert "choose two different ones" in one_sentence(raised)


def test_words_and_cards(lab: Lab) -> None:
    latent = lab.subject("Tokyo").latents[0]
    assert "Tokyo" in " ".join(lab.latent_words(latent))
    with pytest.raises(UserError, match="There is no latent"):
        lab.latent_words(lab.n_latents)
    meta, activation = next(iter(lab.decomposition.pieces(latent).items()))
    card = lab.meta_card(meta)
    assert card.meta == meta and card.title and lab.meta_card(meta) is card
    strengths = [one.activation for one in card.latents]
    assert strengths == sorted(strengths, reverse=True) and strengths[0] >= activation
    on = (lab.decomposition.meta.encode(lab.decomposition.sae.W_dec)[:, meta] > 0).float().mean()
    assert card.active_on == pytest.approx(float(on))
    with pytest.raises(UserError, match="There is no meta-latent"):
        lab.meta_card(lab.n_meta)


def test_a_meta_sae_of_ones_own_stands_in_for_the_shipped_one(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "meta_saes", lambda base: tmp_path)
    monkeypatch.setattr(lab_module, "load_model", lambda preset, progress: lab.model)
    directions = open_directions([EMBEDDED.sae(EMBEDDED.width)])
    config = dataclasses.replace(meta_sae.RECIPE, width=64, steps=2, batch=512)
    made = meta_sae_run.make(directions, config, tmp_path / "tiny")
    own = open_lab(find_preset(f"{EMBEDDED.name}+tiny"))
    assert own.n_meta == 64 and own.n_latents == lab.n_latents
    assert own.provenance.meta_sae != lab.provenance.meta_sae
    assert own.report["meta_sae"]["fve"] == made["quality"]["fve"]
    assert own.report["meta_sae"]["fve_control"] is None
    with pytest.raises(UserError, match="no SAE in SAELens's format"):
        open_lab(find_preset(f"{EMBEDDED.name}+missing"))
    with pytest.raises(UserError, match="no preset"):
        find_preset(f"{EMBEDDED.name}+../up")


def test_a_latent_chosen_by_number_has_the_activation_of_its_strongest_city(
    small: Preset,
) -> None:
    assert small.weights is not None
    # Barcelona's own; Paris, later in the alphabet, lists it far down.
    records = [
        dataclasses.replace(
            city_record(name, ""),
            latents=tuple(
                RankedLatent(latent, activation, 0.9, 0.5, chosen, chosen)
                for latent, activation, chosen in ranked
            ),
        ).to_dict()
        for name, ranked in (
            ("Barcelona", [(2, 89.7, True)]),
            ("Paris", [(3, 60.0, True), (2, 5.7, False)]),
            ("Tokyo", [(4, 10.0, True)]),
        )
    ]
    (small.weights / "cities.json").write_text(json.dumps({"cities": records}))
    lab = open_lab(small)
    assert lab.subject("#2").activations == (89.7,)
    assert lab.subject("Tokyo", [2, 4]).activations == (89.7, 10.0)
    assert lab.subject("Paris", [2]).activations == (5.7,)  # measured on Paris itself
    assert lab.subject("#9").activations == (60.0,)  # the median of the chosen


def test_a_city_newer_than_the_tables_is_refused_with_what_to_do(small: Preset) -> None:
    lab = open_lab(small)
    with pytest.raises(UserError, match=r"Lima is newer than the tables in .* build") as raised:
        lab.subject("Lima")
    one_sentence(raised)
    lab = dataclasses.replace(lab, preset=dataclasses.replace(small, weights=None))
    with pytest.raises(UserError, match="delete that folder and open the preset again") as raised:
        lab.subject("lima")
    one_sentence(raised)
