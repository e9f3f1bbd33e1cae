"""An opened server: what guests are refused, on screen and at the deed, and what a host allows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit import config
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.ravel.study import STUDY as RAVEL
from metasae.ravel.study import Settings
from metasae.sources import cache, user_presets
from metasae.sources.presets import EMBEDDED, Opened, Preset
from metasae.studies.registry import study
from metasae.studies.runs import all_runs, begin
from tests.builders import everything_below
from tests.pages.opening import APP, open_page, until
from workbench import limits, session, shared, visitor
from workbench.allowed import ALLOW, FOLDER, PASSWORD, READ_ONLY, Refused, Right, refusal
from workbench.ravel import ask as ravel_ask
from workbench.steer import tables
from workbench.studies import ask as studies_ask

GET_LAB = shared.get_lab


@pytest.fixture(autouse=True)
def opened_server() -> Iterator[None]:
    """The server listens on all addresses of this machine."""
    was = config.get_option("server.address")
    config.set_option("server.address", "0.0.0.0")
    yield
    config.set_option("server.address", was)


@pytest.fixture
def at_home() -> None:
    config.set_option("server.address", "localhost")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What callbacks have said to the person."""
    sentences: list[str] = []
    monkeypatch.setattr(session, "notify", lambda text, wrong=True: sentences.append(text))
    return sentences


def texts(app: AppTest) -> str:
    written = [*app.markdown, *app.caption, *app.info, *app.error, *app.sidebar.caption]
    return "\n".join(one.value.replace("\\", "") for one in written)


def keys(app: AppTest) -> set[str]:
    return {str(one.key) for kind in ("button", "text_input", "text_area") for one in app.get(kind)}


# Every page.


@pytest.mark.parametrize(
    ("page", "refused"),
    [
        ("steer", Right.PATHS), ("train", Right.TRAINING), ("ravel", Right.STUDIES),
        ("meta_latents", Right.SAVING),
    ],
)  # fmt: skip
def test_what_is_refused_is_said_in_a_sentence(on_small: Lab, page: str, refused: Right) -> None:
    app = open_page(page, **({"meta": "3"} if page == "meta_latents" else {}))
    assert not app.exception
    assert refusal(refused) in texts(app)
    assert refusal(Right.PATHS) in texts(app)  # in the sidebar of each


def test_no_page_offers_what_is_refused(on_small: Lab) -> None:
    offered = set()
    for page in (
        "steer", "train", "studies", "ravel", "latents", "meta_latents", "graph", "lessons",
    ):  # fmt: skip
        app = open_page(page)
        assert not app.exception
        offered |= keys(app)
        assert not [one for one in app.text_input if "folder" in one.label.casefold()]
    app = open_page("studies", study="rebuild")
    offered |= keys(app)
    assert refusal(Right.STUDIES) in texts(app)
    assert not {
        one for one in offered
        if one.startswith(("train-", "run-", "keep-", "take-", "set-", "save-mask", "delete-"))
    }  # fmt: skip


def said_instead() -> list[bool]:
    """Per page whether it says what there is for a guest."""
    return [
        "None was trained here yet" in texts(open_page("train")),
        "It wasn't asked here yet" in texts(open_page("studies", study="rebuild")),
        "It wasn't asked here yet" in texts(open_page("ravel")),
        "Guests may begin 20 searches an hour." in texts(open_page("enumerate")),
        "Guests may begin 20 searches an hour." in texts(open_page("enumerate", pairs="all")),
    ]


def test_where_a_guest_can_begin_nothing_the_page_says_what_there_is(on_small: Lab) -> None:
    assert all(said_instead())


def test_at_home_nothing_is_said_of_guests(on_small: Lab, at_home: None) -> None:
    assert not any(said_instead())


def test_at_home_all_of_it_is_offered(on_small: Lab, at_home: None) -> None:
    app = open_page("studies", study="rebuild")
    assert {"run-rebuild", "set-rebuild--elsewhere"} <= keys(app)
    assert "isn't allowed" not in texts(app)
    assert "run-ravel" in keys(open_page("ravel"))


def test_an_edit_and_a_question_are_a_guests_too(on_small: Lab) -> None:
    app = open_page()
    before = dict(app.query_params.items())
    app.button(key="swap").click().run()
    assert not app.exception and not app.error
    assert dict(app.query_params.items()) != before


def test_lessons_are_a_guests_too(on_small: Lab) -> None:
    app = open_page("lessons", lesson="search", step="2", answered="2")
    until(lambda: "there" in keys(app.run()), lambda: False)
    assert not app.exception and not app.error
    assert "hown by what is open" in texts(app)


