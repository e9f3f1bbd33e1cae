"""Slow things opened once and shared by all sessions: the lab, cases, searches for edits.

Slow work runs in a thread that never calls Streamlit; the session that needs it draws its progress.
A session that leaves doesn't stop the work, so whoever asks next finds it further on or done.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.explorer.explorer import META, Explorer, open_explorer
from metasae.lab.lab import Lab, open_lab
from metasae.progress import Progress, TimeLeft, duration
from metasae.saes.decomposition import Decomposition
from metasae.saes.directions import Directions, open_directions
from metasae.search import exhaustive
from metasae.search.combinations import Combinations
from metasae.search.job import Job
from metasae.search.pairs_job import PairsJob, all_pairs
from metasae.search.patterns import FoundEdit
from metasae.search.report import effects_and_controls
from metasae.search.spec import Spec
from metasae.search.variants import Variant, variants
from metasae.sources.user_presets import find_preset
from metasae.steering.edits import NO_EDIT, Edit, EditOptions
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import Outcome
from metasae.steering.questions import Answer, Question
from metasae.text.prompts import CITY
from metasae.text.windows import Windows
from metasae.training.config import TrainConfig
from metasae.training.meta_sae import seconds_a_step
from metasae.training.meta_sae_run import Made, make
from metasae.training.trainer import Moment
from workbench.state import Setting, Writing
from workbench.text import escape

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Task(Generic[T]):
    """Work in a thread of its own, with the progress it reports."""

    def __init__(self, work: Callable[[Progress], T], name: str) -> None:
        self.line = f"{name} …"
        self.fraction = 0.0
        self.done = threading.Event()
        self._name = name
        self._work = work
        self._left = TimeLeft()
        self._result: T | None = None
        self._error: Exception | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._result = self._work(self._report)
        except Exception as error:
            self._error = error
        self.done.set()

    def _report(self, stage: str, fraction: float, note: str = "") -> None:
        seconds = self._left.seconds(stage, fraction)
        left = f"about {duration(seconds)} left" if seconds is not None and fraction < 1 else ""
        self.fraction = min(max(fraction, 0.0), 1.0)
        self.line = " · ".join(filter(None, (stage, note, left)))

    def result(self) -> T:
        """What the work returned.

        Raises:
            UserError: what went wrong, in one sentence.
        """
        if isinstance(self._error, UserError):
            raise self._error
        if self._error is not None:
            _log.error("%s failed", self._name, exc_info=self._error)
            raise UserError(
                f"{self._name} did not succeed ({type(self._error).__name__}); "
                "the terminal shows the details."
            ) from self._error
        return self._result  # type: ignore[return-value]

    def wait(self) -> T:
        """Draw the progress here until the work is done, then return its result."""
        if not self.done.wait(0.15):
            place = st.empty()
            while not self.done.is_set():
                place.progress(self.fraction, text=self.line)
                time.sleep(0.2)
            place.empty()
        return self.result()


def waited(task: Any, *asked: object) -> Any:
    """What a kept task returns, with its progress drawn; one that failed isn't kept.

    Args:
        task: a cached function that gives a `Task`.
        asked: its arguments.

    Raises:
        UserError: what went wrong; the next call tries again.
    """
    try:
        return task(*asked).wait()
    except UserError:
        task.clear(*asked)
        raise


@st.cache_resource(max_entries=2, show_spinner=False)
def _lab_task(preset: str) -> Task[Lab]:
    wanted = find_preset(preset)
    return Task(lambda progress: open_lab(wanted, progress), "Opening the model")


def get_lab(preset: str) -> Lab:
    """The opened preset; draws the progress of its first opening.

    Raises:
        UserError: when it can't be opened; the next call tries again.
    """
    opened: Lab = waited(_lab_task, preset)
    return opened


@st.cache_resource(max_entries=12, show_spinner=False)
def get_experiment(setting: Setting) -> Experiment:
    """The case of a setting.

    Raises:
        UserError: for a setting that can't be asked.
    """
    lab = get_lab(setting.preset)
    source = lab.subject(setting.source, setting.source_latents)
    target = lab.subject(setting.target, setting.target_latents)
    questions: tuple[Question, ...] = ()
    if source.about or not setting.prompt:
        questions = lab.questions(source, target)
    if setting.prompt:
        answers = tuple(Answer((), answer) for answer in setting.answers)
        prompt = setting.prompt.replace(CITY, source.label)
        questions = (*questions, Question("custom", prompt, answers))
    return lab.experiment(source, target, questions)


def answerable(setting: Setting) -> tuple[Setting, UserError | None]:
    """The setting, without the user's own question where that can't be asked, and why it can't.

    Raises:
        UserError: when the rest can't be asked either.
    """
    try:
        get_outcome(setting, NO_EDIT)
    except UserError as error:
        if not setting.prompt:
            raise
        get_outcome(setting.without_question(), NO_EDIT)
        return setting.without_question(), error
    return setting, None


@st.cache_resource(max_entries=48, show_spinner=False)
def get_outcome(setting: Setting, edit: Edit) -> Outcome:
    """What an edit does in a setting.

    Raises:
        UserError: for an edit that is none of this setting's.
    """
    return get_experiment(setting).apply(edit)


@st.cache_resource(max_entries=16, show_spinner=False)
def search(setting: Setting, options: EditOptions) -> Task[tuple[FoundEdit, ...]]:
    """The search for a setting's best edits under some options, under way or done."""
    experiment = get_experiment(setting.without_question())
    return Task(
        lambda progress: exhaustive.search(
            experiment, Combinations.of(experiment, options), progress=progress
        ),
        "Trying all combinations",
    )


