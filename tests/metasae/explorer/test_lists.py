"""Lists that people collect: in links, in files, full and damaged."""

import csv
import io
import json
from pathlib import Path
from urllib.parse import urlencode

import pytest

from metasae.errors import UserError
from metasae.explorer.lists import EDIT, LATENT, LONGEST, META, MOST, Entry, Listed
from metasae.sources.presets import EMBEDDED, Opened
from metasae.sources.versions import KEY, NewerError
from metasae.steering.edits import EditOptions, LatentSwap
from metasae.steering.link import LinkError, steer_query
from tests.builders import one_sentence

SWAP = Entry.of(
    steer_query(EMBEDDED.opened, "Tokyo", "St. Louis!", edit=LatentSwap(options=EditOptions()))
)
LATENT_12 = Entry.of({"latent": "12", "width": "576"})
LISTED = Listed("My list! ~ & more", (LATENT_12, Entry.of({"meta": "7"}), SWAP))


def called(entry: Entry) -> str:
    return f"the {entry.kind}"


def test_kinds_are_told_by_the_link() -> None:
    assert [one.kind for one in LISTED.entries] == [LATENT, META, EDIT]


def test_a_list_survives_its_word_and_its_file() -> None:
    assert Listed.from_text(LISTED.to_text()) == LISTED
    assert Listed.from_json(LISTED.to_json(called).encode()) == LISTED
    assert Listed("named, and empty").to_text() == ""


def test_each_entry_stands_once_and_goes_again() -> None:
    twice = LISTED.with_entry(LATENT_12)
    assert twice == LISTED
    assert [one.kind for one in LISTED.without(LATENT_12).entries] == [META, EDIT]


def test_a_row_an_entry_in_the_files() -> None:
    rows = list(csv.DictReader(io.StringIO(LISTED.as_csv(called))))
    assert [row["kind"] for row in rows] == [LATENT, META, EDIT]
    assert rows[0]["latent"] == "12" and rows[0]["edit"] == "" and rows[0]["called"] == "the latent"
    assert rows[2]["target"] == "St. Louis!" and rows[2]["edit"] == "swap"
    values = json.loads(LISTED.to_json(called))
    assert values["list"] == LISTED.name and values["entries"][1]["meta"] == "7"
    assert Listed().as_csv(called) == "kind,called\r\n"


def test_a_list_takes_so_much_and_no_more() -> None:
    many = [Entry.of({"latent": str(n)}) for n in range(MOST)]
    full = Listed("", tuple(many))
    with pytest.raises(UserError) as raised:
        full.with_entry(SWAP)
    one_sentence(raised)
    long = [
        Entry.of(steer_query(EMBEDDED.opened, "x" * 550, str(n))) for n in range(LONGEST // 550 + 1)
    ]
    with pytest.raises(UserError) as raised:
        Listed("", tuple(long))
    one_sentence(raised)
    with pytest.raises(UserError) as raised:
        Listed("x" * 61)
    one_sentence(raised)


@pytest.mark.parametrize(
    "text",
    ["a!b", "a!source=Tokyo", "a!latent=-1", "a!latent=x", "a!meta=1&width=y", "!",
     "a!target=Paris&edit=drop", "a!meta=1&list=b", f"a!meta=1&ask={'x' * 601}"],
)  # fmt: skip
def test_a_damaged_word_is_refused(text: str) -> None:
    with pytest.raises(LinkError) as raised:
        Listed.from_text(text)
    one_sentence(raised)


@pytest.mark.parametrize(
    "entry",
    ['{"latent": "-1"}', '{"target": "Paris", "edit": "drop"}', '{"meta": "1", "wording": "rude"}',
     '{"meta": "1", "v": "9"}', '{"latent": "1", "preset": "a+b+c"}'],
)  # fmt: skip
def test_what_a_file_cannot_show_is_said_of_the_file(entry: str) -> None:
    with pytest.raises(UserError) as raised:
        Listed.from_json(f'{{"list": "a", "entries": [{entry}]}}'.encode())
    assert one_sentence(raised).startswith("This list can't be shown: ")


def test_an_entry_says_what_it_is_of_and_its_link() -> None:
    assert LATENT_12.preset == EMBEDDED.opened
    assert LATENT_12.link == "http://localhost:8501/latents?latent=12&width=576"
    other = Entry.of({"meta": "7", "preset": "gpt2-small+mine"})
    assert other.preset == Opened("gpt2-small", "mine")
    assert other.link == "http://localhost:8501/meta-latents?meta=7&preset=gpt2-small%2Bmine"
    assert SWAP.edit == LatentSwap() and SWAP.setting.target == "St. Louis!"
    assert SWAP.link.startswith("http://localhost:8501/?edit=swap&source=Tokyo&target=St.+Louis")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.json", tmp_path):
        with pytest.raises(UserError) as raised:
            Listed.read(path)
        assert str(path) in one_sentence(raised)
    (tmp_path / "list.json").write_text(LISTED.to_json(called), "utf-8")
    assert Listed.read(tmp_path / "list.json") == LISTED


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"list": "a", "entries": [1]}', b'{"list": 3, "entries": []}',
     b'{"list": "a", "entries": [{"latent": 3}]}', b'{"list": "a", "entries": {"a": 1}}', b"\xff"],
)  # fmt: skip
def test_what_is_no_list_is_refused(content: bytes) -> None:
    with pytest.raises(UserError) as raised:
        Listed.from_json(content)
    one_sentence(raised)


def test_no_cell_is_a_formula() -> None:
    listed = Listed("", (Entry.of(steer_query(EMBEDDED.opened, "=1+1", "Paris")),))
    (row,) = csv.DictReader(io.StringIO(listed.as_csv(lambda _: "@called")))
    assert row["source"] == "'=1+1" and row["called"] == "'@called"


def test_a_newer_file_is_refused_as_such() -> None:
    newer = json.loads(LISTED.to_json(called)) | {KEY: 2}
    with pytest.raises(NewerError, match="This list"):
        Listed.from_json(json.dumps(newer).encode())


def test_what_fits_is_what_the_address_takes() -> None:
    # In the address the list's own signs are written out once more.
    odd = [Entry.of(steer_query(EMBEDDED.opened, "京" * 60, str(n))) for n in range(MOST)]
    full = Listed()
    with pytest.raises(UserError, match="fit into a link"):
        for one in odd:
            full = full.with_entry(one)
    assert full.entries and len(urlencode({"list": full.to_text()})) < 8000
