"""Runs of studies: kept from their first part on, gone on with after a stop, read back when done.

A run's folder in the cache holds ``asked.json`` (what was asked, and what its numbers come from),
written first; ``parts/``, what it has worked out so far (see `parts`); and ``result/`` (see
`result_folder`), written last, after which the parts are deleted. The folder's name tells the same
question asked of the same weights by the same version of this package from any other.
"""

import logging
import re
import shutil
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lab.spread import Spread
from metasae.progress import Progress, silent
from metasae.search.job_files import digest
from metasae.sources import cache
from metasae.sources.files import read_json, remove, write_json, written_whole
from metasae.sources.locks import claimed, is_claimed
from metasae.sources.records import from_values, to_values
from metasae.sources.versions import KEY, RUN, NewerError
from metasae.steering.provenance import Provenance
from metasae.studies import result_folder
from metasae.studies.parts import Parts
from metasae.studies.registry import study as named
from metasae.studies.result_folder import StoredFinding
from metasae.studies.seeds import meta_saes
from metasae.studies.study import Material, Study

ASKED, PARTS, RESULT, _LOCK = "asked.json", "parts", "result", "lock"

_IDENTITY = re.compile(r"[0-9a-f]{12}")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """What a run was asked.

    Attributes:
        study: its name.
        configuration: field → value.
        seeds: meta-SAEs it is asked of.
        made: what its numbers come from.
    """

    study: str
    configuration: dict[str, int | float | str | bool]
    seeds: int
    made: Provenance

    @property
    def identity(self) -> str:
        """A short name; equal exactly when the same result is to be expected."""
        # Part of the name, whatever the version of the folder's files.
        return digest({"format": 1} | to_values(self))


@dataclass(frozen=True)
class Run:
    """A run whose folder is there.

    Attributes:
        began: when it was first asked for, in ISO 8601, universal time.
    """

    asked: Asked
    began: str

    @property
    def identity(self) -> str:
        """Names it in links and in the cache."""
        return self.asked.identity

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return cache.study_run(self.identity)

    @property
    def configuration(self) -> Any:
        """The study's configuration.

        Raises:
            UserError: when there is no such study, or it has other settings by now.
        """
        try:
            return named(self.asked.study).configuration(**self.asked.configuration)
        except TypeError as error:
            raise UserError(
                f"The run {self.identity} was asked when {self.asked.study} had other settings; "
                "ask the study anew."
            ) from error

    @property
    def finished(self) -> bool:
        """Whether its result is there."""
        return (self.folder / RESULT).is_dir()

    @property
    def is_running(self) -> bool:
        """Whether some process of this machine works on it now."""
        return is_claimed(self.folder / _LOCK)

    @property
    def parts(self) -> Parts:
        """What it has worked out so far."""
        return Parts(self.folder / PARTS)

    @property
    def begun(self) -> bool:
        """Whether a stopped run has something to go on from."""
        return any((self.folder / PARTS).glob("*"))

    def result(self) -> StoredFinding:
        """What it found.

        Raises:
            UserError: when it is not finished, or its result is damaged.
        """
        if not self.finished:
            raise UserError(f"The run {self.identity} was stopped before its end; go on with it.")
        return result_folder.read(self.folder / RESULT)

    def answer(
        self, lab: Lab, progress: Progress = silent, spread: Spread | None = None
    ) -> StoredFinding:
        """Work it out, from where it was stopped; what is finished is read back.

        A result that can't be read is worked out anew.

        Args:
            lab: what it was begun with.
            spread: where pieces of work are done, by studies that have such; here when left out.
                The run is the same wherever it goes on.

        Raises:
            UserError: when another process works on it, the lab is another one, the disk is full
                or can't be written, and whatever the study raises. What was worked out stays.
        """
        if self.finished:
            try:
                return self.result()
            except NewerError:
                raise
            except UserError:
                _log.info("%s is worked out anew", self.folder, exc_info=True)
        self.check_opened(lab)
        study, configuration = named(self.asked.study), self.configuration
        with claimed(self.folder / _LOCK, f"The run {self.identity} is under way already."):
            # What it takes here is measured by runs that were made here, in one go.
            whole = spread is None and not self.begun
            weights, clock = lab.weights, time.perf_counter()
            seeds = meta_saes(lab, self.asked.seeds, progress)
            material = Material.of(lab, seeds, progress, self.parts, spread)
            finding = study.answer(material, configuration, progress)
            took = time.perf_counter() - clock
            result_folder.write(
                self.folder / RESULT, study, configuration, finding, lab.provenance,
                self.asked.seeds, weights, took if whole else None,
            )  # fmt: skip
            _forgotten(self.folder / PARTS)
        return self.result()

    def copy_result(self, out: Path) -> None:
        """Write the folder of its result once more, elsewhere.

        Raises:
            UserError: when it can't be read or written, or something else is there.
        """
        result_folder.check_place(out)
        with written_whole(out) as part:
            shutil.copytree(self.folder / RESULT, part)

    def check_opened(self, lab: Lab) -> None:
        """Refuse a lab that the run was not begun with.

        Raises:
            UserError: for it.
        """
        if change := self.asked.made.change(lab.provenance):
            what, was, now = change
            raise UserError(
                f"The run {self.identity} was begun with the {what} {was}, and now it is {now}; "
                "ask the study anew."
            )

    def delete(self) -> None:
        """Delete it, its parts and its result.

        Raises:
            UserError: while a process works on it, or when it can't be deleted.
        """
        if self.is_running:
            raise UserError(f"The run {self.identity} is under way; cancel it first.")
        remove(self.folder)


