"""The four steps are told from what is measured, whatever it is."""

from collections.abc import Sequence
from math import exp, log, nan
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from metasae.lessons import first_steps as module
from metasae.lessons.first_steps import measured, steps
from metasae.search.combinations import Combinations
from metasae.steering.edit_space import Piece
from metasae.steering.edits import NO_EDIT, Edit, MetaLatentEdit
from metasae.steering.experiment import Experiment
from metasae.steering.questions import Answer, Question, Questions

PIECES = (
    Piece(1, "source", 0.5, 0.0),
    Piece(2, "source", 0.4, 0.0),
    Piece(3, "shared", 0.4, 0.4),
    Piece(4, "target", 0.0, 0.5),
    Piece(5, "target", 0.0, 0.4),
)
QUESTIONS = Questions(
    (
        Question(
            "country",
            "Tokyo is in",
            (
                Answer(("Tokyo",), "Japan"),
                Answer(("Paris",), "France"),
            ),
        ),
        Question(
            "language",
            "In Tokyo they speak",
            (
                Answer(("Tokyo",), "Japanese"),
                Answer(("Paris",), "French"),
            ),
        ),
    )
)
TITLES = {1: "Asia", 2: "Japan", 4: "Europe", 5: "France (?)", 6: "cities"}


class Model:
    """Answers whose probabilities are the unedited ones times a factor for each changed piece.

    Args:
        factors: meta-latent → a factor for each answer.
        impossible: meta-latents without which nothing is left.
    """

    def __init__(
        self,
        factors: dict[int, tuple[float, ...]],
        pieces: tuple[Piece, ...] = PIECES,
        questions: Questions = QUESTIONS,
        impossible: tuple[int, ...] = (),
    ) -> None:
        self.pieces, self.questions, self._factors = pieces, questions, factors
        self._impossible = impossible
        self.source = SimpleNamespace(in_prompts="Tokyo", label="Tokyo")
        self.target = SimpleNamespace(label="Paris")
        self.baseline = torch.tensor([0.8, 0.02, 0.6, 0.1]).log()

    def scores(self, edit: Edit) -> torch.Tensor:
        now = self.baseline.clone()
        for meta, _ in cast(MetaLatentEdit, edit).strengths:
            now += torch.tensor(self._factors.get(meta, (1, 1, 1, 1))).log()
            if meta in self._impossible:
                now[:] = nan
        return now

    def apply(self, edit: Edit) -> Any:
        return SimpleNamespace(logprobs=self.scores(edit))

    def steps(self) -> list[tuple[str, str, Edit, bool]]:
        made = steps(measured(cast(Experiment, self)), lambda meta: TITLES[meta])
        return [(one.name, one.sentence, one.edit, one.writes) for one in made]


class Engine:
    """The search's engine, on such a model."""

    def __init__(self, experiment: Model, combinations: Combinations) -> None:
        self._experiment, self._combinations = experiment, combinations

    def logprobs(self, numbers: Sequence[int]) -> torch.Tensor:
        edits = [self._combinations.edit(number) for number in numbers]
        return torch.stack([self._experiment.scores(edit) for edit in edits])


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Engine", Engine)


def test_the_strongest_piece_is_taken_away_and_the_best_one_added() -> None:
    model = Model({1: (0.5, 1, 1, 1), 2: (0.05, 5, 0.5, 1), 4: (1, 1, 1, 2), 5: (1, 1, 1, 4)})
    taken = MetaLatentEdit(((2, 0.0),))
    both = MetaLatentEdit(((2, 0.0), (5, 1.0)))
    assert model.steps() == [
        ("Look", "Unedited, the model gives “Japan” 80 % as Tokyo's country.", NO_EDIT, False),
        (
            "Take Japan away",
            "Untick “Japan”: as Tokyo's country, “Japan” falls from 80 % to 4 %.",
            taken,
            False,
        ),
        (
            "Add French",
            "Tick “France (?)”: as Tokyo's language, “French” rises from 10 % to 40 %.",
            both,
            False,
        ),
        (
            "Let it write",
            "The model goes on about Tokyo twice: as it is, and under this edit.",
            both,
            True,
        ),
    ]


