"""The estimating search: by hand, on made-up answers against all of them, and on the real model."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from metasae.errors import UserError
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from metasae.search import estimate
from metasae.search.combinations import Combinations
from metasae.search.engine import Engine
from metasae.search.estimate import BUDGETS, SHARE, estimated, rounds, usual_budget
from metasae.search.estimator import FIRST, LISTED, Changes, Estimator, Picks
from metasae.search.exhaustive import search
from metasae.steering.edit_space import EditSpace, Swapped
from metasae.steering.edits import NO_EDIT, EditOptions, MetaLatentEdit
from metasae.steering.experiment import Experiment
from metasae.steering.questions import Answer, Question
from metasae.steering.verdict import OTHER
from tests.builders import judging, never

D_MODEL = 48


QUESTIONS = (
    Question("country", "", (Answer(("Rome",), "Italy"), Answer(("Oslo",), "Norway"))),
    Question(
        "language",
        "",
        (
            Answer(("Rome",), "Italian"),
            Answer(("Oslo",), "Norwegian"),
            Answer(("Cairo",), "Arabic"),
        ),
    ),
)


class Scorer:
    """Stands where an engine stands: answers are smooth functions of the change an edit makes.

    Args:
        own: how many meta-latents each of the two latents has to itself.
        latents: source latents; all have the same pieces, in different amounts.
    """

    def __init__(self, own: int, seed: int = 0, latents: int = 1, removed: Any = (0.0,)) -> None:
        draw = torch.Generator().manual_seed(seed)
        W_meta = torch.randn(2 * own + 1, D_MODEL, generator=draw)
        W_meta /= W_meta.norm(dim=1, keepdim=True)
        acts = torch.zeros(latents + 1, 2 * own + 1)
        acts[:latents, : own + 1] = 0.3 + torch.rand(latents, own + 1, generator=draw)
        acts[latents, own:] = 0.3 + torch.rand(own + 1, generator=draw)
        W_dec = acts @ W_meta + 0.02 * torch.randn(latents + 1, D_MODEL, generator=draw)
        sae = SparseAutoencoder(
            W_enc=W_dec.T.contiguous(), b_enc=torch.zeros(latents + 1), W_dec=W_dec,
            b_dec=torch.zeros(D_MODEL), k=1,
        )  # fmt: skip
        meta = SparseAutoencoder(
            W_enc=W_meta.T.contiguous(), b_enc=torch.zeros(2 * own + 1), W_dec=W_meta,
            b_dec=0.01 * torch.randn(D_MODEL, generator=draw), k=own + 1,
        )  # fmt: skip
        decomposition = Decomposition(sae, meta)
        # What is active is set by hand: the made-up meta-latents are no exact code.
        decomposition.__dict__["activations"] = acts.to_sparse_csr()
        source = tuple(range(latents))
        pair = EditSpace(decomposition, source, (latents,), Swapped((), {}))
        self.firing = [torch.rand(2, latents, generator=draw) + 0.5 for _ in QUESTIONS]
        self.inner = 1.2 * torch.randn(2, D_MODEL, 12, generator=draw) / math.sqrt(D_MODEL)
        self.outer = 3.0 * torch.randn(2, 12, 3, generator=draw)
        self.prepared = SimpleNamespace(
            firing=SimpleNamespace(source=torch.cat(self.firing)),
            touched=torch.tensor([True, False] * len(self.firing)),
            prompts=SimpleNamespace(
                seen=torch.eye(len(self.firing), dtype=torch.bool).repeat_interleave(2, dim=1)
            ),
        )
        self.experiment: Any = judging(
            source=SimpleNamespace(label="Rome", latents=source),
            target=SimpleNamespace(label="Oslo"),
            questions=QUESTIONS,
            decomposition=decomposition,
            space=pair,
            pieces=pair.pieces,
            baseline=torch.tensor([0.0, -2.0, 0.0, -1.5, -3.0]),
        )
        self.combinations = Combinations.of(self.experiment, EditOptions(), removed)
        self.asked: list[int] = []

    def logprobs(self, numbers: Any) -> torch.Tensor:
        """As `Engine.logprobs`."""
        self.asked += np.asarray(numbers).tolist()
        change = self.change(numbers)
        found = []
        for number, (firing, question) in enumerate(zip(self.firing, QUESTIONS, strict=True)):
            resid = torch.einsum("s,nsd->nd", firing[0], change)
            made = torch.tanh(2 * resid @ self.inner[number]) @ self.outer[number]
            found.append(made[:, : len(question.answers)])
        return self.experiment.baseline + torch.cat(found, dim=1)

    scored_chunk = Engine.scored_chunk

    def change(self, numbers: Any) -> torch.Tensor:
        """By what the source's directions change."""
        made = self.experiment.space.directions(self.combinations.strengths(numbers))
        change = (
            made - self.experiment.decomposition.sae.W_dec[list(self.experiment.source.latents)]
        )
        change[torch.from_numpy(np.asarray(numbers) == 0)] = 0.0
        return change


