"""What an edit did: divergences by hand and by full passes, controls with the promised norms."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metasae.errors import UserError
from metasae.lab.city_records import CityRecord
from metasae.lab.lab import Lab
from metasae.lm.names import name_position
from metasae.search import controls, report
from metasae.search import side_effects as probing
from metasae.search.combinations import Combinations
from metasae.search.controls import (
    Control,
    control,
    foreign_meta_latents,
    random_changes,
    shuffled_changes,
)
from metasae.search.exhaustive import search
from metasae.search.patterns import FoundEdit
from metasae.search.report import top_of_vocabulary
from metasae.search.side_effects import (
    WITH_CITY,
    WITHOUT_CITY,
    SideEffectProbe,
    SideEffects,
    kl,
    side_effects,
)
from metasae.search.variants import Reached, variants
from metasae.steering.edit_space import EditSpace
from metasae.steering.edits import (
    NO_EDIT,
    Edit,
    EditOptions,
    LatentSwap,
    MetaLatentEdit,
    edit_of_kind,
)
from metasae.steering.experiment import Experiment
from metasae.steering.questions import Answer, Question, Subject
from metasae.steering.verdict import pattern_name
from metasae.text.prompts import CITY, PLACES, QUESTIONS, fill
from tests import oracle
from tests.builders import judging, one_sentence, orthonormal_decomposition

SOME = 8
"""Draws of a control on the real model."""


def test_kl_by_hand() -> None:
    before = torch.tensor([[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]).log()
    after = torch.tensor([[0.25, 0.75], [0.5, 0.5], [0.5, 0.5]]).log().clamp(min=-50)
    by_hand = [0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75), 0.0, math.log(2)]
    assert kl(before.clamp(min=-50), after).tolist() == pytest.approx(by_hand, abs=1e-6)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=2, max_size=6))
def test_kl_is_no_distance_but_never_negative(logits: list[tuple[float, float]]) -> None:
    before, after = torch.tensor(logits).T
    found = kl(before[None], after[None])
    p, q = before.double().softmax(0), after.double().softmax(0)
    expected = float((p * (p / q).log()).sum())
    assert found.item() == pytest.approx(expected, abs=1e-5) and found.item() >= 0
    # What every logit gains alike changes nothing.
    assert kl(before[None], before[None] + 3).item() == pytest.approx(0, abs=1e-5)


def test_the_neutral_texts() -> None:
    assert len(WITH_CITY) == len(set(WITH_CITY)) >= 12
    assert len(WITHOUT_CITY) == len(set(WITHOUT_CITY)) >= 12
    for sentence in WITH_CITY:
        assert sentence.count(CITY) == 1
        assert len(sentence.split(CITY)[1].split()) >= 4  # something to predict after it
    assert not any(CITY in sentence for sentence in WITHOUT_CITY)
    assert not set(WITH_CITY) & {*PLACES, *QUESTIONS.values()}


# Random edits, on a decomposition with known numbers.


@settings(deadline=None)
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
    """What the controls ask of a case: latent 0 has meta-latents 0, 1, 2; latent 2 has 0 and 4."""
    pair = EditSpace(orthonormal_decomposition((0.1, -0.2, 0.0, 0.3, 0.0, 0.0)), source, target)
    return SimpleNamespace(
        decomposition=pair.decomposition,
        pair=pair,
        pieces=pair.pieces,
        source=Subject("Rome", "Rome", source, ()),
        target=Subject("Oslo", "Oslo", target, ()),
        compiled=pair.compiled,
    )


@pytest.mark.parametrize(
    "options",
    [
        NO_EDIT,
        MetaLatentEdit(options=EditOptions(keep_residual=True)),
        MetaLatentEdit(options=EditOptions(variant="hundredfold")),
    ],
)
def test_shuffled_with_its_own_meta_latents_is_the_edit_itself(options: MetaLatentEdit) -> None:
    experiment = small((0, 1), (2,))
    for strengths in (((1, 0.0),), ((1, 0.0), (4, 0.5)), ((0, -1.0), (1, 0.25), (3, 2.0))):
        edit = replace(options, strengths=strengths)
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
    """A case of one question whose pick moves to the target where ``moves`` says so of a change."""
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


def test_a_pattern_that_any_change_reaches_is_marked() -> None:
    experiment = planted(lambda change: change.flatten(1).norm(dim=1) > 0.01)
    found = (found_by(0.1, NO_EDIT, moved=False), found_by(0.9))
    nothing, moved = control(experiment, found, draws=16)
    assert moved == Control({"country": True}, 0.9, 1.0, 1.0, 16, True)
    [always] = control(experiment, [found_by(1.0)], draws=16)
    assert always.marked  # as often is enough
    # The pattern of no change is never marked; its draws are those of the others.
    assert nothing == Control({"country": False}, 0.1, 0.0, 0.0, 16, False)


def test_a_pattern_that_only_the_edit_itself_reaches_is_not_marked() -> None:
    actual = small().compiled(EDIT).from_source
    experiment = planted(lambda change: (change - actual).flatten(1).norm(dim=1) < 0.01)
    [moved] = control(experiment, [found_by(0.1)], draws=16)
    assert moved == Control({"country": True}, 0.1, 0.0, 0.0, 16, False)


@pytest.mark.parametrize("real, marked", [(0.2, True), (0.999, False)])
def test_one_control_suffices_to_mark(real: float, marked: bool) -> None:
    # Half of all random directions; the shuffled edit has nothing of meta-latent 4.
    fifth = orthonormal_decomposition().meta.W_dec[4]
    experiment = planted(lambda change: (change @ fifth)[:, 0] > 0.01)
    [moved] = control(experiment, [found_by(real)], draws=64)
    assert 0.25 < moved.random < 0.75 and moved.shuffled == 0.0
    assert moved.marked == marked
    assert json.loads(json.dumps(moved.to_dict()))["random"] == moved.random


# On the real model.


@pytest.fixture(scope="module")
def experiment(lab: Lab) -> Experiment:
    return lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"))


@pytest.fixture(scope="module")
def found(experiment: Experiment) -> tuple[FoundEdit, ...]:
    return search(experiment, screened=False)


def slow_divergence(
    experiment: Experiment, sentences: list[str], edit: Edit, where: Callable[[str], oracle.Where]
) -> tuple[float, float]:
    """Mean and largest KL over the positions from the first changed one on, by full passes."""
    values: list[float] = []
    for sentence in sentences:
        tokens = experiment.model.prompt_tokens(sentence)
        before, after = (
            oracle.logits(experiment, tokens, made, where(sentence))[1:].double().log_softmax(-1)
            for made in (NO_EDIT, edit)
        )
        each = (before.exp() * (before - after)).sum(-1)
        changed = (each.abs() > 1e-9).nonzero()
        values += each[int(changed[0]) if len(changed) else 0 :].tolist()
    return float(np.mean(values)), max(values)


def close(found: probing.Divergence, expected: tuple[float, float]) -> None:
    assert (found.mean, found.largest) == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_divergence_on_the_citys_name_is_that_of_full_passes(
    experiment: Experiment, lab: Lab, found: tuple[FoundEdit, ...]
) -> None:
    sentences = [fill(sentence, "Tokyo") for sentence in WITH_CITY]
    one = SideEffectProbe(lab, experiment).side_effects(found[-1].edit)
    expected = slow_divergence(
        experiment,
        sentences,
        found[-1].edit,
        lambda text: name_position(experiment.model, text, "Tokyo"),
    )
    assert expected[0] > 0.01
    close(one.with_city, expected)
    assert one.with_city.changed == one.with_city.sentences == len(WITH_CITY)
    # On text without the city there is nothing to edit.
    assert one.without_city.largest == one.without_city.changed == 0
    assert one.without_city.positions == sum(
        len(experiment.model.encode(sentence)) for sentence in WITHOUT_CITY
    )


@pytest.fixture(scope="module")
def leaking(lab: Lab) -> Experiment:
    """Towards Paris from a latent that fires here and there in the text without a city."""
    experiment = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"))
    rows = [experiment.model.prompt_tokens(text) for text in WITHOUT_CITY]
    resid = torch.cat([experiment.model.residual(torch.tensor([row]))[0, 1:] for row in rows])
    fires = experiment.decomposition.sae.encode(resid) > 0
    sentence = torch.repeat_interleave(
        torch.arange(len(rows)), torch.tensor([len(row) - 1 for row in rows])
    )
    often = torch.stack([fires[sentence == n].any(0) for n in range(len(rows))]).sum(0)
    able = (often >= 2) & (often < len(rows) - 1)
    latent = next(
        n for n in able.nonzero()[:, 0].tolist() if len(experiment.decomposition.pieces(n)) > 1
    )
    return lab.experiment(lab.subject(f"#{latent}"), lab.subject("Paris"))


def own_piece_gone(experiment: Experiment, **options: Any) -> Edit:
    piece = next(piece for piece in experiment.pieces if piece.side == "source")
    return edit_of_kind("meta", ((piece.meta, 0.0),), **options)


@pytest.mark.parametrize(
    "options",
    [{}, {"position": "all"}, {"position": "all", "keep_error": False}],
    ids=["last", "all", "all, error dropped"],
)
def test_what_leaks_is_that_of_full_passes(
    leaking: Experiment, lab: Lab, options: dict[str, Any]
) -> None:
    edit = own_piece_gone(leaking, **options)
    one = side_effects(lab, leaking, edit)
    assert 2 <= one.leak.changed < one.leak.sentences and one.leak.mean > 0
    if edit.options.position == "all" and edit.options.keep_error:
        assert one.without_city == one.leak  # it acts where the latent fires anyway
        return
    close(one.leak, slow_divergence(leaking, list(WITHOUT_CITY), edit, lambda _: "fires"))
    if edit.options.position == "last":
        assert one.without_city.largest == 0
    else:
        close(one.without_city, slow_divergence(leaking, list(WITHOUT_CITY), edit, lambda _: "all"))
        assert one.without_city.mean > one.leak.mean
        assert one.without_city.changed == one.without_city.sentences


def test_no_edit_has_no_side_effects(experiment: Experiment, lab: Lab) -> None:
    one = side_effects(lab, experiment, NO_EDIT)
    for part in (one.with_city, one.without_city, one.leak):
        assert (part.mean, part.largest, part.changed) == (0, 0, 0)
    assert one.held == one.facts
    assert json.loads(json.dumps(one.to_dict()))["with_city"]["mean"] == 0


def quiet_city(lab: Lab) -> CityRecord:
    """A city all of whose facts the model knows, with another country than the others here."""
    used = ("Japan", "France", "Egypt")
    known = (r for r in lab.records.values() if all(r.known.values()) and r.country not in used)
    return next(known)


@pytest.fixture(scope="module")
def sharing(lab: Lab) -> Lab:
    """The records say that a quiet city has Tokyo's first latent, and that Tokyo is well known."""
    tokyo, quiet = lab.records["Tokyo"], quiet_city(lab)
    planted = replace(tokyo.chosen[0], activation=999.0)
    records = {
        "Tokyo": replace(tokyo, known=dict.fromkeys(QUESTIONS, True)),
        quiet.name: replace(quiet, latents=(planted,)),
    }
    return replace(lab, records=lab.records | records)