def test_where_one_piece_is_not_enough_more_are_changed() -> None:
    # At most half of 80 % is wanted: 0.6 makes 48 %, with 0.7 it is 34 %.
    model = Model(
        {1: (0.7, 1, 1, 1.6), 2: (0.6, 1, 1, 0.5), 4: (1, 1, 1, 1.3), 5: (1, 1, 1, 2.5)},
        pieces=(*PIECES, Piece(6, "target", 0.0, 0.1)),
    )
    _, (name, taken, edit, _), (added, told, last, _), _ = model.steps()
    assert name == "Take Japan away" and edit == MetaLatentEdit(((1, 0.0), (2, 0.0)))
    assert taken == (
        "Untick “Japan” and change 1 more: as Tokyo's country, “Japan” falls from 80 % to 34 %."
    )
    # After both it is at 8 %: 2.5 makes 20 %, 1.3 makes 26 %, and nothing raises it further.
    assert added == "Try to add French"
    assert last == MetaLatentEdit(((1, 0.0), (2, 0.0), (4, 1.0), (5, 1.0)))
    assert told == (
        "Tick “France (?)” and change 1 more: as Tokyo's language, “French” rises from 8 % to 26 %."
    )


def test_the_language_may_need_another_of_the_sources_taken_away() -> None:
    model = Model({1: (0.9, 1, 1, 4), 2: (0.1, 1, 1, 1)})
    _, _, (name, sentence, edit, _), _ = model.steps()
    assert name == "Add French" and edit == MetaLatentEdit(((1, 0.0), (2, 0.0)))
    assert sentence.startswith("Untick “Asia”: as Tokyo's language, “French” rises")


def test_what_a_step_does_not_do_it_does_not_say() -> None:
    model = Model({1: (0.7, 1, 1, 1), 4: (1, 1, 1, 0.5), 5: (1, 1, 1, 0.9), 2: (1.1, 1, 1, 0.4)})
    _, (weaker, _, _, _), (added, why, edit, _), _ = model.steps()
    assert weaker == "Weaken Japan"
    assert added == "Try to add French"
    assert why == "Tick “France (?)”: as Tokyo's language, “French” falls from 10 % to 9 %."
    assert edit == MetaLatentEdit(((1, 0.0), (5, 1.0)))
    (_, (name, why, _, _), *_) = Model({1: (1.1, 1, 1, 1), 2: (1.001, 1, 1, 1)}).steps()
    assert name == "Weaken Japan"
    assert why == "Untick “Japan”: as Tokyo's country, “Japan” stays at 80 %."


def test_what_leaves_nothing_is_no_step() -> None:
    _, (_, sentence, _, _), *_ = Model({1: (0.1, 1, 1, 1)}, impossible=(1,)).steps()
    assert sentence.startswith("Untick “Japan”: as")


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_side_without_pieces_of_its_own_has_nothing_to_change(side: str) -> None:
    rest = tuple(piece for piece in PIECES if piece.side != side)
    made = Model({2: (0.1, 1, 1, 1), 5: (1, 1, 1, 2)}, pieces=rest).steps()
    assert [name for name, *_ in made] == ["Look", "Let it write"]
    assert made[-1][1] == "The model goes on about Tokyo twice: as it is, and once edited."


def test_an_answer_of_both_tells_nothing_apart() -> None:
    same = Question("country", "Tokyo is in", (Answer(("Tokyo", "Paris"), "Japan"),) * 2)
    model = Model({2: (1, 1, 0.1, 1)}, questions=Questions((same, QUESTIONS[1])))
    (_, look, _, _), (name, _, _, _), *_ = model.steps()
    assert look == "Unedited, the model gives “Japanese” 60 % as Tokyo's language."
    assert name == "Take Japanese away"


def test_without_questions_there_are_no_steps() -> None:
    own = Question("custom", "Tokyo eats", (Answer((), "sushi"),))
    found = measured(cast(Experiment, Model({}, questions=Questions((own,)))))
    assert found.taken is None and found.added is None
    assert steps(found, lambda meta: TITLES[meta]) == ()


def test_probabilities_are_the_models() -> None:
    found = measured(cast(Experiment, Model({2: (0.1, 1, 1, 1)})))
    assert found.taken is not None
    assert found.taken.before == pytest.approx(0.8)
    assert found.taken.after == pytest.approx(exp(log(0.8) + log(0.1)))


@pytest.mark.parametrize(("factor", "reached"), [(0.5, False), (1.0, False), (1.2, True)])
def test_what_was_there_before_is_not_reached_by_moving_the_other_way(
    factor: float, reached: bool
) -> None:
    tries = module._Tries(cast(Experiment, Model({1: (factor, 1, 1, 1)})))
    found = tries.change(("country", 0), 0, tries.bits[:1], 1, 0.2, 1)
    assert found is not None and found.after == pytest.approx(0.8 * factor)
    assert found.after > 0.2 and found.reached is reached
