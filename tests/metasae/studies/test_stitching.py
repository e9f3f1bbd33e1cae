"""Novel latents known by construction, and the way between two SAEs on a text made up for it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import silent
from metasae.studies import held_out_text, stitching
from metasae.studies.firing import activations
from metasae.studies.held_out_text import Change
from metasae.studies.stitch_way import Coded
from metasae.studies.stitching import Configuration, insertions, run
from metasae.studies.study import Material
from tests import small_lab as planted_lab
from tests.builders import one_sentence
from tests.metasae.studies.planted import D_MODEL, material_of, sae_of, sums_of
from tests.metasae.studies.test_held_out_text import text_of

LATENTS = ((0,), (1,), (2,), (3,), (4,), (5,), (6,))
KNOWN = ((0,), (1,), (2,))
"""The smaller SAE's, so that 3, 4 and 5 are novel; on this text 6 never fires."""


@dataclass(frozen=True)
class MadeUp:
    """A text whose "cross-entropy" is the squared error of what takes its residuals' place."""

    rows: Tensor
    batches: int = 3

    @property
    def tokens(self) -> Tensor:
        return torch.ones(len(self.rows))

    def nats(self, change: Change | None = None) -> Tensor:
        parts = self.rows.split(self.batches)
        made = [part if change is None else change(part) for part in parts]
        return (torch.cat(made) - self.rows).square().sum(1)


def rows_of(axes: Sequence[Sequence[int]]) -> Tensor:
    rows = torch.zeros(len(axes), D_MODEL)
    for row, some in zip(rows, axes, strict=True):
        row[list(some)] = 2.0
    return rows


ROWS = rows_of([(0, 3), (1, 4), (2, 5), (0, 4), (1,), (2, 3), (0, 1), (5,)])


def material(
    latents: Sequence[Sequence[int]] = LATENTS, smaller: Sequence[Sequence[int]] = KNOWN
) -> Material:
    text: Any = MadeUp(ROWS)
    return replace(material_of(latents, smaller), held_out=lambda windows, progress: text)


def test_novel_latents_are_found_and_told_by_their_cosine() -> None:
    finding = run(material(), Configuration(), silent)
    latents = finding.tables["latents"].set_index("latent")
    assert latents["novel"].to_dict() == {n: n in (3, 4, 5) for n in range(6)}
    assert latents["fires"].to_dict() == {0: 3, 1: 3, 2: 2, 3: 2, 4: 2, 5: 2}
    assert latents["cosine"].tolist() == [1, 1, 1, 0, 0, 0]
    # Six times a 2 is left of the text. Axis 3 takes two of them away, axis 0 adds three.
    assert latents["effect"][3] == pytest.approx(-2 / 6)
    assert latents["effect"][0] == pytest.approx(3 / 6)
    figures = finding.figures
    assert figures["novel"]["value"] == 0.5 and figures["never_fire"] == 1
    assert figures["auc"]["value"] == 1.0
    assert figures["cosine"]["novel"]["value"] == 0.0
    assert figures["above_threshold"] == {"threshold": 0.7, "latents": 3, "novel": 0.0}
    assert figures["often"] is None
    assert "50% (" in finding.verdict and "AUC of 1.00" in finding.verdict