@st.cache_data(max_entries=64, show_spinner=False)
def continuation(setting: Setting, edit: Edit | None, writing: Writing) -> str:
    """What the model writes after a prompt, edited or (None) as it is."""
    experiment = get_experiment(setting)
    prompt = writing.prompt.replace(CITY, experiment.source.label)
    return experiment.continuation(edit, prompt, writing.tokens, writing.temperature, writing.seed)


class Searching:
    """A search on disk, and the thread that runs it here, if one does.

    Another process may run the same job: what is on disk says how far it is.
    """

    def __init__(self, job: Job | PairsJob) -> None:
        self.job = job
        self._task: Task[object] | None = None
        self._cancelled = threading.Event()

    @property
    def running(self) -> bool:
        """Whether this process computes."""
        return self._task is not None and not self._task.done.is_set()

    @property
    def fraction(self) -> float:
        """How far it is, 0 to 1."""
        return self._task.fraction if self._task is not None else 0.0

    @property
    def line(self) -> str:
        """What it is doing, with the time left."""
        return self._task.line if self._task is not None else ""

    @cached_property
    def cost(self) -> tuple[float, float]:
        """Seconds and megabytes of a whole search, probed once (see `Job.cost`)."""
        assert isinstance(self.job, Job)
        return self.job.cost()

    @cached_property
    def pairs_cost(self) -> tuple[int, float]:
        """Combinations and seconds of many pairs, probed once (see `Pairs.cost`)."""
        assert isinstance(self.job, PairsJob)
        return self.job.cost()

    def start(self) -> None:
        """Go on where the job is."""
        if not self.running:
            self.__dict__.pop("pairs_cost", None)  # of what is missing then
            self._cancelled = cancelled = threading.Event()
            self._task = Task(lambda progress: self.job.run(progress, cancelled), "Searching")

    def cancel(self) -> None:
        """Stop; what was computed stays."""
        self._cancelled.set()

    def failure(self) -> UserError | None:
        """What ended the last run, if something did."""
        if self._task is None or not self._task.done.is_set():
            return None
        try:
            self._task.result()
        except UserError as error:
            return error
        return None


@st.cache_resource(max_entries=24, show_spinner=False)
def get_search(spec: Spec) -> Searching:
    """The search of a pair, on disk from now on: of all combinations, or of many by estimate.

    Raises:
        UserError: for a pair that can't be searched.
    """
    job = Job(get_lab(spec.preset), spec)
    if len(job.combinations) > exhaustive.MOST_EXACT:
        job = Job(get_lab(spec.preset), replace(spec, estimating=True))
    return Searching(job)


@st.cache_resource(max_entries=8, show_spinner=False)
def get_pairs(cities: tuple[str, ...], template: Spec) -> Searching:
    """The search of all ordered pairs among some cities.

    Raises:
        UserError: for fewer than two cities.
    """
    return Searching(all_pairs(get_lab(template.preset), cities, template))


@st.cache_resource(max_entries=64, show_spinner=False)
def side_notes(
    spec: Spec, job_id: str, _found: tuple[FoundEdit, ...]
) -> Task[list[dict[str, Any]]]:
    """Side effects and controls of a search's edits, under way or done (see `effects.honestly`).

    Args:
        job_id: tells apart searches of other weights.
    """
    lab, experiment = _searched(spec)
    return Task(
        lambda progress: effects_and_controls(lab, experiment, _found, progress),
        "Side effects and controls",
    )


@st.cache_resource(max_entries=8, show_spinner=False)
def more_ways(spec: Spec) -> Task[tuple[Variant, ...]]:
    """What each further way of editing would add, under way or done (see `effects.ways`)."""
    lab, experiment = _searched(spec)
    return Task(
        lambda progress: variants(lab, experiment.source, experiment.target, progress=progress),
        "More ways to edit",
    )


def _searched(spec: Spec) -> tuple[Lab, Experiment]:
    """What the search of a pair works on."""
    job = get_search(spec).job
    assert isinstance(job, Job)
    return job.lab, job.experiment


