"""What the model goes on writing, unedited and edited, as work that runs beside the page."""

from dataclasses import dataclass

from metasae.progress import Progress
from metasae.steering.edits import Edit
from metasae.text.prompts import fill
from workbench.background import Work, kept
from workbench.state import Setting, Writing
from workbench.steer.experiments import get_experiment


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
    prompt = fill(asked.prompt, experiment.source.in_prompts)
    how = (asked.tokens, asked.temperature, asked.seed)

    def write(progress: Progress) -> Written:
        before = experiment.continuation(None, prompt, *how, _half(progress, 0.0, "as it is"))
        after = experiment.continuation(edit, prompt, *how, _half(progress, 0.5, "edited"))
        return Written(setting, edit, prompt, before, after)

    return Work(write, "The model writes")


def _half(progress: Progress, begun: float, name: str) -> Progress:
    """The progress of one of two equal halves.

    Args:
        begun: where it begins.
    """
    return lambda stage, fraction, note: progress(stage, begun + fraction / 2, f"{name}, {note}")
