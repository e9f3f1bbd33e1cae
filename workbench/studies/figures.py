"""A study's figures as tables to read: each with its interval and its control beside it."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

_WORDS = {
    "fve": "variance explained %",
    "fve_centred": "variance explained, centred %",
    "l0": "L0",
    "meta": "meta-latent",
    "meta_latents": "meta-latents",
    "nats": "cross-entropy, nats a token",
    "seed": "start",
    "smaller_width": "latents of the smaller SAE",
}
"""What several studies have, where a study says nothing else."""

_PARTS = {"fve": "variance explained", "l0": "L0", "phi": "φ", "roc": "ROC"}
"""Parts of other names → how they are read."""

_NUMBERS = frozenset({"meta", "latent", "parent", "seed", "other"})
"""Numbers by which something is called; never written with a comma."""

_LOW, _HIGH = "low", "high"

_SHARE = " %"

Words = Mapping[str, str]
"""See `metasae.studies.study.Study`."""


def numbers(figures: Mapping[str, Any], words: Words = _WORDS) -> pd.DataFrame:
    """Columns Figure, Value, 95 % interval, Control: what stands alone, or in a list of one."""
    control = _named_control(words)
    rows = [
        {
            "Figure": label.removesuffix(_SHARE), "Value": said(value, label),
            "95 % interval": between(interval, label), control: said(beside, label),
        }
        for label, value, interval, beside in _alone(figures, words)
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["Figure", "Value", "95 % interval", control])
    return table.loc[:, [name for name in table if name == "Value" or (table[name] != "").any()]]


def lists(figures: Mapping[str, Any], words: Words = _WORDS) -> dict[str, pd.DataFrame]:
    """Name → table of a list of several records, an interval in one column."""
    return {
        readable(name, words): pd.DataFrame([_row(one, name, words) for one in values])
        for name, values in figures.items()
        if _records(values) and len(values) > 1
    }


def readable(name: str, words: Words = _WORDS) -> str:
    """A figure's name in words; they end in " %" where it is a share."""
    for known in (words, _WORDS):
        if name in known:
            return known[name]
    said = " ".join(_PARTS.get(part, part) for part in name.replace("-", "_").split("_"))
    return said.replace("meta latent", "meta-latent")


def said(value: object, label: str = "") -> str:
    """A figure as it is read.

    Args:
        label: its name in words.
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and not label.endswith(_SHARE):
        return f"{value:,}"
    if isinstance(value, int | float):
        return _real(float(value), label.endswith(_SHARE))
    if isinstance(value, Mapping):
        return said(value.get("value"), label)
    return "" if value is None else str(value)


def between(interval: tuple[object, object] | None, label: str = "") -> str:
    """An interval as it is read."""
    if interval is None:
        return ""
    return f"{said(interval[0], label)} to {said(interval[1], label)}"


def _real(value: float, is_share: bool) -> str:
    if math.isnan(value):
        return ""
    if is_share:
        return f"{value:.1%}" if value == 0 or abs(value) >= 0.01 else f"{value:.2%}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if 0 < abs(value) < 0.01:  # not in powers of ten
        return f"{value:.6f}" if abs(value) < 1e-4 else f"{value:.5f}"
    return f"{value:#.3g}"


Found = tuple[str, Any, tuple[Any, Any] | None, Any]
"""Name, value, interval, control."""


def _alone(figures: Mapping[str, Any], words: Words) -> Iterator[Found]:
    own = {name: found for name, *found in _found(figures)}
    for name, value in figures.items():
        if name in own:
            yield (readable(name, words), *_three(own[name]))
        elif _records(value) and len(value) == 1:
            for key, *found in _found(value[0]):
                label = words.get(f"{name}.{key}") or readable(key, words)
                yield (label, *_three(found))
        elif isinstance(value, Mapping) and "value" not in value and _is_flat(value):
            for key, *found in _found(value):
                yield (_label(name, key, words), *_three(found))


def _three(found: list[Any]) -> tuple[Any, tuple[Any, Any] | None, Any]:
    value, interval, control = found
    return value, interval, control


def _label(group: str, key: str, words: Words) -> str:
    """The name of a figure in a group of them, which may have words of its own: "group.key"."""
    if (own := words.get(f"{group}.{key}")) is not None:
        return own
    # A number tells SAEs by their width.
    within = f"{int(key):,}" if key.isdecimal() else readable(key, words)
    of = readable(group, words)
    is_share = of.endswith(_SHARE) or within.endswith(_SHARE)
    return f"{of.removesuffix(_SHARE)}: {within.removesuffix(_SHARE)}{_SHARE * is_share}"


def _found(record: Mapping[str, Any]) -> Iterator[Found]:
    """The plain values of a record; ``low`` and ``high`` belong to what stands before them."""
    names = list(record)
    controls = {name: _control(name, names) for name in names}
    intervals = {name: _interval(name, names, record) for name in names}
    taken = set(filter(None, controls.values()))
    for both in filter(None, intervals.values()):
        taken |= set(both)
    for name in names:
        value = record[name]
        if name in taken or not _plain(value):
            continue
        interval: tuple[Any, Any] | None = None
        if isinstance(value, Mapping):
            interval = value.get(_LOW), value.get(_HIGH)
        elif ends := intervals[name]:
            interval = record[ends[0]], record[ends[1]]
        if interval is not None and any(map(_is_nothing, interval)):
            interval = None
        control = controls[name]
        value = str(value) if name in _NUMBERS else value
        yield name, value, interval, record[control] if control else None


def _interval(name: str, names: list[str], record: Mapping[str, Any]) -> tuple[str, str] | None:
    """The names of the ends of a value's interval among its neighbours."""
    own = (f"{name}_{_LOW}", f"{name}_{_HIGH}")
    if set(own) <= set(names):
        return own
    at = names.index(name)
    return (_LOW, _HIGH) if names[at + 1 : at + 3] == [_LOW, _HIGH] else None


def _is_nothing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _named_control(words: Words) -> str:
    return f"Control: {words['control']}" if "control" in words else "Control"


def _control(name: str, names: list[str]) -> str | None:
    """The name of a value's control among its neighbours."""
    ways = (
        f"random_{name}", f"control_{name}", f"{name}_random", f"{name}_control",
        f"{name}_by_chance",
    )  # fmt: skip
    return next((way for way in ways if way in names), None)


def _row(record: Mapping[str, Any], of: str, words: Words) -> dict[str, str]:
    row = {}
    for name, value, interval, control in _found(record):
        label = words.get(f"{of}.{name}") or readable(name, words)
        column = label.removesuffix(_SHARE)
        row[column] = said(value, label)
        if interval is not None:
            row[f"{column}, 95 %"] = between(interval, label)
        if control is not None:
            row[f"{column}, {words.get('control', 'control')}"] = said(control, label)
    return row


def _plain(value: object) -> bool:
    return not isinstance(value, list | Mapping) or (
        isinstance(value, Mapping) and "value" in value
    )


def _is_flat(values: Mapping[str, Any]) -> bool:
    return bool(values) and all(map(_plain, values.values()))


def _records(values: object) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(v, Mapping) for v in values)
