"""The command that reads a list which was collected in the workbench."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metasae.cli.arguments import Add, explorer_of

if TYPE_CHECKING:
    from metasae.explorer.list_contents import Content


def register(add: Add) -> None:
    """Declare the command."""
    command = add(
        "list", read_list, "What is in a list that was collected in the workbench.", preset=False
    )
    command.add_argument("file", type=Path, help="JSON that was downloaded under “Your list”")


@dataclass(frozen=True)
class ReadList:
    """A list's name, and what is in it."""

    name: str
    contents: "tuple[Content, ...]"

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        return {"list": self.name, "entries": [one.to_dict() for one in self.contents]}

    def text(self) -> str:
        """See `arguments.Result`."""
        entries = "entry" if len(self.contents) == 1 else "entries"
        lines = [f"{self.name or 'A list'}: {len(self.contents)} {entries}"]
        for one in self.contents:
            said = filter(None, (one.does, one.problem, one.entry.link))
            lines += [one.called, *(f"  {line}" for line in said)]
        return "\n".join(lines)


def read_list(arguments: argparse.Namespace) -> ReadList:
    """Read a list."""
    from metasae.explorer.list_contents import contents
    from metasae.explorer.lists import Listed

    listed = Listed.read(arguments.file)
    return ReadList(listed.name, contents(listed, explorer_of))