def engine(scorer: Scorer) -> Engine:
    """The same, as far as types go."""
    return cast(Engine, scorer)


def clearest(scorer: Any, numbers: Any) -> dict[int, float]:
    """Largest margin of every pattern among some combinations."""
    judged = scorer.experiment.verdict(scorer.logprobs(numbers))
    return {
        code: float(judged.margin[judged.pattern == code].max())
        for code in np.unique(judged.pattern).tolist()
        if code not in (OTHER, 0)
    }


@pytest.mark.parametrize("latents", [1, 2])
def test_changes_keep_distances(latents: int) -> None:
    scorer: Any = Scorer(5, latents=latents)
    numbers = np.array([0, 1, 17, 400, 1023])
    plain = Changes(scorer, np.arange(1024)).plain(numbers)
    for found, firing in zip(plain, scorer.firing, strict=True):
        # Only the first position is touched.
        resid = torch.einsum("s,nsd->nd", firing[0], scorer.change(numbers)).double()
        assert torch.allclose(torch.cdist(found, found), torch.cdist(resid, resid), atol=1e-5)
        assert found[0].abs().max() == 0


def test_changes_are_in_units_of_their_spread() -> None:
    scorer: Any = Scorer(4)
    numbers = np.arange(256)
    for x in Changes(scorer, numbers).of(numbers):
        assert float((x - x.mean(0)).square().sum(1).mean()) == pytest.approx(1.0)


def test_picks_and_leads_by_hand() -> None:
    experiment: Any = judging(
        target=SimpleNamespace(label="Oslo"),
        questions=(
            QUESTIONS[1],
            Question(
                "continent", "", (Answer(("Rome", "Oslo"), "Europe"), Answer(("Cairo",), "Africa"))
            ),
            Question("custom", "", (Answer((), "red"),)),
        ),
        baseline=torch.tensor([0.0, -1.0, -2.0, -1.0, -3.0, -4.0]),
    )
    language, continent, custom = Picks.of(experiment)
    assert language == Picks(slice(0, 3), 0, (1,))
    assert continent == Picks(slice(3, 5), 0, ())  # the target's answer is there before
    assert custom == Picks(slice(5, 6), 0, ())
    values = torch.tensor([[0.0, -1.0, -0.5], [-3.0, -1.0, -2.5]])
    assert language.leads(values).tolist() == [[0.5, -1.0], [-2.0, 1.5]]
    doubt = torch.tensor([[0.0, 0.5, 0.0], [0.5, 0.0, 4.0], [0.0, 4.0, 0.0]])
    # 0 over 1 by 1 + ½, over 2 by ½; 1 over 0 by −1 + ½, over 2 by −½ + 4.
    assert language.leads(values[:1], doubt[None]).tolist() == [[0.5, -0.5]]
    assert continent.leads(torch.tensor([[0.0, 2.0]])).tolist() == [[-2.0, -math.inf]]
    assert custom.leads(torch.tensor([[-4.0]])).tolist() == [[math.inf, -math.inf]]


@given(arrays.arrays(np.float64, (7, 5), elements=st.floats(-9, 9, width=16)))
def test_leads_say_what_judging_says(values: Any) -> None:
    experiment = Scorer(2).experiment
    scores = torch.from_numpy(values)
    judged = experiment.verdict(scores)
    leads = torch.stack(
        [pick.leads(scores[:, pick.answers]) for pick in Picks.of(experiment)], dim=1
    )
    for row, (code, margin) in enumerate(zip(judged.pattern, judged.margin, strict=True)):
        for other in range(4):
            lead = min(float(leads[row, 0, other & 1]), float(leads[row, 1, other >> 1]))
            if code == other:
                assert lead == pytest.approx(margin)
            else:
                assert lead <= 0


