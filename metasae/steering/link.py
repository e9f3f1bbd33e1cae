"""What a link to the Steer page says of an edit and of what it is made in, as query parameters.

Written here, so that the library can name a link too; `workbench.state` reads them.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlencode

from metasae.errors import UserError
from metasae.sources.presets import EMBEDDED, Opened
from metasae.sources.versions import LINK
from metasae.steering.conditions import Condition
from metasae.steering.edits import NO_EDIT, Edit, MetaLatentEdit, edit_of_kind
from metasae.text.prompts import DEFAULT_WORDING

VERSION = str(LINK.newest)

LONGEST_TEXT = 600
"""Characters of one thing that a link says."""

WORKBENCH = "http://localhost:8501"
"""Where the workbench is on a machine that runs it."""

Latents = tuple[int, ...]


class LinkError(UserError):
    """A link, or a view in a file, that can't be read.

    Attributes:
        reason: what is wrong with it, as half a sentence.
    """

    def __init__(self, reason: str, sentence: str = "") -> None:
        self.reason = reason
        super().__init__(
            sentence or f"The link is damaged: {reason}; the default is shown instead."
        )


def steer_query(
    preset: Opened,
    source: str,
    target: str,
    *,
    source_latents: Latents | None = None,
    target_latents: Latents | None = None,
    edit: Edit = NO_EDIT,
    wording: str = DEFAULT_WORDING,
    prompt: str = "",
    answers: tuple[str, ...] = (),
) -> dict[str, str]:
    """An edit and its setting as query parameters; what stands at its default is left out.

    Args:
        source, target: a city, any other name, or raw latents as "#12,#45".
        source_latents, target_latents: a person's own choice of the name's latents.
        prompt, answers: a person's own question, or empty.
    """
    query = {"v": VERSION, "source": source, "target": target}
    if preset != EMBEDDED.opened:
        query["preset"] = str(preset)
    for name, latents in (("source_latents", source_latents), ("target_latents", target_latents)):
        if latents is not None:
            query[name] = ".".join(map(str, latents))
    if edit != NO_EDIT:
        query["edit"] = edit_to_text(edit)
    if wording != DEFAULT_WORDING:
        query["wording"] = wording
    if prompt:
        query["ask"] = prompt
        query["answers"] = ",".join(answers)
    return query


def address(query: Mapping[str, str], page: str = "") -> str:
    """The link of a query, to a workbench on this machine.

    Args:
        page: the last part of its address; empty for Steer.
    """
    return f"{WORKBENCH}/{page}?{urlencode(query)}"


def edit_to_text(edit: Edit) -> str:
    """An edit as a short word for a link: ``12_0~40_1~all``; without any change ``none``."""
    parts: list[str] = [] if edit.kind == "meta" else [edit.kind]
    strengths = edit.strengths if isinstance(edit, MetaLatentEdit) else ()
    parts += [f"{meta}_{plain(strength)}" for meta, strength in strengths]
    parts += ["residual"] if edit.options.keep_residual else []
    parts += [] if edit.options.keep_error else ["noerror"]
    parts += ["all"] if edit.options.position == "all" else []
    when = edit.options.when
    parts += [] if when.above is None else [f"above_{plain(when.above)}"]
    if when.after:
        text = quote(when.after, safe="").replace("~", "%7E")
        parts.append(f"{'from' if when.including else 'after'}_{text}")
    return "~".join(parts) or "none"


def edit_from_text(text: str) -> Edit:
    """The edit that `edit_to_text` wrote.

    Raises:
        UserError: when it did not, or a strength is out of range.
    """
    options: dict[str, Any] = {}
    strengths: list[tuple[int, float]] = []
    when: dict[str, Any] = {}
    words: dict[str, dict[str, Any]] = {
        "none": {},
        "swap": {"kind": "swap"},
        "hundredfold": {"kind": "hundredfold"},
        "everywhere": {"kind": "everywhere"},
        "residual": {"keep_residual": True},
        "noerror": {"keep_error": False},
        "all": {"position": "all"},
    }
    for part in text.split("~"):
        if part in words:
            options |= words[part]
        elif match := re.fullmatch(r"(\d{1,9})_(-?\d+(?:\.\d+)?)", part):
            strengths.append((int(match[1]), float(match[2])))
        elif match := re.fullmatch(r"above_(\d+(?:\.\d+)?)", part):
            when["above"] = float(match[1])
        elif match := re.fullmatch(r"(after|from)_(.+)", part):
            when |= {"after": unquote(match[2]), "including": match[1] == "from"}
        else:
            raise damaged("edit", part)
    chosen: dict[str, Any] = {"kind": "meta", "when": Condition(**when)} | options
    return edit_of_kind(strengths=tuple(strengths), **chosen)


def plain(number: float) -> str:
    """A number without exponent or needless zeros."""
    return f"{number:.10f}".rstrip("0").rstrip(".")


def quoted(text: object) -> str:
    """What a link says, short enough for a sentence about it."""
    shown = " ".join(str(text).split())
    return shown if len(shown) <= 40 else shown[:40] + "…"


def damaged(name: str, value: object) -> LinkError:
    """The error for a parameter that can't be read."""
    return LinkError(f'"{quoted(value)}" can\'t be read as its "{name}"')


def text_in(query: Mapping[str, str], name: str, default: str) -> str:
    """What a link says under a name.

    Raises:
        LinkError: when that is no text, or too long.
    """
    value = query.get(name, default)
    if not isinstance(value, str):
        raise damaged(name, value)
    if len(value) > LONGEST_TEXT:
        raise LinkError(f'its "{name}" has {len(value):,} characters, more than {LONGEST_TEXT}')
    return value


def check_version(query: Mapping[str, str]) -> None:
    """See that a link can be read.

    Raises:
        LinkError: when a newer version of this package wrote it, or it says no version.
    """
    version = query.get("v", "1")
    if not re.fullmatch(r"[1-9]\d{0,8}", str(version)):
        raise damaged("v", version)
    if int(version) > LINK.newest:
        both = f'of version "{version}" and this workbench reads up to {VERSION}'
        raise LinkError(
            f"it is {both}",
            f"This link is {both}: update metasae to follow it; it shows the default instead.",
        )
