"""An exhaustive search finds the best edits, and they do what it says."""

import math
from itertools import islice, product

import numpy as np
import pytest
import torch

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.search.combinations import Combinations
from metasae.search.engine import Engine
from metasae.search.exhaustive import scan, search
from metasae.search.patterns import FoundEdit
from metasae.steering.edits import NO_EDIT, Edit, EditOptions
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import Outcome
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


def test_progress_reaches_the_end(experiment: Experiment) -> None:
    told: list[float] = []
    search(experiment, progress=lambda stage, fraction, note: told.append(fraction))
    assert told == sorted(told) and told[-1] == 1.0


def test_progress_is_told_within_a_chunk_from_the_beginning(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search of one chunk, as most pairs' are, shows how far it is all the same."""
    monkeypatch.setattr("metasae.search.engine._SIZES", (64,))
    told: list[float] = []
    combinations = Combinations.of(experiment)
    engine = Engine(experiment, combinations)
    engine._seconds = {64: []}
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