@pytest.mark.slow
@pytest.mark.parametrize("listed", [LISTED, 0], ids=["listed", "by moves"])
@pytest.mark.parametrize("latents", [1, 2])
def test_finds_the_clearest_of_all_with_a_twentieth_of_the_work(listed: int, latents: int) -> None:
    hit = patterns = 0
    for seed in range(4):
        scorer: Any = Scorer(6 if latents == 1 else 5, seed, latents)
        everything = clearest(scorer, range(len(scorer.combinations)))
        scorer.asked.clear()
        budget = len(scorer.combinations) // 20
        chosen = np.concatenate([chunk.numbers for chunk in rounds(scorer, budget, listed)])
        assert scorer.asked == chosen.tolist()
        assert len(chosen) == len(set(chosen.tolist())) <= budget
        found = clearest(scorer, chosen)
        patterns += len(everything)
        hit += sum(found.get(code, 0.0) > best - 1e-4 for code, best in everything.items())
    assert patterns >= 8
    assert hit / patterns >= 0.95


def test_the_first_combinations_are_the_unedited_one_and_unlike_each_other() -> None:
    estimator = Estimator(engine(Scorer(4)))
    first = estimator.first()
    assert first[0] == 0 and len(set(first.tolist())) == FIRST
    x = torch.cat(estimator.changes.of(np.arange(256)), dim=1)
    between = torch.cdist(x[first], x[first])
    # Farthest from what was chosen before it, each: nobody left out is farther from all chosen.
    nearest = torch.cdist(x, x[first[:-1]]).amin(1)
    assert float(between[-1, :-1].min()) == pytest.approx(float(nearest.max()), rel=1e-5)


def test_the_budget_is_kept_and_a_larger_one_is_no_duty() -> None:
    for budget in (1, 5, 13, 40):
        scorer = Scorer(4)
        list(rounds(engine(scorer), budget))
        assert len(scorer.asked) <= budget
    scorer = Scorer(4)
    list(rounds(engine(scorer), 10_000))
    assert len(scorer.asked) == len(set(scorer.asked)) < 256


def test_a_twentieth_is_scored_within_bounds() -> None:
    assert [usual_budget(count) for count in (10, 64, 1280, 1300, 4000, 20480, 10**6)] == [
        10, 64, 64, 65, 200, 1024, 1024,
    ]  # fmt: skip


def test_the_same_search_twice() -> None:
    one, other = Scorer(5), Scorer(5)
    list(rounds(engine(one), listed=0))
    list(rounds(engine(other), listed=0))
    assert one.asked == other.asked
    assert BUDGETS[0] >= len(one.asked) > FIRST


@pytest.mark.slow
def test_without_listing_more_than_can_be_counted_through() -> None:
    scorer: Any = Scorer(20, removed=(0.0, 0.5))
    assert len(scorer.combinations) == 6**20
    chunks = list(rounds(scorer, 150))
    assert len(scorer.asked) <= 150
    found = clearest(scorer, np.concatenate([chunk.numbers for chunk in chunks]))
    many = clearest(scorer, np.random.default_rng(1).integers(0, 6**20, 4000))
    assert many.keys() <= found.keys()
    for code, margin in many.items():
        assert found[code] > margin


def test_combinations_that_leave_nothing_of_a_direction_teach_nothing() -> None:
    scorer = Scorer(3)
    plain = scorer.logprobs

    def logprobs(numbers: Any) -> torch.Tensor:
        scores = plain(numbers)
        scores[np.asarray(numbers) % 3 == 2] = math.nan
        return scores

    scorer.logprobs = logprobs  # type: ignore[method-assign]
    chunks = list(rounds(engine(scorer), 40))
    gone = np.concatenate([chunk.numbers for chunk in chunks]) % 3 == 2
    assert 0 < gone.sum() < len(gone)
    judged = np.concatenate([chunk.pattern for chunk in chunks])
    assert (judged[gone] == OTHER).all()


