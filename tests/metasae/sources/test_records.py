"""Frozen records survive JSON, and nothing else becomes one."""

import json
import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasae.sources.records import as_json, from_values, to_values


@dataclass(frozen=True)
class Inner:
    name: str
    share: float = 0.5


def _numbers(text: Any) -> tuple[int, ...]:
    if not isinstance(text, str):
        raise ValueError("no text")
    return tuple(map(int, text.split()))


@dataclass(frozen=True)
class Outer:
    count: int
    kind: Literal["a", "b"]
    inner: tuple[Inner, ...] = ()
    table: dict[str, bool] = field(default_factory=dict)
    label: str | None = None
    written: Annotated[
        tuple[int, ...], *as_json(lambda value: " ".join(map(str, value)), _numbers)
    ] = ()

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("count is negative")


INNERS = st.builds(Inner, st.text(), st.floats(allow_nan=False, allow_infinity=False))

OUTERS = st.builds(
    Outer,
    count=st.integers(0, 2**40),
    kind=st.sampled_from(["a", "b"]),
    inner=st.lists(INNERS).map(tuple),
    table=st.dictionaries(st.text(), st.booleans()),
    label=st.none() | st.text(),
    written=st.lists(st.integers(-9, 9)).map(tuple),
)


@given(OUTERS)
def test_a_record_survives_strict_json(record: Outer) -> None:
    values = json.loads(json.dumps(to_values(record), allow_nan=False))
    assert from_values(Outer, values) == record


def test_values_by_hand() -> None:
    record = Outer(3, "b", (Inner("x", 1.0),), {"yes": True}, None, (1, -2))
    values = {
        "count": 3, "kind": "b", "inner": [{"name": "x", "share": 1.0}], "table": {"yes": True},
        "label": None, "written": "1 -2",
    }  # fmt: skip
    assert to_values(record) == values
    assert from_values(Outer, values) == record


def test_what_is_left_out_is_as_by_default() -> None:
    assert from_values(Outer, {"count": 1, "kind": "a"}) == Outer(1, "a")
    assert from_values(Inner, {"name": "x"}).share == 0.5
    # A whole number is a number, too; what a file says beyond the record is passed over.
    share = from_values(Inner, {"name": "x", "share": 1, "more": 2}).share
    assert share == 1.0 and isinstance(share, float)


@pytest.mark.parametrize(
    "changes",
    [
        {"count": "3"}, {"count": 3.5}, {"count": True}, {"count": None}, {"count": -1},
        {"kind": "c"}, {"kind": 1}, {"inner": [{"share": 1.0}]}, {"inner": {"name": "x"}},
        {"inner": [{"name": 5}]}, {"table": {"yes": 1}}, {"table": []}, {"label": 3},
        {"written": 5}, {"written": "1 x"}, {"written": [1, 2]},
    ],
)  # fmt: skip
def test_another_kind_of_value_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        from_values(Outer, {"count": 1, "kind": "a"} | changes)


@pytest.mark.parametrize("values", [None, [], "text", 3, {}, {"count": 1}])
def test_something_else_is_refused(values: Any) -> None:
    with pytest.raises(ValueError):
        from_values(Outer, values)


def test_what_is_no_json_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        from_values(Outer, {"count": 1, "kind": {"a"}})


def test_what_json_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError):
        from_values(Inner, {"name": math.nan})