class Training:
    """A meta-SAE being trained here, in a thread; its checkpoint lies beside its folder."""

    def __init__(
        self, directions: Directions, config: TrainConfig, controls: tuple[str, ...], out: Path
    ) -> None:
        self.directions, self.config, self.controls, self.out = directions, config, controls, out
        self.moments: list[Moment] = []
        self._cancelled = threading.Event()
        self.task = Task(self._train, "Training")

    def _train(self, progress: Progress) -> Made:
        return make(
            self.directions, self.config, self.out, self.controls, True, progress, self._watch
        )

    def _watch(self, moment: Moment) -> bool:
        # A curve needs no more points than a screen has.
        if moment.step % max(1, moment.steps // 400) == 0:
            self.moments.append(moment)
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop at the next step; it can go on from there."""
        self._cancelled.set()

    def again(self) -> "Training":
        """Go on after a stop."""
        found = Training(self.directions, self.config, self.controls, self.out)
        found.moments = list(self.moments)
        return found


@st.cache_resource(show_spinner=False)
def trainings() -> dict[str, Training]:
    """Trainings begun in this process, by the name of what they make; all sessions see them."""
    return {}


@st.cache_resource(max_entries=4, show_spinner=False)
def get_directions(sources: tuple[str, ...]) -> Task[Directions]:
    """Directions to take apart, opened or being opened."""
    return Task(lambda _: open_directions(sources), "Opening the directions")


@st.cache_resource(max_entries=16, show_spinner=False)
def training_cost(sources: tuple[str, ...], config: TrainConfig) -> Task[float]:
    """Seconds a step takes here, measured or being measured."""
    directions = get_directions(sources).wait()
    return Task(lambda _: seconds_a_step(directions, config), "Timing a few steps")


@st.cache_resource(max_entries=4, show_spinner=False)
def _explorer(preset: str, meta_sae: str) -> Explorer:
    return open_explorer(get_lab(preset))


def get_explorer(lab: Lab) -> Explorer:
    """What is known of a lab's latents."""
    return _explorer(lab.preset.name, lab.provenance.meta_sae)


@st.cache_resource(max_entries=24, show_spinner=False)
def _width_task(preset: str, meta_sae: str, width: int, _found: Explorer) -> Task[Decomposition]:
    return Task(lambda progress: _found.decomposition(width, progress), "Opening the SAE")


def open_width(found: Explorer, width: int) -> Decomposition:
    """The SAE of a width, taken apart; draws the progress of its first opening.

    Raises:
        UserError: when it can't be opened; the next call tries again.
    """
    lab = found.lab
    opened: Decomposition = waited(
        _width_task, lab.preset.name, lab.provenance.meta_sae, width, found
    )
    return opened


def meta_title(lab: Lab, meta: int) -> str:
    """What a meta-latent is called on every page: its label, or what its latents fire on."""
    try:
        return get_explorer(lab).label(META, meta)
    except UserError:  # a damaged file of labels, which the explorer's pages tell of
        return lab.meta_card(meta).title


@st.cache_resource(max_entries=12, show_spinner=False)
def _text_task(preset: str, width: int, _found: Explorer) -> Task[Windows | None]:
    return Task(lambda progress: _found.text(width, progress), "Reading the text")


def get_text(found: Explorer, width: int) -> Windows | None:
    """The text a width's evidence is about; None where another one is here.

    The first time it is fetched and cut into tokens, with its progress drawn.
    """
    try:
        text: Windows | None = waited(_text_task, found.lab.preset.name, width, found)
        return text
    except UserError as error:
        st.error(escape(str(error)))
        return None


@st.cache_data(max_entries=4, show_spinner="Reading the meta-latents …")
def _meta_table(preset: str, meta_sae: str, corrected: str, _found: Explorer) -> pd.DataFrame:
    lab = _found.lab
    table = _found.table(META)
    kind = str(lab.n_latents)
    rows = []
    for meta in range(lab.n_meta):
        strongest = lab.decomposition.latents_of(meta)
        top = list(strongest.items())[:3]
        rows.append(
            {
                "meta-latent": meta,
                "called": _found.label(META, meta),
                "label's F1": None if table is None else float(table["f1"].iloc[meta]),
                "active on": len(strongest) / lab.n_latents,
                "strongest": top[0][1] if top else 0.0,
                "strongest latents": " · ".join(_found.label(kind, latent) for latent, _ in top),
            }
        )
    found = pd.DataFrame(rows)
    return found.sort_values("active on", ascending=False, ignore_index=True)


def meta_table(found: Explorer) -> pd.DataFrame:
    """All meta-latents with their labels, the commonest first."""
    lab = found.lab
    corrected = found.corrections.to_json()
    table: pd.DataFrame = _meta_table(lab.preset.name, lab.provenance.meta_sae, corrected, found)
    return table