def test_too_many_to_be_numbered_are_refused() -> None:
    scorer: Any = Scorer(8)
    many = replace(scorer.combinations, levels=((0.0, 1.0),) * 63)
    with pytest.raises(UserError, match=r"There are 9\.2e\+18 combinations, more than"):
        next(rounds(SimpleNamespace(experiment=scorer.experiment, combinations=many)))  # type: ignore[arg-type]


def test_as_many_as_can_be_numbered_are_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "Estimator", never("it begins"))
    scorer: Any = Scorer(8)
    many = replace(scorer.combinations, levels=((0.0, 1.0),) * 62)
    engine: Any = SimpleNamespace(experiment=scorer.experiment, combinations=many)
    with pytest.raises(AssertionError, match="it begins"):
        next(rounds(engine))


def test_progress_reaches_the_end() -> None:
    told: list[float] = []
    list(
        rounds(engine(Scorer(4)), 60, progress=lambda stage, fraction, note: told.append(fraction))
    )
    assert told == sorted(told) and told[-1] == 1.0


@pytest.mark.slow
def test_every_reported_value_is_verified(experiment: Experiment) -> None:
    combinations = Combinations.of(experiment, EditOptions(), (0.0, 0.5), (0.5, 1.0, 1.5))
    found, used = estimated(experiment, combinations, 90)
    assert FIRST <= used <= 90 < len(combinations)
    assert found[0].edit == NO_EDIT and not any(found[0].pattern.values())
    assert len(found) > 1
    for one in found:
        outcome = experiment.apply(one.edit)
        assert outcome.moved == one.pattern
        assert outcome.sentence == one.sentence
        assert math.isnan(one.reached_by)
        leads = []
        for _, rows in outcome.answers.groupby("attribute"):
            first, second = rows["logprob"].nlargest(2)
            leads.append(first - second)
        assert one.margin == pytest.approx(min(leads), abs=1e-4)


def test_a_short_estimating_search_reports_verified_edits(experiment: Experiment) -> None:
    options = EditOptions(keep_residual=True)
    told: list[float] = []
    found, used = estimated(
        experiment, Combinations.of(experiment, options), 20,
        lambda stage, share, note: told.append(share),
    )  # fmt: skip
    assert FIRST <= used <= 20 and told[-1] == 1.0
    assert found[0].edit == MetaLatentEdit(options=options)
    assert all(one.edit.options == options and math.isnan(one.reached_by) for one in found)
    for one in found:
        outcome = experiment.apply(one.edit)
        assert (outcome.moved, outcome.sentence) == (one.pattern, one.sentence)
    # All of the pair's, by default one in twenty of them.
    assert estimated(experiment)[1] <= usual_budget(len(Combinations.of(experiment)))


def test_changes_are_what_an_experiment_adds(experiment: Experiment) -> None:
    engine = Engine(
        experiment, Combinations.of(experiment, EditOptions(keep_residual=True, position="all"))
    )
    numbers = np.array([0, 3, 5, len(engine.combinations) - 1])
    plain = Changes(engine, numbers).plain(numbers)
    prepared = experiment.prepared(engine.combinations.options)
    for found, seen in zip(plain, prepared.prompts.seen, strict=True):
        here = (prepared.touched & seen)[:, None]
        resid = torch.stack(
            [
                experiment.compiled(engine.combinations.edit(n)).change(prepared.firing) * here
                for n in numbers.tolist()
            ]
        ).flatten(1)
        between = torch.cdist(resid.double(), resid.double())
        assert torch.allclose(torch.cdist(found, found), between, atol=1e-3, rtol=1e-4)
        assert float(between.max()) > 1.0


@pytest.mark.long
def test_finds_on_the_real_model_what_scoring_all_finds(tokyo_paris: Experiment) -> None:
    experiment, combinations = tokyo_paris, Combinations.of(tokyo_paris)
    best = {
        tuple(one.pattern.values()): one for one in search(experiment, combinations, screened=False)
    }
    found, used = estimated(experiment, combinations)
    assert used <= max(len(combinations) // SHARE, BUDGETS[0])
    assert {tuple(one.pattern.values()) for one in found} == set(best)
    for one in found:
        assert one.margin == pytest.approx(best[tuple(one.pattern.values())].margin, abs=1e-4)
