"""The loss and the score of an edit are what their definitions say, on training names alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metasae.lab.lab import Lab
from metasae.progress import silent
from metasae.ravel.engine import Pair
from metasae.ravel.facts import Known
from metasae.ravel.portraits import Portrait
from metasae.ravel.training import Training, View, views
from metasae.studies.parts import Parts
from tests.builders import never
from tests.oracle import answer_logprobs
from tests.ravel_data import HELD_OUT


def nothing(pair: Pair) -> torch.Tensor:
    return torch.zeros_like(pair.rows)


def test_nothing_held_out_is_learned_from(training: Training) -> None:
    for view in training.views:
        names = {view.asked.source.name, *(pair.target.name for pair in view.pairs)}
        assert not names & set(HELD_OUT)
        assert not any(template.held_out for template in view.asked.templates)
        asked = [template.attribute for template in view.asked.templates]
        assert asked == list(training.attributes)


def by_hand(training: Training, view: View, attribute: str) -> tuple[float, float, float]:
    """Loss, loss without isolation and score of no edit, by whole passes."""
    model = training.lab.model
    moved: list[float] = []
    stayed: list[float] = []
    sure_moved: list[float] = []
    sure_stayed: list[float] = []
    source = view.asked.source.entity
    for pair in view.differing(attribute):
        for question in view.asked.questions:
            texts = [answer.text for answer in question.answers]
            nats = answer_logprobs(model, question.prompt, texts)
            about = question.attribute == attribute
            who = pair.target.entity if about else source
            right = [text in who.values[question.attribute] for text in texts]
            best = float(nats[torch.tensor(right)].max())
            share = float(nats.softmax(0)[torch.tensor(right)].sum())
            (moved if about else stayed).append(best)
            (sure_moved if about else sure_stayed).append(share)

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    both = -(mean(moved) + mean(stayed)) / 2
    return both, -mean(moved), (mean(sure_moved) + mean(sure_stayed)) / 2


@pytest.mark.parametrize("attribute", ["country", "currency"])
def test_loss_and_score_are_those_of_whole_passes(training: Training, attribute: str) -> None:
    view = training.of(attribute)[0]
    loss, cause, score = by_hand(training, view, attribute)
    edit = {attribute: nothing}
    assert float(training.loss(view, edit)) == pytest.approx(loss, abs=1e-3)
    assert float(training.loss(view, edit, isolate=False)) == pytest.approx(cause, abs=1e-3)
    assert training.scores([view], attribute, [nothing]) == pytest.approx([score], abs=1e-4)


def test_losses_of_several_edits_are_summed(training: Training) -> None:
    def towards(pair: Pair) -> torch.Tensor:
        return pair.on_target - pair.rows

    view = next(one for one in training.of("country") if one.differing("currency"))
    edits = {"country": towards, "currency": nothing}
    alone = [float(training.loss(view, {about: edit})) for about, edit in edits.items()]
    assert float(training.loss(view, edits)) == pytest.approx(sum(alone), abs=1e-3)
    assert alone[0] != pytest.approx(alone[1], abs=0.01)


def test_edits_are_scored_as_each_by_itself(training: Training) -> None:
    def towards(pair: Pair) -> torch.Tensor:
        return pair.on_target - pair.rows

    views = training.of("country")[:2]
    together = training.scores(views, "country", [towards, nothing])
    alone = [training.scores(views, "country", [edit])[0] for edit in (towards, nothing)]
    assert together == pytest.approx(alone, abs=1e-5)


def test_where_nobody_differs_there_is_no_loss(training: Training) -> None:
    asked = training.views[0].asked
    assert float(training.loss(View(asked, ()), {"country": nothing})) == 0


def test_pairs_that_do_not_differ_do_not_count(training: Training) -> None:
    for view in training.views:
        for pair in view.differing("country"):
            assert pair.source.entity.differs(pair.target.entity, "country")


def test_names_by_their_value(training: Training) -> None:
    names = {key[1]: {one.name for one in some} for key, some in training.values.items()}
    assert names["Asia"] == {"Osaka"} and names["Europe"] == {"Marseille", "Paris"}


def test_views_depend_on_the_seed_alone(
    small_lab: Lab, known: Known, people: dict[str, Portrait]
) -> None:
    learned = [people[one.name] for one in known.entities(held_out=False)]

    def drawn(seed: int) -> list[tuple[str, ...]]:
        made = views(small_lab, known, learned, 2, 2, seed, silent)
        return [(v.asked.source.name, *(p.target.name for p in v.pairs)) for v in made]

    assert drawn(1) == drawn(1) and drawn(1) != drawn(2)


def test_what_is_learned_is_kept(training: Training, tmp_path: Path) -> None:
    from dataclasses import replace

    kept = replace(training, parts=Parts(tmp_path))
    for shape in ((5,), (4, 3)):
        made = {"country": torch.randn(shape), "language": torch.randn(shape)}
        first = kept.kept(f"{shape}", lambda made=made: made)  # type: ignore[misc]
        again = replace(kept, tensors={}).kept(f"{shape}", never("it is kept"))
        for found in (first, again):
            assert list(found) == list(made)
            assert all(torch.equal(found[about].reshape(shape), made[about]) for about in made)


def test_what_is_made_of_a_training_is_made_once(training: Training) -> None:
    fresh = replace(training, parts=Parts(), _once={}, tensors={})
    made: list[Training] = []

    def pieces(one: Training) -> object:
        made.append(one)
        return object()

    assert fresh.once(pieces) is fresh.once(pieces)
    assert made == [fresh]
    learned = fresh.kept("a mask", lambda: {"country": torch.tensor([0.0, 1.0])})
    assert fresh.kept("a mask", never("it is kept")) is learned
    assert learned["country"].tolist() == [0.0, 1.0]
