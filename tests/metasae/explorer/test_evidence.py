"""Evidence: what is gathered against brute force, how it is kept and read."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metasae.errors import UserError
from metasae.explorer import evidence, gathering
from metasae.explorer.bands import BANDS, TOP, band, band_start
from metasae.explorer.evidence import Evidence
from metasae.explorer.gathering import SAMPLED, _Gatherer
from metasae.lab.lab import Lab
from metasae.saes.decomposition import Decomposition
from metasae.sources import presets
from metasae.text.document import Document
from metasae.text.documents import own_documents as files
from metasae.text.windows import windows
from tests.builders import one_sentence

WIDTH, MEDIAN = 5, 10.0


def entries(seed: int, count: int = 400, windows: int = 60) -> np.ndarray:
    """Random entries; a latent fires on a token once."""
    draw = np.random.default_rng(seed)
    every = draw.choice(WIDTH * windows * 9, count, replace=False)
    found = np.empty(count, dtype=gathering._ENTRY)
    found["latent"], rest = every % WIDTH, every // WIDTH
    found["window"], found["position"] = rest % windows, 1 + rest // windows
    found["activation"] = np.exp(draw.normal(0, 1.5, count)) * 3
    return found


def gathered(every: np.ndarray) -> _Gatherer:
    """Taken in batches of whole windows, as they come."""
    gatherer = _Gatherer(WIDTH, MEDIAN)
    for part in np.array_split(np.unique(every["window"]), 7):
        gatherer.add(every[np.isin(every["window"], part)])
    return gatherer


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_the_strongest_windows_are_those_of_brute_force(seed: int) -> None:
    every = entries(seed)
    found = gathered(every)
    table = pd.DataFrame(every)
    kept = found.table()
    for latent, group in table.groupby("latent"):
        peaks = group.groupby("window")["activation"].max().sort_values(ascending=False)
        mine = kept[kept["latent"] == latent]
        top = mine[mine["context"] < TOP]
        assert (
            list(dict.fromkeys(top.sort_values("context")["window"])) == peaks.index[:TOP].tolist()
        )
        for window, rows in mine.groupby("window"):
            expected = group[group["window"] == window].sort_values("position")
            assert list(rows["position"]) == list(expected["position"])
            assert np.allclose(rows["activation"], expected["activation"])
        drawn = mine.loc[mine["context"] >= TOP, "context"].nunique()
        assert drawn <= SAMPLED and drawn == min(drawn, len(peaks) - TOP)
        assert found.counts[int(str(latent))].sum() == len(group)
    assert (np.diff(kept["latent"]) >= 0).all()


def test_throwing_away_in_between_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    every = entries(3, 2000, 300)
    whole = gathered(every)
    monkeypatch.setattr(gathering, "_PENDING", 50)
    often = gathered(every)
    pd.testing.assert_frame_equal(whole.table(), often.table())
    assert (whole.counts == often.counts).all()


def test_the_drawn_windows_reach_into_the_weaker_bands() -> None:
    every = entries(5, 2000, 300)
    kept = gathered(every).table()
    for latent in range(WIDTH):
        mine = kept[kept["latent"] == latent].groupby("context")["activation"].max()
        assert (np.diff(mine) <= 0).all()
        assert mine[mine.index >= TOP].min() < mine[mine.index < TOP].min() / 3


def test_bands_are_half_octaves_up_to_four_medians() -> None:
    assert band(np.array([39.9, 40.0, 400.0]), MEDIAN).tolist() == [BANDS - 1] * 3
    assert band(np.array([28.2, 28.3]), MEDIAN).tolist() == [BANDS - 2, BANDS - 1]  # 40/√2 = 28.28
    assert band(np.array([0.0, 1e-6]), MEDIAN).tolist() == [0, 0]
    assert math.isclose(band_start(BANDS, MEDIAN), 40.0)
    assert math.isclose(band_start(BANDS - 2, MEDIAN), 20.0)


def small() -> Evidence:
    found = gathered(entries(1))
    return Evidence(found.table(), found.counts, 1000, MEDIAN, "text")


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = small()
    made.save(tmp_path, WIDTH)
    again = Evidence.load(tmp_path, WIDTH)
    assert (again.counts == made.counts).all()
    assert (again.tokens, again.median_norm, again.text) == (1000, MEDIAN, "text")
    for latent in range(WIDTH):
        for one, other in zip(made.of(latent), again.of(latent), strict=True):
            assert (one.window, one.drawn, one.peak) == (other.window, other.drawn, other.peak)
            assert math.isclose(one.strength, other.strength, rel_tol=1e-3)


def test_density_and_histogram_count_all_tokens() -> None:
    made = small()
    for latent in range(WIDTH):
        total = int((entries(1)["latent"] == latent).sum())
        assert math.isclose(made.density(latent), total / 1000)
        bands = made.histogram(latent)
        assert bands["tokens"].sum() == total
        assert bands["tokens"].iloc[0] > 0 and bands["tokens"].iloc[-1] > 0
        assert np.allclose(bands["to"] / bands["from"], 2**0.5)


@pytest.mark.parametrize("name", ["facts-5.json", "contexts-5.parquet", "counts-5.parquet"])
def test_damaged_evidence_is_one_sentence(tmp_path: Path, name: str) -> None:
    small().save(tmp_path, WIDTH)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:20])
    with pytest.raises(UserError) as raised:
        Evidence.load(tmp_path, WIDTH)
    assert "metasae describe" in one_sentence(raised)


def test_an_sae_that_is_silent_has_no_contexts() -> None:
    table = _Gatherer(WIDTH, MEDIAN).table()
    made = Evidence(table, np.zeros((WIDTH, BANDS), dtype=np.int64), 10, MEDIAN, "")
    assert made.of(2) == () and made.density(2) == 0 and made.histogram(2).empty


# On the real model.

TEXTS = ("Tokyo is the capital of Japan. People from Tokyo speak Japanese.", "She paid in euros.")


def test_one_pass_finds_what_encoding_finds(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "fast_dtype", lambda: torch.float32)
    text = windows(lab.model, texts=[Document("mine", one, False) for one in TEXTS])
    sae = lab.decomposition.sae
    found = gathering.collect(lab.model, text, {sae.width: sae}, lab.median_norm)[sae.width]
    seen = 0
    for window, typed in enumerate(TEXTS):
        tokens = torch.tensor([lab.model.prompt_tokens(typed)])
        acts = sae.encode(lab.model.residual(tokens)[0])
        for position in range(1, tokens.shape[1]):
            for latent in acts[position].nonzero()[:, 0].tolist():
                (context,) = [one for one in found.of(latent) if one.window == window]
                value = context.activations[position]
                assert math.isclose(value, float(acts[position, latent]), rel_tol=1e-3)
                seen += 1
    assert seen == len(found.contexts) == found.counts.sum()
    assert found.tokens == sum(len(lab.model.encode(one)) for one in TEXTS)
    first = found.of(lab.city_record("Tokyo").latents[0].latent)[0]
    shown = evidence.snippet(lab.model, text, first)
    assert shown.source == "mine"
    assert max(shown.tokens, key=lambda one: one[1])[0].strip() == "Tokyo"


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
    with pytest.raises(UserError, match="The text is empty"):
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
    # Four latents a token.
    assert math.isclose(wide.counts.sum() / wide.tokens, 4, rel_tol=0.02)


def test_own_files_are_cut_at_empty_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n\nthree\n")
    (tmp_path / "b.md").write_text("four")
    (tmp_path / "c.bin").write_bytes(b"\xff\xfe")
    assert [one.text for one in files([tmp_path])] == ["one\ntwo", "three", "four"]
    with pytest.raises(UserError, match="can't be read as UTF-8"):
        list(files([tmp_path / "c.bin"]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="There is no text in"):
        list(files([tmp_path / "empty"]))


def test_a_dataset_is_read_or_said_in_one_sentence(tmp_path: Path) -> None:
    rows = pd.DataFrame({"text": ["first", "  ", "second"]})
    (tmp_path / "mine").mkdir()
    rows.to_parquet(tmp_path / "mine" / "train.parquet")
    assert [one.text for one in files([Path(f"hf:{tmp_path}/mine")])] == ["first", "second"]
    rows.rename(columns={"text": "words"}).to_parquet(tmp_path / "mine" / "train.parquet")
    with pytest.raises(UserError, match="has no column text"):
        list(files([Path(f"hf:{tmp_path}/mine")]))
    with pytest.raises(UserError) as raised:
        list(files([Path(f"hf:{tmp_path}/nothing")]))
    assert "could not be read" in one_sentence(raised)


def test_widths_share_the_meta_sae(lab: Lab) -> None:
    """A latent of any width is taken apart by the same meta-SAE."""
    from metasae.explorer.explorer import open_explorer

    found = open_explorer(lab)
    small_one = found.decomposition(576)
    assert isinstance(small_one, Decomposition) and small_one.meta is lab.decomposition.meta
    with pytest.raises(UserError, match="There is no SAE of 7 latents"):
        found.decomposition(7)
