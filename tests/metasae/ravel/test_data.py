"""RAVEL's files are read as they are written, and what is wrong in them is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from metasae.errors import UserError
from metasae.ravel.data import NAME, Template, own_cities, read_ravel
from metasae.text.cities import ATTRIBUTES
from tests.builders import one_sentence
from tests.ravel_data import write_ravel

REAL = Path(__file__).resolve().parents[3].parent / "shared" / "ravel"


def changed(folder: Path, what: str, change: Any) -> None:
    path = folder / f"ravel_city_{what}.json"
    values = json.loads(path.read_text("utf-8"))
    change(values)
    path.write_text(json.dumps(values), "utf-8")


def test_names_and_templates_are_read(tmp_path: Path) -> None:
    data = read_ravel(write_ravel(tmp_path))
    assert data.attributes == ("Country", "Language")
    lyon, ghent, kyoto = data.entities
    assert ghent.values == {"Country": ("Belgium",), "Language": ("Dutch", "French")}
    assert [one.held_out for one in (lyon, ghent, kyoto)] == [False, True, True]
    # One language in common is enough to be no different.
    assert not lyon.differs(ghent, "Language") and lyon.differs(ghent, "Country")
    assert lyon.differs(kyoto, "Language")
    assert data.answers("Language") == ("Dutch", "French", "Japanese")
    assert [one.held_out for one in data.templates] == [False, True, False, True]


def test_a_template_says_where_the_name_ends_and_what_follows() -> None:
    plain = Template("Country", "%s is in", "train")
    quoted = Template("Country", '[{"city": "%s", "country": "', "train")
    assert plain.prompt("Lyon") == "Lyon is in" and plain.gap == " "
    assert quoted.prompt("Lyon")[: quoted.name_end("Lyon")].endswith('"Lyon')
    assert quoted.gap == ""
    shown = Template("Country", "Lyon: France. %s:", "train")
    assert shown.gives_away("Lyon") and not shown.gives_away("Paris")


@pytest.mark.parametrize(
    ("what", "change", "named"),
    [
        ("entity_attributes", lambda v: v["Ghent"].pop("Language"), "Ghent"),
        ("entity_attributes", lambda v: v.update(Ghent=3), "Ghent"),
        ("entity_attributes", lambda v: v["Ghent"].update(Country=3), "Country"),
        ("entity_to_split", lambda v: v.pop("Kyoto"), "Kyoto"),
        ("entity_to_split", lambda v: v.update(Kyoto=1), "Kyoto"),
        ("attribute_to_prompts", lambda v: v.update(Country="text"), "Country"),
        ("attribute_to_prompts", lambda v: v["Country"].append("no name"), "prompt_to_split"),
        ("prompt_to_split", lambda v: v.pop("People in %s speak"), "People in %s speak"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, what: str, change: Any, named: str) -> None:
    changed(write_ravel(tmp_path), what, change)
    with pytest.raises(UserError) as raised:
        read_ravel(tmp_path)
    text = one_sentence(raised)
    assert named in text and ".json" in text


def test_a_template_without_a_name_is_refused(tmp_path: Path) -> None:
    write_ravel(tmp_path)
    changed(tmp_path, "attribute_to_prompts", lambda v: v["Country"].append("no name"))
    changed(tmp_path, "prompt_to_split", lambda v: v.update({"no name": "train"}))
    with pytest.raises(UserError, match="no name"):
        read_ravel(tmp_path)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        read_ravel(tmp_path / "nowhere")
    assert "ravel_city_entity_attributes.json" in one_sentence(raised)
    write_ravel(tmp_path)
    (tmp_path / "ravel_city_prompt_to_split.json").write_text("{", "utf-8")
    with pytest.raises(UserError, match="holds no JSON"):
        read_ravel(tmp_path)
    (tmp_path / "ravel_city_prompt_to_split.json").write_text("[]", "utf-8")
    with pytest.raises(UserError, match="must hold a JSON object"):
        read_ravel(tmp_path)


def test_names_of_one_split_are_refused(tmp_path: Path) -> None:
    write_ravel(tmp_path)
    changed(tmp_path, "entity_to_split", lambda v: v.update(dict.fromkeys(v, "train")))
    with pytest.raises(UserError, match="all of the split train"):
        read_ravel(tmp_path)


def test_own_cities_hold_out_names_and_prompts_of_every_attribute() -> None:
    data = own_cities()
    assert data.attributes == ATTRIBUTES
    for attribute in ATTRIBUTES:
        mine = [one for one in data.templates if one.attribute == attribute]
        assert {one.held_out for one in mine} == {True, False}
        assert all(one.text.count(NAME) == 1 for one in mine)
    held_out = sum(one.held_out for one in data.entities) / len(data.entities)
    assert 0.3 < held_out < 0.5


@pytest.mark.skipif(not REAL.is_dir(), reason="RAVEL's own files are not beside the repository")
def test_ravels_own_files_are_read() -> None:
    data = read_ravel(REAL)
    assert {"Country", "Continent", "Language"} <= set(data.attributes)
    assert len(data.entities) > 2000 and len(data.templates) > 200
    assert {one.split for one in data.entities} == {"train", "val"}
