"""A list of latents, meta-latents and edits that somebody collected: a value, in links and files.

Each entry is what a link to it says, so that whoever has the list can open all that is in it.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

import pandas as pd

from metasae.errors import UserError
from metasae.sources.files import json_values
from metasae.sources.presets import Opened
from metasae.sources.spreadsheets import csv_text
from metasae.sources.versions import LIST
from metasae.steering.edits import Edit
from metasae.steering.link import (
    LONGEST_TEXT,
    LinkError,
    address,
    check_version,
    damaged,
    edit_from_text,
)
from metasae.steering.setting import Setting

MOST = 60
"""Entries of a list."""

LONGEST_NAME = 60
"""Characters of a list's name."""

LONGEST = 6000
"""Characters of a list in a link; browsers and servers take an address of about 8,000."""

_WORDS = frozenset(
    [
        "v",
        "preset",
        "latent",
        "width",
        "meta",
        "source",
        "target",
        "source_latents",
        "target_latents",
        "edit",
        "wording",
        "ask",
        "answers",
    ]
)
"""Query parameters of what can be in a list."""

LATENT, META, EDIT = "latent", "meta-latent", "edit"
"""Kinds of entries."""

_PAGES = {LATENT: "latents", META: "meta-latents", EDIT: ""}
"""Last part of the address of the page that opens each."""


@dataclass(frozen=True)
class Entry:
    """One thing in a list.

    Attributes:
        place: the query parameters of the link that opens it, sorted by name.
    """

    place: tuple[tuple[str, str], ...]

    @staticmethod
    def of(query: Mapping[str, str]) -> "Entry":
        """The entry that a link's query opens.

        Raises:
            UserError: when it opens no latent, meta-latent or edit.
        """
        entry = Entry(tuple(sorted(query.items())))
        for name, value in query.items():
            if name not in _WORDS or len(value) > LONGEST_TEXT:
                raise damaged("list", f"{name}={value}")
        check_version(query)
        for name in ("latent", "meta", "width"):
            if name in query and not re.fullmatch(r"\d{1,9}", query[name]):
                raise damaged(name, query[name])
        _ = entry.kind, entry.setting, entry.edit
        return entry

    @property
    def query(self) -> dict[str, str]:
        """See ``place``."""
        return dict(self.place)

    @property
    def setting(self) -> Setting:
        """What an edit is made in; of anything else only the preset is said.

        Raises:
            LinkError: when it is damaged.
        """
        return Setting.from_query(self.query)

    @property
    def preset(self) -> Opened:
        """What it is of."""
        return self.setting.preset

    @property
    def edit(self) -> Edit:
        """The edit; `NO_EDIT` of anything else.

        Raises:
            UserError: when it is damaged.
        """
        return edit_from_text(self.query.get("edit", "none"))

    @property
    def link(self) -> str:
        """Its link, to a workbench on this machine."""
        return address(self.query, _PAGES[self.kind])

    @property
    def kind(self) -> str:
        """`LATENT`, `META` or `EDIT`.

        Raises:
            UserError: when it is none of them.
        """
        query = self.query
        for name, kind in (("latent", LATENT), ("meta", META), ("target", EDIT)):
            if name in query:
                return kind
        raise damaged("list", urlencode(self.place))


@dataclass(frozen=True)
class Listed:
    """A list with its name.

    Raises:
        UserError: for a name or a list that is too long.
    """

    name: str = ""
    entries: tuple[Entry, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", " ".join(self.name.split()))
        if len(self.name) > LONGEST_NAME:
            raise UserError(f"A list's name has {LONGEST_NAME} characters at most.")
        object.__setattr__(self, "entries", tuple(dict.fromkeys(self.entries)))
        if len(self.entries) > MOST or len(quote(self.to_text(), safe="")) > LONGEST:
            raise UserError(
                f"A list holds {MOST} entries at most, and no more than fit into a link; take some "
                "out, or begin another."
            )

    def with_entry(self, entry: Entry) -> "Listed":
        """The list with another entry at its end.

        Raises:
            UserError: when it is full.
        """
        return replace(self, entries=(*self.entries, entry))

    def without(self, entry: Entry) -> "Listed":
        """The list without an entry."""
        return replace(self, entries=tuple(one for one in self.entries if one != entry))

    def to_text(self) -> str:
        """The list as one word of a link; empty where there is nothing in it."""
        if not self.entries:
            return ""
        return "!".join(
            [quote(self.name, safe=""), *(urlencode(one.place) for one in self.entries)]
        )

    @staticmethod
    def from_text(text: str) -> "Listed":
        """The list that `to_text` wrote.

        Raises:
            UserError: when it did not.
        """
        name, *places = text.split("!")
        try:
            entries = [Entry.of(dict(parse_qsl(one, strict_parsing=True))) for one in places]
        except ValueError as error:
            raise damaged("list", text) from error
        return Listed(unquote(name), tuple(entries))

    def rows(self, called: Callable[[Entry], str]) -> list[dict[str, str]]:
        """The entries as rows of a table: kind, called, and what a link to each says.

        Args:
            called: what an entry is called in words.
        """
        return [{"kind": one.kind, "called": called(one), **one.query} for one in self.entries]

    def as_csv(self, called: Callable[[Entry], str]) -> str:
        """A row an entry, a column for whatever any of them has; see `rows`."""
        rows = self.rows(called)
        names = list(dict.fromkeys(name for row in rows for name in row)) or ["kind", "called"]
        return csv_text(pd.DataFrame(rows, columns=names).fillna(""))

    def to_json(self, called: Callable[[Entry], str]) -> str:
        """As a file that `from_json` reads; see `rows`."""
        values = LIST.stamp | {"list": self.name, "entries": self.rows(called)}
        return json.dumps(values, indent=2, ensure_ascii=False)

    @staticmethod
    def from_json(content: bytes) -> "Listed":
        """The list of a file that `to_json` wrote.

        Raises:
            UserError: when it is none.
        """
        try:
            values: dict[str, Any] = json_values(content)
            LIST.check(values, "This list")
            entries = [
                Entry.of({name: row[name] for name in row if name not in ("kind", "called")})
                for row in values["entries"]
            ]
            return Listed(values["list"], tuple(entries))
        except LinkError as error:
            raise UserError(
                f"This list can't be shown: {error.reason}; choose another one."
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                "This file is no list that the workbench wrote; choose a JSON file downloaded "
                "under “Your list”."
            ) from error

    @staticmethod
    def read(path: Path) -> "Listed":
        """The list of a file; see `from_json`.

        Raises:
            UserError: when it can't be read, or is none.
        """
        try:
            return Listed.from_json(path.read_bytes())
        except OSError as error:
            raise UserError(f"{path} can't be read ({error.strerror}).") from error
