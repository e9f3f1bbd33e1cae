"""Where a condition holds: by hand on trees, and in edits against full passes."""

from typing import Any

import pytest
import torch

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lm.token_tree import TokenTree
from metasae.search.combinations import Combinations
from metasae.search.engine import Engine
from metasae.search.side_effects import WITHOUT_CITY, SideEffectProbe
from metasae.steering.conditions import ALWAYS, Condition
from metasae.steering.edits import Edit, EditOptions, LatentSwap
from metasae.steering.experiment import Experiment
from metasae.steering.holding import fires, reached
from tests import oracle
from tests.builders import one_sentence

NATS = 1e-4


class Words:
    """A tokenizer whose words are numbers: of “1 2”, with a space in front or not, [1, 2]."""

    name = "words"

    def encode(self, text: str) -> list[int]:
        return [int(one) for one in text.split() if one.isdecimal()]


def places(when: Condition, tree: TokenTree) -> list[int]:
    return [int(n) for n in reached(when, Words(), tree).nonzero()[:, 0]]  # type: ignore[arg-type]


def test_after_a_token_and_from_it_on() -> None:
    line = TokenTree.line([0, 5, 7, 5, 8])
    assert places(ALWAYS, line) == [0, 1, 2, 3, 4]
    assert places(Condition(after="5"), line) == [2, 3, 4]
    assert places(Condition(after="5", including=True), line) == [1, 2, 3, 4]
    assert places(Condition(after="5 8", including=True), line) == [4]
    assert places(Condition(after="7 8"), line) == places(Condition(after="9"), line) == []


def test_each_branch_of_a_tree_has_read_what_is_before_it_alone() -> None:
    # 0 → 1 → 2 → 3, and 0 → 1 → 4 → 3.
    tree = TokenTree((0, 1, 2, 4, 3, 3), (-1, 0, 1, 1, 2, 3))
    assert places(Condition(after="2"), tree) == [4]
    assert places(Condition(after="1 4", including=True), tree) == [3, 5]
    assert places(Condition(after="1"), tree) == [2, 3, 4, 5]


def test_a_text_that_is_no_token_is_refused() -> None:
    with pytest.raises(UserError) as raised:
        reached(Condition(after="word"), Words(), TokenTree.line([0, 1]))  # type: ignore[arg-type]
    assert "reads nothing" in one_sentence(raised)


def test_where_one_of_the_latents_fires_enough() -> None:
    source = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.1], [0.5, 0.4]])
    assert fires(ALWAYS, source).all()
    assert fires(Condition(0.0), source).tolist() == [False, True, True, True]
    assert fires(Condition(2.0), source).tolist() == [False, False, True, False]


@pytest.fixture(scope="module")
def pair(small_lab: Lab) -> Experiment:
    return small_lab.experiment(small_lab.subject("Tokyo"), small_lab.subject("Paris"))


def edits(experiment: Experiment, position: Any, when: Condition) -> list[Edit]:
    options = EditOptions(position=position, when=when)
    number = len(Combinations.of(experiment)) - 1
    return [LatentSwap(options=options), Combinations.of(experiment, options).edit(number)]


CASES = [
    Condition(after="in"),
    Condition(after="city", including=True),
    Condition(0.0),
    Condition(1.0, after="is"),
]


@pytest.mark.parametrize("when", CASES, ids=repr)
def test_an_edit_under_a_condition_is_the_full_pass(pair: Experiment, when: Condition) -> None:
    differs = []
    for edit in edits(pair, "all", when):
        expected = oracle.logprobs(pair, edit)
        torch.testing.assert_close(pair.apply(edit).logprobs, expected, rtol=0, atol=NATS)
        free = pair.apply(edit.with_options(when=ALWAYS)).logprobs
        differs.append(not torch.allclose(free, expected, atol=1e-2))
    # The swap at all positions writes on every token: each condition takes some of them away.
    assert differs[0]


def test_where_the_condition_never_holds_nothing_is_edited_and_that_is_said(
    pair: Experiment,
) -> None:
    for edit in edits(pair, "last", Condition(after="lobster")):
        outcome = pair.apply(edit)
        torch.testing.assert_close(outcome.logprobs, pair.baseline, rtol=0, atol=NATS)
        assert outcome.missed == pair.questions.attributes
        assert "holds on no token of any question" in " ".join(outcome.remarks)
        assert all(middle == "" for _, middle, _ in outcome.marked)
    language = next(one for one in pair.questions if one.attribute == "language")
    # In one prompt the name stands after this word.
    outcome = pair.apply(edits(pair, "last", Condition(after="language"))[0])
    assert "language" not in outcome.missed and len(outcome.missed) == 3
    assert [middle for _, middle, _ in outcome.marked].count("Tokyo") == 1
    assert language.prompt.index("language") < language.prompt.index("Tokyo")
    assert "about country or continent or currency" in " ".join(outcome.remarks)


@pytest.mark.parametrize("when", [Condition(after="city", including=True), Condition(0.5)])
def test_a_search_keeps_to_the_condition(pair: Experiment, when: Condition) -> None:
    combinations = Combinations.of(pair, EditOptions(position="all", when=when))
    numbers = [1, len(combinations) // 2, len(combinations) - 1]
    found = Engine(pair, combinations).logprobs(numbers)
    for row, number in zip(found, numbers, strict=True):
        expected = oracle.logprobs(pair, combinations.edit(number))
        torch.testing.assert_close(row, expected, rtol=0, atol=NATS)


def test_what_is_written_keeps_to_the_condition(pair: Experiment) -> None:
    """Against a hand-written loop of full passes; the token is waited for in what is written."""
    prompt, edit = "Tokyo is a city in the country of", LatentSwap()
    free = edit.with_options(position="all")
    tokens = pair.model.prompt_tokens(prompt)
    unedited = pair.continuation(None, prompt, 4)
    first = pair.model.encode(unedited)[0]
    word = pair.model.decode(first).strip()
    for when in (Condition(after=word), Condition(after="city"), Condition(0.0)):
        waiting, read = free.with_options(when=when), list(tokens)
        for _ in range(4):
            logits = oracle.logits(pair, read, waiting, "all")
            read.append(int(logits[-1].argmax()))
        told = pair.continuation(waiting, prompt, 4)
        stop = pair.model.tokenizer.decode(read[len(tokens) :], skip_special_tokens=True)
        assert told == stop
    assert pair.continuation(free, prompt, 4) != unedited


def test_side_effects_keep_to_the_condition(small_lab: Lab, pair: Experiment) -> None:
    probe = SideEffectProbe(small_lab, pair)
    edit = LatentSwap(options=EditOptions(position="all"))
    free = probe.side_effects(edit)
    never = probe.side_effects(edit.with_options(when=Condition(after="§")))
    some = probe.side_effects(edit.with_options(when=Condition(after="was")))
    assert free.without_city.touched > some.without_city.touched > never.without_city.touched == 0
    assert some.without_city.changed == sum(" was " in text for text in WITHOUT_CITY)
    assert never.with_city.mean == never.leak.mean == 0
