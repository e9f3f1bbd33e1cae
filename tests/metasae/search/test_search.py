"""The search over edits: by hand on made-up scores, and by full hooked passes on the real model."""

import math
from itertools import islice, product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.search.combinations import Combinations
from metasae.search.engine import Engine
from metasae.search.exhaustive import scan, search
from metasae.search.patterns import BestByPattern, Chunk, FoundEdit
from metasae.steering.edit_space import Piece
from metasae.steering.edits import NO_EDIT, Edit, EditOptions, MetaLatentEdit
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import Outcome
from metasae.steering.questions import Answer, Question
from metasae.steering.verdict import OTHER
from tests import oracle
from tests.builders import judging

PIECES = (
    Piece(1, "source", 0.5, 0.0),
    Piece(2, "target", 0.0, 0.4),
    Piece(3, "shared", 0.3, 0.3),
    Piece(4, "source", 0.2, 0.0),
)


def made_up(**changes: Any) -> Any:
    """What `Combinations` and the verdict ask of an experiment."""
    values = {
        "source": SimpleNamespace(label="Rome"),
        "target": SimpleNamespace(label="Oslo"),
        "pieces": PIECES,
        "questions": (
            Question("country", "", (Answer(("Rome",), "Italy"), Answer(("Oslo",), "Norway"))),
            Question(
                "language",
                "",
                (
                    Answer(("Rome",), "Italian"),
                    Answer(("Oslo", "Bergen"), "Norwegian"),
                    Answer(("Cairo",), "Arabic"),
                ),
            ),
        ),
        "baseline": torch.tensor([0.0, -2.0, 0.0, -1.0, -3.0]),
    }
    return judging(**(values | changes))


def test_combinations_by_hand() -> None:
    found = Combinations.of(made_up())
    assert found.levels == ((1.0, 0.0), (0.0, 1.0), (1.0,), (1.0, 0.0))
    assert len(found) == 8
    # The first piece's choice turns fastest; the shared piece has none.
    assert found.strengths(range(8)).tolist() == [
        [1, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1],
        [1, 0, 1, 0], [0, 0, 1, 0], [1, 1, 1, 0], [0, 1, 1, 0],
    ]  # fmt: skip
    assert found.edit(0) == NO_EDIT
    assert found.edit(6).strengths == ((2, 1.0), (4, 0.0))


def test_a_grid_of_strengths_and_the_options_of_all() -> None:
    options = EditOptions(
        variant="hundredfold", keep_residual=True, keep_error=False, position="all"
    )
    found = Combinations.of(made_up(), options, (0.0, -1.0), (0.5, 1.0, 2.0))
    assert len(found) == 3 * 4 * 3
    edits = [found.edit(number) for number in range(len(found))]
    assert len(set(edits)) == len(edits)
    assert edits[0] == MetaLatentEdit(
        (),
        options=EditOptions(
            variant="hundredfold", keep_residual=True, keep_error=False, position="all"
        ),
    )
    assert {strength for edit in edits for meta, strength in edit.strengths if meta == 2} == {
        0.5, 1.0, 2.0,
    }  # fmt: skip
    for number, edit in enumerate(edits):
        row = found.strengths([number])[0].tolist()
        assert row == [edit.strength(piece.meta, piece.default) for piece in PIECES]


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_side_without_own_meta_latents_is_refused(side: str) -> None:
    experiment = made_up(pieces=tuple(piece for piece in PIECES if piece.side != side))
    with pytest.raises(UserError, match="has no meta-latents of its own"):
        Combinations.of(experiment)


def test_too_many_combinations_are_refused() -> None:
    with pytest.raises(UserError, match="There are 8 combinations and all are scored up to 7"):
        search(made_up(), most=7)


def test_judging_by_hand() -> None:
    scores = torch.tensor(
        [
            [0.0, -2.0, 0.0, -1.0, -3.0],  # as before: leads 2 and 1
            [-2.0, -0.5, 0.0, -4.0, -9.0],  # country moved: leads 1.5 and 4
            [-1.0, -0.8, -3.0, -1.0, -2.0],  # both moved: 0.2 and 1
            [0.0, -2.0, -5.0, -2.0, -1.0],  # Arabic: neither city's
            [math.nan] * 5,
        ]
    )
    found = made_up().verdict(scores)
    assert found.pattern.tolist() == [0b00, 0b01, 0b11, OTHER, OTHER]
    assert found.margin[:4].tolist() == pytest.approx([1.0, 1.5, 0.2, 1.0])