def test_a_host_allows_studies_and_still_no_folder(
    on_small: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOW, "studies")
    app = open_page("studies", study="rebuild", set="elsewhere:/etc")
    assert not app.exception
    assert "run-rebuild" in keys(app) and "set-rebuild--elsewhere" not in keys(app)
    assert app.query_params.get("set", [""])[0] == ""


def test_a_setting_that_can_not_be_read_is_one_sentence(
    on_small: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOW, "everything")
    app = open_page("train")
    assert not app.exception
    assert f"{ALLOW} says everything" in texts(app)
    assert not {one for one in keys(app) if one.startswith("train-")}


def test_on_localhost_a_host_makes_guests_of_all(
    on_small: Lab, at_home: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(READ_ONLY, "1")
    assert refusal(Right.TRAINING) in texts(open_page("train"))


def test_with_a_password_nothing_is_shown_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(preset: Opened) -> Lab:
        raise AssertionError("opened before the password was given")

    monkeypatch.setenv(PASSWORD, "open")
    monkeypatch.setattr(shared, "get_lab", fails)
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.query_params["preset"] = "/etc/x.json"
    app.run()
    assert not app.exception
    assert [one.label for one in app.text_input] == ["Password"]
    assert not app.selectbox and not app.sidebar.button


# Links and files that ask for more than a widget offers.


@pytest.mark.parametrize(
    "name",
    ["/etc/x.json", "../x.json", "~/x.json", "~nobody-has-this-name/x.json", "a\0.json", "hf:me/x"],
)
def test_a_link_with_a_path_reads_no_file(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> Any:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(user_presets, "read_preset", read)
    app = open_page(preset=name)
    assert not app.exception
    assert refusal(Right.PATHS) in [one.value.replace("\\", "") for one in app.main.error]


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("name", ["~nobody-has-this-name/x.json", "a\0.json", "x" * 300 + ".json"])
def test_at_home_a_link_with_a_bad_path_is_one_sentence(name: str) -> None:
    app = open_page(preset=name)
    assert not app.exception
    assert len(app.main.error) == 1 and app.main.error[0].value


def test_a_file_with_a_path_reads_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused):
        tables._check_there(Opened("/etc/x.json"))


def test_a_preset_in_the_hosts_folder_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOW, "paths")
    monkeypatch.setenv(FOLDER, str(tmp_path / "open"))
    (tmp_path / "open").mkdir()
    asked: list[Opened] = []

    def found(opened: Opened) -> Preset:
        asked.append(opened)
        return EMBEDDED

    monkeypatch.setattr(visitor, "preset_of", found)
    visitor.preset(Opened("mine.json"))
    assert asked == [Opened(str(tmp_path / "open" / "mine.json"))]
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "open" / "away.json").symlink_to(tmp_path / "secret.json")
    for name in ("../secret.json", "away.json", str(tmp_path / "secret.json")):
        with pytest.raises(UserError, match="does not lie"):
            visitor.preset(Opened(name))


def test_a_preset_that_would_be_trained_is_refused_by_link_too() -> None:
    with pytest.raises(Refused, match="Training"):
        GET_LAB(Opened("gpt2-small"))
    app = open_page(preset="gpt2-small")
    assert not app.exception
    assert refusal(Right.TRAINING) in texts(app)


