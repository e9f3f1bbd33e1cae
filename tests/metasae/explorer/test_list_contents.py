"""What is in a list: labels where the preset is open, numbers elsewhere, and what edits do."""

from pathlib import Path

import pytest

from metasae.errors import UserError
from metasae.explorer.corrections import Corrections
from metasae.explorer.explorer import META, Explorer
from metasae.explorer.list_contents import Content, called, contents
from metasae.explorer.lists import Entry, Listed
from metasae.lab.lab import Lab
from metasae.sources.presets import EMBEDDED, Opened
from metasae.steering.edits import LatentSwap, MetaLatentEdit
from metasae.steering.link import steer_query


@pytest.fixture
def explorer(small_default: Lab, tmp_path: Path) -> Explorer:
    made = Explorer(small_default, tmp_path)
    made.corrections = Corrections(
        "sae", "meta", {str(small_default.n_latents): {"3": "the third"}, META: {"2": "a pair"}}
    )
    return made


def latent(number: int, width: int) -> Entry:
    return Entry.of({"latent": str(number), "width": str(width)})


def edit(source: str, target: str, made: MetaLatentEdit | LatentSwap) -> Entry:
    return Entry.of(steer_query(EMBEDDED.opened, source, target, edit=made))


def test_what_entries_are_called(explorer: Explorer) -> None:
    width = explorer.lab.n_latents
    assert called(latent(3, width), explorer) == f"latent #3 the third of {width:,}"
    assert called(latent(3, width), None) == f"latent #3 of {width:,}"
    assert called(latent(width, width), explorer) == f"latent #{width} of {width:,}"
    assert called(latent(3, width + 1), explorer) == f"latent #3 of {width + 1:,}"
    bare = Entry.of({"latent": "3"})
    assert called(bare, explorer) == called(latent(3, width), explorer)
    assert called(bare, None) == "latent #3"
    assert called(Entry.of({"meta": "2"}), explorer) == "meta-latent 2 a pair"
    assert called(Entry.of({"meta": "2"}), None) == "meta-latent 2"
    made = edit("Tokyo", "Paris", MetaLatentEdit(((2, 0.0),)))
    assert called(made, explorer) == called(made, None) == "Tokyo → Paris, without meta-latent 2"


def test_what_cannot_be_opened_is_said_of_the_entry_alone(explorer: Explorer) -> None:
    lab = explorer.lab
    entries = (
        latent(lab.n_latents, lab.n_latents),
        latent(3, lab.n_latents + 1),
        Entry.of({"meta": str(lab.n_meta)}),
        edit("Tokyo", "Tokyo", LatentSwap()),
        Entry.of({"meta": "2", "preset": "gone"}),
        latent(3, lab.n_latents),
    )
    asked = []

    def opened(preset: Opened) -> Explorer:
        asked.append(preset)
        if preset.name == "gone":
            raise UserError("It is gone; open another.")
        return explorer

    found = contents(Listed("", entries), opened)
    assert [one.entry for one in found] == list(entries)
    assert asked == [EMBEDDED.opened, Opened("gone")]
    assert [one.problem.split(":")[0].split(";")[0] for one in found] == [
        f"There is no latent {lab.n_latents}",
        f"There is no SAE of {lab.n_latents + 1} latents",
        f"There is no meta-latent {lab.n_meta}",
        "Source and target are both Tokyo",
        "It is gone",
        "",
    ]
    assert found[5] == Content(entries[5], called(entries[5], explorer))


def test_an_edit_is_made_in_its_own_question(explorer: Explorer) -> None:
    query = steer_query(
        EMBEDDED.opened, "Tokyo", "Paris", edit=LatentSwap(), prompt="Tokyo is in",
        answers=("Japan", "France"),
    )  # fmt: skip
    own, plain = contents(
        Listed("", (Entry.of(query), edit("Tokyo", "Paris", LatentSwap()))), lambda _: explorer
    )
    assert own.does and plain.does and own.does != plain.does and not own.problem
