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
from metasae.lab.city_table import told
from metasae.lab.lab import Lab, open_lab
from metasae.lab.reference_names import ReferenceNames
from metasae.release.figures import sharing
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.directions import open_directions
from metasae.sources import cache
from metasae.sources.files import sha256
from metasae.sources.presets import EMBEDDED, Preset
from metasae.sources.user_presets import find_preset
from metasae.text.cities import ATTRIBUTES, find_city, load_cities
from metasae.text.prompts import WORDINGS
from metasae.training import explained, meta_sae, meta_sae_run
from tests.builders import city_record, cut_off, one_sentence, random_sae


def unit_sae(d_in: int, width: int) -> SparseAutoencoder:
    """A TopK SAE of random weights and unit decoder rows."""
    base = random_sae(d_in, width, k=2)
    return dataclasses.replace(base, W_dec=torch.nn.functional.normalize(base.W_dec))


def keep_reference(weights: Path, active: dict[str, dict[int, float]]) -> None:
    """Write reference names of which some of 16 latents are active."""
    table = torch.zeros(len(active), 16)
    for row, latents in enumerate(active.values()):
        for latent, activation in latents.items():
            table[row, latent] = activation
    ReferenceNames.of(list(active), table).save(weights / "names.parquet")


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
    keep_reference(weights, {"Tokyo": {3: 2.0}})
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
        (lambda folder: (folder / "names.parquet").unlink(), "tables"),
        (cut_off("names.parquet"), "tables"),
        (
            lambda folder: ReferenceNames.of(["Tokyo"], torch.ones(1, 17)).save(
                folder / "names.parquet"
            ),
            "tables",
        ),
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
            assert 0 <= one.selectivity <= 1
            assert one.effect is not None and abs(one.effect) < 50
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
    shared = sharing(lab.decomposition, [one for one in records if one.known["country"]])
    assert report["names"]["table"]["sharing"] == shared


def test_a_city_is_a_subject_by_name(lab: Lab) -> None:
    record = lab.city_record("Tokyo")
    found = lab.subject(" tokyo ")
    assert (found.label, found.name, found.facts) == ("Tokyo", "Tokyo", True)
    assert found.latents == tuple(one.latent for one in record.chosen)
    assert found.activations == tuple(one.activation for one in record.chosen)


def test_its_latents_can_be_overridden(lab: Lab) -> None:
    ranked = lab.city_record("Tokyo").latents[-1]
    found = lab.subject("Tokyo", [ranked.latent, 5, ranked.latent])
    assert found.name == "Tokyo" and found.latents == (ranked.latent, 5)
    assert found.activations[0] == ranked.activation and found.activations[1] > 0


@pytest.mark.parametrize("text", ["#12, #45", "#12,45", " # 12 ,# 45", "#12, #45, #12"])
def test_latents_are_a_subject_by_number(lab: Lab, text: str) -> None:
    found = lab.subject(text)
    assert (found.label, found.name, found.latents) == ("#12, #45", None, (12, 45))
    assert len(found.activations) == 2 and min(found.activations) > 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "There is no name"),
        (" \n", "There is no name"),
        ("very " * 40 + "long", "type a shorter one"),
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
        ([], "No latent of this SAE stands for Tokyo"),
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


