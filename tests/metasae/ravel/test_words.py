"""Learned edits in words, from tables made by hand."""

import json
import math
from typing import Any

import pandas as pd
import pytest

from metasae.ravel.words import LearnedEdits, learned_edits


def prompts(
    source: str, target: str, edited: str, whose: str, edit: str, method: str = "mask", **more: Any
) -> list[dict[str, Any]]:
    """Two prompts on the country, two on the language, of one pair: whose answer came, a letter
    each (s, t, o)."""
    words = {"s": "source", "t": "target", "o": "other"}
    return [
        {
            "seed": 0, "method": method, "edited": edited, "source": source, "target": target,
            "asked": asked, "template": f"The {asked} of %s, {number}:", "differs": True,
            "greedy": words[whose[2 * at + number]], "choice": "source",
            "source_answer": f"{source}'s", "source_nats": math.log(0.83),
            "target_answer": f"{target}'s", "target_nats": math.log((0.2, 0.41)[number]),
            "source_latents": "1", "target_latents": "2", "edit": edit,
        } | more
        for at, asked in enumerate(("country", "language"))
        for number in range(2)
    ]  # fmt: skip


MASKS = pd.DataFrame(
    [
        {"method": "mask", "attribute": "country", "pieces": "1.2.3.4"},
        {"method": "mask", "attribute": "language", "pieces": "9"},
    ]
)

LYON, ROME, OSLO = ("Lyon", "Kyoto"), ("Rome", "Kyoto"), ("Oslo", "Cairo")

TABLE = pd.DataFrame(
    [
        # Moves the country alone: as far as an edit can come.
        *prompts(*LYON, "country", "ttss", "1_0~2_1"),
        # Moves half of it and loses nothing.
        *prompts(*ROME, "country", "tsss", "1_0"),
        # Moves it and everything else.
        *prompts(*OSLO, "country", "ttto", "1_0~3_1"),
        # Of the other mask no pair has anything.
        *prompts(*LYON, "language", "ssss", "none"),
        # Another seed's meta-latents are others.
        *prompts(*LYON, "country", "tttt", "", seed=1),
        # What nothing does: the answers before.
        *prompts(*LYON, "all", "ssss", "none", "nothing", source_nats=math.log(0.9)),
    ]
)


@pytest.fixture
def learned() -> LearnedEdits:
    return learned_edits(MASKS, TABLE)


def title(meta: int) -> str:
    return {1: "France", 2: "Japan, yen"}.get(meta, f"meta-latent {meta}")


def test_a_mask_says_what_it_takes_and_did(learned: LearnedEdits) -> None:
    country, language = learned.masks
    assert (country.takes, country.exchanged) == (4, 3)
    assert (country.pairs, country.pairs_moved, country.moved, country.wanted) == (3, 3, 5, 6)
    assert (country.stayed, country.others) == (4, 6)
    first, second, third = country.most
    assert (first.meta, first.pairs, first.moved) == (1, 3, 3)
    assert first.out_of == ("Lyon", "Rome", "Oslo") and first.brought_from == ()
    assert (second.meta, second.brought_from, third.meta) == (2, ("Kyoto",), 3)
    said = country.text(title)
    assert said == (
        "Takes 4 meta-latents; 3 of them were exchanged between held-out names. It makes 3 of 3 "
        "held-out pairs answer the other's country (5 of 6 answers), and leaves 67 % of the other "
        "answers as they were (4 of 6). Exchanged most often: “France” (meta-latent 1) in 3 pairs, "
        "3 of which moved (out of Lyon, Rome and Oslo); “Japan, yen” (meta-latent 2) in 1 pair, 1 "
        "of which moved (brought in from Kyoto); meta-latent 3 in 1 pair, 1 of which moved "
        "(brought in from Cairo)."
    )
    assert (language.takes, language.exchanged, language.most) == (1, 0, ())
    assert language.text(title).startswith("Takes 1 meta-latent; no held-out pair has one")


def test_those_that_move_most_and_lose_least_come_first(learned: LearnedEdits) -> None:
    assert [(one.source, one.score) for one in learned.telling] == [
        ("Lyon", 1.0),
        ("Rome", 0.5),
        ("Oslo", 0.0),
    ]
    lyon, rome, oslo = learned.telling
    # The surer of two prompts, of which the unedited answer's probability is known.
    assert (lyon.prompt, lyon.before) == ("The country of Lyon, 1:", pytest.approx(0.9))
    assert lyon.text == (
        "Of Lyon, edited towards Kyoto and asked for its country: Lyon's 90 % → Kyoto's 41 %. "
        "Besides, language stays Lyon's."
    )
    # No edit was asked that does nothing to Rome: its answers before are not known.
    assert rome.before is None and rome.text == (
        "Of Rome, edited towards Kyoto and asked for its country: Rome's → Kyoto's 20 % (1 of 2 "
        "prompts). Besides, language stays Rome's."
    )
    assert oslo.text.endswith(
        "Besides, language becomes Cairo's in 1 of 2 prompts and is neither's in 1 of 2 prompts."
    )


def test_a_pair_is_told_of_once_and_three_are() -> None:
    masks = pd.concat([MASKS, MASKS.iloc[:1].assign(method="other")])
    better = prompts("Bern", "Cairo", "country", "ttss", "1_0")
    more = prompts("Graz", "Cairo", "country", "ttss", "1_0")
    again = prompts(*LYON, "country", "ttss", "1_0", "other")
    told = learned_edits(masks, pd.concat([TABLE, pd.DataFrame([*again, *better, *more])])).telling
    assert [one.source for one in told] == ["Bern", "Graz", "Lyon"]


def test_log_probabilities_may_be_missing() -> None:
    unknown = TABLE.assign(source_nats=math.nan, target_nats=math.nan)
    for table in (unknown, TABLE.drop(columns=["source_nats", "target_nats"])):
        lyon = learned_edits(MASKS, table).telling[0]
        assert (lyon.before, lyon.after) == (None, None)
        assert "asked for its country: Lyon's → Kyoto's." in lyon.text


def test_where_nothing_moved_or_was_learned_that_is_said() -> None:
    still = learned_edits(MASKS, TABLE.assign(greedy="source"))
    assert still.telling == () and "No learned mask moved an answer" in still.text(title)
    none = learned_edits(MASKS.iloc[:0], TABLE)
    assert none == LearnedEdits((), ()) and none.text(title) == ""
    assert learned_edits(pd.DataFrame(), TABLE) == none


def test_as_json_each_has_its_words(learned: LearnedEdits) -> None:
    values = json.loads(json.dumps(learned.to_dict(title)))
    first = values["masks"][0]
    assert first["most"][0]["called"] == "France" and first["text"] == learned.masks[0].text(title)
    assert [one["text"] for one in values["telling"]] == [one.text for one in learned.telling]
    assert values["telling"][0]["edit"] == "1_0~2_1" and "each pair once" in values["telling_by"]
    assert values["telling"][0]["asked"][1]["source"] == 2