@pytest.fixture(scope="module")
def borrowed(lab: Lab) -> Experiment:
    """Paris edited towards Cairo by Tokyo's latents: Tokyo has everything to lose."""
    latents = tuple(one.latent for one in lab.records["Tokyo"].chosen)
    return lab.experiment(lab.subject("Paris", latents), lab.subject("Cairo"))


def slow_logprob(experiment: Experiment, prompt: str, answer: str, edit: Edit) -> float:
    tokens, rest = experiment.model.prompt_tokens(prompt), experiment.model.encode(" " + answer)
    logits = oracle.logits(experiment, [*tokens, *rest[:-1]], edit, "fires")[len(tokens) - 1 :]
    return float(logits.log_softmax(-1)[torch.arange(len(rest)), rest].sum())


def slow_facts(
    experiment: Experiment, lab: Lab, name: str, edit: Edit
) -> tuple[int, tuple[str, ...]]:
    """How many facts of a city the unedited model knows, and which it loses, by full passes."""
    known, lost = 0, []
    for question in lab.questions(Subject(name, name, (), ()), experiment.target, "Paris"):
        whose = [answer.cities[0] for answer in question.answers]
        assert whose[0] == name and set(whose[1:]) <= {"Cairo", "Paris"}
        was, now = (
            [
                slow_logprob(experiment, question.prompt, answer.text, one)
                for answer in question.answers
            ]
            for one in (NO_EDIT, edit)
        )
        if len(whose) > 1 and max(was) == was[0]:
            known += 1
            lost += [question.attribute] * (max(now) != now[0])
    return known, tuple(lost)


