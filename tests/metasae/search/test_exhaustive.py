"""An exhaustive search finds the best edits, and they do what it says."""

import math
from itertools import islice, product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.search import exhaustive as module
from metasae.search.combinations import Combinations
from metasae.search.engine import Engine
from metasae.search.exhaustive import check_size, scan, search, verified, worth_screening
from metasae.search.patterns import BestByPattern, Chunk, FoundEdit
from metasae.steering.edits import NO_EDIT, Edit, EditOptions
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import Outcome
from tests.builders import never
from tests.metasae.search.made_up import made_up


def test_too_many_combinations_are_refused() -> None:
    with pytest.raises(UserError, match="There are 8 combinations and all are scored up to 7"):
        search(made_up(), most=7)


def judged(experiment: Experiment, outcome: Outcome) -> tuple[dict[str, bool], float] | None:
    """Pattern and margin from the outcome's table; None where a third answer has won."""
    pattern, margins = {}, []
    for question in experiment.questions:
        rows = outcome.answers[outcome.answers["attribute"] == question.attribute]
        after = rows.sort_values("logprob", ascending=False)
        old = rows["answer"].iloc[int(rows["baseline"].argmax())]
        moved = after["answer"].iloc[0] != old
        if moved and "Paris" not in after["city"].iloc[0].split(", "):
            return None
        pattern[question.attribute] = bool(moved)
        margins.append(after["logprob"].iloc[0] - after["logprob"].iloc[1])
    return pattern, min(margins)


def test_each_found_edit_does_what_it_is_said_to_do(tokyo_paris: Experiment) -> None:
    experiment, found = tokyo_paris, search(tokyo_paris, screened=False)
    assert found[0].edit == NO_EDIT and not any(found[0].pattern.values())
    assert len(found) > 1
    patterns = [tuple(one.pattern.values()) for one in found]
    assert len(set(patterns)) == len(patterns)
    assert [sum(pattern) for pattern in patterns] == sorted(map(sum, patterns))
    for one in found:
        outcome = experiment.apply(one.edit)
        assert judged(experiment, outcome) == (one.pattern, pytest.approx(one.margin, abs=1e-4))
        assert outcome.moved == one.pattern
        assert outcome.sentence == one.sentence


def test_the_reports_edits_do_what_it_says(lab: Lab) -> None:
    patterns = lab.report["tokyo_paris"]["patterns"]
    assert len({tuple(one["pattern"].values()) for one in patterns}) == len(patterns) >= 4
    for one in patterns:
        source = lab.subject("Tokyo", one["source_latents"])
        experiment = lab.experiment(source, lab.subject("Paris", one["target_latents"]))
        outcome = experiment.apply(Edit.from_dict(one["edit"]))
        margin = pytest.approx(one["margin"], abs=1e-3)
        assert judged(experiment, outcome) == (one["pattern"], margin)
        assert outcome.sentence == one["sentence"]


def test_no_other_combination_does_better(
    experiment: Experiment, found: tuple[FoundEdit, ...]
) -> None:
    own = [piece for piece in experiment.pieces if piece.side != "shared"]
    assert len(found) > 2
    best: dict[tuple[bool, ...], float] = {}
    for choice in product((False, True), repeat=len(own)):
        edit = NO_EDIT
        for piece, changed in zip(own, choice, strict=True):
            if changed:
                edit = edit.with_strength(piece.meta, 1 - piece.default, piece.default)
        pattern, margin = [], math.inf
        scores = experiment.questions.split(experiment.apply(edit).logprobs)
        before = experiment.questions.split(experiment.baseline)
        for question, new, old in zip(experiment.questions, scores, before, strict=True):
            order = new.numpy().argsort()[::-1]
            moved = order[0] != old.argmax()
            if moved and experiment.target.label not in question.answers[order[0]].cities:
                break
            pattern.append(bool(moved))
            margin = min(margin, float(new[order[0]] - new[order[1]]))
        else:
            best[tuple(pattern)] = max(best.get(tuple(pattern), 0.0), margin)
    expected = {tuple(one.pattern.values()): one.margin for one in found}
    none = (False,) * len(experiment.questions)
    assert expected.pop(none) <= best.pop(none) + 1e-4  # the unedited model stands for it
    assert best == pytest.approx(expected, abs=1e-4)


def test_a_screened_search_reports_what_an_exact_one_does(experiment: Experiment) -> None:
    combinations = Combinations.of(experiment, EditOptions(), (0.0, 0.5), (1.0,))
    exact = search(experiment, combinations, screened=False)
    screened = search(experiment, combinations, screened=True)
    assert [one.pattern for one in screened] == [one.pattern for one in exact]
    for rough, true in zip(screened, exact, strict=True):
        assert rough.margin == pytest.approx(true.margin, abs=1e-3)
    assert sum(one.reached_by for one in exact) <= 1


