"""What a visitor may do, made from how the server is started."""

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasae.errors import UserError
from metasae.ravel.study import STUDY as RAVEL
from metasae.studies.registry import STUDIES
from metasae.studies.registry import study as named
from metasae.studies.settings import places
from tests.builders import one_sentence
from workbench.allowed import (
    ALLOW,
    FOLDER,
    READ_ONLY,
    Allowed,
    Refused,
    Right,
    allowed,
    is_loopback,
    refusal,
)

ALL, NONE = frozenset(Right), frozenset[Right]()


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1", "127.3.2.1", "::1", "[::1]"])
def test_the_person_at_the_machine_may_do_all(address: str) -> None:
    assert allowed(address, {}) == Allowed(ALL)


@pytest.mark.parametrize(
    "address",
    [
        None, "", "0.0.0.0", "::", "192.168.1.5", "lab.example.org", "localhost.example.org",
        "unix:/tmp/socket", "127.0.0.1.example.org", "8.8.8.8",
    ],
)  # fmt: skip
def test_an_opened_server_is_read_only(address: str | None) -> None:
    found = allowed(address, {})
    assert found.guest and found.rights == NONE


@given(st.text())
def test_only_the_loopback_is_this_machine(text: str) -> None:
    assert not is_loopback(text) or text.strip().strip("[]").casefold() in (
        "localhost", "::1"
    ) or text.strip().strip("[]").startswith("127.")  # fmt: skip


@pytest.mark.parametrize(
    "host", ["localhost:8501", "127.0.0.1:80", "[::1]:8501", "localhost", None]
)
def test_the_browser_calls_the_own_machine_by_its_name(host: str | None) -> None:
    assert not allowed("localhost", {}, host).guest


@pytest.mark.parametrize("host", ["evil.example:8501", "10.0.0.3", "", "[fe80::1]:8501"])
def test_a_proxy_or_a_name_that_leads_here_makes_a_guest(host: str) -> None:
    assert allowed("localhost", {}, host).guest


def test_without_its_guards_the_server_is_open_to_every_site() -> None:
    assert allowed("localhost", {}, guarded=False).guest


@pytest.mark.parametrize(("said", "guest"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_the_host_makes_localhost_read_only(said: str, guest: bool) -> None:
    assert allowed("localhost", {READ_ONLY: said}).guest is guest


def test_read_only_can_not_be_switched_off_on_an_opened_server() -> None:
    assert allowed("0.0.0.0", {READ_ONLY: "0"}).rights == NONE


def test_a_host_allows_each() -> None:
    for right in Right:
        found = allowed("0.0.0.0", {ALLOW: f" {right.upper()} ,"})
        assert found.guest and found.rights == {right}
        found.check(right)
        for other in ALL - {right}:
            with pytest.raises(Refused):
                found.check(right, other)
    assert allowed("0.0.0.0", {ALLOW: "all"}).rights == ALL
    assert allowed("0.0.0.0", {ALLOW: "studies,saving"}).rights == {Right.STUDIES, Right.SAVING}


def test_a_word_that_is_no_right_is_one_sentence() -> None:
    with pytest.raises(UserError, match="says pahts") as raised:
        allowed("0.0.0.0", {ALLOW: "pahts,studies"})
    one_sentence(raised)
    assert allowed("localhost", {ALLOW: "pahts"}) == Allowed(ALL)  # where it means nothing


@pytest.mark.parametrize("right", list(Right))
def test_what_is_refused_says_what_and_how_it_is_allowed(right: Right) -> None:
    with pytest.raises(Refused) as raised:
        allowed(None, {}).check(right)
    assert one_sentence(raised) == refusal(right)
    assert f"{ALLOW}={right}" in refusal(right)


# Places.


@pytest.fixture
def guest(tmp_path: Path) -> Allowed:
    """One who may name places in a folder."""
    (tmp_path / "open" / "sae").mkdir(parents=True)
    return allowed("::", {ALLOW: "paths", FOLDER: str(tmp_path / "open")})


def test_the_person_at_the_machine_names_any_place() -> None:
    for text in ("~/x", "/etc", "../y", ""):
        assert allowed("localhost", {}).place(text) == text


def test_a_guest_names_no_place_by_default(tmp_path: Path) -> None:
    for text in (str(tmp_path), "gpt2:x", "~nobody-has-this-name", "a\0b"):
        with pytest.raises(Refused) as raised:
            allowed("::", {FOLDER: str(tmp_path)}).place(text)
        one_sentence(raised)


def test_without_a_folder_a_guest_opens_none(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=FOLDER) as raised:
        allowed("::", {ALLOW: "paths"}).place(str(tmp_path))
    one_sentence(raised)


def test_a_guest_stays_in_the_hosts_folder(guest: Allowed, tmp_path: Path) -> None:
    assert guest.place("sae") == str(tmp_path / "open" / "sae")
    (tmp_path / "open" / "away").symlink_to("/etc")
    for text in ("..", "/etc", "~", "away", "../open/../x:y", "/etc/passwd:x", "~root:x"):
        with pytest.raises(UserError):
            guest.place(text)


def test_releases_of_the_hub_are_no_paths(guest: Allowed) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    for text in ("gpt2-small-res-jb:blocks.8.hook_resid_pre", f"openai/gpt2@{commit}"):
        assert guest.place(text) == text
    for text in (f"../gpt2@{commit}", f"~/gpt2@{commit}", "x:y/../../../z", "/a:b"):
        with pytest.raises(UserError):
            guest.place(text)


def test_a_file_that_is_called_like_a_release_is_a_path(
    guest: Allowed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gpt2:x").mkdir()
    assert guest.place("gpt2:x") == str(tmp_path / "open" / "gpt2:x")


def test_settings_that_name_a_place_are_marked() -> None:
    """Else a study's page would let any visitor open a folder."""
    marked = {name: places(named(name).configuration) for name in (*STUDIES, RAVEL.name)}
    assert {name: found for name, found in marked.items() if found} == {
        "rebuild": ("elsewhere",), "ravel": ("data",),
    }  # fmt: skip
    for name in marked:
        configuration = named(name).configuration
        for field in fields(configuration):
            meaning = configuration.__doc__ or ""
            told = f"{field.name}: folder" in meaning or f"{field.name}: the folder" in meaning
            assert told == (field.name in places(configuration)), (name, field.name)
