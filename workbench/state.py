"""All that is on screen as one value, its form in a link and in a file, and undo.

A `View` is what the address bar holds. `View.to_query` and `View.from_query` are the only codec:
downloaded files carry the same dictionary. Nothing here knows Streamlit.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from metasae.explorer.lists import LONGEST, Listed
from metasae.steering.edits import NO_EDIT, Edit
from metasae.steering.link import (
    check_version,
    damaged,
    edit_from_text,
    edit_to_text,
    plain,
    steer_query,
    text_in,
)
from metasae.steering.setting import Setting

_MOST_STEPS = 200


@dataclass(frozen=True)
class Writing:
    """What the model is asked to go on writing."""

    prompt: str = ""
    tokens: int = 30
    temperature: float = 0.0
    seed: int = 0


DENSITIES = (0.1, 0.01, 0.001)
"""Shares of tokens above which latents may be left out of a text's table."""


@dataclass(frozen=True)
class Reading:
    """A text that is read token by token, and what is left out of its table.

    Attributes:
        densest: latents that fire on a larger share of tokens are left out; None: none are.
        start: whether the start token is in it.
    """

    text: str = ""
    densest: float | None = None
    start: bool = False


@dataclass(frozen=True)
class View:
    """The whole state of the page.

    Attributes:
        percent: whether the picture is in percent instead of nats.
        frozen: whether the edit with frozen attention patterns stands beside it.
        beside: what the edit is compared in (see `lab.other_sae.opened_beside`), or empty.
        listed: the latents and edits that were collected.
    """

    setting: Setting = field(default_factory=Setting)
    edit: Edit = NO_EDIT
    pinned: Edit | None = None
    writing: Writing = field(default_factory=Writing)
    percent: bool = False
    reading: Reading = Reading()
    frozen: bool = False
    beside: str = ""
    listed: Listed = Listed()  # noqa: RUF009 - frozen

    def with_setting(self, **changes: Any) -> "View":
        """The view with another setting; what depended on a city that changed is dropped."""
        view = replace(self, setting=replace(self.setting, **changes))
        if "preset" in changes:
            view = replace(view, beside="")
        if "source" in changes:
            view = replace(view, setting=replace(view.setting, source_latents=None))
        if "target" in changes:
            view = replace(view, setting=replace(view.setting, target_latents=None))
        subjects = {"preset", "source", "target", "source_latents", "target_latents"}
        return view.with_fresh_edit() if subjects & set(changes) else view

    def with_fresh_edit(self) -> "View":
        """The view without meta-latent strengths: their ids mean something else elsewhere."""
        return replace(self, edit=self.edit.without_strengths(), pinned=None)

    def swapped(self) -> "View":
        """Source and target exchanged."""
        was = self.setting
        turned = replace(
            was,
            source=was.target,
            target=was.source,
            source_latents=was.target_latents,
            target_latents=was.source_latents,
        )
        return replace(self, setting=turned).with_fresh_edit()

    def to_query(self) -> dict[str, str]:
        """The view as query parameters; what stands at its default is left out."""
        writing, default = self.writing, Writing()
        query = steer_query(edit=self.edit, **vars(self.setting))
        if self.pinned is not None:
            query["pin"] = edit_to_text(self.pinned)
        if writing.prompt:
            query["write"] = writing.prompt
        for name in ("tokens", "temperature", "seed"):
            value = getattr(writing, name)
            if value != getattr(default, name):
                query[name] = plain(value)
        if self.percent:
            query["units"] = "percent"
        if self.reading.text:
            query["read"] = self.reading.text
        if self.reading.densest is not None:
            query["dense"] = plain(self.reading.densest)
        if self.reading.start:
            query["start"] = "shown"
        if self.frozen:
            query["attention"] = "frozen"
        if self.beside:
            query["beside"] = self.beside
        if text := self.listed.to_text():
            query["list"] = text
        return query

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "View":
        """The view a link or a file describes; an empty query is the default view.

        Raises:
            LinkError: a link of a newer version, or one that is damaged.
        """
        if not query:
            return cls()
        check_version(query)
        writing = Writing()
        return cls(
            setting=Setting.from_query(query),
            edit=edit_from_text(text_in(query, "edit", "none")),
            pinned=edit_from_text(text_in(query, "pin", "none")) if "pin" in query else None,
            writing=Writing(
                prompt=text_in(query, "write", ""),
                tokens=round(_number(query, "tokens", writing.tokens, 1, 200)),
                temperature=_number(query, "temperature", writing.temperature, 0, 2),
                seed=round(_number(query, "seed", writing.seed, 0, 2**31 - 1)),
            ),
            percent=_one_of(query, "units", "nats", "percent"),
            reading=Reading(
                text_in(query, "read", ""),
                _densest(query),
                _one_of(query, "start", "hidden", "shown"),
            ),
            frozen=_one_of(query, "attention", "live", "frozen"),
            beside=text_in(query, "beside", ""),
            listed=_listed(query),
        )


def names_to_text(names: Iterable[str]) -> str:
    """Names as one word of a link: ``Tokyo.St%2E Louis``."""
    return ".".join(name.replace("%", "%25").replace(".", "%2E") for name in names)


def names_from_text(text: str) -> list[str]:
    """The names that `names_to_text` wrote, each once."""
    return list(dict.fromkeys(unquote(part) for part in text.split(".") if part))


@dataclass(frozen=True)
class History:
    """The view and what it was before and after; a value, so one step is one assignment."""

    now: View
    past: tuple[View, ...] = ()
    future: tuple[View, ...] = ()

    def do(self, view: View) -> "History":
        """Step to a new view; nothing changes when it is the present one."""
        if view == self.now:
            return self
        return History(view, (*self.past, self.now)[-_MOST_STEPS:])

    def undo(self) -> "History":
        """One step back, if there is one."""
        if not self.past:
            return self
        return History(self.past[-1], self.past[:-1], (self.now, *self.future))

    def redo(self) -> "History":
        """One step forward again, if there is one."""
        if not self.future:
            return self
        return History(self.future[0], (*self.past, self.now), self.future[1:])


def _one_of(query: Mapping[str, str], name: str, off: str, on: str) -> bool:
    """Whether a parameter of two words, the first one when left out, is the second one."""
    text = text_in(query, name, off)
    if text not in (off, on):
        raise damaged(name, text)
    return text == on


def _densest(query: Mapping[str, str]) -> float | None:
    text = text_in(query, "dense", "")
    known = {plain(share): share for share in DENSITIES}
    if text and text not in known:
        raise damaged("dense", text)
    return known.get(text)


def _listed(query: Mapping[str, str]) -> Listed:
    text = query.get("list", "")
    if not isinstance(text, str) or len(text) > LONGEST:
        raise damaged("list", text)
    return Listed.from_text(text) if text else Listed()


def _number(
    query: Mapping[str, str], name: str, default: float, least: float, most: float
) -> float:
    try:
        value = float(text_in(query, name, f"{default:g}"))
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise damaged(name, query[name])
    return value
