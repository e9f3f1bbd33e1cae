"""What a file holds that doesn't go into a link is said of the file, once."""

import json
from typing import Any

import pytest

from metasae.errors import UserError
from metasae.steering.edits import NO_EDIT
from metasae.steering.questions import Answer, Question
from tests.fakes import FakeExperiment, FakeLab
from workbench.state import View, Writing
from workbench.steer.tables import json_file, view_from_json


def asked(prompt: str, *answers: str) -> dict[str, Any]:
    """What the command line writes of a question of one's own."""
    lab = FakeLab()
    source, target = lab.subject("Tokyo"), lab.subject("Paris")
    question = Question("custom", prompt, tuple(Answer((), one) for one in answers))
    made = FakeExperiment(source, target, (*lab.questions(source, target), question))
    return made.apply(NO_EDIT).to_dict()


def test_a_question_of_ones_own_comes_back_with_its_answers() -> None:
    facts = asked("The best dish of Tokyo is", "sushi", "rice")
    loaded = view_from_json(json.dumps(facts).encode(), FakeLab.provenance)
    assert loaded.view.setting.prompt == "The best dish of Tokyo is"
    assert loaded.view.setting.answers == ("sushi", "rice")
    assert loaded.made_with == {
        name: getattr(FakeLab.provenance, name) for name in ("preset", "model", "sae", "meta_sae")
    }


def test_a_prompt_that_is_too_long_is_said_of_the_file() -> None:
    facts = asked("Tokyo " * 120, "yes")
    written = View(writing=Writing(prompt="Tokyo " * 120))
    lab = FakeLab()
    outcome = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris")).apply(NO_EDIT)
    for content, name in ((json.dumps(facts), "ask"), (json_file(outcome, written), "write")):
        with pytest.raises(UserError) as raised:
            view_from_json(content.encode(), FakeLab.provenance)
        assert str(raised.value) == (
            f'This file can\'t be shown: its "{name}" has 720 characters, more than 600; choose '
            "another one."
        )


def test_a_file_of_another_version_is_said_of_the_file() -> None:
    lab = FakeLab()
    outcome = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris")).apply(NO_EDIT)
    facts = json.loads(json_file(outcome, View()))
    facts["view"]["v"] = "9"
    with pytest.raises(UserError, match=r"This file can't be shown: it is of version \"9\""):
        view_from_json(json.dumps(facts).encode(), FakeLab.provenance)