def test_facts_of_cities_that_share_latents_are_those_of_full_passes(
    borrowed: Experiment, lab: Lab, sharing: Lab
) -> None:
    edit, quiet = LatentSwap(), quiet_city(lab).name
    surroundings = SideEffectProbe(sharing, borrowed)
    found = surroundings.side_effects(edit)
    silent, tokyo = found.others[:2]  # the most active first
    assert (silent.name, silent.activation, silent.fired) == (quiet, 999.0, False)
    assert (silent.known, silent.lost) == slow_facts(borrowed, lab, quiet, edit)
    assert silent.known and not silent.lost  # no latent fires there, so nothing is edited
    chosen = lab.records["Tokyo"].chosen
    assert (tokyo.name, tokyo.fired) == ("Tokyo", True)
    assert tokyo.activation == pytest.approx(sum(one.activation for one in chosen))
    assert (tokyo.known, tokyo.lost) == slow_facts(borrowed, lab, "Tokyo", edit)
    # The model puts Tokyo in Europe, whatever the record says.
    assert 0 < tokyo.known < len(QUESTIONS) and tokyo.lost
    assert found.facts == sum(city.known for city in found.others)
    assert found.held == found.facts - sum(len(city.lost) for city in found.others)
    unedited = surroundings.side_effects(NO_EDIT)
    assert unedited.held == unedited.facts == found.facts


