"""A study's figures as tables to read: each with its interval and its control beside it."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

_WORDS = {"fve": "variance explained", "l0": "L0", "phi": "φ"}
"""Parts of names → how they are read."""

_LOW, _HIGH = "low", "high"


def numbers(figures: Mapping[str, Any]) -> pd.DataFrame:
    """Columns Figure, Value, 95 % interval, Control: what stands alone, or in a list of one."""
    rows = []
    for name, value, interval, control in _alone(figures):
        rows.append(
            {
                "Figure": name, "Value": said(value), "95 % interval": between(interval),
                "Control": said(control),
            }
        )  # fmt: skip
    table = pd.DataFrame(rows, columns=["Figure", "Value", "95 % interval", "Control"])
    return table.loc[:, [name for name in table if name == "Value" or (table[name] != "").any()]]


def lists(figures: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Name → table of a list of several records, an interval in one column."""
    return {
        readable(name): pd.DataFrame([_row(one) for one in values])
        for name, values in figures.items()
        if _records(values) and len(values) > 1
    }


def readable(name: str) -> str:
    """A figure's name in words."""
    return " ".join(_WORDS.get(part, part) for part in name.split("_"))


def said(value: object) -> str:
    """A figure as it is read."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}"
    if isinstance(value, Mapping):
        return said(value.get("value"))
    return "" if value is None else str(value)


def between(interval: tuple[object, object] | None) -> str:
    """An interval as it is read."""
    return "" if interval is None else f"{said(interval[0])} to {said(interval[1])}"


Found = tuple[str, Any, tuple[Any, Any] | None, Any]
"""Name in words, value, interval, control."""


def _alone(figures: Mapping[str, Any]) -> Iterator[Found]:
    for name, value in figures.items():
        if _records(value) and len(value) == 1:
            yield from _found(value[0])
        elif isinstance(value, Mapping) and "value" not in value and _is_flat(value):
            for key, of, interval, control in _found(value):
                yield f"{readable(name)}: {key}", of, interval, control
    yield from _found(figures)


def _found(record: Mapping[str, Any]) -> Iterator[Found]:
    """The plain values of a record; ``low`` and ``high`` belong to what stands before them."""
    names = list(record)
    controls = {name: _control(name, names) for name in names}
    taken = {_LOW, _HIGH, *filter(None, controls.values())}
    for place, name in enumerate(names):
        value = record[name]
        if name in taken or not _plain(value):
            continue
        interval = None
        if isinstance(value, Mapping):
            interval = value.get(_LOW), value.get(_HIGH)
        elif names[place + 1 : place + 3] == [_LOW, _HIGH] and record[_LOW] is not None:
            interval = record[_LOW], record[_HIGH]
        control = controls[name]
        yield readable(name), value, interval, record[control] if control else None


def _control(name: str, names: list[str]) -> str | None:
    """The name of a value's control among its neighbours."""
    ways = (f"random_{name}", f"control_{name}", f"{name}_random", f"{name}_control")
    return next((way for way in ways if way in names), None)


def _row(record: Mapping[str, Any]) -> dict[str, str]:
    row = {}
    for name, value, interval, control in _found(record):
        row[name] = said(value)
        if interval is not None:
            row[f"{name}, 95 %"] = between(interval)
        if control is not None:
            row[f"{name}, control"] = said(control)
    return row


def _plain(value: object) -> bool:
    return not isinstance(value, list | Mapping) or (
        isinstance(value, Mapping) and "value" in value
    )


def _is_flat(values: Mapping[str, Any]) -> bool:
    return bool(values) and all(map(_plain, values.values()))


def _records(values: object) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(v, Mapping) for v in values)
