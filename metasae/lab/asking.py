"""The experiment of a setting: its pair, in the questions that are asked about it."""

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.steering.experiment import Experiment
from metasae.steering.questions import CUSTOM, Answer, Question
from metasae.steering.setting import Setting
from metasae.text.prompts import WORDINGS, fill


def experiment_of(lab: Lab, setting: Setting) -> Experiment:
    """The experiment of a setting.

    Args:
        lab: the setting's preset.

    Raises:
        UserError: for a setting that can't be asked.
    """
    source = lab.subject(setting.source, setting.source_latents)
    target = lab.subject(setting.target, setting.target_latents)
    questions: tuple[Question, ...] = ()
    try:
        questions = lab.questions(source, target, templates=WORDINGS[setting.wording])
    except UserError:
        # What has no questions of its own can be asked the user's.
        if not setting.prompt:
            raise
    if setting.prompt:
        answers = tuple(Answer((), answer) for answer in setting.answers)
        prompt = fill(setting.prompt, source.in_prompts)
        questions = (*questions, Question(CUSTOM, prompt, answers))
    return lab.experiment(source, target, questions)
