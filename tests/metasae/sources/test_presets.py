"""What is opened, as a value and as text; presets by name and by file."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasae.errors import UserError
from metasae.sources import cache
from metasae.sources.presets import NAME, PRESETS, Opened
from metasae.sources.user_presets import (
    find_preset,
    keep,
    names,
    parse,
    preset_of,
    resolved,
)
from tests.builders import one_sentence

NAMES = st.from_regex(NAME, fullmatch=True)
FILES = st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: f"{text}.json")


@pytest.mark.slow
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
    plain, mine = find_preset("smollm2-135m"), find_preset("smollm2-135m+mine")
    assert cache.corrected_labels(mine.kept_as, mine.meta_sae).name == "smollm2-135m+mine.json"
    assert cache.corrected_labels(plain.kept_as, plain.meta_sae).name == "smollm2-135m.json"
    # Neither the residuals nor what is built depends on the meta-SAE.
    assert cache.build(mine.kept_as).name == cache.build(plain.kept_as).name == "smollm2-135m"
    assert cache.residuals(mine.kept_as, "0" * 64).parent == cache.build(plain.kept_as)


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


def test_a_preset_opened_from_a_file_is_that_files(
    presets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.json").write_text(json.dumps(own("mine")))
    monkeypatch.chdir(tmp_path)
    for text in ("x.json", "./x.json", str(tmp_path / "x.json")):
        preset = find_preset(f"{text}+fine")
        assert preset.opened == Opened(str(tmp_path / "x.json"), "fine")
        assert preset.opened == resolved(Opened.from_text(f"{text}+fine"))
        assert (preset.name, preset.meta_sae) == ("mine", "fine")
    monkeypatch.chdir(presets)
    assert preset_of(preset.opened) == preset == find_preset(str(preset.opened))
    assert resolved(Opened("smollm2-135m", "fine")) == Opened("smollm2-135m", "fine")


def test_what_is_kept_of_one_preset_is_never_anothers(presets: Path, tmp_path: Path) -> None:
    changes: tuple[dict[str, object], ...] = (
        {}, {"hook_layer": 3}, {"saes": ["RELEASE:OTHER"]}, {"widths": [128]},
        {"model": f"somebody/model@{40 * '1'}"}, {"start_token": 1}, {"meta_width": 9},
        {"saes": ["R:A", "R:B"], "widths": [64, 32]},
        {"saes": ["R:A", "R:B"], "widths": [64, 32], "opened_width": 32},
    )  # fmt: skip
    names = set()
    for number, change in enumerate(changes):
        for name in ("mine", "smollm2-135m"):
            file = tmp_path / f"{number}-{name}.json"
            file.write_text(json.dumps(own(name) | change))
            preset = find_preset(str(file))
            assert preset.kept_as == find_preset(f"{file}+fine").kept_as
            assert preset.kept_as.startswith(f"{name}-") and NAME.fullmatch(preset.kept_as)
            names.add(preset.kept_as)
    assert len(names) == 2 * len(changes)
    assert {PRESETS[name].kept_as for name in PRESETS} == set(PRESETS)
    # The same preset has one place, whether it is opened by its name or by its file.
    kept = keep(own("mine"))
    assert find_preset("mine").kept_as == kept.kept_as in names
    # And every path stays in the cache.
    for path in (cache.build(preset.kept_as), cache.corrected_labels(preset.kept_as, "fine")):
        assert path.is_relative_to(cache.cache_dir())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"widths": 5}, "widths can't be 5; give the preset's widths"),
        ({"widths": [True]}, "widths can't be [true]"),
        ({"widths": [0]}, "widths can't be [0]"),
        ({"meta_width": "x"}, "meta_width can't be \"x\"; give the preset's meta_width"),
        ({"meta_width": -3}, "meta_width can't be -3"),
        ({"opened_width": [64]}, "opened_width can't be [64]"),
        ({"start_token": True}, "start_token can't be true"),
        ({"hook_layer": 1.5}, "hook_layer can't be 1.5"),
        ({"title": 3}, "title can't be 3"),
        ({"saes": [3]}, "saes can't be [3]"),
        ({"model": {"a": 1}}, "give the preset's model as text"),
        ({"centre_writing_weights": "yes"}, "give true or false"),
        ({"name": [1]}, "give the preset's name as text"),
    ],
)
def test_a_value_of_the_wrong_kind_is_one_sentence(change: dict[str, object], text: str) -> None:
    with pytest.raises(UserError) as raised:
        parse(own("mine") | change)
    assert text in one_sentence(raised)


@pytest.mark.parametrize(
    "config", ["[]", '{"metadata": []}', '{"d_sae": "64"}', '{"d_sae": true}', '{"hook_name": 3}']
)
def test_a_configuration_of_the_wrong_kind_is_one_sentence(tmp_path: Path, config: str) -> None:
    (tmp_path / "cfg.json").write_text(config)
    with pytest.raises(UserError) as raised:
        parse(own("mine") | {"saes": [str(tmp_path)]})
    assert "cfg.json is missing or damaged" in one_sentence(raised)


@pytest.mark.parametrize("config", ["[]", '{"hidden_size": "12"}', '{"n_embd": true}', "{"])
def test_a_model_of_the_wrong_kind_is_one_sentence(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(UserError) as raised:
        parse(own("mine") | {"model": str(tmp_path)})
    assert "config.json is missing or damaged" in one_sentence(raised)


def test_what_is_kept_opens_from_any_folder(
    presets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, file, config in (
        ("model", "config.json", {"n_layer": 2, "n_embd": 8, "rope": float("inf")}),
        ("sae", "cfg.json", {"d_sae": 64, "metadata": {"hook_name": "blocks.1.hook_resid_post"}}),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text(json.dumps(config))
    monkeypatch.chdir(tmp_path)
    made = keep({"name": "mine", "model": "model", "saes": ["sae"], "title": None})
    monkeypatch.chdir(presets)
    assert find_preset("mine") == made
    assert made.sae(64) == str(tmp_path / "sae") and made.model.origin == tmp_path / "model"
    assert (made.hook_layer, made.model.d_model) == (2, 8)
