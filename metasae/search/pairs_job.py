"""Searches of many pairs as one job, on disk: one small file a pair, resumed pair by pair."""

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from functools import cached_property
from itertools import permutations
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import Progress, silent
from metasae.search.estimate import estimated
from metasae.search.exhaustive import MOST_EXACT, search
from metasae.search.export import export
from metasae.search.job import Job, bf16_is_fast, screens
from metasae.search.job_files import State, claim, digest, read_record
from metasae.search.spec import UNITS, Spec, combinations_of, experiment_about, experiment_of
from metasae.search.summary import Summary
from metasae.sources import cache
from metasae.sources.files import write_json
from metasae.text.prompts import WORDINGS

_log = logging.getLogger(__name__)


def open_job(lab: Lab, identity: str) -> "Job | PairsJob":
    """The job of that id, begun earlier on this machine: by another tab, or before a restart.

    Raises:
        UserError: when there is none, or it was made with other weights.
    """
    path = cache.search(identity) / "job.json"
    if not re.fullmatch("[0-9a-f]{12}", identity) or not path.exists():
        raise UserError(f'There is no search "{identity[:20]}" on this machine; start it anew.')
    job = read_record(path, _remembered)(lab)
    if job.id != identity:
        raise UserError(
            f'The search "{identity}" was made with other weights or another version; start it '
            "anew."
        )
    return job


def _remembered(values: Any) -> "Callable[[Lab], Job | PairsJob]":
    """The job a ``job.json`` is about, as soon as there is a lab for it."""
    if "specs" in values:
        specs, most = [Spec.from_dict(one) for one in values["specs"]], int(values["most"])
        return lambda lab: PairsJob(lab, specs, most=most)
    spec = Spec.from_dict(values["spec"])
    return lambda lab: Job(lab, spec)


Entry = dict[str, Any]
"""What one pair of a `PairsJob` reached: a `Summary` as JSON-able values, or its "problem"."""

Spread = Callable[[Sequence[Spec], int, bool], Generator[tuple[int, Entry], None, None]]
"""``spread(specs, most, fast)``: searches them somewhere and yields the place and entry of each as
it is done; `fast` says whether long ones are screened in bf16."""


def searched(lab: Lab, spec: Spec, most: int = MOST_EXACT, fast: bool = False) -> Entry:
    """Search one pair in memory; a pair that can't be searched gives its "problem" and raises
    nothing."""
    try:
        experiment = experiment_of(lab, spec)
        combinations = combinations_of(experiment, spec)
        screened = screens(spec, len(combinations), lambda: fast)
        began, scored = time.perf_counter(), len(combinations)
        if spec.estimating:
            patterns, scored = estimated(experiment, combinations)
        else:
            patterns = search(experiment, combinations, screened, most)
    except UserError as error:
        _log.info("%s to %s is not searched", spec.source, spec.target, exc_info=True)
        return {"problem": str(error)}
    seconds = time.perf_counter() - began
    return Summary(patterns, len(combinations), scored, seconds, screened).to_dict()


def here(lab: Lab) -> Spread:
    """A `Spread` that searches one pair after the other in this process."""

    def spread(
        specs: Sequence[Spec], most: int, fast: bool
    ) -> Generator[tuple[int, Entry], None, None]:
        for place, spec in enumerate(specs):
            yield place, searched(lab, spec, most, fast)

    return spread


def all_pairs(
    lab: Lab,
    cities: Sequence[str],
    template: Spec,
    folder: Path | None = None,
    most: int = MOST_EXACT,
) -> "PairsJob":
    """All ordered pairs of some cities as one job.

    Args:
        template: everything but the cities.

    Raises:
        UserError: for fewer than two cities, a city twice, unknown or without a latent.
    """
    if template.source_latents is not None or template.target_latents is not None:
        raise UserError("All pairs are searched with the cities' own latents; leave out others.")
    names = [lab.subject(city).label for city in cities]
    if len(names) < 2:
        raise UserError("All pairs need at least two cities.")
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{name} is among the cities twice; name it once.")
    specs = [replace(template, source=a, target=b) for a, b in permutations(names, 2)]
    return PairsJob(lab, specs, folder, most)


