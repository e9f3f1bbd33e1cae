"""The engine's scores against full hooked passes; the sizes of its batches."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metasae.lab.lab import Lab
from metasae.search import engine as module
from metasae.search.combinations import Combinations
from metasae.search.engine import Engine, RememberingEngine
from metasae.steering.edits import EditOptions
from metasae.steering.experiment import Experiment, PreparedExperiment
from tests import oracle

OPTIONS = {
    "as the page has it": EditOptions(),
    "residual kept": EditOptions(keep_residual=True),
    "error dropped": EditOptions(keep_error=False),
    "the post's variant": EditOptions(variant="hundredfold"),
}


def engine_against_full_passes(experiment: Experiment, options: EditOptions) -> None:
    """Hold some combinations' scores, the unedited one's among them, against the oracle's."""
    combinations = Combinations.of(experiment, options, (0.0, -1.0), (1.0, 2.0))
    draw = np.random.default_rng(0)
    numbers = np.r_[0, draw.choice(np.arange(1, len(combinations)), 6, replace=False)]
    found = Engine(experiment, combinations).logprobs(numbers)
    expected = torch.stack(
        [oracle.logprobs(experiment, combinations.edit(n)) for n in numbers.tolist()]
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_every_log_probability_is_that_of_full_hooked_passes(
    experiment: Experiment, options: EditOptions
) -> None:
    engine_against_full_passes(experiment, options)


@pytest.mark.long
def test_so_it_is_on_the_real_model(tokyo_paris: Experiment) -> None:
    engine_against_full_passes(tokyo_paris, EditOptions())


def test_what_the_model_itself_goes_on_with_is_that_of_full_passes(experiment: Experiment) -> None:
    combinations = Combinations.of(experiment)
    numbers = [0, 1, len(combinations) // 3, len(combinations) - 1]
    scores, own = Engine(experiment, combinations).logprobs_with_own(numbers)
    expected = Engine(experiment, combinations).logprobs(numbers)
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-4)
    model, says = experiment.model, iter(own.says.T.tolist())
    for place, question in enumerate(experiment.questions):
        prompt = model.prompt_tokens(question.prompt)
        at = experiment.edit_position(question.prompt)
        for answer in question.answers:
            tokens, found = model.encode(" " + answer.text), next(says)
            for row, number in enumerate(numbers):
                edit = combinations.edit(number)
                whole = [*prompt, *tokens]
                tops = oracle.logits(experiment, whole, edit, at).argmax(-1)[len(prompt) - 1 :]
                assert int(own.top[row, place]) == int(tops[0])
                assert found[row] == (tops[:-1].tolist() == tokens)


def test_the_first_combination_is_the_unedited_model(experiment: Experiment) -> None:
    combinations = Combinations.of(experiment)
    found = Engine(experiment, combinations).logprobs([0])[0]
    torch.testing.assert_close(
        found, oracle.logprobs(experiment, combinations.edit(0)), rtol=0, atol=1e-4
    )
    torch.testing.assert_close(found, experiment.baseline, rtol=0, atol=1e-4)


def test_edits_at_all_positions_are_scored_as_one_by_one(experiment: Experiment) -> None:
    combinations = Combinations.of(experiment, EditOptions(position="all"))
    numbers = [0, 1, len(combinations) // 2, len(combinations) - 1]
    found = Engine(experiment, combinations).logprobs(numbers)
    for row, number in zip(found, numbers, strict=True):
        expected = experiment.apply(combinations.edit(number)).logprobs
        torch.testing.assert_close(row, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shared, each", [(False, 1), (True, 3)])
def test_equal_directions_are_run_once(
    small_lab: Lab, shared: bool, each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With a single piece left its strength is normalised away: 0.5, 1 and 2 give one direction.
    # Beside a piece that both sides share they give three.
    tokyo = small_lab.subject("Tokyo")
    paris = small_lab.subject("Paris")
    pieces = small_lab.decomposition.pieces
    own = pieces(tokyo.latents[0]).keys()
    apart = next(n for n in range(small_lab.n_latents) if not own & pieces(n).keys())
    experiment = small_lab.experiment(tokyo, paris if shared else small_lab.subject(f"#{apart}"))
    sides = np.array([piece.side for piece in experiment.pieces])
    assert bool((sides == "shared").any()) == shared
    assert not experiment.decomposition.meta.b_dec.any()
    combinations = Combinations.of(experiment, EditOptions(), (0.0,), (0.5, 1.0, 2.0))
    rows = combinations.strengths(range(len(combinations))).numpy()
    single = (rows[:, sides == "target"] > 0).sum(1) == 1
    numbers = np.flatnonzero(~rows[:, sides == "source"].any(1) & single)
    engine = Engine(experiment, combinations)
    run: list[int] = []
    once = PreparedExperiment.logprobs

    def counted(self: PreparedExperiment, change: Tensor, drop_error: bool = False) -> Tensor:
        run.append(len(change))
        return once(self, change, drop_error)

    monkeypatch.setattr(PreparedExperiment, "logprobs", counted)
    engine.logprobs(numbers)
    assert len(numbers) == 3 * (sides == "target").sum()
    assert sum(run) == each * (sides == "target").sum()
    run.clear()
    engine.logprobs([*numbers, *numbers])
    assert sum(run) == each * (sides == "target").sum()


def batches(
    monkeypatch: pytest.MonkeyPatch,
    seconds: dict[int, list[float]],
    count: int,
    tail: int = 8,
    shared: bool = False,
) -> Any:
    """Edits of each batch that goes through some tail positions, and the engine afterwards.

    Args:
        seconds: an edit takes, by the number of edits of a batch, the first time and after that.
        shared: whether others use the model, too.
    """
    run: list[int] = []
    now = 0.0

    def logprobs(change: Tensor, drop_error: bool) -> Tensor:
        nonlocal now
        assert drop_error
        took = seconds[len(change)]
        now += len(change) * took[min(run.count(len(change)), len(took) - 1)]
        run.append(len(change))
        return change[:, 0, :1]

    monkeypatch.setattr(module.time, "perf_counter", lambda: now)
    nothing: Any = None
    engine = Engine(nothing, nothing)
    lock = SimpleNamespace(shared=shared)
    prefilled = SimpleNamespace(resid=torch.zeros(1, tail, 2), lock=lock)
    prompts = SimpleNamespace(count=3, prefilled=prefilled)
    engine.__dict__["prepared"] = SimpleNamespace(logprobs=logprobs, prompts=prompts)
    change = torch.arange(float(count))[:, None, None].expand(count, 1, 2)
    keep: Any = SimpleNamespace(options=SimpleNamespace(keep_error=False))
    engine.combinations = keep
    assert torch.equal(torch.cat(list(engine._run(change, logprobs))), change[:, 0, :1])
    assert list(engine._run(change[:0], logprobs)) == []
    return engine, run


def test_every_size_of_batch_is_tried_twice_and_the_fastest_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 512 positions of 8 an edit are 64 edits. The second time counts where it is the faster.
    seconds = {64: [3.0, 2.0], 128: [9.0, 1.0], 256: [1.5], 512: [1.25], 10: [0.1]}
    engine, run = batches(monkeypatch, seconds, 2 * (64 + 128 + 256 + 512) + 3 * 128 + 10)
    assert run == [64, 64, 128, 128, 256, 256, 512, 512, 128, 128, 128, 10]
    # A batch that isn't full is no measurement, and none is taken after the second.
    assert engine._seconds == {
        512: [3.0, 2.0], 1024: [9.0, 1.0], 2048: [1.5, 1.5], 4096: [1.25, 1.25],
    }  # fmt: skip


def test_batches_are_measured_where_the_positions_do_not_divide_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = {73: [1.0], 146: [2.0], 292: [3.0], 585: [4.0], 1: [0.5]}
    _, run = batches(monkeypatch, seconds, 2 * (73 + 146 + 292 + 585) + 73 + 1, tail=7)
    assert run == [73, 73, 146, 146, 292, 292, 585, 585, 73, 1]


def test_while_others_use_the_model_they_wait_for_small_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, run = batches(monkeypatch, {64: [1.0], 22: [1.0]}, 3 * 64 + 22, shared=True)
    assert run == [64, 64, 64, 22]
    assert not any(engine._seconds.values())  # what was waited for others is no measurement


def test_few_edits_are_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, run = batches(monkeypatch, {40: [1.0]}, 40)
    assert run == [40] and not any(engine._seconds.values())


def test_longer_tails_than_a_batch_go_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SIZES", (4,))
    _, run = batches(monkeypatch, {1: [1.0]}, 3)
    assert run == [1, 1, 1]


def test_what_is_known_is_looked_up(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    combinations = Combinations.of(experiment)
    remembering = RememberingEngine(experiment, combinations)
    expected = Engine(experiment, combinations).logprobs([3, 0, 5])
    torch.testing.assert_close(remembering.logprobs([3, 0, 5]), expected, rtol=0, atol=1e-4)
    asked: list[list[int]] = []
    plain = Engine.logprobs

    def logprobs(self: Engine, numbers: Any) -> Tensor:
        asked.append(list(numbers))
        return plain(self, numbers)

    monkeypatch.setattr(Engine, "logprobs", logprobs)
    found = remembering.logprobs([5, 7, 3])
    assert torch.equal(found[[0, 2]], remembering.logprobs([5, 3])) and asked == [[7]]
    torch.testing.assert_close(found[[0, 2]], expected[[2, 0]], rtol=0, atol=1e-4)


def test_differences_below_a_hundred_thousandth_are_none() -> None:
    change = torch.tensor([[[1.0, 2.0]], [[3.0, 2.0]], [[1.0, 2.000001]], [[1.0, 2.0001]]])
    distinct, back = module._distinct(change)
    assert len(distinct) == 3 and back[0] == back[2]
    torch.testing.assert_close(distinct[back], change, rtol=0, atol=1e-5)


def test_a_direction_of_which_nothing_is_left_has_no_score(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    combinations = Combinations.of(experiment)
    plain = type(experiment.space).directions

    def directions(self: Any, strengths: Tensor, options: EditOptions) -> Tensor:
        made = plain(self, strengths, options).clone()
        made[1] = 0.0
        return made

    monkeypatch.setattr(type(experiment.space), "directions", directions)
    found = Engine(experiment, combinations).logprobs([1, 2, 3])
    assert [math.isnan(float(row.sum())) for row in found] == [False, True, False]
    assert found[1].isnan().all()