def test_running_only_the_changed_rows_is_running_all(borrowed: Experiment, sharing: Lab) -> None:
    text = SideEffectProbe(sharing, borrowed)._with_city
    compiled = borrowed.compiled(LatentSwap())
    where = text.usable.clone()
    where[::3] = False
    changed, found = text.edited(compiled, where)
    assert 0 < int(changed.any(1).sum()) < len(changed) and not changed[0].any()
    resid = text.prefilled.resid
    change = compiled.change(text.firing).view(resid.shape) * where[..., None]
    expected = text.prefilled.finish(resid + change)
    real = text.prefilled.real
    torch.testing.assert_close(found[real], expected[real], rtol=1e-4, atol=1e-3)


def test_a_source_nobody_shares_latents_with_has_no_others(
    lab: Lab, experiment: Experiment
) -> None:
    held = {one.latent for record in lab.records.values() for one in record.latents}
    free = next(latent for latent in range(lab.n_latents) if latent not in held)
    alone = lab.experiment(lab.subject(f"#{free}"), lab.subject("Paris"))
    one = side_effects(lab, alone, LatentSwap())
    assert isinstance(one, SideEffects) and one.others == () and one.facts == 0


def test_leads_are_those_of_the_answers(
    experiment: Experiment, found: tuple[FoundEdit, ...]
) -> None:
    for one in found:
        outcome = experiment.apply(one.edit)
        told = report.leads(outcome)
        assert list(told) == [question.attribute for question in experiment.questions]
        for attribute, rows in outcome.answers.groupby("attribute"):
            after = dict(zip(rows["answer"], rows["logprob"], strict=True))
            before = dict(zip(rows["answer"], rows["baseline"], strict=True))
            first, second = sorted(after.values(), reverse=True)[:2]
            lead = told[str(attribute)]
            assert after[lead["answer"]] == first and lead["after"] == pytest.approx(first - second)
            others = [value for answer, value in before.items() if answer != lead["answer"]]
            assert lead["before"] == pytest.approx(before[lead["answer"]] - max(others))
            assert (lead["before"] < 0) == bool(rows["best_before"].ne(rows["best_after"]).any())
        smallest = min(lead["after"] for lead in told.values())
        assert smallest == pytest.approx(one.margin, abs=1e-4)


