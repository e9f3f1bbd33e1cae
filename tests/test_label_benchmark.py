"""The benchmark of label scores: its keyword judge by hand, and what it says where all is known."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

from benchmarks.keyword_judge import keyword
from benchmarks.label_scores import fits, judged, lines, measured
from benchmarks.model_judge import ModelJudge
from metasae.explorer.describing import describe
from metasae.explorer.explorer import Explorer
from metasae.explorer.label_questions import KINDS, LabelQuestion
from metasae.explorer.score_examples import SILENT, Example, Sampling
from metasae.lab.lab import open_lab
from tests.metasae.explorer.scored_text import SAMPLING, material
from tests.small_models import TAUGHT
from tests.small_release import Built


def question(label: str, *pieces: str) -> str:
    """A question as it is sent."""
    head = [f"Description: {label}"] if label else []
    return "\n".join([*head, *(f"{number}: {piece}" for number, piece in enumerate(pieces))])


@pytest.mark.parametrize(
    ("label", "pieces", "said"),
    [
        # Whole words, however they are written; one of the label's is enough.
        ("Tripoli", ("in tripoli, they", "Tripolitania is", "TRIPOLI"), [1, 0, 1]),
        ("word, root", ("a root", "words", "no word of it"), [1, 0, 1]),
        # Kinds: a city, words that begin or end alike, signs, a year.
        ("a city", ("She flew to Paris", "She flew home"), [1, 0]),
        ("R…, …ing", ("a Rose", "a rose", "while walking"), [1, 0, 1]),
        ("“,”", ("one, two", "one two", "“one two”"), [1, 0, 0]),
        ("“,”, “.”", ("one two.", "one; two"), [1, 0]),
        ("a year", ("in 1987", "in 87"), [1, 0]),
        # What is marked alone counts: all of it, and a word that is marked in part as a whole.
        ("tokyo", ("in<< Tokyo>> by", "in Tokyo<< by>>"), [1, 0]),
        ("tokyo", ("in To<<kyo>> by", "<< in>> To<<kyo>> by", "<<, in Tokyo>>"), [1, 0, 1]),
        # What can't be seen.
        ("a line break", ("one two", "one"), [0, 0]),
    ],
)
def test_a_piece_fits_a_label_by_its_words_and_kinds(
    label: str, pieces: tuple[str, ...], said: list[int]
) -> None:
    assert json.loads(keyword(question(label, *pieces))) == said


def test_the_intruder_is_what_has_least_in_common_where_it_is_marked() -> None:
    cities = "to<< Paris>> and", "from<< Rome>>", "a<< table>> in Paris", "in<< Tokyo>> by"
    assert keyword(question("", *cities)) == "2"
    # Of several alike the first.
    assert keyword(question("", "<<a>> x", "<<b>> y", "<<c>> z")) == "0"
    assert keyword(question("", "one", "two", "three")) == "0"


def by(figures: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows by judge and kind."""
    return {(one["judge"], one["kind"]): one for one in figures["rows"]}


OWN = pd.Series({0: 0.5, 1: 0.7, 2: 0.9})


def test_where_all_is_known() -> None:
    found = judged(material(), OWN, SAMPLING)
    # Two latents: 8 questions of 5 pieces for two kinds, of the keyword judge's controls too, and
    # 20 intruders.
    assert found["questions"] == 2 * (2 * 2 * 8 + 20) + 2 * 2 * (2 * 8 + 20)
    assert (found["drawn"], found["scored"], found["in_too_few_pieces"]) == (2, 2, 0)
    assert found["own_f1"]["value"] == pytest.approx(0.6)
    rows = by(found)
    assert set(rows) == {(judge, kind) for judge in ("keyword", "coin", "oracle") for kind in KINDS}
    for (judge, kind), one in rows.items():
        assert one["latents"] == 2 and one["unanswered"] == 0
        assert one["chance"] == pytest.approx(0.2 if kind == "intruder" else 0.5)
        if judge == "coin":
            assert 0 < one["value"] < 0.9
        else:
            # The text holds the label's word where the latent fires and nowhere else.
            assert (one["low"], one["value"], one["high"]) == (1.0, 1.0, 1.0)
    for kind in KINDS[:2]:
        assert rows["keyword", kind]["other_labels"] == {"value": 0.5, "low": 0.5, "high": 0.5}
        assert rows["keyword", kind]["worth"] == {"value": 0.5, "low": 0.5, "high": 0.5}
        assert "other_labels" not in rows["oracle", kind]


