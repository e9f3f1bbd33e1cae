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

import csv
import hashlib
import json
import math
import re
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import permutations
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from metasae.assets import cache_dir, written_whole
from metasae.edits import MAX_STRENGTH, Edit
from metasae.errors import UserError
from metasae.estimate import estimated, reported, rounds, usual_budget
from metasae.lab import Lab
from metasae.products import fast_dtype_of_products
from metasae.progress import Progress, silent
from metasae.prompts import QUESTIONS, WORDINGS
from metasae.search import (
    CHUNK,
    MOST_EXACT,
    OTHER,
    POSITIONS,
    Chunk,
    Combinations,
    Engine,
    Found,
    Judged,
    Leaders,
    check_size,
    judge,
    named,
    search,
    verified,
)
from metasae.steering import Case, Question, Subject

T = TypeVar("T")

UNITS = "nats (natural logarithm); an answer's log-probability is the sum over its tokens"

PARTS = 64
"""Files a search's rows are spread over at most: what a killed job loses is at most one's share."""

PROBE = 16
"""Combinations a run's cost is estimated from."""

STEP = 256
"""What a file's number of combinations is a multiple of."""

AHEAD = 16
"""Combinations of each pattern that a screened search runs again in fp32."""

FORMATS = (".parquet", ".csv", ".json")
"""What `export` writes, by the file's ending."""

_KEY = "metasae"
"""Under which a Parquet file's schema says what it is, as JSON."""


