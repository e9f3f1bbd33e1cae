"""A path somebody named is opened only inside the folder, wherever it leads."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasae.errors import UserError
from metasae.sources.confined import inside
from tests.builders import one_sentence


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an SAE, and a secret beside it."""
    (tmp_path / "open" / "sae").mkdir(parents=True)
    (tmp_path / "open" / "sae" / "cfg.json").write_text("{}")
    (tmp_path / "open-not").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.json").write_text("{}")
    return tmp_path / "open"


def test_what_is_inside_is_opened(folder: Path) -> None:
    for text in ("sae", "./sae/", "sae/../sae", str(folder / "sae"), "sae/cfg.json"):
        assert inside(text, folder).is_relative_to(folder)
    assert inside("sae", folder) == folder / "sae"
    assert inside(".", folder) == folder
    assert inside("not-there", folder) == folder / "not-there"  # who opens it says so


def test_links_that_stay_inside_are_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "link").symlink_to(folder / "sae")
    assert inside("link", folder) == folder / "sae"
    (tmp_path / "root").symlink_to(folder)
    assert inside("sae", tmp_path / "root") == folder / "sae"


@pytest.mark.parametrize(
    "text",
    [
        "..", "../secret", "../secret/key.json", "sae/../../secret", "/", "/etc/passwd",
        "../open-not", "~", "~root", "../not-there", "sae/../../not-there",
    ],
)  # fmt: skip
def test_what_is_outside_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(UserError, match="does not lie in the folder") as raised:
        inside(text, folder)
    one_sentence(raised)


def test_whether_something_is_there_is_not_told(folder: Path) -> None:
    said = []
    for text in ("../secret", "../secreT"):
        with pytest.raises(UserError) as raised:
            inside(text, folder)
        said.append(str(raised.value).casefold())
    assert said[0] == said[1]


def test_links_that_lead_outside_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "away").symlink_to(tmp_path / "secret")
    (folder / "file.json").symlink_to(tmp_path / "secret" / "key.json")
    (folder / "twice").symlink_to(folder / "away")
    for text in ("away", "away/key.json", "file.json", "twice", "sae/../away"):
        with pytest.raises(UserError, match="does not lie"):
            inside(text, folder)


def test_a_folder_whose_file_is_a_link_outside_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "sae" / "sae_weights.safetensors").symlink_to(tmp_path / "secret" / "key.json")
    with pytest.raises(UserError, match="does not lie"):
        inside("sae", folder)


def test_a_ring_of_links_is_no_way_out(folder: Path) -> None:
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    assert inside("a", folder).is_relative_to(folder)


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 300, "x/" * 3000, "~\0"])
def test_what_no_file_is_called_is_one_sentence(folder: Path, text: str) -> None:
    with pytest.raises(UserError) as raised:
        inside(text, folder)
    one_sentence(raised)
    str(raised.value).encode()  # can be shown


def test_a_home_folder_that_is_not_there_is_one_sentence(folder: Path) -> None:
    with pytest.raises(UserError, match="home folder") as raised:
        inside("~nobody-has-this-name/x", folder)
    one_sentence(raised)


@given(st.lists(st.sampled_from(["..", ".", "sae", "x", "", "~", "/"]), max_size=8))
def test_whatever_is_named_lies_inside(parts: list[str]) -> None:
    root = Path(os.path.realpath("."))
    text = "/".join(parts)
    try:
        found = inside(text, root)
    except UserError:
        return
    assert os.path.commonpath([found, root]) == str(root)