class PairsJob:
    """Searches of many pairs as one job, on disk: one small file a pair, resumed pair by pair.

    A pair that can't be searched (a side without meta-latents of its own, too many combinations)
    has its problem in the table and holds up no other.

    Args:
        folder: another place than the cache.
        most: combinations of a pair up to which all are scored.

    Raises:
        UserError: for an unknown city, one without a latent, or no pairs.
    """

    def __init__(
        self,
        lab: Lab,
        specs: Sequence[Spec],
        folder: Path | None = None,
        most: int = MOST_EXACT,
    ) -> None:
        if not specs:
            raise UserError("There are no pairs to search; name some.")
        self.lab, self.specs, self.most = lab, tuple(specs), most
        self.id = digest({"pairs": [experiment_about(lab, spec) for spec in specs], "most": most})
        self.folder = folder or cache.search(self.id)
        self._entries: dict[int, Entry] = {}

    @property
    def about(self) -> dict[str, Any]:
        """What the searches have in common: what the export carries."""
        specs = [spec.to_dict() for spec in self.specs]
        common = {
            name: value
            for name, value in specs[0].items()
            if all(spec[name] == value for spec in specs)
        }
        templates = WORDINGS[self.specs[0].wording]
        prompts = {name: text for name, text in templates.items() if name in self._attributes}
        rest = {"prompts": prompts, "units": UNITS, "most": self.most}
        return {"id": self.id} | common | rest | asdict(self.lab.provenance)

    @cached_property
    def _attributes(self) -> set[str]:
        return {name for spec in self.specs for name in spec.attributes}

    def _path(self, place: int) -> Path:
        return self.folder / f"pair-{place:08d}.json"

    def state(self) -> State:
        """How many pairs are done; cheap enough to ask every second."""
        done = sum(self._path(place).exists() for place in range(len(self.specs)))
        return State(done, len(self.specs), done == len(self.specs))

    def cost(self) -> tuple[int, float]:
        """Combinations still to be scored, and about the seconds they take here.

        The seconds are those of one pair's probe (see `Job.cost`) for all of them.
        """
        count, each = 0, 0.0
        for place, spec in enumerate(self.specs):
            if self._path(place).exists():
                continue
            try:
                job = Job(self.lab, spec, self.folder)
            except UserError:
                # It gets its line in the table.
                _log.info("%s to %s costs nothing", spec.source, spec.target, exc_info=True)
                continue
            if not each:
                each = job.cost()[0] / max(1, job.state().total)
            count += min(len(job.combinations), self.most)
        return count, count * each

    def run(
        self,
        progress: Progress = silent,
        cancelled: threading.Event | None = None,
        spread: Spread | None = None,
    ) -> pd.DataFrame | None:
        """Search the pairs that are missing.

        Args:
            cancelled: set by another thread to stop after the pair at hand.
            spread: where to search; default: `here`.

        Returns:
            `results`; None when cancelled.

        Raises:
            UserError: for a folder that can't be written, or a damaged file of an earlier run.
        """
        what = {"specs": [spec.to_dict() for spec in self.specs], "most": self.most}
        fast = claim(self.folder, self.id, lambda: {"id": self.id, "bf16": bf16_is_fast()} | what)
        done = len(self.entries())
        missing = [place for place in range(len(self.specs)) if place not in self._entries]
        specs = [self.specs[place] for place in missing]
        with closing((spread or here(self.lab))(specs, self.most, fast)) as entries:
            for at, entry in entries:
                write_json(self._path(missing[at]), entry)
                done += 1
                total = len(self.specs)
                progress("Searching pairs", done / total, f"{done:,} of {total:,} pairs")
                if cancelled is not None and cancelled.is_set() and done < total:
                    return None
        return self.results()

    def entries(self) -> dict[int, Entry]:
        """What is there, by place among the specs; each file is read once.

        Raises:
            UserError: when a file is damaged.
        """
        for place in range(len(self.specs)):
            if place not in self._entries and self._path(place).exists():
                self._entries[place] = read_record(self._path(place), _checked)
        return dict(sorted(self._entries.items()))

    def results(self) -> pd.DataFrame:
        """One row per pair and pattern it reaches; one for a pair that reaches none.

        Columns: source, target, pattern (a 0 or 1 per attribute in order), margin (nats), edit
        (JSON), sentence, combination, reached_by, patterns (how many the pair reaches),
        combinations, seconds, problem (why the pair could not be searched).

        Raises:
            UserError: when a file is damaged.
        """
        rows: list[dict[str, Any]] = []
        for place, entry in self.entries().items():
            spec = self.specs[place]
            row: dict[str, Any] = {"source": spec.source, "target": spec.target}
            if "problem" in entry:
                rows.append(row | {"patterns": 0, "problem": entry["problem"]})
                continue
            summary = Summary.from_dict(entry)
            row["patterns"] = len(summary.patterns)
            row |= {"combinations": summary.combinations, "seconds": summary.seconds}
            rows += (
                [row]
                if not summary.patterns
                else [
                    row
                    | {
                        "pattern": "".join(str(int(moved)) for moved in one.pattern.values()),
                        "margin": one.margin,
                        "edit": json.dumps(one.edit.to_dict()),
                        "sentence": one.sentence,
                        "combination": one.number,
                        "reached_by": one.reached_by,
                    }
                    for one in summary.patterns
                ]
            )
        return pa.Table.from_pylist(rows, schema=_PAIRS).to_pandas(types_mapper=_NULLABLE.get)

    def export(self, path: Path) -> None:
        """Write `results` into one file, with `about` as in `Job.export`.

        Raises:
            UserError: see `check_output`; or a damaged file.
        """
        state = self.state()
        about = self.about | asdict(state)
        export(path, [self.results()], _PAIRS, about)


_PAIRS = pa.schema(
    [
        ("source", pa.string()),
        ("target", pa.string()),
        ("pattern", pa.string()),
        ("margin", pa.float64()),
        ("edit", pa.string()),
        ("sentence", pa.string()),
        ("combination", pa.int64()),
        ("reached_by", pa.float64()),
        ("patterns", pa.int64()),
        ("combinations", pa.int64()),
        ("seconds", pa.float64()),
        ("problem", pa.string()),
    ]
)

_NULLABLE = {pa.int64(): pd.Int64Dtype()}
"""A pair with a problem has no combination: whole numbers with gaps stay whole."""


def _checked(values: Any) -> Entry:
    """An entry that can be read later. Raises what damaged values raise."""
    if "problem" not in values:
        Summary.from_dict(values)
    return dict(values)
