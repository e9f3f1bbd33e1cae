"""The experiment of a setting is the pair's, in the setting's questions."""

from dataclasses import replace

import pytest

from metasae.errors import UserError
from metasae.lab.asking import experiment_of
from metasae.lab.lab import Lab
from metasae.steering.questions import CUSTOM
from metasae.steering.setting import Setting
from metasae.text.prompts import WORDINGS

SETTING = Setting(source="Tokyo", target="Paris")


def test_the_pair_is_asked_in_the_words_of_the_setting(small_lab: Lab) -> None:
    source, target = small_lab.subject("Tokyo"), small_lab.subject("Paris")
    for wording, templates in WORDINGS.items():
        made = experiment_of(small_lab, replace(SETTING, wording=wording))
        assert tuple(made.questions) == small_lab.questions(source, target, templates=templates)
        assert (made.source, made.target) == (source, target)


def test_a_question_of_ones_own_comes_last(small_lab: Lab) -> None:
    own = replace(SETTING, prompt="Tokyo is in", answers=("Japan", "France"))
    questions = tuple(experiment_of(small_lab, own).questions)
    assert len(questions) == 5 and questions[-1].attribute == CUSTOM
    assert questions[-1].prompt == "Tokyo is in"
    assert [one.text for one in questions[-1].answers] == ["Japan", "France"]


def test_latents_of_ones_own(small_lab: Lab) -> None:
    chosen = small_lab.subject("Paris").latents
    made = experiment_of(small_lab, replace(SETTING, source_latents=chosen))
    assert made.source.latents == chosen


def test_what_has_no_questions_can_be_asked_ones_own(small_lab: Lab) -> None:
    # Of a latent that fires on no word nobody knows whom the questions would be about.
    silent = next(
        latent for latent in range(small_lab.n_latents)
        if not small_lab.subject(f"#{latent}").about
    )  # fmt: skip
    setting = replace(SETTING, source=f"#{silent}")
    with pytest.raises(UserError):
        experiment_of(small_lab, setting)
    asked = replace(setting, prompt="The sky is", answers=("blue", "red"))
    assert [one.attribute for one in experiment_of(small_lab, asked).questions] == [CUSTOM]