@given(
    st.lists(
        st.tuples(st.sampled_from([OTHER, 0, 1, 2, 3]), st.floats(0, 9)), min_size=1, max_size=40
    ),
    st.integers(1, 3),
    st.integers(1, 7),
)
def test_leaders_are_the_clearest_of_all_however_they_come(
    rows: list[tuple[int, float]], keep: int, size: int
) -> None:
    leaders = BestByPattern(keep)
    for begin in range(0, len(rows), size):
        part = rows[begin : begin + size]
        numbers = np.arange(begin, begin + len(part))
        codes, margins = (np.array(column) for column in zip(*part, strict=True))
        leaders.see(Chunk(numbers, torch.zeros(len(part), 1), codes, margins))
    expected = set()
    for code in {code for code, _ in rows} - {OTHER}:
        here = [(-margin, n) for n, (c, margin) in enumerate(rows) if c == code]
        if code == 0 and rows[0][0] == 0:
            here = [(-math.inf, 0), *[one for one in here if one[1]]]
        expected |= {number for _, number in sorted(here)[:keep]}
    assert leaders.numbers() == sorted(expected)
    assert sum(leaders.counts.values()) == len(rows)


# On the real model.


@pytest.fixture(scope="module")
def experiment(lab: Lab) -> Experiment:
    return lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"))


@pytest.fixture(scope="module")
def found(experiment: Experiment) -> tuple[FoundEdit, ...]:
    return search(experiment, screened=False)


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


def test_each_found_edit_does_what_it_is_said_to_do(
    experiment: Experiment, found: tuple[FoundEdit, ...]
) -> None:
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
    best: dict[tuple[bool, ...], float] = {}
    for choice in product((False, True), repeat=len(own)):
        edit = NO_EDIT
        for piece, changed in zip(own, choice, strict=True):
            if changed:
                edit = edit.with_strength(piece.meta, 1 - piece.default, piece.default)
        reached = judged(experiment, experiment.apply(edit))
        if reached is not None:
            pattern = tuple(reached[0].values())
            best[pattern] = max(best.get(pattern, 0.0), reached[1])
    expected = {tuple(one.pattern.values()): one.margin for one in found}
    none = (False,) * len(experiment.questions)
    assert expected.pop(none) <= best.pop(none) + 1e-4  # the unedited model stands for it
    assert best == pytest.approx(expected, abs=1e-4)


OPTIONS = {
    "as the page has it": EditOptions(),
    "residual kept": EditOptions(keep_residual=True),
    "error dropped": EditOptions(keep_error=False),
    "the post's variant": EditOptions(variant="hundredfold"),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_every_log_probability_is_that_of_full_hooked_passes(
    experiment: Experiment, options: EditOptions
) -> None:
    combinations = Combinations.of(experiment, options, (0.0, -1.0), (1.0, 2.0))
    draw = np.random.default_rng(0)
    numbers = np.r_[0, draw.choice(np.arange(1, len(combinations)), 6, replace=False)]
    found = Engine(experiment, combinations).logprobs(numbers)
    edits = [combinations.edit(number) for number in numbers.tolist()]
    expected = torch.stack([oracle.logprobs(experiment, edit) for edit in edits])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_the_first_combination_is_the_unedited_model(experiment: Experiment) -> None:
    combinations = Combinations.of(experiment)
    found = Engine(experiment, combinations).logprobs([0])[0]
    torch.testing.assert_close(found, oracle.logprobs(experiment, NO_EDIT), rtol=0, atol=1e-4)
    torch.testing.assert_close(found, experiment.baseline, rtol=0, atol=1e-4)


def test_edits_at_all_positions_are_scored_as_one_by_one(experiment: Experiment) -> None:
    combinations = Combinations.of(experiment, EditOptions(position="all"))
    numbers = [0, 1, len(combinations) // 2, len(combinations) - 1]
    found = Engine(experiment, combinations).logprobs(numbers)
    for row, number in zip(found, numbers, strict=True):
        expected = experiment.apply(combinations.edit(number)).logprobs
        torch.testing.assert_close(row, expected, rtol=0, atol=1e-4)


def test_equal_directions_are_run_once(experiment: Experiment) -> None:
    # With a single piece left its strength is normalised away: 0.5, 1 and 2 give one direction.
    combinations = Combinations.of(experiment, EditOptions(), (0.0,), (0.5, 1.0, 2.0))
    own = [column for column, piece in enumerate(experiment.pieces) if piece.side == "target"]
    numbers = []
    for number in range(len(combinations)):
        row = combinations.strengths([number])[0]
        gone = [n for n, piece in enumerate(experiment.pieces) if piece.side == "source"]
        if not row[gone].any() and int((row[own] > 0).sum()) == 1:
            numbers.append(number)
    engine = Engine(experiment, combinations)
    engine.logprobs(numbers)
    shared = any(piece.side == "shared" for piece in experiment.pieces)
    bias = float(experiment.decomposition.meta.b_dec.norm()) > 1e-6
    each = 3 if shared or bias else 1
    assert engine.scored == each * len(own)
    twice = Engine(experiment, combinations)
    twice.logprobs([*numbers, *numbers])
    assert twice.scored == engine.scored


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


def test_progress_reaches_the_end(experiment: Experiment) -> None:
    told: list[float] = []
    search(experiment, progress=lambda stage, fraction, note: told.append(fraction))
    assert told == sorted(told) and told[-1] == 1.0
