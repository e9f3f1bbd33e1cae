"""Labels: how words are chosen and scored, and how people correct them."""

import itertools
import json
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from metasae.explorer import labels
from metasae.explorer.copies import CopyFinder
from metasae.explorer.evidence import Evidence
from metasae.explorer.held_out import f1
from metasae.explorer.labels import UNCLEAR, ScoredLabel
from metasae.saes import neighbours
from tests.metasae.explorer.gathered import MEDIAN, WIDTH, distinct, gathered, peaks_of, text_of


def bag(*words: str) -> dict[str, float]:
    """The last word at the peak, those before it weaker."""
    return dict(labels._bag(words))


def test_a_words_weight_falls_with_its_distance() -> None:
    found = bag("far", "in", "the", "city", "Tokyo")
    assert found == pytest.approx({"tokyo": 1.0, "city": 0.3, "the": 0.15, "in": 0.1})


def test_rare_words_that_cover_the_contexts_are_chosen() -> None:
    mine = [bag("in", "tokyo"), bag("of", "tokyo"), bag("in", "kyoto"), bag("to", "kyoto")]
    others = [bag("in", name) for name in ("paris", "rome", "cairo", "lima")]
    rare = labels.rarity([mine, others])
    assert math.isclose(rare["tokyo"], math.log(8 / 2)) and rare["in"] < rare["tokyo"]
    assert labels.chosen_words(mine, rare) == ("tokyo", "kyoto")
    assert labels.chosen_words([], rare) == ()


def test_what_words_have_in_common_is_said_by_their_kind() -> None:
    """Ten cities, each once: no word holds on what is held out, their kind does."""
    names = ("Tokyo", "Paris", "Cairo", "Lima", "Rome", "Oslo", "Kyiv", "Riga", "Hanoi", "Accra")
    mine = [{name.lower(): 1.0, "a city": 0.7} for name in names]
    others = [{f"word{n}": 1.0} for n in range(60)]
    rare = labels.rarity([mine, others])
    chosen = labels.chosen_words(mine[::2], rare)
    assert chosen[0] == "a city" and f1(chosen, mine[1::2], others[:5]) == 1.0


def test_a_word_stands_before_its_kind() -> None:
    mine = [{"tokyo": 1.0, "a city": 0.7}] * 8
    others = [{"paris": 1.0, "a city": 0.7}] * 8
    assert labels.chosen_words(mine, labels.rarity([mine, others])) == ("tokyo",)
    # … even where the word is common elsewhere and its kind is not.
    mine, others = [{"of": 1.0, "o…": 0.7}] * 8, [{"of": 0.3, "rest": 1.0}] * 40
    rare = labels.rarity([mine, others])
    assert rare["o…"] * 0.7 > rare["of"] and labels.chosen_words(mine, rare) == ("of",)


def test_only_a_kind_gives_way_to_a_word() -> None:
    others = [{f"word{n}": 1.0} for n in range(60)]
    mine = [{"tokyo": 1.0}] * 10 + [{"tokyo": 0.3, "tower": 1.0}]
    assert labels.chosen_words(mine, labels.rarity([mine, others])) == ("tokyo",)
    mine = [{"osaka": 1.0}] * 12 + [{"tokyo": 1.0}] * 6 + [{"tokyo": 0.3, "tower": 1.0}]
    assert labels.chosen_words(mine, labels.rarity([mine, others])) == ("osaka", "tokyo")


def test_a_word_at_every_peak_keeps_its_whole_weight() -> None:
    """… however many contexts a latent has, so that it stands before its kind."""
    counts = range(1, 31)
    contexts = [[{"of": 1.0, "a preposition": 0.7}] * count for count in counts]
    made = SimpleNamespace(n_meta=1, latents_of=lambda meta: dict.fromkeys(range(30), 1.0))
    place = itertools.count()
    peaks = [[(next(place), 5) for _ in one] for one in contexts]
    finder = CopyFinder(distinct(sum(counts)))
    (merged,), copies = labels.meta_contexts(made, contexts, peaks, finder)  # type: ignore[arg-type]
    assert copies == 0 and [bag["of"] for bag in merged] == [1.0] * 30
    others = [{f"word{n}": 1.0} for n in range(60)]
    assert labels.chosen_words(merged, labels.rarity([merged, others])) == ("of",)


