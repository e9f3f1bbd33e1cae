"""What is in a list, in words: what each entry is called, and what an edit of it does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from metasae.errors import UserError
from metasae.explorer.explorer import META, Explorer, named
from metasae.explorer.lists import EDIT, LATENT, Entry, Listed
from metasae.lab.asking import experiment_of
from metasae.sources.presets import Opened
from metasae.steering.edit_words import edit_in_words


@dataclass(frozen=True)
class Content:
    """One entry of a list, read.

    Attributes:
        called: what it is called; see `called`.
        does: what an edit does, in words; empty for what is none.
        problem: why it can't be opened, in a sentence; empty where it can.
    """

    entry: Entry
    called: str
    does: str = ""
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {
            "kind": self.entry.kind,
            "called": self.called,
            "does": self.does or None,
            "problem": self.problem or None,
            "link": self.entry.link,
            "place": self.entry.query,
        }


def contents(listed: Listed, opened: Callable[[Opened], Explorer]) -> tuple[Content, ...]:
    """The entries of a list, each with what the preset it is of says about it.

    Args:
        opened: opens a preset; called once for each.
    """
    found: dict[Entry, Content] = {}
    for preset in dict.fromkeys(one.preset for one in listed.entries):
        mine = [one for one in listed.entries if one.preset == preset]
        try:
            explorer = opened(preset)
        except UserError as error:
            found |= {one: Content(one, called(one, None), problem=str(error)) for one in mine}
        else:
            found |= {one: _content(one, explorer) for one in mine}
    return tuple(found[one] for one in listed.entries)


def called(entry: Entry, explorer: Explorer | None) -> str:
    """What an entry is called: an edit by its pair and what it changes, anything else by its number
    and label.

    Args:
        explorer: of the entry's preset; where that isn't open, or lacks the number, there is no
            label.
    """
    if entry.kind == EDIT:
        setting = entry.setting
        return f"{setting.source} → {setting.target}, {edit_in_words(entry.edit, (), str)}"
    kind, number = _numbered(entry, explorer)
    label = ""
    if explorer is not None and number < explorer.sizes.get(kind, 0):
        label = explorer.label(kind, number)
    name = named(kind, number, label)
    if entry.kind != LATENT:
        return name
    return f"latent {name} of {int(kind):,}" if kind else f"latent {name}"


def _content(entry: Entry, explorer: Explorer) -> Content:
    name = called(entry, explorer)
    try:
        if entry.kind == EDIT:
            outcome = experiment_of(explorer.lab, entry.setting).apply(entry.edit)
            return Content(entry, name, outcome.sentence)
        explorer.check(*_numbered(entry, explorer))
    except UserError as error:
        return Content(entry, name, problem=str(error))
    return Content(entry, name)


def _numbered(entry: Entry, explorer: Explorer | None) -> tuple[str, int]:
    """Kind, as labels have it, and number of a latent or meta-latent; the kind is empty where the
    entry leaves the width to what is open, and nothing is."""
    query = entry.query
    if entry.kind != LATENT:
        return META, int(query["meta"])
    if "width" in query:
        return str(int(query["width"])), int(query["latent"])
    return "" if explorer is None else str(explorer.lab.n_latents), int(query["latent"])
