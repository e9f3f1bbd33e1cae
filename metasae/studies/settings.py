"""What a study's settings mean: the lines of its configuration's docstring, one a field."""

import inspect
import re
from dataclasses import fields

PLACE = {"place": True}
"""Metadata of a field that names a folder or a file, which is opened: who may is asked first."""


def places(configuration: type) -> tuple[str, ...]:
    """The fields that are marked with `PLACE`."""
    return tuple(one.name for one in fields(configuration) if one.metadata.get("place"))


_FIELDS = re.compile(r"^ {4}(\w+(?:, \w+)*): (.*)$")


def meanings(configuration: type) -> dict[str, str]:
    """Field → what the configuration's docstring says of it, under "Attributes:".

    Fields that share a line share its text; one that isn't there is left out.
    """
    found: dict[str, list[str]] = {}
    names: tuple[str, ...] = ()
    inside = False
    for line in inspect.cleandoc(configuration.__doc__ or "").splitlines():
        if not line.startswith(" ") and line.strip():
            inside, names = line == "Attributes:", ()
        elif inside and (begun := _FIELDS.match(line)):
            names = tuple(begun[1].split(", "))
            found |= {name: [begun[2]] for name in names}
        elif inside and line.strip():
            for name in names:
                found[name].append(line.strip())
    return {name: " ".join(words) for name, words in found.items()}