@dataclass(frozen=True)
class Spec:
    """What is searched.

    Attributes:
        preset: name of what is opened.
        source, target: a city, or latents like "#12, #45".
        source_latents, target_latents: these instead of the city's own choice.
        attributes: which questions are asked; kept in the order of `prompts.QUESTIONS`.
        options: what all edits have in common; without strengths, and no swap.
        removed: strengths a piece of the source's own may take beside 1.
        added: strengths a piece of the target's own may take beside 0.
        screened: go through all in bf16 first; None: where that is fast and worth it.
        wording: how the questions are asked, a key of `prompts.WORDINGS`.
        estimating: score only what promises most (`estimate`) instead of all.

    Raises:
        UserError: for values no search can be made of.
    """

    preset: str
    source: str
    target: str
    source_latents: tuple[int, ...] | None = None
    target_latents: tuple[int, ...] | None = None
    attributes: tuple[str, ...] = tuple(QUESTIONS)
    options: Edit = Edit()  # noqa: RUF009 - frozen
    removed: tuple[float, ...] = (0.0,)
    added: tuple[float, ...] = (1.0,)
    screened: bool | None = None
    wording: str = "post"
    estimating: bool = False

    def __post_init__(self) -> None:
        if self.wording not in WORDINGS:
            raise UserError(
                f'There is no wording "{self.wording}"; choose from {", ".join(WORDINGS)}.'
            )
        for attribute in self.attributes:
            if attribute not in QUESTIONS:
                raise UserError(
                    f'There is no attribute "{attribute}"; choose from {", ".join(QUESTIONS)}.'
                )
        if not self.attributes:
            raise UserError(f"A search needs an attribute; choose from {', '.join(QUESTIONS)}.")
        ordered = tuple(attribute for attribute in QUESTIONS if attribute in self.attributes)
        object.__setattr__(self, "attributes", ordered)
        if self.options.kind == "swap" or self.options.strengths:
            raise UserError(
                "A search makes its own meta-latent edits; give it no swap and no strengths of "
                "single meta-latents."
            )
        for strength in (*self.removed, *self.added):
            if not (math.isfinite(strength) and abs(strength) <= MAX_STRENGTH):
                raise UserError(
                    f"A meta-latent can't be searched at strength {strength:g}; choose strengths "
                    f"from −{MAX_STRENGTH:g} to {MAX_STRENGTH:g}."
                )
        for side, text, latents in (
            ("source", self.source, self.source_latents),
            ("target", self.target, self.target_latents),
        ):
            if latents is not None and text.strip().startswith("#"):
                raise UserError(
                    f'The {side} "{text}" names its latents already; leave out the others.'
                )

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self) | {"options": self.options.to_dict()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Spec":
        """The spec `to_dict` wrote, in JSON or not.

        Raises:
            UserError: when it is none.
        """
        if not isinstance(values, Mapping) or not set(values) <= set(Spec.__dataclass_fields__):
            raise _no_search()
        try:
            preset, source, target = values["preset"], values["source"], values["target"]
            screened, estimating = values.get("screened"), values.get("estimating", False)
            wording = values.get("wording", "post")
            texts = all(isinstance(text, str) for text in (preset, source, target, wording))
            flags = isinstance(estimating, bool) and isinstance(screened, bool | None)
            if not texts or not flags:
                raise _no_search()
            more: dict[str, Any] = {}
            for name, kind in (
                ("source_latents", int),
                ("target_latents", int),
                ("attributes", str),
                ("removed", float),
                ("added", float),
            ):
                given = values.get(name)
                if isinstance(given, str):
                    raise _no_search()
                if given is not None:
                    more[name] = tuple(kind(one) for one in given)
            options = Edit.from_dict(values.get("options", {}))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise _no_search() from error
        return Spec(
            preset, source, target, options=options, screened=screened, wording=wording,
            estimating=estimating, **more,
        )  # fmt: skip


def _no_search() -> UserError:
    return UserError("This is not a search that the workbench wrote.")


def _asked(lab: Lab, spec: Spec) -> tuple[Subject, Subject, list[Question]]:
    if spec.preset != lab.preset.name:
        raise UserError(
            f"The search is for the preset {spec.preset}, but {lab.preset.name} is open; open that "
            "one."
        )
    source = lab.subject(spec.source, spec.source_latents)
    target = lab.subject(spec.target, spec.target_latents)
    questions = lab.questions(source, target, templates=WORDINGS[spec.wording])
    return source, target, [one for one in questions if one.attribute in spec.attributes]


def case_of(lab: Lab, spec: Spec) -> Case:
    """The pair of a spec with the questions it asks.

    Raises:
        UserError: for an unknown city, a city without a latent, the same city twice, or another
            preset than the one that is open.
    """
    return lab.case(*_asked(lab, spec))


def combinations_of(case: Case, spec: Spec) -> Combinations:
    """All edits of a search.

    Raises:
        UserError: when a side has no meta-latents of its own.
    """
    return Combinations.of(case, spec.options, spec.removed, spec.added)


def _about(lab: Lab, spec: Spec) -> dict[str, Any]:
    """What the numbers of one pair depend on; travels with every export."""
    source, target, questions = _asked(lab, spec)
    return {
        "source": {"label": source.label, "latents": list(source.latents)},
        "target": {"label": target.label, "latents": list(target.latents)},
        "questions": [asdict(question) for question in questions],
        "options": spec.options.to_dict(),
        "removed": list(spec.removed),
        "added": list(spec.added),
        "screened": spec.screened,
        "estimating": spec.estimating,
        "units": UNITS,
        **asdict(lab.provenance),
    }


def _digest(values: Any) -> str:
    """A short name of JSON-able values."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _folder(identity: str) -> Path:
    return cache_dir() / "searches" / identity


def _columns(case: Case) -> tuple[str, ...]:
    """A name per answer; whose it is tells apart answers that read the same."""
    answers = [(one.attribute, answer) for one in case.questions for answer in one.answers]
    names = [f"{attribute}: {answer.text}" for attribute, answer in answers]
    return tuple(
        name if names.count(name) == 1 else f"{name} ({answer.city})"
        for name, (_, answer) in zip(names, answers, strict=True)
    )


def _bits(code: int, width: int) -> str:
    """A pattern as its attributes' bits, the first attribute's first."""
    return "".join(str(code >> bit & 1) for bit in range(width))


def _damaged(path: Path) -> UserError:
    return UserError(
        f"{path} is damaged or of another search; delete it and start the search again, what else "
        "was computed stays."
    )


def _write_json(path: Path, values: Any) -> None:
    with written_whole(path) as part:
        part.write_text(json.dumps(values, ensure_ascii=False, allow_nan=False, indent=1), "utf-8")


def _read_json(path: Path, make: Callable[[Any], T]) -> T:
    """A file of `_write_json`.

    Raises:
        UserError: when it is damaged.
    """
    try:
        return make(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError) as error:
        raise _damaged(path) from error


def _claim(folder: Path, identity: str, values: Callable[[], dict[str, Any]]) -> bool:
    """Make the folder a job's, or see that it is; returns whether bf16 goes first there.

    Which precision goes first is measured, so the first answer is kept.

    Raises:
        UserError: when it can't be written or is another job's.
    """
    path = folder / "job.json"
    if not path.exists():
        _write_json(path, values())
    owner, bf16 = _read_json(path, lambda found: (found["id"], bool(found["bf16"])))
    if owner != identity:
        raise UserError(f"{folder} holds another search; choose an empty folder.")
    return bf16


def _screens(spec: Spec, count: int, fast: Callable[[], bool]) -> bool:
    """Whether a search of so many combinations goes through them in bf16 first."""
    if spec.estimating:
        return False
    return spec.screened if spec.screened is not None else count > 4 * CHUNK and fast()


def _bf16_is_fast() -> bool:
    return fast_dtype_of_products() == torch.bfloat16


def found_to_dict(found: Found) -> dict[str, Any]:
    """As JSON-able values; a margin nothing rivals is None, so is a share nobody counted."""
    numbers = {"margin": found.margin, "reached_by": found.reached_by}
    known = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
    return asdict(found) | {"edit": found.edit.to_dict()} | known


def found_from_dict(values: Mapping[str, Any]) -> Found:
    """What `found_to_dict` wrote. Raises what damaged values raise."""
    margin, share = values["margin"], values["reached_by"]
    return Found(
        edit=Edit.from_dict(values["edit"]),
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

    patterns: tuple[Found, ...]
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


@dataclass(frozen=True)
class State:
    """How far a job is, read from its folder by whoever wants to know.

    Attributes:
        done, total: combinations, or pairs of `Pairs`.
        finished: whether the summary is there too.
    """

    done: int
    total: int
    finished: bool


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
        self.case = case_of(lab, spec)
        self.spec = replace(spec, source=self.case.source.label, target=self.case.target.label)
        self.combinations = combinations_of(self.case, spec)
        self._about = _about(lab, spec)
        self.id = _digest(self._about)
        self.folder = folder or _folder(self.id)
        self.columns = _columns(self.case)
        self._seen = Leaders()
        count = len(self.combinations)
        if spec.estimating:
            # What is scored is found out on the way.
            count = 0
        size = max(1, STEP * -(-count // (PARTS * STEP)))
        self._spans = [range(at, min(at + size, count)) for at in range(0, count, size)]
        width = len(self.case.questions)
        # OTHER is −1: the last.
        self._patterns = [*(_bits(code, width) for code in range(2**width)), "other"]
        assert self._patterns[OTHER] == "other"

    @property
    def about(self) -> dict[str, Any]:
        """Model, SAEs, prompts, options, units and version: what every export carries."""
        return {"id": self.id, "combinations": len(self.combinations)} | self._about

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
        return _read_json(self._done, Summary.from_dict)

    def so_far(self) -> pd.DataFrame:
        """Which patterns the run in this process has met: a column each attribute, whether it
        moved, and combinations, how many did it; fewest moves first."""
        counts = sorted(self._seen.counts.items(), key=lambda one: (one[0].bit_count(), one[0]))
        rows = [
            named(self.case, code) | {"combinations": count}
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
        bf16 = _screens(self.spec, count, _bf16_is_fast)
        engine = Engine(self.case, self.combinations, torch.bfloat16 if bf16 else torch.float32)
        some = np.linspace(0, len(self.combinations) - 1, PROBE).astype(np.int64)
        engine.logprobs(some)
        began = time.perf_counter()
        engine.logprobs(some)
        each = (time.perf_counter() - began) / len(some)
        config = self.case.model.hf.config
        inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
        wide = 2 * inner + 8 * config.hidden_size
        changes = CHUNK * config.hidden_size * len(self.case.source.latents)
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
        self._seen = leaders = Leaders(AHEAD if screened else 1)
        missing, done, seconds = [], 0, 0.0
        # All that is there is looked at first, so that damage shows before anything is computed.
        for number, span in enumerate(self._spans):
            if self._part(number).exists():
                table, took = self._read(number)
                leaders.see(self._judged(table))
                done, seconds = done + len(span), seconds + took
            else:
                missing.append(number)
        engine = Engine(self.case, self.combinations, torch.bfloat16 if screened else torch.float32)
        for number in missing:
            span, began, tables = self._spans[number], time.perf_counter(), []
            for start in range(span.start, span.stop, CHUNK):
                if cancelled is not None and cancelled.is_set():
                    return None
                numbers = np.arange(start, min(start + CHUNK, span.stop))
                scores = engine.logprobs(numbers)
                chunk = Chunk(numbers, scores, judge(self.case, scores))
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
        self._seen = leaders = Leaders()
        engine = _Remembering(self.case, self.combinations, known=known)
        for chunk in rounds(engine, progress=progress):
            leaders.see(chunk)
            tables.append(self._table(chunk, exact=True))
            if sum(map(len, tables)) >= before:
                took = spent + time.perf_counter() - began
                self._write(self._verified, pa.concat_tables(tables), took)
            if cancelled is not None and cancelled.is_set():
                return None
        summary = Summary(
            patterns=reported(self.case, self.combinations, leaders),
            combinations=len(self.combinations),
            scored=sum(map(len, tables)),
            seconds=spent + time.perf_counter() - began,
            screened=False,
        )
        _write_json(self._done, self.about | summary.to_dict())
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
        return _claim(
            self.folder,
            self.id,
            lambda: self.about | spec | {"bf16": _screens(self.spec, count, _bf16_is_fast)},
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
        patterns = [self._patterns[code] for code in chunk.judged.pattern.tolist()]
        scores = list(chunk.scores.T.contiguous().numpy())
        verified = np.full(len(chunk.numbers), exact)
        columns = [chunk.numbers, patterns, chunk.judged.margin, *scores, verified]
        return pa.table(dict(zip(self._schema.names, columns, strict=True)), schema=self._schema)

    def _judged(self, table: pa.Table) -> Chunk:
        """A part as `Leaders` wants it."""
        codes = {pattern: code for code, pattern in enumerate(self._patterns)} | {"other": OTHER}
        pattern = np.array([codes[name] for name in table["pattern"].to_pylist()])
        judged = Judged(pattern, table["margin"].to_numpy())
        return Chunk(table["combination"].to_numpy(), torch.empty(0), judged)

    def _write(self, path: Path, table: pa.Table, seconds: float) -> None:
        note = json.dumps({"id": self.id, "seconds": seconds})
        with written_whole(path) as part:
            noted = table.replace_schema_metadata({_KEY: note})
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
            note = json.loads(table.schema.metadata[_KEY.encode()])
            numbers = table["combination"].to_numpy()
            whole = number is None or np.array_equal(numbers, np.array(self._spans[number]))
            known = set(table["pattern"].to_pylist()) <= set(self._patterns)
            fits = table.schema.equals(self._schema) and note["id"] == self.id
            seconds = float(note["seconds"])
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise _damaged(path) from error
        if not (whole and known and fits):
            raise _damaged(path)
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

    def _finish(self, leaders: Leaders, screened: bool, seconds: float) -> Summary:
        """Run again in fp32 what is reported, and write it down."""
        began = time.perf_counter()
        found: tuple[Found, ...] = ()
        table = self._schema.empty_table()
        if numbers := leaders.numbers():
            scores = Engine(self.case, self.combinations).logprobs(numbers)
            chunk = Chunk(np.array(numbers), scores, judge(self.case, scores))
            table = self._table(chunk, exact=True)
            found = verified(self.case, self.combinations, leaders)
        took = time.perf_counter() - began
        self._write(self._verified, table, took)
        count = len(self.combinations)
        summary = Summary(found, count, count, seconds + took, screened)
        _write_json(self._done, self.about | summary.to_dict())
        return summary


def open_job(lab: Lab, identity: str) -> "Job | Pairs":
    """The job of that id, begun earlier on this machine: by another tab, or before a restart.

    Raises:
        UserError: when there is none, or it was made with other weights.
    """
    path = _folder(identity) / "job.json"
    if not re.fullmatch("[0-9a-f]{12}", identity) or not path.exists():
        raise UserError(f'There is no search "{identity[:20]}" on this machine; start it anew.')
    job = _read_json(path, _remembered)(lab)
    if job.id != identity:
        raise UserError(
            f'The search "{identity}" was made with other weights or another version; start it '
            "anew."
        )
    return job


def _remembered(values: Any) -> "Callable[[Lab], Job | Pairs]":
    """The job a ``job.json`` is about, as soon as there is a lab for it."""
    if "specs" in values:
        specs, most = [Spec.from_dict(one) for one in values["specs"]], int(values["most"])
        return lambda lab: Pairs(lab, specs, most=most)
    spec = Spec.from_dict(values["spec"])
    return lambda lab: Job(lab, spec)


Entry = dict[str, Any]
"""What one pair of `Pairs` reached: a `Summary` as JSON-able values, or the "problem" it has."""

Spread = Callable[[Sequence[Spec], int, bool], Generator[tuple[int, Entry], None, None]]
"""``spread(specs, most, fast)``: searches them somewhere and yields the place and entry of each as
it is done; `fast` says whether long ones are screened in bf16."""


def searched(lab: Lab, spec: Spec, most: int = MOST_EXACT, fast: bool = False) -> Entry:
    """Search one pair in memory; what is wrong with the pair is told, not raised."""
    try:
        case = case_of(lab, spec)
        combinations = combinations_of(case, spec)
        screened = _screens(spec, len(combinations), lambda: fast)
        began, scored = time.perf_counter(), len(combinations)
        if spec.estimating:
            found, scored = estimated(case, combinations)
        else:
            found = search(case, combinations, screened, most)
    except UserError as error:
        return {"problem": str(error)}
    seconds = time.perf_counter() - began
    return Summary(found, len(combinations), scored, seconds, screened).to_dict()


def here(lab: Lab) -> Spread:
    """One pair after the other in this process."""

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
) -> "Pairs":
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
    return Pairs(lab, specs, folder, most)


class Pairs:
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
        self.id = _digest({"pairs": [_about(lab, spec) for spec in specs], "most": most})
        self.folder = folder or _folder(self.id)
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
            except UserError:  # it gets its line in the table
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
        fast = _claim(self.folder, self.id, lambda: {"id": self.id, "bf16": _bf16_is_fast()} | what)
        done = len(self.entries())
        missing = [place for place in range(len(self.specs)) if place not in self._entries]
        specs = [self.specs[place] for place in missing]
        with closing((spread or here(self.lab))(specs, self.most, fast)) as entries:
            for at, entry in entries:
                _write_json(self._path(missing[at]), entry)
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
                self._entries[place] = _read_json(self._path(place), _checked)
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
                        "pattern": "".join(str(int(moved)) for moved in found.pattern.values()),
                        "margin": found.margin,
                        "edit": json.dumps(found.edit.to_dict()),
                        "sentence": found.sentence,
                        "combination": found.number,
                        "reached_by": found.reached_by,
                    }
                    for found in summary.patterns
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


def check_output(path: Path) -> None:
    """See that a file can be written, before hours go into what is to be in it.

    Raises:
        UserError: for an ending that is no format, a folder, or a place that can't be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"{path} has no ending that says how to write it: {', '.join(FORMATS)}.")
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UserError(
            f"{path} can't be written ({error.strerror}); choose another place."
        ) from error


def export(
    path: Path, frames: Iterable[pd.DataFrame], schema: pa.Schema, about: dict[str, Any]
) -> None:
    """Write a table that comes in pieces, with what it is about; the ending says the format.

    Raises:
        UserError: see `check_output`.
    """
    check_output(path)
    ending, note = path.suffix.lower(), json.dumps(about, ensure_ascii=False)
    tables = (pa.Table.from_pandas(frame, schema, preserve_index=False) for frame in frames)
    with written_whole(path) as part:
        if ending == ".parquet":
            noted = schema.with_metadata({_KEY: note})
            with pq.ParquetWriter(part, noted, compression="zstd") as writer:
                for table in tables:
                    writer.write_table(table.cast(noted))
            return
        with part.open("w", encoding="utf-8", newline="") as file:
            if ending == ".csv":
                file.write(f"# {note}\n")
                lines = csv.writer(file)
                lines.writerow(schema.names)
                for table in tables:
                    lines.writerows(zip(*table.to_pydict().values(), strict=True))
                return
            file.write(f'{{"about": {note},\n"rows": [')
            before = "\n"
            for table in tables:
                for row in table.to_pylist():
                    file.write(before + json.dumps(_finite(row), ensure_ascii=False))
                    before = ",\n"
            file.write("\n]}\n")


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """JSON knows neither NaN nor infinity."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