def test_top_of_vocabulary_is_that_of_full_passes(
    experiment: Experiment, found: tuple[FoundEdit, ...]
) -> None:
    edit = found[-1].edit
    tops = top_of_vocabulary(experiment, edit)
    assert list(tops) == [question.attribute for question in experiment.questions]
    outcome = experiment.apply(edit).answers
    for question in experiment.questions:
        tokens = experiment.model.prompt_tokens(question.prompt)
        at = oracle.place(experiment, edit, question.prompt)
        for state, made, column in (("before", NO_EDIT, "baseline"), ("after", edit, "logprob")):
            likeliest = int(oracle.logits(experiment, tokens, made, at)[-1].argmax())
            rows = outcome[outcome["attribute"] == question.attribute]
            answer = str(rows["answer"].iloc[int(rows[column].argmax())])
            pick = tops[question.attribute][state]
            assert pick.answer == answer
            assert pick.likeliest == experiment.model.decode(likeliest)
            assert pick.top == (experiment.model.encode(" " + answer)[0] == likeliest)


def test_a_pick_that_the_model_would_not_say_is_no_top(experiment: Experiment) -> None:
    answers = (Answer(("Tokyo",), "marmalade"), Answer(("Paris",), "linoleum"))
    question = replace(experiment.questions[0], answers=answers)
    odd = Experiment(
        experiment.model,
        experiment.decomposition,
        experiment.source,
        experiment.target,
        [question],
        experiment.median_norm,
        experiment.provenance,
    )
    tops = top_of_vocabulary(odd, NO_EDIT)[question.attribute]
    assert tops["before"] == tops["after"] and not tops["before"].top
    assert tops["before"].answer in ("marmalade", "linoleum")


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


@pytest.mark.slow
def test_ways(lab: Lab, found: tuple[FoundEdit, ...]) -> None:
    source, target = lab.subject("Tokyo"), lab.subject("Paris")
    told: list[float] = []
    tried = variants(
        lab, source, target, most=32, progress=lambda stage, fraction, note: told.append(fraction)
    )
    default = tried[0]
    assert default.name == "default" and len({way.name for way in tried}) == len(tried) == 8
    assert told == sorted(told) and told[-1] == 1.0
    known = [one.pattern for one in default.reached]
    assert default.added == () and known[0] == dict.fromkeys(QUESTIONS, False)
    assert all(pattern in [one.pattern for one in found] for pattern in known)
    for way in tried:
        assert 0 < way.searched <= 32 and way.seconds > 0
        assert bool(way.note) == (way.searched < way.combinations)
        assert all(one.new == (one.pattern not in known) for one in way.reached if way != default)
        json.dumps(way.to_dict())
    by = {way.name: way for way in tried}
    best = by["best latent of each only"]
    assert (best.source_latents, best.target_latents) == (source.latents[:1], target.latents[:1])
    grid = by["strengths −1 and 2 as well"]
    assert grid.combinations == 3 ** (grid.removable + grid.addable)
    more = by["6 meta-latents a latent"]
    assert more.combinations == 2 ** (more.removable + more.addable) > default.combinations
    # Every edit of the ways on the default's own latents and pieces does what the table says.
    experiment = lab.experiment(source, target)
    for name in ("default", "strengths −1 and 2 as well", "SAE's error dropped"):
        for one in by[name].reached:
            if one.edit.strengths:
                check(experiment, one)


def check(experiment: Experiment, one: Reached) -> None:
    judged = experiment.verdict(experiment.apply(one.edit).logprobs[None])
    assert pattern_name(experiment.questions, int(judged.pattern[0])) == one.pattern
    assert float(judged.margin[0]) == pytest.approx(one.margin, abs=1e-3)


def test_a_way_that_does_not_work_says_why(lab: Lab, leaking: Experiment) -> None:
    tried = variants(lab, leaking.source, leaking.target, most=4)
    assert "Latents chosen by number belong to one SAE" in tried[-1].note
    assert tried[-1].reached == () and tried[-1].combinations == 0
    assert tried[0].searched > 0  # the others went on


def test_ways_of_a_city_to_itself_are_refused(lab: Lab) -> None:
    with pytest.raises(UserError, match="Source and target are both Tokyo"):
        variants(lab, lab.subject("Tokyo"), lab.subject("Tokyo"))
