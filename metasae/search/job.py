"""Long searches: results on disk as they come, cancelled and resumed at will.

A `Job` searches one pair. Its folder holds

- ``job.json``: what is searched and from which weights, written first;
- ``part-00000000.parquet``, …: some combinations each, always the same ones, so that two processes
  that run one job write the same files; at most `PARTS` of them;
- ``verified.parquet``: the reported combinations once more, from fp32; of an estimating search all
  it scored, and no parts;
- ``done.json``: the clearest edit of every pattern, written last.

`pairs_job.PairsJob` is many searches as one job; it keeps what each pair reached, not every
combination. All files are written whole or not at all, so a job that was killed goes on where it
was.

Log-probabilities and margins are in nats.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from metasae.lab.lab import Lab
from metasae.progress import Progress, silent
from metasae.search.engine import POSITIONS, Engine, RememberingEngine
from metasae.search.estimate import reported, rounds, usual_budget
from metasae.search.exhaustive import (
    AHEAD,
    CHUNK,
    MOST_EXACT,
    bf16_is_fast,
    check_size,
    scan,
    verified,
    worth_screening,
)
from metasae.search.export import export
from metasae.search.job_files import (
    Cost,
    State,
    check_owner,
    claim,
    digest,
    read_record,
    write_record,
)
from metasae.search.loop import gather
from metasae.search.part_files import PartFiles, PartWriter, ScoredWriter
from metasae.search.patterns import BestByPattern
from metasae.search.spec import Spec, combinations_of, experiment_about, experiment_of
from metasae.search.summary import Summary
from metasae.sources import cache
from metasae.steering.experiment import Experiment
from metasae.steering.verdict import OTHER, pattern_name

PARTS = 64
"""Files a search's rows are spread over at most: what a killed job loses is at most one's share."""

PROBE = 16
"""Combinations a run's cost is estimated from."""

STEP = 256
"""What a file's number of combinations is a multiple of."""


def _columns(experiment: Experiment) -> tuple[str, ...]:
    """A name per answer; whose it is tells apart answers that read the same."""
    answers = [(one.attribute, answer) for one in experiment.questions for answer in one.answers]
    names = [f"{attribute}: {answer.text}" for attribute, answer in answers]
    return tuple(
        name if names.count(name) == 1 else f"{name} ({answer.city})"
        for name, (_, answer) in zip(names, answers, strict=True)
    )


def screens(spec: Spec, count: int, fast: Callable[[], bool] = bf16_is_fast) -> bool:
    """Whether a search of so many combinations goes through them in bf16 first."""
    return not (spec.estimating or spec.strict) and worth_screening(count, spec.screened, fast)