def test_a_scan_can_begin_where_another_stopped(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metasae.search.exhaustive.CHUNK", 64)
    combinations = Combinations.of(experiment, EditOptions(), (0.0, 0.5, -1.0), (0.5, 1.0, 2.0))
    whole = list(islice(scan(Engine(experiment, combinations)), 3))
    assert len(whole) == 3
    rest_of = range(int(whole[1].numbers[0]), len(combinations))
    rest = list(islice(scan(Engine(experiment, combinations), [rest_of]), 2))
    for one, other in zip(whole[1:], rest, strict=True):
        assert np.array_equal(one.numbers, other.numbers)
        torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=1e-4)


@pytest.mark.parametrize("asked", ["experiment", "unsure"])
def test_a_strict_search_finds_what_the_model_itself_says(
    asked: str, request: pytest.FixtureRequest
) -> None:
    """Against every combination, one by one."""
    experiment: Experiment = request.getfixturevalue(asked)
    strict = experiment.replaced(strict=True)
    assert strict.strict and not experiment.strict
    combinations = Combinations.of(experiment)
    unedited = experiment.apply(NO_EDIT)
    best: dict[tuple[bool, ...], float] = {}
    for number in range(len(combinations)):
        outcome = experiment.apply(combinations.edit(number))
        pattern, margins = [], []
        for question in experiment.questions:
            rows = outcome.answers[outcome.answers["attribute"] == question.attribute]
            place = experiment.questions.attributes.index(question.attribute)
            led = rows[rows["best_before"]].iloc[0]
            leads = rows[rows["best_after"]].iloc[0]
            top = [one.top_after[place][0][0] for one in (unedited, outcome)]
            mine = experiment.target.label in leads["city"].split(", ")
            moved = leads["answer"] != led["answer"] and mine and leads["says_after"]
            same = top[0] == top[1] and leads["says_after"] == led["says_before"]
            if not moved and not (leads["answer"] == led["answer"] and same):
                break
            pattern.append(bool(moved))
            after = rows["logprob"].sort_values(ascending=False)
            margins.append(after.iloc[0] - after.iloc[1])
        else:
            reached = tuple(pattern)
            best[reached] = max(best.get(reached, 0.0), min(margins))
    found = {tuple(one.pattern.values()): one for one in search(strict)}
    none = (False,) * len(experiment.questions)
    assert found[none].edit == NO_EDIT and best.pop(none) > 0
    clear = {key: one.margin for key, one in found.items() if key != none}
    assert clear == pytest.approx(best, abs=1e-4) and (best or asked == "unsure")
    # The usual search reaches some of them more clearly, or more of them.
    usual = {tuple(one.pattern.values()): one.margin for one in search(experiment)}
    shares = [[one.reached_by for one in search(each)] for each in (strict, experiment)]
    assert clear.keys() <= usual.keys()
    assert (sum(shares[0]) < sum(shares[1])) == (asked == "unsure")
    for one in found.values():
        assert one.own is not None
        moved = [name for name, yes in one.pattern.items() if yes]
        assert all(one.own[name].answer for name in moved)


