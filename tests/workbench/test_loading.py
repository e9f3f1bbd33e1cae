"""What a file holds that doesn't go into a link is said of the file, once."""

import json
from typing import Any

import pytest

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.steering.edits import NO_EDIT
from metasae.steering.outcome import Outcome
from metasae.steering.questions import Answer, Question
from workbench.state import View, Writing
from workbench.steer.tables import json_file, view_from_json


def asked(lab: Lab, prompt: str, *answers: str) -> dict[str, Any]:
    """What the command line writes of a question of one's own."""
    source, target = lab.subject("Tokyo"), lab.subject("Paris")
    question = Question("custom", prompt, tuple(Answer((), one) for one in answers))
    made = lab.experiment(source, target, (*lab.questions(source, target), question))
    return made.apply(NO_EDIT).to_dict()


def unedited(lab: Lab) -> Outcome:
    """The default experiment without an edit."""
    return lab.experiment(lab.subject("Tokyo"), lab.subject("Paris")).apply(NO_EDIT)


def test_a_question_of_ones_own_comes_back_with_its_answers(small_default: Lab) -> None:
    facts = asked(small_default, "The best dish of Tokyo is", "sushi", "rice")
    loaded = view_from_json(json.dumps(facts).encode(), small_default.provenance)
    assert loaded.view.setting.prompt == "The best dish of Tokyo is"
    assert loaded.view.setting.answers == ("sushi", "rice")
    assert loaded.made_with == {
        name: getattr(small_default.provenance, name)
        for name in ("preset", "model", "sae", "meta_sae")
    }


def test_a_prompt_that_is_too_long_is_said_of_the_file(small_default: Lab) -> None:
    facts = asked(small_default, "Tokyo " * 120, "yes")
    written = View(writing=Writing(prompt="Tokyo " * 120))
    outcome = unedited(small_default)
    for content, name in ((json.dumps(facts), "ask"), (json_file(outcome, written), "write")):
        with pytest.raises(UserError) as raised:
            view_from_json(content.encode(), small_default.provenance)
        assert str(raised.value) == (
            f'This file can\'t be shown: its "{name}" has 720 characters, more than 600; choose '
            "another one."
        )


def test_a_file_of_another_version_is_said_of_the_file(small_default: Lab) -> None:
    outcome = unedited(small_default)
    facts = json.loads(json_file(outcome, View()))
    facts["view"]["v"] = "9"
    with pytest.raises(UserError, match=r"This file can't be shown: it is of version \"9\""):
        view_from_json(json.dumps(facts).encode(), small_default.provenance)
