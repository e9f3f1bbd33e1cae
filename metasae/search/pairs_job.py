"""Searches of many pairs as one job, on disk: one small file a pair, resumed pair by pair."""

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from itertools import permutations
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lab.spread import Spread, here
from metasae.progress import Progress, silent
from metasae.search.estimate import estimated, usual_budget
from metasae.search.exhaustive import MOST_EXACT, bf16_is_fast, check_size, search
from metasae.search.export import export
from metasae.search.job import Job, screens
from metasae.search.job_files import Cost, State, claim, digest, read_record, write_record
from metasae.search.patterns import FoundEdit
from metasae.search.spec import Spec, asked, combinations_of, experiment_about, experiment_of
from metasae.search.summary import Summary
from metasae.sources import cache
from metasae.steering.outcome import UNITS
from metasae.steering.questions import remarks
from metasae.steering.verdict import pattern_text
from metasae.text.prompts import WORDINGS

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PairResult:
    """What the search of one pair reached, or why there is none.

    Attributes:
        summary: None for a pair that can't be searched.
        problem: why it can't; None otherwise.
    """

    summary: Summary | None
    problem: str | None = None

    @property
    def patterns(self) -> tuple[FoundEdit, ...]:
        """The clearest edit of every pattern it reaches."""
        return () if self.summary is None else self.summary.patterns

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values: those of the summary, or the problem alone."""
        return {"problem": self.problem} if self.summary is None else self.summary.to_dict()

    @staticmethod
    def from_dict(values: Any) -> "PairResult":
        """What `to_dict` wrote.

        Raises:
            ValueError, TypeError, UserError: for anything else.
        """
        if "problem" in values:
            return PairResult(None, str(values["problem"]))
        return PairResult(Summary.from_dict(values))


def searched(lab: Lab, spec: Spec, most: int = MOST_EXACT, fast: bool = False) -> PairResult:
    """Search one pair in memory; a pair that can't be searched gives its problem and raises
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
        return PairResult(None, str(error))
    seconds = time.perf_counter() - began
    return PairResult(Summary(patterns, len(combinations), scored, seconds, screened))


def search_each(most: int, fast: bool, lab: Lab) -> Callable[[Spec], PairResult]:
    """What searches a pair on a lab, as a `Spread` takes it; see `searched`.

    Args:
        fast: whether long searches are screened in bf16.
    """
    return lambda spec: searched(lab, spec, most, fast)


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
        UserError: for fewer than two cities, a name twice, empty or without a latent.
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
        UserError: for a name without a latent, or no pairs.
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
        self._pairs: dict[int, PairResult] = {}

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

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """What has to be said of the pairs, a sentence each, each once."""
        said: dict[str, None] = {}
        for spec in self.specs:
            with suppress(UserError):  # a pair that can't be asked has its line in the table
                said |= dict.fromkeys(remarks(*asked(self.lab, spec)))
        return tuple(said)

    def _path(self, place: int) -> Path:
        return self.folder / f"pair-{place:08d}.json"

    def state(self) -> State:
        """How many pairs are done; cheap enough to ask every second."""
        done = sum(self._path(place).exists() for place in range(len(self.specs)))
        return State(done, len(self.specs), done == len(self.specs))

    def cost(self) -> Cost:
        """What the pairs that are missing take here.

        Combinations of one pair are probed (see `Job.cost`) and stand for those of all.
        """
        counts: dict[Spec, int] = {}
        for place, spec in enumerate(self.specs):
            if self._path(place).exists():
                continue
            try:
                counts[spec] = self._to_score(spec)
            except UserError:
                # It gets its line in the table.
                _log.info("%s to %s costs nothing", spec.source, spec.target, exc_info=True)
        if not counts:
            return Cost(0, 0.0, 0.0)
        one, total = Job(self.lab, next(iter(counts)), self.folder).cost(), sum(counts.values())
        return Cost(total, one.seconds / one.combinations * total, one.megabytes)

    def _to_score(self, spec: Spec) -> int:
        """How many combinations of a pair are scored at most.

        Raises:
            UserError: when the pair can't be searched.
        """
        combinations = combinations_of(experiment_of(self.lab, spec), spec)
        if spec.estimating:
            return usual_budget(len(combinations))
        check_size(combinations, self.most)
        return len(combinations)

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
        done = len(self.pairs())
        missing = [place for place in range(len(self.specs)) if place not in self._pairs]
        specs = [self.specs[place] for place in missing]
        each = partial(search_each, self.most, fast)
        with closing((spread or here(self.lab))(each, specs)) as coming:
            for at, pair in coming:
                write_record(self._path(missing[at]), pair.to_dict())
                done += 1
                total = len(self.specs)
                progress("Searching pairs", done / total, f"{done:,} of {total:,} pairs")
                if cancelled is not None and cancelled.is_set() and done < total:
                    return None
        return self.results()

    def pairs(self) -> dict[int, PairResult]:
        """What is there, by place among the specs; each file is read once.

        Raises:
            UserError: when a file is damaged.
        """
        for place in range(len(self.specs)):
            if place not in self._pairs and self._path(place).exists():
                self._pairs[place] = read_record(self._path(place), PairResult.from_dict)
        return dict(sorted(self._pairs.items()))

    def results(self) -> pd.DataFrame:
        """One row per pair and pattern it reaches; one for a pair that reaches none.

        Columns: source, target, pattern (a 0 or 1 per attribute in order), margin (nats), edit
        (JSON), sentence, combination, reached_by, patterns (how many the pair reaches),
        combinations, seconds, problem (why the pair could not be searched).

        Raises:
            UserError: when a file is damaged.
        """
        rows: list[dict[str, Any]] = []
        for place, pair in self.pairs().items():
            spec, summary = self.specs[place], pair.summary
            row: dict[str, Any] = {"source": spec.source, "target": spec.target}
            row["patterns"] = len(pair.patterns)
            if summary is None:
                rows.append(row | {"problem": pair.problem})
                continue
            row |= {"combinations": summary.combinations, "seconds": summary.seconds}
            rows += (
                [row]
                if not summary.patterns
                else [
                    row
                    | {
                        "pattern": pattern_text(one.pattern.values()),
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
