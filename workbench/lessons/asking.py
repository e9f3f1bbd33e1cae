"""Steps asked of what is open, in the background and kept for all sessions."""

from metasae.lab.lab import Lab
from metasae.lessons.bench import Bench
from metasae.lessons.lesson import Found
from metasae.lessons.registry import lesson
from metasae.steering.setting import Setting
from workbench import limits, shared
from workbench.background import Work
from workbench.steer import experiments


@shared.of_lab(limits.PAIRS, "The pair is prepared")
def bench(lab: Lab, setting: Setting) -> Bench:
    """What lessons are taught on in a setting.

    Args:
        setting: without a question of the user's.

    Raises:
        UserError: for a setting that can't be asked.
    """
    return Bench(shared.get_explorer(lab), experiments.get_experiment(setting))


@shared.work_of_lab(most=240)
def found(lab: Lab, setting: Setting, name: str, number: int) -> Work[Found]:
    """What a step's check finds, under way or done.

    Args:
        name: of the lesson.
        number: of the step, from 1.

    Raises:
        UserError: for a setting that can't be asked.
    """
    taught, step = bench(lab, setting), lesson(name).steps[number - 1]
    return Work(lambda progress: step.found(taught, progress), "The step is checked")
