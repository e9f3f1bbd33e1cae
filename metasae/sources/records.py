"""Frozen records to and from JSON-able values, checked by pydantic.

A record is a plain dataclass; what its fields may hold is what their annotations say, strictly: no
text becomes a number, no 1 becomes true. Fields whose JSON is another shape than their type say so
with `as_json`.
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BeforeValidator, PlainSerializer, TypeAdapter

T = TypeVar("T")

_PLAIN = (dict, str, int, float, bool, list, type(None))


def as_json(write: Callable[[Any], Any], read: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Annotations of a field whose JSON has another shape: ``Annotated[Kind, *as_json(...)]``.

    Args:
        write: makes JSON-able values of the field's value.
        read: makes the field's value of JSON-able values; raises ValueError for any it can't read.
    """
    return (
        PlainSerializer(write),
        BeforeValidator(lambda value: read(value) if isinstance(value, _PLAIN) else value),
    )


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}
"""By kind of record; made once, since making one takes longer than using it."""


def _adapter(kind: type) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def to_values(record: Any) -> dict[str, Any]:
    """The JSON-able values of a record."""
    values: dict[str, Any] = _adapter(type(record)).dump_python(record, mode="json")
    return values


def from_values(kind: type[T], values: Any) -> T:
    """The record of a kind that JSON-able values describe.

    Raises:
        ValueError: when they describe none (pydantic's ValidationError, which says where), and
            whatever the record's own checks raise.
        TypeError: when they are not JSON-able.
    """
    try:
        written = json.dumps(values)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    record: T = _adapter(kind).validate_json(written, strict=True)
    return record
