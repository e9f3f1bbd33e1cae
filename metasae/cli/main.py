"""The command line: the workbench's abilities without a browser.

Results go to standard output, progress and messages to standard error. Bad input ends with one
sentence and exit code 1 (2 for words the parser does not know); ``--debug`` shows what caused it.
"""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Sequence

from metasae.cli import (
    about,
    cities,
    exploring,
    exporting,
    listing,
    ravelling,
    scoring,
    searching,
    serving,
    steering,
    studying,
    texts,
    training,
)
from metasae.cli.arguments import Command
from metasae.errors import UserError
from metasae.sources.files import json_text
from metasae.sources.presets import EMBEDDED, Opened
from metasae.version import __version__

_GROUPS = (
    serving, about, training, cities, exploring, texts, listing, scoring, steering, searching,
    studying, ravelling, exporting,
)  # fmt: skip

_TALKATIVE = ("transformers", "huggingface_hub", "sae_lens", "transformer_lens", "datasets", "ray")
"""Libraries that announce themselves or warn of what is no concern of the person here."""

_log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        for word in sys.argv[1:] if argv is None else argv:
            _check_text(word)
        arguments = _parser().parse_args(argv)
        _quieten(arguments.debug)
        run: Command = arguments.run
        result = run(arguments)
        sys.stdout.write((json_text(result.to_dict()) if arguments.json else result.text()) + "\n")
        return 0 if getattr(result, "fine", True) else 1  # what a doctor finds may not be
    except UserError as error:
        sys.stderr.write(f"metasae: {error}\n")
        _log.debug("what caused it", exc_info=error)
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(
            "metasae: stopped; what was done is kept, run the same command again "
            "(train-meta and train-sae with --resume).\n"
        )
        return 130
    except BrokenPipeError:
        # The reader has what it wanted (as in `… | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _check_text(word: str) -> None:
    """Refuse bytes that are no UTF-8, which a shell passes on and nothing could print again.

    Raises:
        UserError: for them.
    """
    try:
        word.encode()
    except UnicodeEncodeError as error:
        shown = word.encode("utf-8", "replace").decode()[:40]
        raise UserError(f'"{shown}" is no text in UTF-8; type it again.') from error


def _quieten(debug: bool) -> None:
    """Keep others' announcements and bars away from what a program reads from us."""
    if debug:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr)
        logging.getLogger("metasae").setLevel(logging.DEBUG)
        return
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # Once it is imported it is as loud again as this says, whatever its logger was set to.
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="metasae",
        description="Take SAE latents apart into meta-latents and edit a model with the pieces.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str, preset: bool = True) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        if preset:
            command.add_argument(
                "--preset",
                type=Opened.from_text,
                default=EMBEDDED.opened,
                metavar="NAME|FILE",
                help="what to open",
            )
        command.add_argument("--json", action="store_true", help="print one JSON object")
        command.add_argument(
            "--debug", action="store_true", help="show what libraries say and what caused an error"
        )
        return command

    for group in _GROUPS:
        group.register(add)
    return parser
