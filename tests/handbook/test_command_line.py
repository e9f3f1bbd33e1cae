"""The page of commands has every command, every word of it, and what it does."""

import argparse

import pytest

from docs.handbook import command_line

COMMANDS = dict(command_line.commands())
PAGE = command_line.page()


def test_every_command_has_its_place() -> None:
    assert len(COMMANDS) > 15
    assert [line.removeprefix("### ") for line in PAGE.splitlines() if line.startswith("### ")] == [
        *COMMANDS
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_word_of_a_command_is_there(name: str) -> None:
    part = PAGE.partition(f"### {name}\n")[2].partition("\n### ")[0]
    for action in COMMANDS[name]._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        for word in action.option_strings or [action.dest]:
            assert f"<code>{word}" in part or f"<code>{action.metavar}</code>" in part
        (row,) = [line for line in part.splitlines() if _is_about(line, action)]
        assert row.count("|") - row.count("\\|") == 3


def _is_about(line: str, action: argparse.Action) -> bool:
    words = action.option_strings or [str(action.metavar or action.dest)]
    return any(line.startswith((f"| <code>{word}</code>", f"| <code>{word} ")) for word in words)


def test_what_an_option_says() -> None:
    command = argparse.ArgumentParser()
    shown = [
        command.add_argument("--out", required=True, help="folder, 5 %% of it"),
        command.add_argument("--wording", choices=("a", "b"), default="a", help="of *it*"),
        command.add_argument("--json", action="store_true", help="as JSON"),
        command.add_argument("latent", type=int, help="its number"),
    ]
    assert [(command_line._words(one), command_line._does(one)) for one in shown] == [
        ("<code>--out OUT</code>", "folder, 5 % of it (required)"),
        ("<code>--wording a&#124;b</code>", r"of \*it\* (default: a)"),
        ("<code>--json</code>", "as JSON"),
        ("<code>latent</code>", "its number"),
    ]