def test_a_strict_search_is_never_screened(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    dtypes: list[torch.dtype] = []
    real = Engine.logprobs_with_own

    def noted(self: Engine, numbers: object) -> object:
        dtypes.append(self.dtype)
        return real(self, numbers)  # type: ignore[arg-type]

    monkeypatch.setattr(Engine, "logprobs_with_own", noted)
    search(experiment.replaced(strict=True), screened=True)
    assert set(dtypes) == {torch.float32}


def test_a_found_edit_says_what_the_model_itself_would_say(
    experiment: Experiment, found: tuple[FoundEdit, ...]
) -> None:
    for one in found:
        outcome = experiment.apply(one.edit)
        assert one.own == dict(zip(experiment.questions.attributes, outcome.own_after, strict=True))


def test_progress_reaches_the_end(experiment: Experiment) -> None:
    told: list[float] = []
    search(experiment, progress=lambda stage, fraction, note: told.append(fraction))
    assert told == sorted(told) and told[-1] == 1.0


def test_so_many_are_scored_one_and_all() -> None:
    everything: Any = range(65536)
    check_size(everything)
    more: Any = range(65537)
    with pytest.raises(UserError, match="There are 65,537 combinations and all are scored up to"):
        check_size(more)


def test_long_searches_go_through_bf16_where_that_is_fast() -> None:
    nobody = never("a short search does not ask")
    assert not worth_screening(4096, fast=nobody)
    assert worth_screening(4097, fast=lambda: True)
    assert not worth_screening(4097, fast=lambda: False)
    assert worth_screening(1, True, nobody) and not worth_screening(9999, False, nobody)


def test_combinations_are_scored_in_their_order_a_thousand_at_a_time() -> None:
    told: list[tuple[float, str]] = []
    engine: Any = SimpleNamespace(combinations=range(2500), scored_chunk=lambda numbers: numbers)

    def scanned(spans: list[range] | None = None, done: int = 0) -> list[tuple[int, int]]:
        told.clear()
        chunks: list[Any] = list(
            scan(engine, spans, done, lambda _, share, note: told.append((share, note)))
        )
        assert all((chunk == np.arange(chunk[0], chunk[-1] + 1)).all() for chunk in chunks)
        return [(int(chunk[0]), len(chunk)) for chunk in chunks]

    assert scanned() == [(0, 1024), (1024, 1024), (2048, 452)]
    assert told == [
        (0.0, "0 of 2,500 combinations"), (0.4096, "1,024 of 2,500 combinations"),
        (0.8192, "2,048 of 2,500 combinations"), (1.0, "2,500 of 2,500 combinations"),
    ]  # fmt: skip
    # No chunk holds combinations of two spans; what was done before counts.
    spans = [range(5, 10), range(1000, 2100)]
    assert scanned(spans, done=100) == [(5, 5), (1000, 1024), (2024, 76)]
    assert [share for share, _ in told] == [100 / 2500, 105 / 2500, 1129 / 2500, 1205 / 2500]


def test_each_edit_found_on_the_small_lab_does_what_it_is_said_to_do(small_lab: Lab) -> None:
    turned = small_lab.experiment(small_lab.subject("Tokyo"), small_lab.subject("Paris"))
    combinations = Combinations.of(turned)
    found = search(turned, screened=False)
    assert found[0].edit == NO_EDIT and found[0].number == 0 and len(found) > 1
    moves = [sum(one.pattern.values()) for one in found]
    assert moves == sorted(moves)
    edits = [combinations.edit(number) for number in range(len(combinations))]
    outcomes = [judged(turned, turned.apply(edit)) for edit in edits]
    for one in found:
        reaching = [
            (number, outcome[1])
            for number, outcome in enumerate(outcomes)
            if outcome is not None and outcome[0] == one.pattern
        ]
        assert one.reached_by == len(reaching) / len(combinations)
        assert one.edit == edits[one.number]
        assert turned.apply(one.edit).sentence == one.sentence
        margins = dict(reaching)
        assert one.margin == pytest.approx(margins[one.number], abs=1e-4)
        # The clearest of all, but for no change, which nothing is done for.
        if one.number:
            assert one.margin == pytest.approx(max(margins.values()), abs=1e-4)
    assert {tuple(one.pattern.items()) for one in found} == {
        tuple(outcome[0].items()) for outcome in outcomes if outcome is not None
    }


def test_progress_is_told_within_a_chunk_from_the_beginning(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search of one chunk, as most pairs' are, shows how far it is all the same."""
    monkeypatch.setattr("metasae.search.engine._SIZES", (16,))
    told: list[float] = []
    combinations = Combinations.of(experiment)
    engine = Engine(experiment, combinations)
    engine._seconds = {16: []}
    chunks = list(scan(engine, progress=lambda stage, fraction, note: told.append(fraction)))
    assert len(chunks) == 1 and len(combinations) > 16
    assert told[0] == 0.0 and told == sorted(told) and told[-1] == 1.0
    assert len({one for one in told if 0 < one < 1}) > 3


def test_a_search_ends_where_its_progress_raises(experiment: Experiment) -> None:
    def stop(stage: str, fraction: float, note: str) -> None:
        if fraction > 0:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        search(experiment, progress=stop)


def test_the_fewest_moves_come_first_and_of_equally_many_the_clearest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    experiment = made_up()
    numbers, pattern = np.array([0, 3, 5, 6]), np.array([0, 3, 1, 2])
    chunk = Chunk(numbers, torch.zeros(4, 5), pattern, np.array([0.5, 9.0, 1.0, 2.0]))
    asked: list[list[int]] = []

    def scored(given: np.ndarray) -> Chunk:
        asked.append(given.tolist())
        return chunk

    monkeypatch.setattr(module, "Engine", lambda *_: SimpleNamespace(scored_chunk=scored))
    experiment.apply = lambda edit: SimpleNamespace(
        sentence=f"Rome by {len(edit.strengths)}", own_after=("its", "words")
    )
    best = BestByPattern()
    best.see(chunk)
    best.see(chunk)
    combinations = Combinations.of(experiment)
    edits, scores = verified(experiment, combinations, best)
    assert asked == [[0, 3, 5, 6]] and scores is chunk
    assert [(one.number, one.margin, one.sentence) for one in edits] == [
        (number, margin, f"Rome by {len(combinations.edit(number).strengths)}")
        for number, margin in ((0, 0.5), (6, 2.0), (5, 1.0), (3, 9.0))
    ]
    assert all(one.own == {"country": "its", "language": "words"} for one in edits)
    assert [tuple(one.pattern.values()) for one in edits] == [
        (False, False), (False, True), (True, False), (True, True),
    ]  # fmt: skip
    assert all(one.edit == combinations.edit(one.number) for one in edits)
    # Each was seen twice, of the eight combinations there are.
    assert {one.reached_by for one in edits} == {2 / 8}
