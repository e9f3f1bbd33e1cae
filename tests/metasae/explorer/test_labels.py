"""Labels: how words are chosen and scored, and how people correct them."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from metasae.explorer import labels
from metasae.explorer.labels import UNCLEAR
from metasae.saes import neighbours


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
    assert labels.chosen_words(mine, rare, [" Kyoto"]) == ("kyoto", "tokyo")
    assert labels.chosen_words([], rare) == ()


def test_what_words_have_in_common_is_said_by_their_kind() -> None:
    """Ten cities, each once: no word holds on what is held out, their kind does."""
    names = ("Tokyo", "Paris", "Cairo", "Lima", "Rome", "Oslo", "Kyiv", "Riga", "Hanoi", "Accra")
    mine = [{name.lower(): 1.0, "a city": 0.7} for name in names]
    others = [{f"word{n}": 1.0} for n in range(60)]
    rare = labels.rarity([mine, others])
    chosen = labels.chosen_words(mine[::2], rare)
    assert chosen[0] == "a city" and labels.f1(chosen, mine[1::2], others[:5]) == 1.0


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
    (merged,) = labels.meta_contexts(made, contexts)  # type: ignore[arg-type]
    assert [bag["of"] for bag in merged] == [1.0] * 30
    others = [{f"word{n}": 1.0} for n in range(60)]
    assert labels.chosen_words(merged, labels.rarity([merged, others])) == ("of",)


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