def test_a_latent_chosen_by_number_has_the_activation_of_its_strongest_name(
    small: Preset,
) -> None:
    assert small.weights is not None
    # Barcelona's own; Paris, later in the alphabet, lists it far down.
    records = [
        dataclasses.replace(
            city_record(name, ""),
            latents=tuple(
                RankedLatent(latent, activation, 0.9, 0.5, True, chosen)
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
    keep_reference(small.weights, {"Barcelona": {2: 90.5}, "Paris": {2: 6.5}, "tea": {7: 8.5}})
    lab = open_lab(small)
    assert lab.subject("#2").activations == (90.5,)
    assert lab.subject("#7").activations == (8.5,)  # the name need be no city
    assert lab.subject("Tokyo", [2, 4]).activations == (90.5, 10.0)
    assert lab.subject("Paris", [2]).activations == (5.7,)  # measured on Paris itself
    assert lab.subject("#9").activations == (60.0,)  # the median of the chosen


def test_a_city_newer_than_the_tables_is_refused_with_what_to_do(small: Preset) -> None:
    lab = open_lab(small)
    with pytest.raises(UserError, match=r"Lima is newer than the tables in .* build") as raised:
        lab.city_record("Lima")
    one_sentence(raised)
    lab = dataclasses.replace(lab, preset=dataclasses.replace(small, weights=None))
    with pytest.raises(UserError, match="delete that folder and open the preset again") as raised:
        lab.city_record("lima")
    one_sentence(raised)


def test_a_name_that_is_no_city_is_a_subject(small_lab: Lab) -> None:
    record = small_lab.names.record("Old Tokyo")
    found = small_lab.subject(" Old  Tokyo ")
    assert (found.label, found.name, found.about, found.facts) == (*["Old Tokyo"] * 3, False)
    assert found.latents == tuple(one.latent for one in record.chosen)
    assert found.activations == tuple(one.activation for one in record.chosen)
    assert found.remarks == ()
    assert small_lab.subject("Tokio ", [3]).remarks == ('For "Tokio", did you mean Tokyo?',)


def test_what_a_subject_shares_is_said_unless_its_latents_are_given(small_lab: Lab) -> None:
    tokyo = small_lab.records["Tokyo"]
    shared = dataclasses.replace(
        tokyo,
        latents=(dataclasses.replace(tokyo.latents[0], own=False, selectivity=0.25),),
    )
    lab = dataclasses.replace(small_lab, records=small_lab.records | {"Tokyo": shared})
    (said,) = lab.subject("Tokyo").remarks
    assert said.startswith('"Tokyo" has no latent of its own here')
    assert lab.subject("Tokyo", [0]).remarks == ()


@pytest.mark.parametrize("name", ["Ulm", "Einstein", "hamster", "Albert Einstein"])
def test_any_name_is_a_subject_of_the_real_default(lab: Lab, name: str) -> None:
    found = lab.subject(name)
    assert found.label == found.name == name and not found.facts
    assert found.latents and min(found.activations) > 0
    own = lab.names.record(name).has_own_latent
    assert own != any("no latent of its own" in one for one in found.remarks)


@pytest.mark.parametrize(
    ("report", "pair"),
    [
        ({}, ("Tokyo", "Paris")),
        ({"opening": None}, ("Tokyo", "Paris")),
        ({"opening": {"source": "Cairo", "target": "Kyoto"}}, ("Cairo", "Kyoto")),
        ({"opening": {"source": "Cairo", "target": "Cairo"}}, ("Tokyo", "Paris")),
        ({"opening": {"source": "Cairo", "target": "Atlantis"}}, ("Tokyo", "Paris")),
        ({"opening": {"source": "Cairo"}}, ("Tokyo", "Paris")),
        ({"opening": "Cairo"}, ("Tokyo", "Paris")),
    ],
)
def test_a_pair_to_open_on_is_the_reports_or_the_posts(
    small_lab: Lab, report: dict[str, object], pair: tuple[str, str]
) -> None:
    assert dataclasses.replace(small_lab, report=report).opening == pair


def test_what_the_model_does_not_know_is_asked_in_the_words_of_the_question(
    small_lab: Lab,
) -> None:
    # What it was taught it was taught in the default words.
    assert small_lab.misjudged("Tokyo") == {}
    for wording, asked in WORDINGS.items():
        answers = told(small_lab.model, find_city("Kyoto"), list(asked.items()))
        wrong = {
            attribute: one.pick
            for attribute, one in zip(asked, answers, strict=True)
            if not one.known
        }
        assert small_lab.misjudged("Kyoto", wording) == wrong
        assert not set(wrong.values()) & {"Japan", "Japanese", "Asia", "yen"}
    assert small_lab.misjudged("hamster") == {}