def test_the_way_falls_to_nothing_left() -> None:
    finding = run(material(), Configuration(steps=6), silent)
    path = finding.tables["way"]
    # Three novel latents in three steps, each of two firings on eight tokens; then three swaps.
    assert path["mse"].tolist() == pytest.approx([3.0, 2.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    assert path["l0"].tolist() == [1.0, 1.25, 1.5, 1.75, 1.75, 1.75, 1.75]
    assert finding.figures["swaps_begin"] == 3
    assert "rises at 0 of 6 steps" in finding.verdict and "rising at 0." in finding.verdict
    # What the model is asked with is the reconstruction of the same rows.
    assert path["nats"].tolist() == pytest.approx(path["mse"].tolist())
    assert finding.figures["nats_unchanged"] == 0.0
    ends = path.iloc[[0, -1]]
    assert ends["random_unexplained"].tolist() == pytest.approx(ends["unexplained"].tolist())
    assert ends["random_l0"].tolist() == ends["l0"].tolist()
    centred = (ROWS - ROWS.mean(0)).square().sum() / len(ROWS)
    assert path["unexplained"][0] == pytest.approx(3.0 / float(centred))


def test_the_controls_are_not_novel_where_all_latents_are() -> None:
    # Each row has an axis of its own. A latent on other tokens, or a random direction in its place,
    # must have a cosine above a half with what is left there to take anything away.
    text: Any = MadeUp(torch.eye(D_MODEL) * 3)
    axes = [(n,) for n in range(D_MODEL)]
    made = replace(material_of(axes, ((0, 1, 2, 3, 4, 5, 6, 7),)),
                   held_out=lambda windows, progress: text)  # fmt: skip
    finding = run(made, Configuration(), silent)
    assert finding.figures["novel"]["value"] == 1.0
    assert finding.figures["novel_random"] <= 0.25
    assert finding.figures["novel_shuffled"] <= 0.25
    assert finding.figures["auc"] is None and "roc" not in finding.charts
    assert "All of the latents" in finding.left_out[0]


def test_an_sae_within_the_other_has_nothing_novel() -> None:
    finding = run(material(KNOWN * 2, (*KNOWN, (3,))), Configuration(), silent)
    assert finding.figures["novel"]["value"] == 0.0
    assert "None of the latents" in finding.left_out[0]
    assert finding.figures["cosine"]["novel"] is None


def test_latents_that_fire_often_are_counted_by_themselves() -> None:
    # Ten rows on axis 0, which the smaller SAE has, and one on axis 3, which it hasn't.
    text: Any = MadeUp(rows_of([(0,)] * 10 + [(3,)]))
    finding = run(replace(material(), held_out=lambda *_: text), Configuration(), silent)
    assert finding.figures["novel"]["value"] == 0.5
    assert finding.figures["often"] == {
        "fire_at_least": 10, "latents": 1, "novel": {"value": 0.0, "low": 0.0, "high": 0.0},
        "novel_random": 0.0, "novel_shuffled": 0.0,
    }  # fmt: skip
    assert "0% of those that fire at least 10 times" in finding.verdict


def test_a_way_that_gets_worse_is_said() -> None:
    # Each of the two latents alone helps with the first row, both together write too much.
    text: Any = MadeUp(rows_of([(3, 4)] * 2 + [(0,)]))
    made = replace(material(((3, 4), (3, 4), (0,)), ((0,),)), held_out=lambda *_: text)
    finding = run(made, Configuration(steps=4), silent)
    assert finding.tables["latents"]["novel"].tolist() == [True, True, False]
    # 16 is left of the text; of it nothing with one latent, and again 16 with both. They come at
    # the first two of the three steps that novel latents have, the swap at the last.
    expected = [16 / 3, 0, 16 / 3, 16 / 3, 16 / 3]
    assert finding.tables["way"]["mse"].tolist() == pytest.approx(expected, abs=1e-5)
    assert "rises at 1 of 4 steps" in finding.verdict


def test_the_same_seed_finds_the_same() -> None:
    one, other = (run(material(), Configuration(seed=3), silent).figures for _ in range(2))
    assert one == other


def test_the_ends_have_the_cross_entropy_of_the_saes(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out_text, "text_of", lambda *_: text_of(small_lab))
    made = Material.of(small_lab)
    finding = run(made, Configuration(smaller_share=0.25, steps=3), silent)
    text, path = made.text(1000, silent), finding.tables["way"]
    for at, sae in ((0, made.smaller(planted_lab.NARROW)), (-1, made.sae)):
        expected = float(text.nats(sae.reconstruct).sum() / text.tokens.sum())
        assert path["nats"].iloc[at] == pytest.approx(expected, rel=1e-4)
    unchanged = float(text.nats().sum() / text.tokens.sum())
    assert finding.figures["nats_unchanged"] == pytest.approx(unchanged)


def test_a_text_on_which_nothing_fires_is_refused() -> None:
    text: Any = MadeUp(torch.zeros(3, D_MODEL))
    with pytest.raises(UserError) as raised:
        run(replace(material(), held_out=lambda *_: text), Configuration(), silent)
    one_sentence(raised)


def test_a_preset_of_one_width_is_refused() -> None:
    with pytest.raises(UserError) as raised:
        run(material(smaller=()), Configuration(), silent)
    one_sentence(raised)


def test_controls_have_the_latents_length_and_what_is_left_on_other_tokens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 2 is left of every token along axis 3, and the latent fires at 2 and writes three times that:
    # too much, while it would be novel if it wrote once or against what is left.
    monkeypatch.setattr(stitching, "gaussian_like", lambda rows, seed: normalize(rows))
    rows = rows_of([(3,)] * 4)
    larger, smaller = sae_of(sums_of([(3,)])), sae_of(sums_of([(0,)]))
    for length, novel in ((3.0, False), (1.0, True)):
        long = Coded(replace(larger, W_dec=length * larger.W_dec), activations(larger, rows))
        found = insertions(
            long, Coded(smaller, activations(smaller, rows)), rows, np.random.default_rng(0)
        )
        ours = found[["novel", "novel_random", "novel_shuffled"]].to_numpy().tolist()
        assert ours == [[novel, novel, novel]]
    monkeypatch.setattr(stitching, "gaussian_like", lambda rows, seed: -normalize(rows))
    other = insertions(long, Coded(smaller, activations(smaller, rows)), rows,
                       np.random.default_rng(0))  # fmt: skip
    assert other[["novel", "novel_random", "novel_shuffled"]].to_numpy().tolist() == [
        [True, False, True]
    ]
