"""What is opened, as a value and as text; presets by name and by file."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasae.errors import UserError
from metasae.sources import cache
from metasae.sources.presets import NAME, PRESETS, Opened
from metasae.sources.user_presets import find_preset, names, parse, preset_of
from tests.builders import one_sentence

NAMES = st.from_regex(NAME, fullmatch=True)
FILES = st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: f"{text}.json")


@given(st.builds(Opened, name=NAMES | FILES, meta_sae=st.just("") | NAMES))
def test_what_is_opened_survives_its_text_form(opened: Opened) -> None:
    assert Opened.from_text(str(opened)) == opened


@given(st.text(st.sampled_from("ab+./ \n")) | FILES | st.text())
def test_a_text_is_refused_or_written_as_it_was_read(text: str) -> None:
    try:
        opened = Opened.from_text(text)
    except UserError:
        assert "+" in text
    else:
        assert str(opened) == text


@pytest.mark.parametrize(
    ("text", "opened"),
    [
        ("smollm2-135m", Opened("smollm2-135m")),
        ("smollm2-135m+mine", Opened("smollm2-135m", "mine")),
        ("a+b/c.json", Opened("a+b/c.json")),
        ("a/b+c.json", Opened("a/b+c.json")),
        ("a+b/c.json+mine", Opened("a+b/c.json", "mine")),
    ],
)
def test_text_forms(text: str, opened: Opened) -> None:
    assert Opened.from_text(text) == opened
    assert str(opened) == text


@pytest.mark.parametrize(
    "text",
    ["gpt2-small+", "+", "gpt2-small+../up", "gpt2-small+a+b", "gpt2-small+a b", "a++b",
     f"gpt2-small+{41 * 'x'}"],
)  # fmt: skip
def test_what_is_no_text_form_is_one_sentence(text: str) -> None:
    with pytest.raises(UserError) as raised:
        Opened.from_text(text)
    assert f'no preset "{text}"' in one_sentence(raised)


@pytest.mark.parametrize(
    ("name", "meta_sae"), [("a+b", ""), ("a+b", "mine"), ("a", "../up"), ("a", "b.json")]
)
def test_names_whose_text_would_mean_something_else_are_refused(name: str, meta_sae: str) -> None:
    with pytest.raises(UserError) as raised:
        Opened(name, meta_sae)
    one_sentence(raised)


@pytest.fixture
def presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of presets of one's own, in an empty cache."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    cache.own_presets().mkdir()
    return cache.own_presets()


def own(name: str) -> dict[str, object]:
    commit = 40 * "0"
    return {
        "name": name, "model": f"somebody/model@{commit}", "saes": ["RELEASE:ID"],
        "widths": [64], "hook_layer": 2,
    }  # fmt: skip


def test_a_preset_has_its_name_and_its_meta_sae_apart(presets: Path) -> None:
    (presets / "kept.json").write_text(json.dumps(own("kept")))
    for name in (*PRESETS, "kept"):
        preset, plain = find_preset(f"{name}+mine"), find_preset(name)
        assert (preset.name, preset.meta_sae) == (name, "mine")
        assert (plain.name, plain.meta_sae) == (name, "")
        assert preset_of(preset.opened) == preset and str(preset.opened) == f"{name}+mine"
    file = find_preset(f"{presets / 'kept.json'}+mine")
    assert (file.name, file.meta_sae) == ("kept", "mine")


def test_a_file_whose_name_no_preset_can_have_is_not_offered(presets: Path) -> None:
    for name in ("kept", "a+b", "a b"):
        (presets / f"{name}.json").write_text(json.dumps(own("kept")))
    assert names() == (*PRESETS, "kept")


def test_paths_in_the_cache_have_the_text_form() -> None:
    mine = Opened("smollm2-135m", "mine")
    assert cache.corrected_labels(mine).name == "smollm2-135m+mine.json"
    assert cache.build(mine).name == "smollm2-135m+mine"
    assert cache.residuals(mine, "0" * 64).parent == cache.build(mine)


@pytest.mark.parametrize("text", ["gpt-9", "gpt-9+mine", "", "+mine", "../up"])
def test_a_preset_that_is_not_there_is_refused_with_those_there_are(
    text: str, presets: Path
) -> None:
    (presets / "kept.json").write_text(json.dumps(own("kept")))
    with pytest.raises(UserError) as raised:
        find_preset(text)
    said = one_sentence(raised)
    assert f'no preset "{text}"' in said and all(name in said for name in (*PRESETS, "kept"))


@pytest.mark.parametrize("text", ["~nouser/x.json", "~nouser/x.json+mine"])
def test_the_home_folder_of_a_stranger_is_one_sentence(text: str) -> None:
    with pytest.raises(UserError) as raised:
        find_preset(text)
    assert "home folder that isn't there" in one_sentence(raised)


@pytest.mark.parametrize("name", ["mine+fine", "+", "mine+"])
def test_the_name_in_a_file_has_no_plus(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        parse(own(name))
    assert f'"{name}" can\'t be the name of a preset' in one_sentence(raised)
    (tmp_path / "x.json").write_text(json.dumps(own(name)))
    with pytest.raises(UserError, match="can't be the name of a preset"):
        find_preset(str(tmp_path / "x.json"))
