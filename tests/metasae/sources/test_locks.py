"""Only one holds a file's lock, and whoever asks is told so."""

import subprocess
import sys
from pathlib import Path

import pytest

from metasae.errors import UserError
from metasae.sources.locks import claimed, is_claimed
from tests.builders import one_sentence

HOLDS = """
import sys, time
from pathlib import Path
from metasae.sources.locks import claimed
with claimed(Path(sys.argv[1]), "taken"):
    sys.stdout.write("held\\n"); sys.stdout.flush()
    time.sleep(60)
"""

SAID = "It is under way already."


def test_who_comes_second_is_told_the_sentence(tmp_path: Path) -> None:
    lock = tmp_path / "new" / "lock"
    assert not is_claimed(lock)
    with claimed(lock, SAID):
        assert is_claimed(lock)
        with pytest.raises(UserError, match="under way") as raised, claimed(lock, SAID):
            pass
        one_sentence(raised)
        assert is_claimed(lock)
    assert not is_claimed(lock)


def test_a_process_that_is_killed_lets_go(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDS, str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        assert is_claimed(lock)
        other.kill()
    assert not is_claimed(lock)


def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as raised, claimed(tmp_path / "file" / "lock", "taken"):
        pass
    one_sentence(raised)
