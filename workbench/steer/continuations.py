"""What the model goes on writing, unedited and edited, as work that runs beside the page."""

import threading
from dataclasses import dataclass

from metasae.lab.lab import Lab
from metasae.progress import Progress
from metasae.steering.edits import Edit
from metasae.steering.setting import Setting
from metasae.text.prompts import fill
from workbench import shared
from workbench.background import Work, kept
from workbench.state import Writing
from workbench.steer.experiments import get_experiment

_FILLING = threading.Lock()
"""Held while what all sessions share is filled."""


@dataclass(frozen=True)
class Written:
    """What the model wrote after a prompt.

    Attributes:
        setting, edit: what it was written in, and under.
        prompt: with the name in its place.
        before, after: as the model is, and under the edit.
    """

    setting: Setting
    edit: Edit
    prompt: str
    before: str
    after: str


@kept(max_entries=64)
def written(setting: Setting, edit: Edit, asked: Writing) -> Work[Written]:
    """What the model writes, as it is and edited, from the same seed; under way or done.

    Raises:
        UserError: for a setting that can't be asked; from the work, for a prompt without the name.
    """
    experiment = get_experiment(setting)
    unedited = _unedited(shared.get_lab(setting.preset), setting)
    prompt = fill(asked.prompt, experiment.source.in_prompts)
    how = (asked.tokens, asked.temperature, asked.seed)

    def write(progress: Progress) -> Written:
        if asked not in unedited:
            half = _half(progress, 0.0, "as it is")
            made = experiment.continuation(None, prompt, *how, half)
            with _FILLING:
                unedited.setdefault(asked, made)
        after = experiment.continuation(edit, prompt, *how, _half(progress, 0.5, "edited"))
        return Written(setting, edit, prompt, unedited[asked], after)

    return Work(write, "The model writes")


@shared.of_lab(most=12)
def _unedited(_: Lab, setting: Setting) -> dict[Writing, str]:
    """What the model wrote as it is, which no edit changes; filled as it is asked to write."""
    return {}


def _half(progress: Progress, begun: float, name: str) -> Progress:
    """The progress of one of two equal halves.

    Args:
        begun: where it begins.
    """
    return lambda stage, fraction, note: progress(stage, begun + fraction / 2, f"{name}, {note}")
