"""Evidence: what is gathered against brute force, how it is kept and read."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from metasae.errors import UserError
from metasae.explorer import evidence
from metasae.explorer.bands import BANDS, TOP, band, band_start
from metasae.explorer.evidence import Evidence
from metasae.lab.lab import Lab
from metasae.saes.decomposition import Decomposition
from metasae.sources import presets
from metasae.sources.files import read_json, write_json
from metasae.sources.versions import NewerError
from tests.builders import one_sentence
from tests.metasae.explorer.gathered import MEDIAN, WIDTH, entries, gathered


def test_bands_are_half_octaves_up_to_four_medians() -> None:
    assert band(np.array([39.9, 40.0, 400.0]), MEDIAN).tolist() == [BANDS - 1] * 3
    assert band(np.array([28.2, 28.3]), MEDIAN).tolist() == [BANDS - 2, BANDS - 1]  # 40/√2 = 28.28
    assert band(np.array([0.0, 1e-6]), MEDIAN).tolist() == [0, 0]
    assert math.isclose(band_start(BANDS, MEDIAN), 40.0)
    assert math.isclose(band_start(BANDS - 2, MEDIAN), 20.0)


def small() -> Evidence:
    found = gathered(entries(1))
    return Evidence(found.table(), found.counts, 1000, MEDIAN, "text", 12)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = small()
    made.save(tmp_path, WIDTH)
    again = Evidence.load(tmp_path, WIDTH)
    assert (again.counts == made.counts).all()
    assert (again.tokens, again.median_norm, again.text) == (1000, MEDIAN, "text")
    assert again.copies == 12
    for latent in range(WIDTH):
        for one, other in zip(made.of(latent), again.of(latent), strict=True):
            assert (one.window, one.drawn, one.peak) == (other.window, other.drawn, other.peak)
            assert math.isclose(one.strength, other.strength, rel_tol=1e-3)


def test_peaks_are_those_of_the_contexts() -> None:
    made = small()
    for latent, peaks in enumerate(made.peaks()):
        assert peaks == [(one.window, one.peak) for one in made.of(latent)]


def test_density_and_histogram_count_all_tokens() -> None:
    made = small()
    for latent in range(WIDTH):
        total = int((entries(1)["latent"] == latent).sum())
        assert math.isclose(made.density(latent), total / 1000)
        bands = made.histogram(latent)
        assert bands["tokens"].sum() == total
        assert bands["tokens"].iloc[0] > 0 and bands["tokens"].iloc[-1] > 0
        assert np.allclose(bands["to"] / bands["from"], 2**0.5)


def test_densities_count_the_latents_of_a_band() -> None:
    # Of 1,000 tokens: 1, 10, 12, 0 and 100; a quarter of a decade is a factor of 1.78.
    counts = np.array([[1, 0], [4, 6], [12, 0], [0, 0], [0, 100]])
    found = Evidence(small().contexts, counts, 1000, MEDIAN, "text").densities
    assert found["latents"].tolist() == [1, 2, 1]
    assert np.allclose(found["from"], [1e-3, 1e-2, 1e-1])
    assert np.allclose(found["to"] / found["from"], 10**0.25)


def test_a_context_says_whether_it_was_written_for_training() -> None:
    said = {
        source: evidence.Snippet(((" Tokyo", 1.0),), source, False).written
        for source in ("city names", "titles", "wikipedia-en", "factbook", "mine.txt")
    }
    assert [source for source, written in said.items() if written] == ["city names", "titles"]


@pytest.mark.parametrize("name", ["facts-5.json", "contexts-5.parquet", "counts-5.parquet"])
def test_damaged_evidence_is_one_sentence(tmp_path: Path, name: str) -> None:
    small().save(tmp_path, WIDTH)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:20])
    with pytest.raises(UserError) as raised:
        Evidence.load(tmp_path, WIDTH)
    assert "metasae describe" in one_sentence(raised)


def test_evidence_of_a_newer_version_is_said_and_of_none_is_read(tmp_path: Path) -> None:
    small().save(tmp_path, WIDTH)
    facts = read_json(tmp_path / "facts-5.json")
    assert facts.pop("format") == 1
    write_json(tmp_path / "facts-5.json", facts)
    assert Evidence.load(tmp_path, WIDTH).tokens == small().tokens
    write_json(tmp_path / "facts-5.json", facts | {"format": 2})
    with pytest.raises(NewerError) as raised:
        Evidence.load(tmp_path, WIDTH)
    one_sentence(raised)


def test_what_fires_on_a_text_is_what_encoding_finds(lab: Lab) -> None:
    sae = lab.decomposition.sae
    table = evidence.firing_on(lab.model, sae, "I live in Tokyo", lab.median_norm)
    tokens = torch.tensor([lab.model.prompt_tokens("I live in Tokyo")])
    acts = sae.encode(lab.model.residual(tokens)[0])
    expected = acts[table["position"].tolist(), table["latent"].tolist()]
    assert len(table) and np.allclose(table["activation"], expected, rtol=1e-4, atol=0)
    assert len(table) == int((acts[1:] > 0).sum())
    best = table[table["token"] == " Tokyo"].iloc[0]["latent"]
    assert best == lab.city_record("Tokyo").latents[0].latent
    with pytest.raises(UserError, match="The model reads nothing in this text"):
        evidence.firing_on(lab.model, sae, "", lab.median_norm)


def test_what_is_shipped_is_about_the_shipped_saes(lab: Lab) -> None:
    folder = evidence.SHIPPED / presets.EMBEDDED.name
    for width in presets.EMBEDDED.widths:
        found = Evidence.load(folder, width)
        assert found.counts.shape == (width, BANDS) and found.tokens > 900_000
        assert found.contexts["latent"].between(0, width - 1).all()
        assert math.isclose(found.median_norm, lab.median_norm, rel_tol=0.05)
    tokyo = lab.city_record("Tokyo").latents[0].latent
    wide = Evidence.load(folder, presets.EMBEDDED.width)
    assert 1e-6 < wide.density(tokyo) < 0.01 and len(wide.of(tokyo)) > TOP
    # Six latents a token.
    assert math.isclose(wide.counts.sum() / wide.tokens, 6, rel_tol=0.02)


def test_widths_share_the_meta_sae(lab: Lab) -> None:
    """A latent of any width is taken apart by the same meta-SAE."""
    from metasae.explorer.explorer import open_explorer

    found = open_explorer(lab)
    small_one = found.decomposition(576)
    assert isinstance(small_one, Decomposition) and small_one.meta is lab.decomposition.meta
    with pytest.raises(UserError, match="There is no SAE of 7 latents"):
        found.decomposition(7)