def test_of_a_meta_latents_contexts_none_copies_another() -> None:
    """Windows 0 and 1 begin alike. The weaker latent's context in 1 is left out, and a latent of
    which nothing is left with it; a silent one stays, with no word."""
    text = text_of([[*range(1, 10), 50], [*range(1, 10), 60], [*range(70, 80)]])
    contexts = [[{"lima": 1.0}], [{"oslo": 1.0}, {"riga": 1.0}], [{"rome": 1.0}], []]
    peaks = [[(0, 9)], [(1, 9), (2, 9)], [(1, 10)], []]
    strongest = {0: 4.0, 1: 3.0, 2: 2.0, 3: 1.0}
    made = SimpleNamespace(n_meta=1, latents_of=lambda meta: strongest)
    found = labels.meta_contexts(made, contexts, peaks, CopyFinder(text))  # type: ignore[arg-type]
    assert found == ([[{"lima": 1.0}, {"riga": 1.0}, {}]], 2)


def lent(vocab: list[str]) -> labels.Label:
    """Latent 0 fires on "i0" in eight windows of one sentence, and weaker on eight words of their
    own in sentences of their own; the others on words of their own alone."""

    def word(text: str) -> int:
        vocab.append(f" {text}")
        return len(vocab) - 1

    fresh = itertools.count(1)

    def sentence(at_peak: str) -> list[int]:
        numbers = [next(fresh) for _ in range(11)]
        row = [word(f"x{n}") for n in numbers]
        return [*row[:8], word(f"{at_peak}{numbers[0]}"), *row[8:]]

    said = [word(f"{letter}0") for letter in "abcdefghi"]
    rows = [[*said, word(f"end{n}")] for n in range(8)]
    rows += [sentence(letter) for letter in "bcdefghj"]
    rows += [sentence("klmno"[latent]) for latent in range(1, WIDTH) for _ in range(10)]
    fires = [*(20.0 + n for n in range(8)), *(10 * 2 ** (-n / 2) for n in range(8))]
    every = [peaks_of(0, fires)]
    for latent in range(1, WIDTH):
        own = peaks_of(latent, [10 * 2 ** (-n / 2) for n in range(10)])
        own["window"] += 16 + 10 * (latent - 1)
        every.append(own)
    text = text_of(rows)
    found = gathered(np.concatenate(every), text)
    made = Evidence(found.table(), found.counts, 1000, MEDIAN, "")
    contexts, _ = labels.bags(text, made.peaks(), vocab)
    return labels.make_labels(contexts, neighbours.siblings(torch.eye(WIDTH), 4))[0]


def test_an_f1_that_copies_lend_is_gone_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    # One copy is left to make the label from; on the eight other words it holds nowhere.
    found = lent([""])
    assert (found.f1, found.one_word, found.text) == (0.0, 0.0, UNCLEAR)
    monkeypatch.setattr(CopyFinder, "adds", lambda *_: True)
    # The eight copies and six others: of the seven held out four are copies, 2·4 / (4 + 7).
    found = lent([""])
    assert found.f1 == found.one_word == pytest.approx(8 / 11) and found.text == "i0"


def test_the_commonest_peak_is_a_word_and_the_first_of_several() -> None:
    tokyo, kyoto = {"in": 0.3, "tokyo": 1.0, "a city": 1.0}, {"kyoto": 1.0, "a city": 1.0}
    assert labels.commonest_peak([kyoto, tokyo, tokyo]) == "tokyo"
    assert labels.commonest_peak([kyoto, tokyo]) == "kyoto"
    # Of a meta-latent's latent, what it fires on most; where there is no word, none.
    assert labels.commonest_peak([{"tokyo": 0.4, "kyoto": 0.5, "a city": 0.7}]) == "kyoto"
    assert labels.commonest_peak([{"“,”": 1.0}, {}]) == ""


