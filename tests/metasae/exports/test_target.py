"""Targets write whole or not at all, and refuse what isn't theirs."""

import json
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from metasae.errors import UserError
from metasae.exports.edited import Edited
from metasae.exports.model_card import model_card
from metasae.exports.registry import OF_EDITS, TARGETS
from metasae.exports.target import README, Target, told, without_path
from metasae.lab.lab import Lab
from tests.metasae.exports.making import edit_of, pair


def write(thing: str, folder: Path) -> tuple[str, ...]:
    (folder / README).write_text(thing)
    if thing == "bad":
        raise UserError("It can't be expressed.")
    return (f"about {thing}",)


def write_file(thing: str, out: Path) -> tuple[str, ...]:
    out.write_text(thing)
    return ()


FOLDER = Target("some", "Some", (str,), write)
FILE = Target("one", "One", (str,), write_file, (".txt",))


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    FOLDER.export("good", out)
    with pytest.raises(UserError, match="expressed"):
        FOLDER.export("bad", out)
    assert (out / README).read_text() == "good" and list(tmp_path.iterdir()) == [out]


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="thesis"):
        FOLDER.export("good", tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.tex"]


def test_places_that_cant_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("file", "file/in"):
        with pytest.raises(UserError):
            FOLDER.export("good", tmp_path / name)
    for name in ("x.pdf", "file/x.txt"):
        with pytest.raises(UserError):
            FILE.export("good", tmp_path / name)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_packed_as_a_zip(tmp_path: Path) -> None:
    packed = FOLDER.packed("good", "name")
    assert packed.name == "name.zip" and packed.said == ("about good",)
    (tmp_path / "it.zip").write_bytes(packed.content)
    with ZipFile(tmp_path / "it.zip") as file:
        assert file.read(f"name/{README}") == b"good"
    one = FILE.packed("good", "name")
    assert (one.name, one.content, one.said) == ("name.txt", b"good", ())


def test_every_target_is_called_by_its_name() -> None:
    assert all(one.name == name and one.title for name, one in TARGETS.items())
    assert {one.name for one in OF_EDITS} == {
        "transformers", "transformer-lens", "nnsight", "lm-eval", "neuronpedia", "vectors",
    }  # fmt: skip


def test_what_is_told_holds_no_path(small_lab: Lab) -> None:
    preset = replace(small_lab.preset, file=Path("/home/alice/mine.json"), meta_sae="own")
    made = replace(
        small_lab.provenance, preset="/home/alice/mine.json+own", sae="/home/alice/sae-8@12ab"
    )
    lab = replace(small_lab, preset=preset, provenance=made)
    found = told(lab)
    assert (found.preset, found.sae) == (f"{preset.name}+own", "sae-8@12ab")
    assert (found.model, found.meta_sae) == (made.model, made.meta_sae)
    lab = replace(lab, preset=replace(preset, meta_sae=""))  # there is no such meta-SAE to hash
    card = model_card(lab, "me/saes", {"sae-64": "SAE"})
    one = Edited(lab, pair(lab), edit_of(pair(lab), "added"))
    for text in (card, json.dumps(one.about()), one.headed("")):
        assert "alice" not in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/home/alice/mine.json+own", "mine+own"), (r"C:\alice\sae@12", "sae@12"),
        ("release:blocks.8/hook@12", "release:blocks.8/hook@12"), ("hf:me/saes", "hf:me/saes"),
    ],
)  # fmt: skip
def test_a_path_is_told_by_its_last_name(text: str, said: str) -> None:
    assert without_path(text) == said
