"""The engine's scores against full hooked passes."""

import numpy as np
import pytest
import torch
from torch import Tensor

from metasae.lab.lab import Lab
from metasae.search.combinations import Combinations
from metasae.search.engine import Engine
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