def test_one_word_is_scored_beside_the_label() -> None:
    """Tokyo and Kyoto in turns, of every other pair one is held out: the label names both, the one
    word finds three of five, 2·3 / (3 + 5)."""
    turns = ["tokyo", "tokyo", "kyoto", "kyoto"] * 2 + ["tokyo", "tokyo"]
    contexts = [[bag(word) for word in turns]]
    contexts += [[bag(f"word{n}") for _ in range(10)] for n in range(5)]
    found = labels.make_labels(contexts, neighbours.siblings(torch.eye(6), 5))
    assert found[0].text == "tokyo, kyoto" and found[0].f1 == 1.0
    assert found[0].one_word == pytest.approx(6 / 8)
    values = labels.summary(labels.to_table(found))
    assert values["f1_one_word_mean"] == pytest.approx((0.75 + 5) / 6)
    assert (values["beats_one_word"], values["loses_to_one_word"]) == (1, 0)


def test_a_label_worse_than_one_word_is_counted() -> None:
    row = {"label": "a", "told": True, "control": 0.0}
    table = pd.DataFrame(
        [row | {"f1": mine, "one_word": word} for mine, word in
         ((0.5, 0.6), (0.5, 0.7), (0.6, 0.6), (0.8, 0.1), (math.nan, math.nan))]
    )  # fmt: skip
    values = labels.summary(table)
    assert (values["beats_one_word"], values["loses_to_one_word"]) == (1, 2)
    assert values["f1_one_word_mean"] == pytest.approx(0.5) and values["scored"] == 4


def test_a_row_says_how_far_its_label_holds() -> None:
    row = {"label": "a", "f1": 0.5, "one_word": 0.25, "told": True}
    expected = {"label": "a", "f1": 0.5, "f1_one_word": 0.25, "told": True}
    assert ScoredLabel.of("a", pd.Series(row)).to_dict() == expected
    # What an earlier version wrote.
    found = ScoredLabel.of("b", pd.Series(row | {"one_word": math.nan, "label": UNCLEAR}))
    assert (found.f1, found.f1_one_word, found.unclear) == (0.5, None, True)
    assert ScoredLabel.of("a", pd.Series(row | {"f1": math.nan})).too_few


def planted(noise: float) -> tuple[list[list[dict[str, float]]], np.ndarray]:
    """Twelve latents, each with its word, replaced with a random one as often as ``noise``."""
    draw = np.random.default_rng(0)
    contexts = []
    for latent in range(12):
        words = [f"word{latent}" if draw.random() > noise else f"any{draw.integers(99)}"
                 for _ in range(14)]  # fmt: skip
        contexts.append([bag("the", word) for word in words])
    return contexts, neighbours.siblings(torch.eye(12), 4)


def test_words_that_hold_score_high_and_another_latents_low() -> None:
    contexts, near = planted(0.0)
    found = labels.make_labels(contexts, near)
    assert [one.text for one in found] == [f"word{n}" for n in range(12)]
    assert all(one.f1 == 1 and one.distinguishes for one in found)
    values = labels.summary(labels.to_table(found))
    assert values["f1_control_mean"] < 0.2 and values["unclear_share"] == 0


def test_words_that_do_not_hold_are_called_unclear() -> None:
    contexts, near = planted(1.0)
    found = labels.make_labels(contexts, near)
    values = labels.summary(labels.to_table(found))
    assert values["unclear_share"] > 0.9 and values["f1_mean"] < 0.3


def test_too_few_contexts_are_not_scored() -> None:
    contexts, near = planted(0.0)
    contexts[3] = contexts[3][:2]
    found = labels.make_labels(contexts, near)[3]
    assert found.text == UNCLEAR and math.isnan(found.f1) and found.words == ("word3",)


def test_the_summary_of_labels_nobody_could_score_is_json() -> None:
    contexts, near = planted(0.0)
    values = labels.summary(
        labels.to_table(labels.make_labels([one[:2] for one in contexts], near))
    )
    json.dumps(values, allow_nan=False)
    assert (values["scored"], values["f1_mean"], values["unclear_share"]) == (0, None, 1.0)