def begin(lab: Lab, study: Study, configuration: Any, seeds: int, anew: bool = False) -> Run:
    """The run of a question, on disk from now on; the one that is there where it was asked before.

    Args:
        configuration: of the study.
        seeds: meta-SAEs it is asked of.
        anew: delete what was found or worked out before.

    Raises:
        UserError: when the disk is full or can't be written, a process works on what is to be
            deleted, or a newer version of this package began it.
    """
    asked = Asked(study.name, asdict(configuration), seeds, lab.provenance)
    run = Run(asked, datetime.now(UTC).isoformat(timespec="seconds"))
    if anew:
        run.delete()
    try:
        return opened(asked.identity)
    except NewerError:
        raise
    except UserError:
        # It is not there, or damaged: what it says follows from its name.
        write_json(run.folder / ASKED, RUN.stamp | {"began": run.began} | to_values(asked))
    return run


def opened(identity: str) -> Run:
    """A run that was begun.

    Raises:
        UserError: when there is none of this name, or its folder is damaged or of a newer version.
    """
    folder = cache.study_run(identity)
    if not _IDENTITY.fullmatch(identity) or not folder.is_dir():
        raise UserError(f'There is no run "{identity[:40]}" of a study here; ask the study anew.')
    try:
        values = read_json(folder / ASKED)
        RUN.check(values, str(folder))
        values.pop(KEY, None)
        began = str(values.pop("began"))
        asked = from_values(Asked, values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder) from error
    if asked.identity != identity:
        raise _damaged(folder)
    return Run(asked, began)


def all_runs(study: str = "") -> list[Run]:
    """The runs that are kept, those begun last first.

    One that can't be read is passed over, and the log says why.

    Args:
        study: only this study's.
    """
    found = []
    for folder in sorted(cache.study_runs().glob("*")):
        try:
            run = opened(folder.name)
        except UserError:
            _log.info("%s is passed over", folder, exc_info=True)
            continue
        if study in ("", run.asked.study):
            found.append(run)
    return sorted(found, key=lambda run: run.began, reverse=True)


def _damaged(folder: Path) -> UserError:
    return UserError(
        f"{folder} is damaged, so this run can't be opened; ask the study anew, which goes on from "
        "what is there."
    )


def _forgotten(parts: Path) -> None:
    """Delete the parts of a run that is finished; where that fails they are only in the way."""
    try:
        remove(parts)
    except UserError:
        _log.info("%s stays", parts, exc_info=True)
