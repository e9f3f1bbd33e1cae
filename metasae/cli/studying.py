"""The command that runs the studies."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metasae import progress
from metasae.cli.arguments import Add, opened_lab, whole, writable
from metasae.errors import UserError
from metasae.studies.registry import MOST_SEEDS

if TYPE_CHECKING:
    from metasae.studies.result_folder import StoredFinding
    from metasae.studies.study import Study


def register(add: Add) -> None:
    """Declare the command."""
    one = add("study", study, "A question of the research, asked of the open SAE, with controls.")
    one.add_argument("name", nargs="?", help="which; --list names them")
    one.add_argument("--list", action="store_true", help="name the studies and their settings")
    whole(
        one, "--seeds", "meta-SAEs it is asked of; further ones are trained and kept (default: 1)",
        1, MOST_SEEDS, default=1,
    )  # fmt: skip
    one.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="a setting of the study; may be given several times",
    )  # fmt: skip
    run_options(one)


def run_options(command: argparse.ArgumentParser) -> None:
    """Declare what all commands take that run a study."""
    command.add_argument(
        "--anew", action="store_true",
        help="from the beginning, even if the same was asked before; else that is gone on with",
    )  # fmt: skip
    command.add_argument(
        "--out", type=Path, help="folder to write: tables, pictures, figures, code"
    )


def place_of_result(arguments: argparse.Namespace) -> Path | None:
    """The folder a result will be written to, if any, once it is seen that it can.

    Raises:
        UserError: when it can't, or the folder holds something else.
    """
    from metasae.studies.result_folder import check_place

    if out := writable(arguments.out, folder=True):
        check_place(out)
    return out


@dataclass(frozen=True)
class Listed:
    """The studies there are."""

    studies: "tuple[Study, ...]"

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        from dataclasses import asdict

        return {
            "studies": [
                {
                    "name": one.name,
                    "question": one.question,
                    "published": one.published,
                    "settings": asdict(one.configuration()),
                }
                for one in self.studies
            ]
        }

    def text(self) -> str:
        """See `arguments.Result`."""
        lines = []
        for one in self.to_dict()["studies"]:
            settings = " ".join(
                f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
                for name, value in one["settings"].items()
            )
            lines += [f"{one['name']}: {one['question']}", f"  --set {settings}"]
        return "\n".join(lines)


@dataclass(frozen=True)
class Answered:
    """What a study found.

    Attributes:
        run: names it in the workbench's links and in the cache.
        out: the folder it was written to, if any.
    """

    run: str
    finding: "StoredFinding"
    out: Path | None

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        return {
            "study": self.finding.study,
            "run": self.run,
            "verdict": self.finding.verdict,
            "figures": self.finding.figures,
            "left_out": list(self.finding.left_out),
            "out": None if self.out is None else str(self.out),
        }

    def text(self) -> str:
        """See `arguments.Result`."""
        lines = [self.finding.verdict, *self.finding.left_out]
        return "\n".join([*lines, f"Written to {self.out}."] if self.out else lines)


def study(arguments: argparse.Namespace) -> Listed | Answered:
    """Answer a question of the research."""
    from metasae.studies.registry import STUDIES
    from metasae.studies.registry import study as named
    from metasae.studies.runs import begin

    if arguments.list or arguments.name is None:
        return Listed(tuple(map(named, STUDIES)))
    asked = named(arguments.name)
    configuration = asked.configured(dict(map(_setting, arguments.set)))
    out = place_of_result(arguments)
    lab, report = opened_lab(arguments), progress.to_stream()
    run = begin(lab, asked, configuration, arguments.seeds, arguments.anew)
    finding = run.answer(lab, report)
    if out is not None:
        run.copy_result(out)
    return Answered(run.identity, finding, out)


def _setting(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise UserError(f'"{text}" is no setting; write NAME=VALUE.')
    return name.strip(), value.strip()
