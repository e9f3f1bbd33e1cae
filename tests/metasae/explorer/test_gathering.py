"""One pass finds where every latent is strongest."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metasae.explorer import evidence, gathering
from metasae.explorer.bands import BANDS, TOP
from metasae.explorer.evidence import Evidence
from metasae.explorer.gathering import SAMPLED, _Gatherer
from metasae.lab.lab import Lab
from metasae.text.document import Document
from metasae.text.windows import windows
from tests.metasae.explorer.gathered import MEDIAN, WIDTH, entries, gathered


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


def test_an_sae_that_is_silent_has_no_contexts() -> None:
    table = _Gatherer(WIDTH, MEDIAN).table()
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
