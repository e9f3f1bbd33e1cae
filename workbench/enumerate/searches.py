"""Searches on disk and the threads that run them here, kept for all sessions."""

import threading
from dataclasses import replace
from typing import Generic, TypeVar

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.search import exhaustive
from metasae.search.job import Job
from metasae.search.job_files import Cost
from metasae.search.pairs_job import PairsJob, all_pairs
from metasae.search.report import Assessment, effects_and_controls
from metasae.search.spec import Spec
from metasae.search.summary import Summary
from metasae.search.variants import Variant, variants
from metasae.sources.presets import Opened
from metasae.steering.questions import Subject
from workbench import shared
from workbench.background import Work, kept

J = TypeVar("J", bound=Job | PairsJob)


class Search(Generic[J]):
    """A search on disk, and the thread that runs it here, if one does.

    Another process may run the same job: what is on disk says how far it is.
    """

    def __init__(self, job: J) -> None:
        self.job: J = job
        self._work: Work[object] | None = None
        self._cancelled = threading.Event()

    @property
    def running(self) -> bool:
        """Whether this process computes."""
        return self._work is not None and not self._work.done

    @property
    def fraction(self) -> float:
        """How far it is, 0 to 1."""
        return self._work.fraction if self._work is not None else 0.0

    @property
    def line(self) -> str:
        """What it is doing, with the time left."""
        if self._cancelled.is_set():
            return "Stopping; what was computed stays …"
        return self._work.line if self._work is not None else ""

    def start(self) -> None:
        """Go on where the job is."""
        if not self.running:
            self._cancelled = cancelled = threading.Event()
            self._work = Work(
                lambda progress: self.job.run(progress, cancelled), "Searching", long=True
            )

    def cancel(self) -> None:
        """Stop; what was computed stays."""
        if self._work is not None and self._work.waiting:
            self._work.cancel()
        self._cancelled.set()

    def failure(self) -> UserError | None:
        """What ended the last run, if something did."""
        if self._work is None or not self._work.done:
            return None
        try:
            self._work.result()
        except UserError as error:
            return error
        return None


def get_search(spec: Spec) -> Search[Job]:
    """The search of a pair, on disk from now on: of all combinations, or of many by estimate.

    Raises:
        UserError: for a pair that can't be searched.
    """
    return _search(shared.get_lab(spec.preset), spec)


@shared.of_lab(most=24)
def _search(lab: Lab, spec: Spec) -> Search[Job]:
    job = Job(lab, spec)
    if len(job.combinations) > exhaustive.MOST_EXACT:
        job = Job(lab, replace(spec, estimating=True))
    return Search(job)


def get_pairs(cities: tuple[str, ...], template: Spec) -> Search[PairsJob]:
    """The search of all ordered pairs among some cities.

    Raises:
        UserError: for fewer than two cities.
    """
    return _pairs(shared.get_lab(template.preset), cities, template)


@shared.of_lab(most=8)
def _pairs(lab: Lab, cities: tuple[str, ...], template: Spec) -> Search[PairsJob]:
    return Search(all_pairs(lab, cities, template))


@kept(max_entries=64)
def cost_of(identity: str, done: int, _job: Job | PairsJob) -> Work[Cost]:
    """What a search takes, by a probe (see `Job.cost` and `PairsJob.cost`).

    Args:
        identity: the job's id.
        done: how much of it is there, which a job of pairs leaves out.
    """
    return Work(lambda _: _job.cost(), "Timing a few combinations")


@kept(max_entries=64)
def side_notes(identity: str, _job: Job, _summary: Summary) -> Work[list[Assessment]]:
    """Side effects and controls of a search's edits (see `report.effects_and_controls`).

    Args:
        identity: the job's id.
    """
    edits, tried = _summary.patterns, _summary.scored
    return Work(
        lambda progress: effects_and_controls(_job.lab, _job.experiment, edits, tried, progress),
        "Side effects and controls",
    )


@kept(max_entries=8)
def more_ways(
    preset: Opened, source: Subject, target: Subject, _lab: Lab
) -> Work[tuple[Variant, ...]]:
    """What each further way of editing would add, under way or done (see `variants.variants`).

    Of a search nothing but the pair plays a part.
    """
    return Work(
        lambda progress: variants(_lab, source, target, progress=progress), "More ways to edit"
    )