def test_one_that_others_were_allowed_to_open_is_still_refused(
    on_small: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept is kept for all sessions; the right is asked of each."""
    monkeypatch.setattr(shared, "_lab", lambda preset: on_small)
    monkeypatch.setattr(shared, "get_lab", GET_LAB)
    assert shared.get_lab(EMBEDDED.opened) is on_small
    with pytest.raises(Refused):
        shared.get_lab(Opened(str(tmp_path / "x.json")))


# Deeds, called as a browser's message would call them.


def test_no_run_is_begun(on_small: Lab, said: list[str]) -> None:
    asked = study("max-cosine")
    studies_ask.begin_run(on_small, asked, asked.configuration(), 1)
    ravel_ask._begin(on_small, RAVEL, {"quick": True}, 1)
    assert all_runs() == [] and said == [refusal(Right.STUDIES)] * 2


@pytest.mark.parametrize("place", ["/etc", "..", "~", "~nobody-has-this-name", "a\0b"])
def test_no_run_opens_a_folder(
    on_small: Lab, said: list[str], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv(ALLOW, "studies")
    rebuild = study("rebuild")
    studies_ask.begin_run(on_small, rebuild, rebuild.configured({"elsewhere": place}), 1)
    ravel_ask._begin(on_small, RAVEL, {"quick": True, "data": place}, 1)
    assert all_runs() == [] and said == [refusal(Right.PATHS)] * 2


def test_no_run_is_deleted(on_small: Lab, said: list[str]) -> None:
    from workbench.studies import view

    run = begin(on_small, RAVEL, Settings(quick=True), 1)
    view._deleted(run)
    assert all_runs() == [run] and said == [refusal(Right.STUDIES)]


def test_no_mask_is_saved_taken_in_or_deleted(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.ravel import masks as of_run
    from workbench.steer import masks as on_steer

    def touched(*_: object) -> None:
        raise AssertionError("a mask was changed")

    monkeypatch.setattr(on_steer.masks, "forget", touched)
    monkeypatch.setattr(on_steer.masks, "from_text", touched)
    on_steer._forget(None)  # type: ignore[arg-type]
    on_steer._uploaded()
    of_run._save(None, "")  # type: ignore[arg-type]
    assert said == [refusal(Right.SAVING), refusal(Right.UPLOADS), refusal(Right.SAVING)]


def test_nothing_is_deleted(said: list[str], tmp_path: Path) -> None:
    """What "Delete for good" of the Train page calls."""

    def drawn(folder: str) -> None:
        from pathlib import Path

        from metasae.sources.files import remove
        from workbench.train.shelf import delete

        delete("delete-x", "This deletes it.", lambda: remove(Path(folder)))

    kept = tmp_path / "mine"
    kept.mkdir()
    app = AppTest.from_function(drawn, args=(str(kept),)).run()
    app.button(key="delete-x").click().run()
    assert kept.is_dir() and said == [refusal(Right.TRAINING)]


def test_a_guest_writes_nothing(on_small: Lab) -> None:
    """A walk over all pages leaves the cache as it was, but for searches and what is worked out."""
    for page in ("steer", "train", "studies", "ravel", "latents", "meta_latents", "graph"):
        assert not open_page(page).exception
    kinds = {one.split("/")[0] for one in everything_below(cache.cache_dir())}
    assert kinds <= {"searches", "text"}


def test_so_many_searches_are_begun_from_an_address(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn() -> None:
        import streamlit as st

        from workbench import visitor

        st.session_state.setdefault("ran", 0)

        def start() -> None:
            st.session_state["ran"] += 1

        st.button("Search", on_click=visitor.search(start))

    def clicked(app: AppTest, address: str | None) -> int:
        """How often a page's search was begun, clicked once more from an address."""
        monkeypatch.setattr(ContextProxy, "ip_address", address)
        app.button[0].click().run()
        return int(app.session_state["ran"])

    def loaded() -> AppTest:
        """The page, loaded anew."""
        return AppTest.from_function(drawn).run()

    monkeypatch.setenv(limits.SEARCHES.variable, "2")
    app, one, other = loaded(), "192.0.2.1", "192.0.2.2"
    assert [clicked(app, one) for _ in range(3)] == [1, 2, 2]
    assert len(said) == 1 and said[0].startswith("2 searches were begun from your address")
    assert said[0].endswith(refusal(Right.SEARCHES))
    # Nor by who loads the page anew, but by who comes from elsewhere; all of unknown address are
    # one.
    assert clicked(loaded(), one) == 0
    assert clicked(loaded(), other) == 1
    assert [clicked(loaded(), None) for _ in range(3)] == [1, 1, 0]
    # An hour later they may again, and who is allowed to may always.
    monkeypatch.setattr(visitor.searches(), "seconds", -1.0)
    assert clicked(app, one) == 3
    monkeypatch.setattr(visitor.searches(), "seconds", visitor.HOUR)
    assert [clicked(app, one) for _ in range(2)] == [4, 4]
    monkeypatch.setenv(ALLOW, "searches")
    assert clicked(app, one) == 5


# Files a guest brings.


def test_an_edit_is_taken_in_and_nothing_that_is_pickled() -> None:
    import pickle

    for content in (pickle.dumps({"preset": "x"}), b"PK\x03\x04", b"\xff\xfe", b"[" * 100_000):
        with pytest.raises(UserError):
            tables.view_from_json(content, None)  # type: ignore[arg-type]


def test_deep_json_is_one_sentence_everywhere() -> None:
    from metasae.explorer.corrections import Corrections, explained
    from metasae.ravel import masks

    for read in (Corrections.from_json, explained, lambda content: masks.from_text(content, "x")):
        for content in (b"[" * 100_000, b'{"a":' * 100_000):
            with pytest.raises(UserError):
                read(content)


def test_uploads_are_small() -> None:
    assert config.get_option("server.maxUploadSize") <= 5


def test_a_preset_goes_to_no_other_folder_than_the_caches(on_small: Lab) -> None:
    for name in ("../x", "a/b", "..", "~", ".hidden", "x\0"):
        with pytest.raises(UserError):
            user_presets.keep({"name": name, "model": "/", "saes": ["/"]})
        with pytest.raises(UserError):
            user_presets.preset_of(Opened(name))
