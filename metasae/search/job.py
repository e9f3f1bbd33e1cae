"""Long searches: results on disk as they come, cancelled and resumed at will.

A `Job` searches one pair. Its folder holds

- ``job.json``: what is searched and from which weights, written first;
- ``part-00000000.parquet``, …: some combinations each, always the same ones, so that two processes
  that run one job write the same files; at most `PARTS` of them;
- ``verified.parquet``: the reported combinations once more, from fp32; of an estimating search all
  it scored, and no parts;
- ``done.json``: the clearest edit of every pattern, written last.

`Pairs` is many searches as one job; it keeps what each pair reached, not every combination. All
files are written whole or not at all, so a job that was killed goes on where it was.

Log-probabilities and margins are in nats.
"""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from metasae.lab.lab import Lab
from metasae.lm.matmul import fast_dtype_of_products
from metasae.progress import Progress, silent
from metasae.search.engine import POSITIONS, Engine
from metasae.search.estimate import reported, rounds, usual_budget
from metasae.search.exhaustive import CHUNK, MOST_EXACT, check_size, verified
from metasae.search.export import KEY, export
from metasae.search.job_files import (
    State,
    claim,
    damaged,
    digest,
    job_folder,
    read_json,
    write_json,
)
from metasae.search.patterns import BestByPattern, Chunk, FoundEdit
from metasae.search.spec import Spec, combinations_of, experiment_about, experiment_of
from metasae.sources.files import written_whole
from metasae.steering.edits import Edit, MetaLatentEdit
from metasae.steering.experiment import Experiment
from metasae.steering.verdict import OTHER, pattern_name

PARTS = 64
"""Files a search's rows are spread over at most: what a killed job loses is at most one's share."""

PROBE = 16
"""Combinations a run's cost is estimated from."""

STEP = 256
"""What a file's number of combinations is a multiple of."""

AHEAD = 16
"""Combinations of each pattern that a screened search runs again in fp32."""


def _columns(experiment: Experiment) -> tuple[str, ...]:
    """A name per answer; whose it is tells apart answers that read the same."""
    answers = [(one.attribute, answer) for one in experiment.questions for answer in one.answers]
    names = [f"{attribute}: {answer.text}" for attribute, answer in answers]
    return tuple(
        name if names.count(name) == 1 else f"{name} ({answer.city})"
        for name, (_, answer) in zip(names, answers, strict=True)
    )


def _bits(code: int, width: int) -> str:
    """A pattern as its attributes' bits, the first attribute's first."""
    return "".join(str(code >> bit & 1) for bit in range(width))


def screens(spec: Spec, count: int, fast: Callable[[], bool]) -> bool:
    """Whether a search of so many combinations goes through them in bf16 first."""
    if spec.estimating:
        return False
    return spec.screened if spec.screened is not None else count > 4 * CHUNK and fast()


def bf16_is_fast() -> bool:
    return fast_dtype_of_products() == torch.bfloat16


def found_to_dict(found: FoundEdit) -> dict[str, Any]:
    """As JSON-able values; a margin nothing rivals is None, so is a share nobody counted."""
    numbers = {"margin": found.margin, "reached_by": found.reached_by}
    known = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
    return asdict(found) | {"edit": found.edit.to_dict()} | known


def _searched(values: Mapping[str, Any]) -> MetaLatentEdit:
    edit = Edit.from_dict(values)
    if not isinstance(edit, MetaLatentEdit):
        raise TypeError("a search reports meta-latent edits")
    return edit


def found_from_dict(values: Mapping[str, Any]) -> FoundEdit:
    """What `found_to_dict` wrote. Raises what damaged values raise."""
    margin, share = values["margin"], values["reached_by"]
    return FoundEdit(
        edit=_searched(values["edit"]),
        pattern={str(name): bool(moved) for name, moved in values["pattern"].items()},
        margin=math.inf if margin is None else float(margin),
        sentence=str(values["sentence"]),
        number=int(values["number"]),
        reached_by=math.nan if share is None else float(share),
    )


