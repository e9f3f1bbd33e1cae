"""A list's file is read with what each entry is called, does, and is opened by."""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from metasae import cli
from metasae.explorer.lists import Entry, Listed
from metasae.lab.lab import Lab
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import EMBEDDED, Opened
from metasae.steering.edits import LatentSwap
from metasae.steering.link import steer_query
from tests.command_line import refused, run

SWAP = Entry.of(steer_query(EMBEDDED.opened, "Tokyo", "Paris", edit=LatentSwap()))
LATENT = Entry.of({"latent": "3", "width": "64"})
ELSEWHERE = Entry.of({"meta": "7", "preset": "nowhere"})


@pytest.fixture(autouse=True)
def open_small(small_default: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Lab:
    """The small lab is what the command opens."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr("metasae.lab.lab.open_lab", lambda *_: small_default)
    return small_default


def written(tmp_path: Path, *entries: Entry, name: str = "Mine") -> str:
    """A list's file, as it is downloaded."""
    path = tmp_path / "list.json"
    path.write_text(Listed(name, entries).to_json(lambda _: "an older label"), "utf-8")
    return str(path)


def test_what_is_in_a_list(
    open_small: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, LATENT, SWAP, ELSEWHERE)
    values = run(capsys, "list", file)
    assert values["list"] == "Mine"
    latent, swap, elsewhere = values["entries"]
    for one in values["entries"]:
        assert set(one) == {"kind", "called", "does", "problem", "link", "place"}
    assert [one["kind"] for one in values["entries"]] == ["latent", "edit", "meta-latent"]
    assert latent["called"].startswith("latent #3") and latent["does"] is None
    pair = open_small.experiment(open_small.subject("Tokyo"), open_small.subject("Paris"))
    assert swap["called"] == "Tokyo → Paris, latent swap" and swap["problem"] is None
    assert swap["does"] == pair.apply(LatentSwap()).sentence
    assert elsewhere["called"] == "meta-latent 7" and 'no preset "nowhere"' in elsewhere["problem"]
    for one, entry in zip(values["entries"], (LATENT, SWAP, ELSEWHERE), strict=True):
        assert one["place"] == entry.query
        assert dict(parse_qsl(urlsplit(one["link"]).query)) == entry.query


def test_the_same_as_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, LATENT, SWAP, ELSEWHERE)
    values = run(capsys, "list", file)["entries"]
    assert cli.main(["list", file]) == 0
    expected = ["Mine: 3 entries"]
    for one in values:
        said = filter(None, (one["does"], one["problem"], one["link"]))
        expected += [one["called"], *(f"  {line}" for line in said)]
    assert capsys.readouterr().out.splitlines() == expected
    assert len(expected) == 1 + 2 + 3 + 3
    assert cli.main(["list", written(tmp_path, LATENT, name="")]) == 0
    assert capsys.readouterr().out.startswith("A list: 1 entry\n")


def test_each_preset_is_opened_once(
    open_small: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    opened: list[Opened] = []

    def open_lab(preset: object, *_: object) -> Lab:
        opened.append(preset.opened)  # type: ignore[attr-defined]
        return open_small

    monkeypatch.setattr("metasae.lab.lab.open_lab", open_lab)
    other = Entry.of({"latent": "4", "width": "64", "preset": "gpt2-small"})
    run(capsys, "list", written(tmp_path, LATENT, other, SWAP))
    assert opened == [EMBEDDED.opened, Opened("gpt2-small")]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is no list"),
        (b"{}", "is no list"),
        (b"\xff\x00", "is no list"),
        (b'{"edit": {}, "attributes": []}', "is no list"),
        (b'{"list": "a", "entries": [{"latent": "1", "x": "y"}]}', "This list can't be shown"),
        (b'{"list": "a", "entries": [{"target": "b", "edit": "drop"}]}', "list can't be shown"),
        (b'{"list": "a", "entries": [], "format": 9}', "newer"),
    ],
)
def test_what_is_no_list_is_said_before_anything_is_opened(
    closed: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, text: str
) -> None:
    path = tmp_path / "list.json"
    path.write_bytes(content)
    assert text in refused(capsys, ["list", str(path)])


def test_a_file_that_cannot_be_read_is_said(
    closed: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tmp_path / "gone.json", tmp_path):
        assert str(path) in refused(capsys, ["list", str(path)])
