"""A report names no folder of a person's, whatever stands in its cells."""

from pathlib import Path

import pytest

from metasae.release.findings import DIFFERS, OK, Examination, Finding, private
from metasae.sources.cache import CACHE_VARIABLE


def test_paths_are_shortened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home" / "alice"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    assert private(f"{tmp_path}/cache/hub/x is damaged") == "~/hub/x is damaged"
    assert private(f"put it into {home}/models.") == "put it into ~/models."
    for text in ("/data/alice/my model/x", r"C:\Users\alice\x.json", "(/mnt/alice/w)",
                 "/mnt/My Drive/alice/sae", "[/data/alice/x]", "local:/data/alice/x", "</alice/x>",
                 r"C:\Program Files (x86)\alice\x", "/Volumes/Alice's Mac/x",
                 "see file:///alice/x"):  # fmt: skip
        assert "alice" not in private(text).lower() and "…/" in private(text)
    assert private("RELEASE:ID of jbloom/GPT2, 3 / 4, https://x.y/z") == (
        "RELEASE:ID of jbloom/GPT2, 3 / 4, https://x.y/z"
    )


def test_the_report_is_a_table_that_stays_one() -> None:
    findings = (
        Finding.of("a|b", "one\ntwo", "<b>x</b>", True), Finding.unchecked("c", "d", "e"),
    )  # fmt: skip
    text = Examination("small", findings, ("nothing else",), 1.4).markdown()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows[1:] == [
        "| a\\|b | one two | &lt;b>x&lt;/b> | ok |", "| c | d | e | could not be checked |",
    ]  # fmt: skip
    assert "1 ok, 0 differs, 1 could not be checked; 1 s." in text and "- nothing else" in text


def test_fine_is_when_all_is_ok() -> None:
    assert Examination("x", (Finding("a", "", "", OK),), (), 0).fine
    assert not Examination("x", (Finding("a", "", "", DIFFERS),), (), 0).fine


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/data/alice/x and /data/alice/y", "…/x and …/y"),
        ("/data/x is missing; see https://y.z/a", "…/x is missing; see https://y.z/a"),
        ("no more than 3 /4", "no more than 3 …/4"),
        ("<b>x</b>", "<b>x</b>"),
    ],
)
def test_what_is_around_a_path_stays(text: str, said: str) -> None:
    assert private(text) == said


def test_a_home_that_is_the_root_or_begins_anothers_name_is_not_shown_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv("HOME", "/")
    assert private("3 / 4 of jbloom/GPT2 in /data/alice/x") == "3 / 4 of jbloom/GPT2 in …/x"
    monkeypatch.setenv("HOME", "/home/al")
    assert private("/home/alice/x, /home/al/x") == "…/x, ~/x"
