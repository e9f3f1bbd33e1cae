"""The page of all commands, read off their parsers."""

import argparse
import html
import sys
from collections.abc import Iterator

from docs.handbook.sentences import escaped
from metasae.cli.main import _parser

_HEAD = """\
# Command line

`python -m metasae COMMAND`, or `metasae COMMAND` once the environment is active. Results go to
standard output, with `--json` as one JSON object; progress and messages go to standard error. Bad
input ends in one sentence and exit code 1, words that no command knows in 2, Ctrl-C in 130: what
was done is kept then, and the same command goes on from there.

"""


def page() -> str:
    """The page, as Markdown."""
    parts, about = [_HEAD], None
    for name, parser in commands():
        module = sys.modules[parser.get_default("run").__module__]
        if module is not about:
            about = module
            said = (module.__doc__ or "").splitlines()[0].partition(":")[0]
            parts.append(f"## {said.rstrip('.')}\n\n")
        parts.append(_command(name, parser))
    return "".join(parts)


def commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command's name and parser, in the order of the help."""
    for action in _parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _command(name: str, parser: argparse.ArgumentParser) -> str:
    usage = parser.format_usage().removeprefix("usage: ")
    lines = [f"### {name}\n", f"{escaped(parser.description or '')}\n", f"```text\n{usage}```\n"]
    actions = [one for one in parser._actions if not isinstance(one, argparse._HelpAction)]
    if actions:
        lines.append("| words | what they do |\n|---|---|")
        lines += [f"| {_words(one)} | {_does(one)} |" for one in actions]
    return "\n".join(lines) + "\n\n"


def _words(action: argparse.Action) -> str:
    names = action.option_strings or [action.dest if action.metavar is None else ""]
    value = action.metavar if action.metavar is not None else action.dest.upper()
    if action.choices is not None and action.metavar is None:
        value = "|".join(map(str, action.choices))
    takes = action.nargs != 0 and (action.option_strings or action.metavar is not None)
    shown = [f"{name} {value}".strip() if takes else name for name in names]
    # A table's cell ends at a bar, in code too.
    return ", ".join(f"<code>{html.escape(one)}</code>" for one in shown).replace("|", "&#124;")


def _does(action: argparse.Action) -> str:
    text = escaped((action.help or "").replace("%%", "%"))
    notes = []
    if action.required and action.option_strings:
        notes.append("required")
    usual = action.default
    if action.nargs != 0 and "default" not in text and usual not in (None, "", [], "==SUPPRESS=="):
        notes.append(f"default: {escaped(str(usual))}")
    return f"{text} ({'; '.join(notes)})" if notes else text