def test_how_often_a_label_is_found_by_how_strongly_its_latent_fires() -> None:
    of_weak = {1.0: "nothing", 2.0: "tokyo"}
    pieces = tuple(Example((of_weak[value],), (value,), 2.0 - value) for value in of_weak)
    silent = Example(("tokyo",), (0.0,), SILENT), Example(("by",), (0.0,), SILENT)
    every = (*pieces, *silent)
    texts = tuple(one.text() for one in every)
    asked = [LabelQuestion("detection", latent, label, False, every, texts)
             for latent, label in enumerate(("tokyo", "by"))]  # fmt: skip
    found = {one["quantile"]: one["value"] for one in fits(asked)}
    # Label 0 is in the strong piece and one that is silent, label 1 in the other silent one.
    assert found == {0: 0.5, 1: 0.0, None: 0.5}


def test_wrong_labels_are_worth_nothing_to_the_keyword_judge_and_all_to_the_oracle() -> None:
    swapped = replace(material(), labels={0: "kyoto", 1: "tokyo"})
    rows = by(judged(swapped, OWN, SAMPLING))
    assert rows["keyword", "fuzz"]["value"] == 0.5
    assert rows["oracle", "fuzz"]["value"] == 1.0
    # No label takes part in it.
    assert rows["keyword", "intruder"]["value"] == 1.0


class Reading:
    """A stand-in for a model that leans to “ no”, the less the more often token 9 is in a row."""

    start_token, lock = 0, nullcontext()

    def encode(self, text: str) -> list[int]:
        return {" yes": [1], " no": [2]}[text]

    def prompt_tokens(self, text: str) -> list[int]:
        piece = text.splitlines()[0].removeprefix("Text: ")
        return [0, *(9 if word == "tokyo" else 5 for word in piece.split())]

    def hf(self, tokens: torch.Tensor) -> SimpleNamespace:
        logits = torch.zeros(*tokens.shape, 10)
        logits[..., 2] = 4.0
        logits[..., 1] = (tokens == 9).cumsum(1).float()
        logits[:, 1:, 1] += 100.0 * (tokens[:, 1:] == 0)  # nobody may read what is padded
        return SimpleNamespace(logits=logits)


def test_a_model_says_yes_where_it_leans_to_it_more_than_on_average() -> None:
    reading: Any = Reading()
    judge = ModelJudge(reading)
    assert judge(question("tokyo", "a tokyo", "b", "c d e f", "tokyo b tokyo")) == "[1, 0, 0, 1]"
    assert judge(question("tokyo", "a", "b c")) == "[0, 0]"
    rows = by(judged(material(), OWN, SAMPLING, reading))
    assert set(rows) == {("model", kind) for kind in KINDS[:2]}


def test_a_latent_that_fires_too_rarely_is_counted() -> None:
    rare = replace(material(), labels=dict(material().labels) | {2: "osaka"})
    found = judged(rare, OWN, SAMPLING)
    assert (found["drawn"], found["scored"], found["in_too_few_pieces"]) == (3, 2, 1)


@pytest.mark.slow
def test_a_small_model_whose_labels_were_made_here(built: Built, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(
        "\n\n".join(
            " ".join(
                f"{name} lies {word}, {one} {number} stays." for name in TAUGHT for one in "ab"
            )
            for number, word in enumerate(["north", "south", "east", "west", "up", "far"] * 8)
        )
    )
    with built.release.open():
        lab = open_lab(built.release.preset)
        describe(lab, tmp_path, texts=[text])
        explorer = Explorer(lab, tmp_path)
        found = measured(explorer, 12, 10**6, Sampling(pieces=4, quantiles=2))
    assert found["latents"] == lab.n_latents and 0 < found["with_a_label"] <= lab.n_latents
    assert found["drawn"] == min(12, found["with_a_label"])
    assert found["scored"] + found["in_too_few_pieces"] == found["drawn"]
    rows = by(found)
    for kind in KINDS:
        assert rows["oracle", kind]["value"] == 1.0
        assert {rows[judge, kind]["latents"] for judge, _ in rows} == {found["scored"]}
    assert any("keyword" in line and "detection" in line for line in lines(found))
