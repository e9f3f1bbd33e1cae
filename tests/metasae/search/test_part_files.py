"""A search's rows on disk: written in parts, read back checked."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from metasae.errors import UserError
from metasae.search.part_files import PartFiles, PartWriter, ScoredWriter
from metasae.search.patterns import Chunk
from metasae.steering.verdict import OTHER
from tests.builders import one_sentence

COLUMNS = ("country: Japan", "country: France", "language: Japanese")


@pytest.fixture
def files(tmp_path: Path) -> PartFiles:
    """Seven combinations of two questions in parts of three."""
    return PartFiles(tmp_path, "abc", COLUMNS, 2, [range(3), range(3, 6), range(6, 7)])


def chunk(*numbers: int, patterns: tuple[int, ...] = (), shift: float = 0.0) -> Chunk:
    """Scores that say whose they are: a combination's number and the answer's."""
    scores = torch.tensor([[-(10.0 * n + a) + shift for a in range(3)] for n in numbers])
    codes = np.array(patterns or [n % 4 for n in numbers])
    return Chunk(np.array(numbers), scores, codes, np.array([n / 4 for n in numbers]))


def test_rows_by_hand(files: PartFiles) -> None:
    table = files.table(chunk(4, 5, 6, patterns=(0b01, 0b10, OTHER)), exact=True)
    assert table.schema.names == ["combination", "pattern", "margin", *COLUMNS, "verified"]
    assert table.to_pydict() == {
        "combination": [4, 5, 6],
        "pattern": ["10", "01", "other"],  # the first attribute's bit first
        "margin": [1.0, 1.25, 1.5],
        "country: Japan": [-40.0, -50.0, -60.0],
        "country: France": [-41.0, -51.0, -61.0],
        "language: Japanese": [-42.0, -52.0, -62.0],
        "verified": [True] * 3,
    }


@pytest.mark.parametrize("patterns", [(0, 1, 2), (3, OTHER, OTHER)])
def test_what_is_written_is_read_back(files: PartFiles, patterns: tuple[int, ...]) -> None:
    files.write(files.part(1), [files.table(chunk(3, 4, 5, patterns=patterns), False)], 2.5)
    table, seconds = files.read(1)
    again = files.chunk(table)
    assert seconds == 2.5
    assert again.numbers.tolist() == [3, 4, 5]
    assert again.pattern.tolist() == list(patterns) and again.margin.tolist() == [0.75, 1.0, 1.25]
    assert files.there() == [1]
    assert files.part(1).name == "part-00000001.parquet"


def test_no_rows_are_a_file_too(files: PartFiles) -> None:
    files.write(files.verified, [], 0.0)
    table, _ = files.read(None)
    assert table.num_rows == 0 and table.schema.equals(files.schema)


def spoil(files: PartFiles, how: str) -> None:
    path = files.part(0)
    rows = files.table(chunk(0, 1, 2), False)
    if how == "missing":
        path.unlink()
    elif how == "cut off":
        path.write_bytes(path.read_bytes()[:-20])
    elif how == "flipped":
        content = bytearray(path.read_bytes())
        content[20] ^= 0xFF
        path.write_bytes(content)
    elif how == "a row less":
        files.write(path, [rows.slice(1)], 1.0)
    elif how == "of another search":
        other = PartFiles(files.folder, "other", COLUMNS, 2, files.spans)
        other.write(path, [rows], 1.0)
    elif how == "of another part":
        files.write(path, [files.table(chunk(3, 4, 5), False)], 1.0)
    elif how == "other columns":
        other = PartFiles(files.folder, "abc", ("x", "y", "z"), 2, files.spans)
        other.write(path, [other.table(chunk(0, 1, 2), False)], 1.0)
    elif how == "no such pattern":
        other = PartFiles(files.folder, "abc", COLUMNS, 3, files.spans)
        other.write(path, [other.table(chunk(0, 1, 2), False)], 1.0)
    else:
        pq.write_table(rows.replace_schema_metadata({"metasae": json.dumps({"id": "abc"})}), path)


@pytest.mark.parametrize(
    "how",
    [
        "missing", "cut off", "flipped", "a row less", "of another search", "of another part",
        "other columns", "no such pattern", "without its seconds",
    ],
)  # fmt: skip
def test_what_is_not_whole_or_not_ones_own_is_refused(files: PartFiles, how: str) -> None:
    files.write(files.part(0), [files.table(chunk(0, 1, 2), False)], 1.0)
    files.read(0)
    spoil(files, how)
    with pytest.raises(UserError, match=r"part-00000000\.parquet is damaged") as raised:
        files.read(0)
    one_sentence(raised)


def test_verified_rows_stand_in_for_screened_ones(files: PartFiles) -> None:
    for number, span in enumerate(files.spans):
        if number != 1:
            files.write(files.part(number), [files.table(chunk(*span), False)], 1.0)
    exact = files.table(chunk(1, 4, 6, patterns=(3, 3, OTHER), shift=0.5), True)
    files.write(files.verified, [exact], 1.0)
    first, last = files.frames()
    assert first["combination"].tolist() == [0, 1, 2]
    assert first["verified"].tolist() == [False, True, False]
    assert first["pattern"].tolist() == ["00", "11", "01"]
    assert first[COLUMNS[0]].tolist() == [0.0, -9.5, -20.0]
    assert (last["combination"].tolist(), last["verified"].tolist()) == ([6], [True])


def test_without_parts_to_be_the_verified_rows_stand_alone(tmp_path: Path) -> None:
    files = PartFiles(tmp_path, "abc", COLUMNS, 2, [])
    assert list(files.frames()) == []
    files.write(files.verified, [files.table(chunk(8, 2), True)], 1.0)
    (frame,) = files.frames()
    assert frame["combination"].tolist() == [8, 2]


def test_a_part_is_written_when_its_last_combination_has_come(files: PartFiles) -> None:
    writer = PartWriter(files, [0, 1, 2], exact=False)
    seen = []
    for numbers in ((0, 1), (2,), (3,), (4, 5), (6,)):
        writer(chunk(*numbers))
        seen.append(files.there())
    assert seen == [[], [0], [0], [0, 1], [0, 1, 2]]
    together = pd.concat(files.frames(), ignore_index=True)
    expected = files.table(chunk(*range(7)), False).to_pandas()
    pd.testing.assert_frame_equal(together, expected)
    assert writer.seconds == pytest.approx(sum(files.read(number)[1] for number in range(3)))


def test_only_missing_parts_are_written(files: PartFiles) -> None:
    files.write(files.part(1), [files.table(chunk(3, 4, 5, shift=0.5), True)], 7.0)
    writer = PartWriter(files, [2, 0], exact=True)
    for numbers in ((6,), (0, 1, 2)):
        writer(chunk(*numbers))
    assert files.there() == [0, 1, 2]
    assert files.read(1)[1] == 7.0
    assert files.read(2)[0]["verified"].to_pylist() == [True]


def test_all_that_was_scored_is_written_once_it_is_more_than_is_there(files: PartFiles) -> None:
    writer = ScoredWriter(files, least=4, spent=100.0)
    writer(chunk(5, 1))
    assert not files.verified.exists()
    writer(chunk(6, 0))
    table, seconds = files.read(None)
    assert table["combination"].to_pylist() == [5, 1, 6, 0] and seconds >= 100.0
    writer(chunk(3))
    table, more = files.read(None)
    assert table["combination"].to_pylist() == [5, 1, 6, 0, 3] and more >= seconds
    assert table["verified"].to_pylist() == [True] * 5 and writer.rows == 5
