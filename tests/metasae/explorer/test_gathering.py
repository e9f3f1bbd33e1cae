"""One pass finds where every latent is strongest."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metasae.explorer import evidence, gathering
from metasae.explorer.bands import BANDS, TOP
from metasae.explorer.copies import CopyFinder
from metasae.explorer.evidence import Evidence
from metasae.explorer.gathering import SAMPLED, _Gatherer
from metasae.lab.lab import Lab
from metasae.text.document import Document
from metasae.text.windows import windows
from tests.metasae.explorer.gathered import (
    MEDIAN,
    WIDTH,
    distinct,
    entries,
    gathered,
    peaks_of,
    text_of,
)


@pytest.mark.slow
@settings(max_examples=20)
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
        assert list(dict.fromkeys(top.sort_values("context")["window"])) == list(peaks.index[:TOP])
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


def strengths(table: pd.DataFrame) -> list[float]:
    return table.sort_values("context")["activation"].tolist()


def test_of_copies_the_strongest_is_kept() -> None:
    """Twenty windows of one sentence, the last the strongest, among twelve of their own."""
    own = [[100 * n + k for k in range(12)] for n in range(1, 13)]
    text = text_of([*([[1, 2, 3, 4, 5, 6, 7, 8, 9, 50 + n] for n in range(20)]), *own])
    copied = [20.0 + n / 10 for n in range(20)]
    found = gathered(peaks_of(2, [*copied, *(10.0 + n / 10 for n in range(12))]), text)
    kept = strengths(found.table())
    # Without this the eight strongest would be eight times the same sentence.
    assert kept[:TOP] == pytest.approx([21.9, 11.1, 11.0, 10.9, 10.8, 10.7, 10.6, 10.5])
    others = np.array(copied[:-1], dtype=np.float32)
    assert found.copies == 19 and not np.isin(kept, others).any()
    # Asking again counts nothing twice.
    assert strengths(found.table()) == kept and found.copies == 19


def test_copies_are_of_the_same_latent() -> None:
    text = text_of([[1, 2, 3, 4, 5, 6, 7, 8, 9]] * 2)
    every = np.concatenate([peaks_of(0, [5.0]), peaks_of(1, [1.0, 4.0])])
    table = gathered(every, text).table()
    assert table[["latent", "window"]].to_numpy().tolist() == [[0, 0], [1, 1]]


def test_no_drawn_window_is_a_copy() -> None:
    """Forty weak windows of two sentences: each is kept once, whatever is drawn."""
    strong = [[100 * n + k for k in range(12)] for n in range(1, 9)]
    weak = [[*range(10 * (n % 2), 10 * (n % 2) + 9)] for n in range(40)]
    found = gathered(peaks_of(0, [*[30.0] * 8, *np.geomspace(9, 0.1, 40)]), text_of(strong + weak))
    kept = found.table()
    assert sorted(kept[kept["context"] >= TOP]["window"] % 2) == [0, 1]


@pytest.mark.slow
@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_nothing_kept_copies_a_stronger_one(seed: int) -> None:
    """Windows cut from few sentences, thrown away often: brute force over what is kept."""
    draw = np.random.default_rng(seed)
    sentences = draw.integers(0, 3, (6, 60))
    rows = [
        sentences[draw.integers(6), begin : begin + 12].tolist()
        for begin in draw.integers(0, 48, 60)
    ]
    text, every = text_of(rows), entries(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gathering, "_PENDING", 50)
        found = gathered(every, text)
        made = Evidence(found.table(), found.counts, 10, MEDIAN, "")
    once = Evidence(gathered(every, text).table(), found.counts, 10, MEDIAN, "")
    finder = CopyFinder(text)
    for latent in range(WIDTH):
        for one in (made, once):
            here = [set(finder.runs(window, peak)) for window, peak in one.peaks()[latent]]
            assert all(a.isdisjoint(b) for a, b in combinations(here, 2))
        # The strongest of all is never a copy, and what is read at once misses none of the first.
        best = max(every[every["latent"] == latent]["activation"])
        assert made.of(latent)[0].strength == once.of(latent)[0].strength == pytest.approx(best)
        seen: set[int] = set()
        peaks = pd.DataFrame(every[every["latent"] == latent]).sort_values(
            "activation", ascending=False
        )
        first = peaks.drop_duplicates("window")[["window", "position"]].to_numpy().tolist()
        expected = [window for window, peak in first if finder.adds(seen, window, peak)][:TOP]
        assert [one.window for one in once.of(latent)][: len(expected)] == expected


def test_an_sae_that_is_silent_has_no_contexts() -> None:
    table = _Gatherer(WIDTH, MEDIAN, CopyFinder(distinct(1))).table()
    made = Evidence(table, np.zeros((WIDTH, BANDS), dtype=np.int64), 10, MEDIAN, "")
    assert made.of(2) == () and made.density(2) == 0 and made.histogram(2).empty


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
