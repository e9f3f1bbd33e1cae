"""The rows of one search on disk: Parquet files of some combinations each, and the verified ones.

Every file is written whole or not at all, says whose it is and how long it took, and is checked
when it is read. Log-probabilities and margins are in nats.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from metasae.search.export import KEY
from metasae.search.job_files import damaged
from metasae.search.patterns import Chunk
from metasae.sources.files import json_values, written_whole
from metasae.steering.verdict import OTHER, OTHER_TEXT, pattern_bits, pattern_text


@dataclass(frozen=True)
class PartFiles:
    """The rows of one search.

    Attributes:
        folder: where they are.
        identity: of the search.
        columns: names of the answers' columns, "attribute: answer".
        questions: how many are asked.
        spans: the combinations of each part.
    """

    folder: Path
    identity: str
    columns: tuple[str, ...]
    questions: int
    spans: Sequence[range]

    @property
    def verified(self) -> Path:
        """The reported combinations from fp32; of an estimating search all it scored."""
        return self.folder / "verified.parquet"

    def part(self, number: int) -> Path:
        """The file of one part."""
        return self.folder / f"part-{number:08d}.parquet"

    def there(self) -> list[int]:
        """The parts that are written."""
        return [number for number in range(len(self.spans)) if self.part(number).exists()]

    @cached_property
    def _patterns(self) -> list[str]:
        """How a pattern stands in the table, by its code."""
        count = self.questions
        names = [pattern_text(pattern_bits(code, count)) for code in range(2**count)]
        assert OTHER == -1  # the last
        return [*names, OTHER_TEXT]

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns: combination, pattern, margin, one log-probability an answer, verified."""
        return pa.schema(
            [
                ("combination", pa.int64()),
                ("pattern", pa.string()),
                ("margin", pa.float64()),
                *((name, pa.float32()) for name in self.columns),
                ("verified", pa.bool_()),
            ]
        )

    def table(self, chunk: Chunk, exact: bool) -> pa.Table:
        """Scored combinations as rows.

        Args:
            exact: whether their scores are from fp32.
        """
        patterns = [self._patterns[code] for code in chunk.pattern.tolist()]
        scores = list(chunk.scores.T.contiguous().numpy())
        verified = np.full(len(chunk.numbers), exact)
        columns = [chunk.numbers, patterns, chunk.margin, *scores, verified]
        return pa.table(dict(zip(self.schema.names, columns, strict=True)), schema=self.schema)

    def chunk(self, table: pa.Table) -> Chunk:
        """Rows as scored combinations, without the scores."""
        codes = {name: code for code, name in enumerate(self._patterns)} | {OTHER_TEXT: OTHER}
        pattern = np.array([codes[name] for name in table["pattern"].to_pylist()])
        return Chunk(
            table["combination"].to_numpy(), torch.empty(0), pattern, table["margin"].to_numpy()
        )

    def write(self, path: Path, tables: Sequence[pa.Table], seconds: float) -> None:
        """Write some rows and the seconds they took.

        Raises:
            UserError: when the folder can't be written.
        """
        table = pa.concat_tables(tables) if tables else self.schema.empty_table()
        note = json.dumps({"id": self.identity, "seconds": seconds})
        with written_whole(path) as part:
            noted = table.replace_schema_metadata({KEY: note})
            pq.write_table(noted, part, compression="zstd", write_page_checksum=True)

    def read(self, number: int | None) -> tuple[pa.Table, float]:
        """A part, or (None) the verified rows, and the seconds they took.

        Raises:
            UserError: when it isn't whole, or of another search.
        """
        path = self.verified if number is None else self.part(number)
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                table = file.read()
            note = json_values(table.schema.metadata[KEY.encode()])
            numbers = table["combination"].to_numpy()
            whole = number is None or np.array_equal(numbers, np.array(self.spans[number]))
            known = set(table["pattern"].to_pylist()) <= set(self._patterns)
            fits = table.schema.equals(self.schema) and note["id"] == self.identity
            seconds = float(note["seconds"])
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise damaged(path) from error
        if not (whole and known and fits):
            raise damaged(path)
        return table, seconds

    def frames(self) -> Iterator[pd.DataFrame]:
        """Part by part, verified rows in place of screened ones; verified rows alone where there
        are no parts to be.

        Raises:
            UserError: when a file is damaged.
        """
        exact = self.read(None)[0].to_pandas() if self.verified.exists() else None
        if not self.spans and exact is not None:
            yield exact
        for number in self.there():
            span, frame = self.spans[number], self.read(number)[0].to_pandas()
            if exact is not None:
                mine = exact[exact["combination"].between(span.start, span.stop - 1)]
                both = pd.concat([frame, mine]).drop_duplicates("combination", keep="last")
                frame = both.sort_values("combination", ignore_index=True)
            yield frame


@dataclass
class PartWriter:
    """A sink that writes a part when its last combination has come.

    Attributes:
        missing: parts that are to come, in this order.
        exact: whether the scores are from fp32.
        seconds: spent so far.
    """

    files: PartFiles
    missing: Sequence[int]
    exact: bool
    seconds: float = 0.0
    _tables: list[pa.Table] = field(default_factory=list)
    _written: int = 0
    _began: float = field(default_factory=time.perf_counter)

    def __call__(self, chunk: Chunk) -> None:
        """Take some combinations."""
        self._tables.append(self.files.table(chunk, self.exact))
        number = self.missing[self._written]
        if int(chunk.numbers[-1]) + 1 == self.files.spans[number].stop:
            took = time.perf_counter() - self._began
            self.files.write(self.files.part(number), self._tables, took)
            self.seconds += took
            self._tables, self._written = [], self._written + 1
            self._began = time.perf_counter()


@dataclass
class ScoredWriter:
    """A sink that writes all that was scored so far, from some number of rows on.

    Attributes:
        least: rows that are on disk already: fewer are not worth writing.
        spent: seconds an earlier run took.
    """

    files: PartFiles
    least: int = 0
    spent: float = 0.0
    rows: int = 0
    _tables: list[pa.Table] = field(default_factory=list)
    _began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Spent so far, earlier runs included."""
        return self.spent + time.perf_counter() - self._began

    def __call__(self, chunk: Chunk) -> None:
        """Take some combinations."""
        self._tables.append(self.files.table(chunk, exact=True))
        self.rows += len(chunk.numbers)
        if self.rows >= self.least:
            self.files.write(self.files.verified, self._tables, self.seconds)
