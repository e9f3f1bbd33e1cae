"""What the commands' words have in common: how they are declared, and read into values."""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from metasae import progress
from metasae.errors import UserError
from metasae.sources.presets import Opened
from metasae.sources.user_presets import preset_of
from metasae.steering.conditions import Condition
from metasae.text.prompts import DEFAULT_WORDING, WORDINGS

if TYPE_CHECKING:
    from metasae.explorer.explorer import Explorer
    from metasae.lab.lab import Lab
    from metasae.lab.spread import Spread

SEEDS = 2**31 - 1
"""Largest seed."""


class Result(Protocol):
    """What a command gives: the same as JSON-able values and as lines to read."""

    def to_dict(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        ...

    def text(self) -> str:
        """What is printed otherwise."""
        ...


@dataclass(frozen=True)
class Written:
    """What was written, and how good it is.

    Attributes:
        out: the folder.
    """

    out: Path
    report: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """See `Result`."""
        return {"out": str(self.out)} | self.report


Command = Callable[[argparse.Namespace], Result]


class Add(Protocol):
    """Declares a command."""

    def __call__(
        self, name: str, run: Command, text: str, preset: bool = True
    ) -> argparse.ArgumentParser:
        """The command's own parser.

        Args:
            preset: whether it is about a preset.
        """
        ...


def whole(
    command: argparse.ArgumentParser, name: str, text: str, least: int, most: int, **more: Any
) -> None:
    """Declare an option that takes a whole number between two bounds."""

    def read(given: str) -> int:
        value = int(given)
        if not least <= value <= most:
            raise UserError(f"{name} is {value:,}; give a whole number from {least:,} to {most:,}.")
        return value

    read.__name__ = "whole number"
    command.add_argument(name, type=read, help=text, **more)


def number(
    command: argparse.ArgumentParser, name: str, text: str, least: float, most: float, **more: Any
) -> None:
    """Declare an option that takes a number between two bounds."""

    def read(given: str) -> float:
        value = float(given)
        if not (math.isfinite(value) and least <= value <= most):
            raise UserError(f"{name} is {given}; give a number from {least:g} to {most:g}.")
        return value

    read.__name__ = "number"
    command.add_argument(name, type=read, help=text, **more)


def pair(command: argparse.ArgumentParser, otherwise: str = "") -> None:
    """Declare source and target, and the latents that stand for them.

    Args:
        otherwise: what is taken without them.
    """
    command.add_argument(
        "--source", help=f'a city, any other name, or latents like "#123"{otherwise}'
    )
    command.add_argument("--target", help="likewise; whose answers are to come")
    command.add_argument("--source-latents", metavar="IDS", help="these instead of its own choice")
    command.add_argument("--target-latents", metavar="IDS", help="likewise for the target")


def wording(command: argparse.ArgumentParser) -> None:
    """Declare in which words the four questions are asked."""
    command.add_argument(
        "--wording",
        choices=tuple(WORDINGS),
        default=DEFAULT_WORDING,
        help="how the questions are asked (default: as the model knows most facts)",
    )


def edit_options(command: argparse.ArgumentParser) -> None:
    """Declare what all edits of a command share."""
    command.add_argument(
        "--keep-residual", action="store_true", help="keep what the meta-SAE leaves unexplained"
    )
    command.add_argument("--drop-error", action="store_true", help="drop the SAE's error")
    command.add_argument(
        "--position", choices=("last", "all"), default="last",
        help="edit the name's last token (default) or all tokens",
    )  # fmt: skip
    number(
        command, "--above",
        "of those only where a source latent fires with more than this activation",
        0, 1e6, metavar="V",
    )  # fmt: skip
    begin = command.add_mutually_exclusive_group()
    begin.add_argument("--after", default="", metavar="TOKEN", help="only after this token")
    begin.add_argument("--from", default="", metavar="TOKEN", dest="begin", help="from it on")


def condition(arguments: argparse.Namespace) -> Condition:
    """Where an edit is made, as `edit_options` declares it.

    Raises:
        UserError: for a negative or infinite activation, or a token that is too long.
    """
    text = arguments.after or arguments.begin
    return Condition(arguments.above, text, including=bool(arguments.begin))


def ids(text: str) -> list[int]:
    """Numbers of latents or meta-latents between commas.

    Raises:
        UserError: for anything else.
    """
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise UserError(
            f'"{text}" are no latents or meta-latents; write numbers like 1,2.'
        ) from error


def own_latents(arguments: argparse.Namespace) -> tuple[tuple[int, ...] | None, ...]:
    """Latents in place of the source's and the target's own choice, where they are given.

    Raises:
        UserError: when a side names its latents twice.
    """
    chosen = []
    for side in ("source", "target"):
        text, given = getattr(arguments, side), getattr(arguments, f"{side}_latents")
        if given and (text or "").strip().startswith("#"):
            raise UserError(
                f'--{side} "{text}" names its latents already; leave out --{side}-latents.'
            )
        chosen.append(tuple(ids(given)) if given else None)
    return tuple(chosen)


def writable(path: Path | None, folder: bool = False) -> Path | None:
    """A path that a command will write, once it is seen that it can.

    Args:
        folder: whether it is to be a folder.

    Raises:
        UserError: when it can't.
    """
    if path is not None:
        from metasae.sources.files import check_writable

        check_writable(path, folder)
    return path


def over_machines(command: argparse.ArgumentParser, what: str) -> None:
    """Declare where the pieces of long work are done.

    Args:
        what: the pieces.
    """
    command.add_argument(
        "--ray", metavar="ADDRESS", help=f'spread {what} over a Ray cluster; "local": this machine'
    )


def spread_of(arguments: argparse.Namespace, threads: int = 1) -> "Spread | None":
    """Where `over_machines` says that pieces are done; None: here.

    Args:
        threads: of each worker.

    Raises:
        UserError: when Ray is not installed.
    """
    if arguments.ray is None:
        return None
    from metasae.lab.ray_cluster import over_ray

    return over_ray(preset_of(arguments.preset).opened, arguments.ray, threads)


def opened_lab(arguments: argparse.Namespace) -> "Lab":
    """The preset a command is about."""
    return _lab_of(arguments.preset)


def opened_explorer(arguments: argparse.Namespace) -> "Explorer":
    """The preset a command is about, with evidence and labels."""
    return explorer_of(arguments.preset)


def explorer_of(opened: Opened) -> "Explorer":
    """A preset, with evidence and labels."""
    from metasae.explorer.explorer import open_explorer

    return open_explorer(_lab_of(opened))


def _lab_of(opened: Opened) -> "Lab":
    from metasae.lab import lab

    return lab.open_lab(preset_of(opened), progress.to_stream())
