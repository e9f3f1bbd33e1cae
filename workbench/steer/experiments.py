"""Experiments, outcomes and best edits of a setting, kept for all sessions."""

from metasae.errors import UserError
from metasae.lab.asking import experiment_of
from metasae.lab.lab import Lab
from metasae.search import exhaustive
from metasae.search.combinations import Combinations
from metasae.search.patterns import FoundEdit
from metasae.search.side_effects import SideEffectProbe, SideEffects
from metasae.steering.certainty import Certainty, certainties
from metasae.steering.edits import NO_EDIT, Edit, EditOptions
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import Outcome
from metasae.steering.setting import Setting
from workbench import limits, shared
from workbench.background import Work, kept
from workbench.state import View


def get_experiment(setting: Setting) -> Experiment:
    """The experiment of a setting.

    Raises:
        UserError: for a setting that can't be asked.
    """
    return _experiment(shared.get_lab(setting.preset), setting)


@shared.of_lab(limits.PAIRS, "The pair is prepared")
def _experiment(lab: Lab, setting: Setting) -> Experiment:
    """See `asking.experiment_of`."""
    return experiment_of(lab, setting)


@shared.of_lab(most=4)
def _probe(lab: Lab, setting: Setting) -> SideEffectProbe:
    return SideEffectProbe(lab, _experiment(lab, setting))


@kept(max_entries=32)
def side_effects(setting: Setting, edit: Edit) -> Work[SideEffects]:
    """What an edit changes elsewhere, under way or done."""
    probe = _probe(shared.get_lab(setting.preset), setting)
    return Work(lambda _: probe.side_effects(edit), "Looking at other text and other cities")


def answerable(setting: Setting) -> tuple[Setting, UserError | None]:
    """The setting, without the user's own question where that can't be asked, and why it can't.

    Raises:
        UserError: when the rest can't be asked either.
    """
    try:
        get_outcome(setting, NO_EDIT)
    except UserError as error:
        rest = setting.without_question()
        if rest == setting:
            raise
        try:
            get_outcome(rest, NO_EDIT)
        except UserError:
            raise error from None
        return rest, error
    return setting, None


def get_outcome(setting: Setting, edit: Edit) -> Outcome:
    """What an edit does in a setting.

    Raises:
        UserError: for an edit that is none of this setting's.
    """
    return _outcome(shared.get_lab(setting.preset), setting, edit)


# By the values themselves: Streamlit's caches take a setting to pieces to hash it at each call.
@shared.of_lab(limits.EDITS, "The edit is made")
def _outcome(lab: Lab, setting: Setting, edit: Edit) -> Outcome:
    return _experiment(lab, setting).apply(edit)


def unedited(setting: Setting) -> tuple[Certainty, ...]:
    """How sure the unedited model is of its answers in a setting.

    Raises:
        UserError: for a setting that can't be asked.
    """
    return _unedited(shared.get_lab(setting.preset), setting)


@shared.of_lab(limits.PAIRS)
def _unedited(lab: Lab, setting: Setting) -> tuple[Certainty, ...]:
    experiment = _experiment(lab, setting)
    about = experiment.source.about
    instead = lab.misjudged(about, setting.wording)
    own = _outcome(lab, setting, NO_EDIT).own_before
    return certainties(experiment.questions, experiment.baseline, about, instead, own)


def pinned_outcome(view: View) -> Outcome | None:
    """What the pinned edit of a view does; None without one.

    Raises:
        UserError: for an edit that is none of its setting's.
    """
    if view.pinned is None:
        return None
    setting, _ = answerable(view.setting)
    return get_outcome(setting, view.pinned)


@kept(max_entries=16)
def best_edits(setting: Setting, options: EditOptions) -> Work[tuple[FoundEdit, ...]]:
    """The search for a setting's best edits under some options, under way or done."""
    experiment = get_experiment(setting.without_question())
    return Work(
        lambda progress: exhaustive.search(
            experiment, Combinations.of(experiment, options), progress=progress
        ),
        "Trying all combinations",
    )
