"""The studies there are; the command line and the page are made from this list.

A study's module is imported when it is asked for: the list itself costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from metasae.errors import UserError

if TYPE_CHECKING:
    from metasae.studies.study import Study

MOST_SEEDS = 10
"""Meta-SAEs that a study is asked of at most."""

STUDIES = {
    "max-cosine": "max_cosine",
    "rebuild": "rebuild",
    "graphs": "graphs",
    "cooccurrence": "cooccurrence",
    "splitting": "splitting",
    "stitching": "stitching",
    "global-edit": "global_edit",
    "saebench": "saebench",
}
"""Name → module of this package, in the order they are shown."""

ELSEWHERE = {"ravel": "metasae.ravel.study"}
"""Likewise those of floors above, each with a page and a command of its own."""


def study(name: str) -> "Study":
    """The study of a name.

    Raises:
        UserError: when there is none.
    """
    modules = {one: f"metasae.studies.{module}" for one, module in STUDIES.items()} | ELSEWHERE
    if name not in modules:
        raise UserError(f"There is no study {name}; there are: {', '.join(modules)}.")
    made: Study = import_module(modules[name]).STUDY
    return made
