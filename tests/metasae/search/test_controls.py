"""Random and shuffled edits of the same size."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from metasae.errors import UserError
from metasae.search import controls
from metasae.search.combinations import Combinations
from metasae.search.controls import (
    MOST_DRAWS,
    Control,
    control,
    draws_for,
    foreign_meta_latents,
    random_changes,
    shuffled_changes,
    upper_bound,
)
from metasae.search.patterns import FoundEdit
from metasae.steering.edit_space import EditSpace, Swapped
from metasae.steering.edits import (
    NO_EDIT,
    EditOptions,
    MetaLatentEdit,
)
from metasae.steering.experiment import Experiment
from metasae.steering.questions import Answer, Question, Subject
from metasae.steering.verdict import OTHER
from tests.builders import judging, one_sentence, orthonormal_decomposition

SOME = 8
"""Draws of a control on the small model."""


@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(2, 6))
def test_random_directions_have_the_norms_of_the_edit(seed: int, count: int, width: int) -> None:
    draw = np.random.default_rng(seed)
    original = torch.from_numpy(draw.normal(size=(count, width))).float()
    made = torch.from_numpy(draw.normal(size=(count, width))).float()
    changes = random_changes(original, made, 5, np.random.default_rng(seed))
    assert changes.shape == (5, count, width)
    for latent in range(count):
        for change in changes[:, latent]:
            size = float((made - original)[latent].norm())
            assert float(change.norm()) == pytest.approx(size, rel=1e-4, abs=1e-5)
            result = float((original[latent] + change).norm())
            assert result == pytest.approx(float(made[latent].norm()), rel=1e-4, abs=1e-5)


def test_random_directions_are_random_and_repeatable() -> None:
    original, made = torch.eye(8)[:2] * 3, torch.eye(8)[2:4]
    first, again, other = (
        random_changes(original, made, 400, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.isclose(first, other).all(-1).any()
    # The parts across the original direction point everywhere alike: their mean is near zero, of
    # length 1 / √400 times that of one of them, which is 1.
    across = first[:, 0, 1:]
    assert across.norm(dim=1).tolist() == pytest.approx([1.0] * 400, rel=1e-4)
    assert float(across.mean(0).norm()) < 0.15
    assert not (first[:, 0] == first[:, 1]).all(-1).any()  # each latent has its own


def test_no_change_of_norm_is_no_change() -> None:
    original = torch.eye(4)[:1]
    changes = random_changes(original, original, 3, np.random.default_rng(0))
    assert float(changes.abs().max()) < 1e-6


def small(source: tuple[int, ...] = (0,), target: tuple[int, ...] = (2,)) -> Any:
    """What the controls ask: latent 0 has meta-latents 0, 1, 2; latent 2 has 0 and 4."""
    pair = EditSpace(
        orthonormal_decomposition((0.1, -0.2, 0.0, 0.3, 0.0, 0.0)),
        source,
        target,
        Swapped.of(dict.fromkeys(source, 1.0), dict.fromkeys(target, 1.0)),
    )
    return SimpleNamespace(
        decomposition=pair.decomposition,
        pair=pair,
        pieces=pair.pieces,
        source=Subject("Rome", "Rome", source, ()),
        target=Subject("Oslo", "Oslo", target, ()),
        compiled=pair.compiled,
    )


@pytest.mark.parametrize(
    "kind",
    [
        NO_EDIT,
        MetaLatentEdit(options=EditOptions(keep_residual=True)),
        MetaLatentEdit(options=EditOptions(variant="hundredfold")),
    ],
)
def test_shuffled_with_its_own_meta_latents_is_the_edit_itself(kind: MetaLatentEdit) -> None:
    experiment = small((0, 1), (2,))
    for strengths in (((1, 0.0),), ((1, 0.0), (4, 0.5)), ((0, -1.0), (1, 0.25), (3, 2.0))):
        edit = replace(kind, strengths=strengths)
        metas = torch.tensor([[meta for meta, _ in edit.strengths]])
        change = shuffled_changes(experiment, edit, metas)[0]
        torch.testing.assert_close(change, experiment.compiled(edit).from_source, rtol=0, atol=1e-6)


def test_shuffled_by_hand() -> None:
    experiment = small()
    basis = experiment.decomposition.meta.W_dec
    own = experiment.decomposition.pieces(0)
    edit = MetaLatentEdit(((1, 0.0), (4, 2.0)))
    added = experiment.decomposition.pieces(2)[4]
    change = shuffled_changes(experiment, edit, torch.tensor([[3, 5]]))[0, 0]
    made = sum(own[meta] * basis[meta] for meta in own) + experiment.decomposition.meta.b_dec
    made = made - own[1] * basis[3] + 2 * added * basis[5]
    original = experiment.decomposition.sae.W_dec[0]
    made = made / made.norm() * original.norm()
    torch.testing.assert_close(change, made - original, rtol=0, atol=1e-6)


def test_strangers_are_alive_distinct_and_nobodys() -> None:
    # Of six, the pair has 0, 1, 2 and 4, and 5 is active on no latent at all.
    found = foreign_meta_latents(small(), MetaLatentEdit(((1, 0.0),)), 4, np.random.default_rng(0))
    assert found.tolist() == [[3]] * 4
    with pytest.raises(
        UserError, match="needs 2 meta-latents that neither side has, but there"
    ) as e:
        foreign_meta_latents(
            small(), MetaLatentEdit(((1, 0.0), (2, 0.0))), 4, np.random.default_rng(0)
        )
    one_sentence(e)


def planted(moves: Callable[[Tensor], Tensor]) -> Any:
    """One question whose pick moves to the target where ``moves`` says so of a change."""
    question = Question("country", "", (Answer(("Rome",), "Italy"), Answer(("Oslo",), "Norway")))

    def logprobs(change: Tensor, drop_error: bool) -> Tensor:
        return torch.stack([torch.zeros(len(change)), moves(change).float() * 2 - 1], dim=1)

    return judging(
        **vars(small()),
        questions=(question,),
        baseline=torch.tensor([0.0, -1.0]),
        prepared=lambda edit: SimpleNamespace(logprobs=logprobs),
    )


EDIT = MetaLatentEdit(((1, 0.0),))


def found_by(share: float, edit: MetaLatentEdit = EDIT, moved: bool = True) -> FoundEdit:
    return FoundEdit(
        edit, {"country": moved}, 1.0, "", number=int(bool(edit.strengths)), reached_by=share
    )


NONE_OF_16: Any = pytest.approx(1 - 0.05 ** (1 / 16))
"""The share below which none of 16 draws has a chance of 5 %."""


def test_a_bound_is_where_so_few_have_a_chance_of_five_in_a_hundred() -> None:
    bound = upper_bound(2 / 50, 50)
    chance = sum(math.comb(50, k) * bound**k * (1 - bound) ** (50 - k) for k in range(3))
    assert chance == pytest.approx(0.05, abs=1e-9)
    assert upper_bound(0.0, 0) == upper_bound(1.0, 7) == 1.0


def test_a_searchs_control_is_as_large_as_the_search() -> None:
    assert [draws_for(tried) for tried in (1, 64, 256, 10**6)] == [64, 64, 256, MOST_DRAWS]


def test_a_pattern_that_any_change_reaches_is_marked() -> None:
    experiment = planted(lambda change: change.flatten(1).norm(dim=1) > 0.01)
    found = (found_by(0.1, NO_EDIT, moved=False), found_by(0.9))
    nothing, moved = control(experiment, found, draws=16)
    assert moved == Control({"country": True}, 0.9, 1.0, 1.0, 16, True, 1.0)
    [always] = control(experiment, [found_by(1.0)], draws=16)
    assert always.marked  # as often is enough
    # The pattern of no change is never marked; its draws are those of the others.
    assert nothing == Control({"country": False}, 0.1, 0.0, 0.0, 16, False, NONE_OF_16)


def test_no_change_is_never_marked_however_often_chance_leaves_all_as_it_is() -> None:
    experiment = planted(lambda change: torch.zeros(len(change), dtype=torch.bool))
    found = (found_by(0.1, NO_EDIT, moved=False), found_by(0.9))
    nothing, moved = control(experiment, found, draws=16)
    assert nothing == Control({"country": False}, 0.1, 1.0, 1.0, 16, False, 1.0)
    assert moved == Control({"country": True}, 0.9, 0.0, 0.0, 16, False, NONE_OF_16)


def test_a_pattern_that_only_the_edit_itself_reaches_is_not_marked() -> None:
    actual = small().compiled(EDIT).from_source
    experiment = planted(lambda change: (change - actual).flatten(1).norm(dim=1) < 0.01)
    [moved] = control(experiment, [found_by(0.1)], draws=16)
    assert moved == Control({"country": True}, 0.1, 0.0, 0.0, 16, False, NONE_OF_16)


@pytest.mark.parametrize("real, marked", [(0.2, True), (0.999, False)])
def test_one_control_suffices_to_mark(real: float, marked: bool) -> None:
    # Half of all random directions; the shuffled edit has nothing of meta-latent 4.
    fifth = orthonormal_decomposition().meta.W_dec[4]
    experiment = planted(lambda change: (change @ fifth)[:, 0] > 0.01)
    [moved] = control(experiment, [found_by(real)], draws=64)
    assert 0.25 < moved.random < 0.75 and moved.shuffled == 0.0
    assert moved.marked == marked
    assert json.loads(json.dumps(moved.to_dict()))["random"] == moved.random


def test_controls_are_repeatable_and_depend_on_the_seed(
    experiment: Experiment, found: tuple[FoundEdit, ...]
) -> None:
    moving = [one for one in found if any(one.pattern.values())]
    first = control(experiment, moving, SOME, seed=1)
    assert first == control(experiment, moving, SOME, seed=1)
    # An edit's draws do not depend on what else was found.
    assert control(experiment, moving[-1:], SOME, seed=1) == first[-1:]
    for one, mine in zip(moving, first, strict=True):
        assert (mine.pattern, mine.real, mine.draws) == (one.pattern, one.reached_by, SOME)
        assert mine.marked == (max(mine.random, mine.shuffled) >= mine.real)
    drawn = [
        foreign_meta_latents(experiment, moving[-1].edit, SOME, np.random.default_rng([seed, 7]))
        for seed in (1, 2)
    ]
    assert not torch.equal(*drawn)
    own = {piece.meta for piece in experiment.pieces}
    assert all(len(set(row)) == len(row) and not set(row) & own for row in drawn[0].tolist())


@pytest.mark.parametrize("keep_error", [True, False])
def test_a_control_judges_as_the_search_does(experiment: Experiment, keep_error: bool) -> None:
    options = EditOptions(keep_error=keep_error)
    combinations = Combinations.of(experiment, options)
    numbers = [1, len(combinations) // 2, len(combinations) - 1]
    for number in numbers:
        edit = combinations.edit(number)
        metas = torch.tensor([[meta for meta, _ in edit.strengths]])
        # Shuffled with its own meta-latents, the control is the edit itself.
        [pattern] = controls._patterns(experiment, edit, shuffled_changes(experiment, edit, metas))
        assert pattern == experiment.verdict(experiment.apply(edit).logprobs[None]).pattern[0]


def test_chance_is_judged_as_strictly_as_the_search(unsure: Experiment) -> None:
    """Changes that move answers, some of which the model itself would not say."""
    combinations = Combinations.of(unsure)
    edit = combinations.edit(1)
    changes = torch.stack(
        [unsure.compiled(combinations.edit(n)).from_source for n in range(1, len(combinations), 4)]
    )
    strict = unsure.replaced(strict=True)
    found = controls._patterns(strict, edit, changes)
    prepared = strict.prepared(edit.options)
    one_by_one = [prepared.logprobs_with_own(change[None]) for change in changes]
    assert found.tolist() == [int(strict.verdict(*one).pattern[0]) for one in one_by_one]
    usual = controls._patterns(unsure, edit, changes)
    assert usual.tolist() == [int(unsure.verdict(one[0]).pattern[0]) for one in one_by_one]
    assert (found != usual).any() and (found[found != usual] == OTHER).all()