class Job:
    """The search of one pair, on disk.

    Attributes:
        id: short name; equal exactly when the same numbers are to be expected.
        folder: where the results are.
        columns: names of the answers' columns, "attribute: answer".

    Args:
        folder: another place than the cache.

    Raises:
        UserError: see `experiment_of` and `combinations_of`.
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
        self.folder = folder or cache.search(self.id)
        self.columns = _columns(self.experiment)
        self._seen = BestByPattern()
        # What an estimating search scores is decided on the way: it has no parts.
        count = 0 if spec.estimating else len(self.combinations)
        size = max(1, STEP * -(-count // (PARTS * STEP)))
        self._files = PartFiles(
            self.folder,
            self.id,
            self.columns,
            len(self.experiment.questions),
            [range(at, min(at + size, count)) for at in range(0, count, size)],
        )

    @property
    def about(self) -> dict[str, Any]:
        """Model, SAEs, prompts, options, units and version: what every export carries."""
        return {"id": self.id, "combinations": len(self.combinations)} | self.experiment_about

    def state(self) -> State:
        """How far the job is; cheap enough to ask every second.

        The total of an estimating search is what it may score at most.
        """
        files = self._files
        there = files.there()
        finished = len(there) == len(files.spans) and files.verified.exists()
        finished = finished and self._done.exists()
        if self.spec.estimating:
            budget = usual_budget(len(self.combinations))
            return State(budget if finished else 0, budget, finished)
        done = sum(len(files.spans[number]) for number in there)
        return State(done, len(self.combinations), finished)

    def summary(self) -> Summary | None:
        """What the search reached, once the job is done; None before.

        Raises:
            UserError: when the file that says so is damaged, or the folder another search's.
        """
        if not self.state().finished:
            return None
        owner, summary = read_record(
            self._done, lambda values: (values["id"], Summary.from_dict(values))
        )
        check_owner(self.folder, owner, self.id)
        return summary

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

    def cost(self) -> Cost:
        """What a whole run takes here, from a probe of a few combinations.

        The seconds are measured on a small batch, which is if anything slower than a large one.
        """
        count = self.state().total
        bf16 = screens(self.spec, count)
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
        return Cost(count, each * count, (batch + rows) / 1e6)

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
            What the search reached; None when cancelled.

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
        self._seen = best = BestByPattern(AHEAD if screened else 1)
        done, seconds = 0, 0.0
        # All that is there is looked at first, so that damage shows before anything is computed.
        there = self._files.there()
        for number in there:
            table, took = self._files.read(number)
            best.see(self._files.chunk(table))
            done, seconds = done + len(table), seconds + took
        missing = [n for n in range(len(self._files.spans)) if n not in set(there)]
        engine = Engine(
            self.experiment, self.combinations, torch.bfloat16 if screened else torch.float32
        )
        chunks = scan(engine, [self._files.spans[n] for n in missing], done, progress)
        writer = PartWriter(self._files, missing, exact=not screened, seconds=seconds)
        if not gather(chunks, best, writer, cancelled):
            return None
        began = time.perf_counter()
        patterns, chunk = verified(self.experiment, self.combinations, best)
        took = time.perf_counter() - began
        self._files.write(self._files.verified, [self._files.table(chunk, exact=True)], took)
        count = len(self.combinations)
        return self._finish(Summary(patterns, count, count, writer.seconds + took, screened))

    def _estimate(self, progress: Progress, cancelled: threading.Event | None) -> Summary | None:
        """Score what promises most; what an earlier run scored is looked up."""
        self._started()
        known: dict[int, Tensor] = {}
        judged: dict[int, tuple[int, float]] = {}
        spent = 0.0
        if self._files.verified.exists():
            table, spent = self._files.read(None)
            there = self._files.chunk(table)
            verdicts = zip(there.pattern.tolist(), there.margin.tolist(), strict=True)
            judged = dict(zip(there.numbers.tolist(), verdicts, strict=True))
            rows = torch.tensor(table.select(list(self.columns)).to_pandas().to_numpy())
            known = dict(zip(table["combination"].to_pylist(), rows, strict=True))
        self._seen = best = BestByPattern()
        engine = RememberingEngine(self.experiment, self.combinations, known=known, judged=judged)
        writer = ScoredWriter(self._files, len(known), spent)
        if not gather(rounds(engine, progress=progress), best, writer, cancelled):
            return None
        patterns = reported(self.experiment, self.combinations, best)
        count = len(self.combinations)
        return self._finish(Summary(patterns, count, writer.rows, writer.seconds, False))

    def _finish(self, summary: Summary) -> Summary:
        write_record(self._done, self.about | summary.to_dict())
        return summary

    def results(self) -> pd.DataFrame:
        """All combinations that are scored so far.

        Columns: combination, pattern (a 0 or 1 per attribute in order, 1 where it moved to the
        target's; "other" where some answer neither moved nor stayed: `steering.verdict` says what
        that means, and what in a strict search), margin (nats), one "attribute: answer"
        log-probability each (nats), verified (whether the row is from fp32).

        Raises:
            UserError: when a file is damaged.
        """
        frames = list(self._files.frames())
        if not frames:
            return self._files.schema.empty_table().to_pandas()
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
        schema = self._files.schema
        for name in names:
            schema = schema.append(pa.field(name, pa.float32()))

        def frames() -> Iterator[pd.DataFrame]:
            for frame in self._files.frames():
                strengths = self.combinations.strengths(frame["combination"].to_numpy())
                pieces = pd.DataFrame(strengths.numpy(), columns=names)
                yield pd.concat([frame, pieces], axis=1)

        export(path, frames(), schema, about)

    # Files.

    @property
    def _done(self) -> Path:
        return self.folder / "done.json"

    def _started(self) -> bool:
        """Write down what is searched, as a run begins; returns whether bf16 goes first."""
        spec = {"spec": self.spec.to_dict()}
        count = len(self.combinations)
        return claim(
            self.folder,
            self.id,
            lambda: self.about | spec | {"bf16": screens(self.spec, count)},
        )
