"""The lessons there are: the modules of `walks`, in the order of their numbers."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from metasae.errors import UserError
from metasae.lessons import walks
from metasae.lessons.lesson import Lesson


@cache
def lessons() -> tuple[Lesson, ...]:
    """All lessons."""
    names = [one.name for one in iter_modules(walks.__path__)]
    found: list[Lesson] = [import_module(f"{walks.__name__}.{name}").LESSON for name in names]
    return tuple(sorted(found, key=lambda one: one.number))


def lesson(name: str) -> Lesson:
    """The lesson of a name.

    Raises:
        UserError: when there is none.
    """
    for one in lessons():
        if one.name == name:
            return one
    names = ", ".join(one.name for one in lessons())
    raise UserError(f"There is no lesson {name}; there are: {names}.")