@dataclass(frozen=True)
class Summary:
    """What a finished search found.

    Attributes:
        patterns: the clearest edit of every reachable pattern, fewest moves first; fp32.
        combinations: how many there are.
        scored: how many of them were run; all, unless the search was an estimating one.
        seconds: spent on them, interruptions not counted.
        screened: whether the others' scores are from bf16.
    """

    patterns: tuple[FoundEdit, ...]
    combinations: int
    scored: int
    seconds: float
    screened: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {
            "combinations": self.combinations,
            "scored": self.scored,
            "seconds": self.seconds,
            "screened": self.screened,
            "patterns": [found_to_dict(found) for found in self.patterns],
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Summary":
        """What `to_dict` wrote. Raises what damaged values raise."""
        return Summary(
            patterns=tuple(found_from_dict(found) for found in values["patterns"]),
            combinations=int(values["combinations"]),
            scored=int(values["scored"]),
            seconds=float(values["seconds"]),
            screened=bool(values["screened"]),
        )


@dataclass
class _Remembering(Engine):
    """An engine that looks up what is known already.

    Attributes:
        known: combination → its scores.
    """

    known: dict[int, Tensor] = field(default_factory=dict)

    def logprobs(self, numbers: Sequence[int] | np.ndarray) -> Tensor:
        """See `Engine.logprobs`."""
        asked = np.asarray(numbers, dtype=np.int64).tolist()
        fresh = [number for number in asked if number not in self.known]
        if fresh:
            self.known |= dict(zip(fresh, super().logprobs(fresh), strict=True))
        return torch.stack([self.known[number] for number in asked])


class Job:
    """The search of one pair, on disk.

    Attributes:
        id: short name; equal exactly when the same numbers are to be expected.
        folder: where the results are.
        columns: names of the answers' columns, "attribute: answer".

    Args:
        folder: another place than the cache.

    Raises:
        UserError: see `case_of` and `combinations_of`.
    """

    def __init__(self, lab: Lab, spec: Spec, folder: Path | None = None) -> None:
        self.lab = lab
        self.experiment = experiment_of(lab, spec)
        self.spec = replace(
            spec, source=self.experiment.source.label, target=self.experiment.target.label
        )
        self.combinations = combinations_of(self.experiment, spec)
        self.experiment_about = experiment_about(lab, spec)
        self.id = digest(self.experiment_about)
        self.folder = folder or job_folder(self.id)
        self.columns = _columns(self.experiment)
        self._seen = BestByPattern()
        count = len(self.combinations)
        if spec.estimating:
            # What is scored is found out on the way.
            count = 0
        size = max(1, STEP * -(-count // (PARTS * STEP)))
        self._spans = [range(at, min(at + size, count)) for at in range(0, count, size)]
        width = len(self.experiment.questions)
        # OTHER is −1: the last.
        self._patterns = [*(_bits(code, width) for code in range(2**width)), "other"]
        assert self._patterns[OTHER] == "other"

    @property
    def about(self) -> dict[str, Any]:
        """Model, SAEs, prompts, options, units and version: what every export carries."""
        return {"id": self.id, "combinations": len(self.combinations)} | self.experiment_about

    def state(self) -> State:
        """How far the job is; cheap enough to ask every second.

        The total of an estimating search is what it may score at most.
        """
        there = [span for n, span in enumerate(self._spans) if self._part(n).exists()]
        finished = len(there) == len(self._spans) and self._verified.exists()
        finished = finished and self._done.exists()
        if self.spec.estimating:
            budget = usual_budget(len(self.combinations))
            return State(budget if finished else 0, budget, finished)
        return State(sum(map(len, there)), len(self.combinations), finished)

    def summary(self) -> Summary | None:
        """What was found, once the job is done.

        Raises:
            UserError: when the file that says so is damaged, or the folder another search's.
        """
        if not self.state().finished:
            return None
        self._started()
        return read_json(self._done, Summary.from_dict)

    def so_far(self) -> pd.DataFrame:
        """Which patterns the run in this process has met: a column each attribute, whether it
        moved, and combinations, how many did it; fewest moves first."""
        counts = sorted(self._seen.counts.items(), key=lambda one: (one[0].bit_count(), one[0]))
        rows = [
            pattern_name(self.experiment.questions, code) | {"combinations": count}
            for code, count in counts
            if code != OTHER
        ]
        return pd.DataFrame(rows)

    def cost(self) -> tuple[float, float]:
        """Seconds and megabytes a whole run takes here, from a probe of a few combinations.

        The seconds are measured on a small batch, which is if anything slower than a large one;
        the megabytes come on top of the opened model's.
        """
        count = self.state().total
        bf16 = screens(self.spec, count, bf16_is_fast)
        engine = Engine(
            self.experiment, self.combinations, torch.bfloat16 if bf16 else torch.float32
        )
        some = np.linspace(0, len(self.combinations) - 1, PROBE).astype(np.int64)
        engine.logprobs(some)
        began = time.perf_counter()
        engine.logprobs(some)
        each = (time.perf_counter() - began) / len(some)
        config = self.experiment.model.hf.config
        inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
        wide = 2 * inner + 8 * config.hidden_size
        changes = CHUNK * config.hidden_size * len(self.experiment.source.latents)
        batch = 4 * (POSITIONS * wide + changes)
        rows = count * (4 * len(self.columns) + 64)
        return each * count, (batch + rows) / 1e6

    def run(
        self,
        progress: Progress = silent,
        cancelled: threading.Event | None = None,
        most: int = MOST_EXACT,
    ) -> Summary | None:
        """Search what is still missing. What is there already is not computed again.

        Args:
            cancelled: set by another thread to stop; what was written stays.
            most: combinations up to which all are scored.

        Returns:
            What was found; None when cancelled.

        Raises:
            UserError: for too many combinations, a folder that can't be written, or a damaged file
                of an earlier run.
        """
        if (summary := self.summary()) is not None:
            return summary
        if self.spec.estimating:
            return self._estimate(progress, cancelled)
        check_size(self.combinations, most)
        screened = self._started()
        self._seen = leaders = BestByPattern(AHEAD if screened else 1)
        missing, done, seconds = [], 0, 0.0
        # All that is there is looked at first, so that damage shows before anything is computed.
        for number, span in enumerate(self._spans):
            if self._part(number).exists():
                table, took = self._read(number)
                leaders.see(self._judged(table))
                done, seconds = done + len(span), seconds + took
            else:
                missing.append(number)
        engine = Engine(
            self.experiment, self.combinations, torch.bfloat16 if screened else torch.float32
        )
        for number in missing:
            span, began, tables = self._spans[number], time.perf_counter(), []
            for start in range(span.start, span.stop, CHUNK):
                if cancelled is not None and cancelled.is_set():
                    return None
                numbers = np.arange(start, min(start + CHUNK, span.stop))
                chunk = engine.scored_chunk(numbers)
                leaders.see(chunk)
                tables.append(self._table(chunk, exact=not screened))
                done += len(numbers)
                total = len(self.combinations)
                progress("Searching edits", done / total, f"{done:,} of {total:,} combinations")
            took = time.perf_counter() - began
            self._write(self._part(number), pa.concat_tables(tables), took)
            seconds += took
        return self._finish(leaders, screened, seconds)

    def _estimate(self, progress: Progress, cancelled: threading.Event | None) -> Summary | None:
        """Score what promises most; what an earlier run scored is looked up."""
        self._started()
        known: dict[int, Tensor] = {}
        spent = 0.0
        if self._verified.exists():
            table, spent = self._read(None)
            rows = torch.tensor(table.select(list(self.columns)).to_pandas().to_numpy())
            known = dict(zip(table["combination"].to_pylist(), rows, strict=True))
        before, tables, began = len(known), list[pa.Table](), time.perf_counter()
        self._seen = leaders = BestByPattern()
        engine = _Remembering(self.experiment, self.combinations, known=known)
        for chunk in rounds(engine, progress=progress):
            leaders.see(chunk)
            tables.append(self._table(chunk, exact=True))
            if sum(map(len, tables)) >= before:
                took = spent + time.perf_counter() - began
                self._write(self._verified, pa.concat_tables(tables), took)
            if cancelled is not None and cancelled.is_set():
                return None
        summary = Summary(
            patterns=reported(self.experiment, self.combinations, leaders),
            combinations=len(self.combinations),
            scored=sum(map(len, tables)),
            seconds=spent + time.perf_counter() - began,
            screened=False,
        )
        write_json(self._done, self.about | summary.to_dict())
        return summary

    def results(self) -> pd.DataFrame:
        """All combinations that are scored so far.

        Columns: combination, pattern (a 0 or 1 per attribute in order, 1 where it moved to the
        target's; "other" where some pick is neither city's), margin (nats), one "attribute:
        answer" log-probability each (nats), verified (whether the row is from fp32).

        Raises:
            UserError: when a file is damaged.
        """
        frames = list(self._frames())
        if not frames:
            return self._schema.empty_table().to_pandas()
        return pd.concat(frames, ignore_index=True)

    def export(self, path: Path) -> None:
        """Write what is there into one file: the results' columns, then each piece's strength.

        Parquet keeps `about` in its schema's metadata under "metasae", CSV in a first line behind
        "#", JSON beside the rows. Memory stays bounded whatever the number of combinations.

        Raises:
            UserError: see `check_output`; or a damaged part.
        """
        summary = self.summary()
        about = self.about | {"scored": self.state().done, "finished": summary is not None}
        if summary is not None:
            about |= summary.to_dict()
        names = [f"strength of {piece.meta} ({piece.side})" for piece in self.combinations.pieces]
        schema = self._schema
        for name in names:
            schema = schema.append(pa.field(name, pa.float32()))

        def frames() -> Iterator[pd.DataFrame]:
            for frame in self._frames():
                strengths = self.combinations.strengths(frame["combination"].to_numpy())
                pieces = pd.DataFrame(strengths.numpy(), columns=names)
                yield pd.concat([frame, pieces], axis=1)

        export(path, frames(), schema, about)

    # Files.

    @property
    def _done(self) -> Path:
        return self.folder / "done.json"

    @property
    def _verified(self) -> Path:
        return self.folder / "verified.parquet"

    def _part(self, number: int) -> Path:
        return self.folder / f"part-{number:08d}.parquet"

    def _started(self) -> bool:
        """Write down what is searched, or read it again; returns whether bf16 goes first."""
        spec = {"spec": self.spec.to_dict()}
        count = len(self.combinations)
        return claim(
            self.folder,
            self.id,
            lambda: self.about | spec | {"bf16": screens(self.spec, count, bf16_is_fast)},
        )

    @cached_property
    def _schema(self) -> pa.Schema:
        return pa.schema(
            [
                ("combination", pa.int64()),
                ("pattern", pa.string()),
                ("margin", pa.float64()),
                *((name, pa.float32()) for name in self.columns),
                ("verified", pa.bool_()),
            ]
        )

    def _table(self, chunk: Chunk, exact: bool) -> pa.Table:
        patterns = [self._patterns[code] for code in chunk.pattern.tolist()]
        scores = list(chunk.scores.T.contiguous().numpy())
        verified = np.full(len(chunk.numbers), exact)
        columns = [chunk.numbers, patterns, chunk.margin, *scores, verified]
        return pa.table(dict(zip(self._schema.names, columns, strict=True)), schema=self._schema)

    def _judged(self, table: pa.Table) -> Chunk:
        """A part as `Leaders` wants it."""
        codes = {pattern: code for code, pattern in enumerate(self._patterns)} | {"other": OTHER}
        pattern = np.array([codes[name] for name in table["pattern"].to_pylist()])
        margin = table["margin"].to_numpy()
        return Chunk(table["combination"].to_numpy(), torch.empty(0), pattern, margin)

    def _write(self, path: Path, table: pa.Table, seconds: float) -> None:
        note = json.dumps({"id": self.id, "seconds": seconds})
        with written_whole(path) as part:
            noted = table.replace_schema_metadata({KEY: note})
            pq.write_table(noted, part, compression="zstd", write_page_checksum=True)

    def _read(self, number: int | None) -> tuple[pa.Table, float]:
        """A part, or the verified rows, and the seconds they took.

        Raises:
            UserError: when it isn't whole, or of another search.
        """
        path = self._verified if number is None else self._part(number)
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                table = file.read()
            note = json.loads(table.schema.metadata[KEY.encode()])
            numbers = table["combination"].to_numpy()
            whole = number is None or np.array_equal(numbers, np.array(self._spans[number]))
            known = set(table["pattern"].to_pylist()) <= set(self._patterns)
            fits = table.schema.equals(self._schema) and note["id"] == self.id
            seconds = float(note["seconds"])
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise damaged(path) from error
        if not (whole and known and fits):
            raise damaged(path)
        return table, seconds

    def _frames(self) -> Iterator[pd.DataFrame]:
        """Part by part, verified rows in place of screened ones."""
        exact = self._read(None)[0].to_pandas() if self._verified.exists() else None
        if self.spec.estimating and exact is not None:
            yield exact
        for number, span in enumerate(self._spans):
            if not self._part(number).exists():
                continue
            frame = self._read(number)[0].to_pandas()
            if exact is not None:
                mine = exact[exact["combination"].between(span.start, span.stop - 1)]
                both = pd.concat([frame, mine]).drop_duplicates("combination", keep="last")
                frame = both.sort_values("combination", ignore_index=True)
            yield frame

    def _finish(self, leaders: BestByPattern, screened: bool, seconds: float) -> Summary:
        """Run again in fp32 what is reported, and write it down."""
        began = time.perf_counter()
        found: tuple[FoundEdit, ...] = ()
        table = self._schema.empty_table()
        if numbers := leaders.numbers():
            chunk = Engine(self.experiment, self.combinations).scored_chunk(np.array(numbers))
            table = self._table(chunk, exact=True)
            found = verified(self.experiment, self.combinations, leaders)
        took = time.perf_counter() - began
        self._write(self._verified, table, took)
        count = len(self.combinations)
        summary = Summary(found, count, count, seconds + took, screened)
        write_json(self._done, self.about | summary.to_dict())
        return summary
