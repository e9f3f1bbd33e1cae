"""Mutated files: whatever reads one says what is wrong with it in a sentence, or takes it whole."""

import dataclasses
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from metasae.errors import UserError
from metasae.explorer.corrections import Corrections, explained, load_corrections
from metasae.explorer.label_server import read_answer
from metasae.ravel import data as ravel_data
from metasae.ravel import masks
from metasae.saes import formats
from metasae.saes.directions import open_directions
from metasae.search.job_files import read_record
from metasae.search.summary import Summary
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import EMBEDDED, Preset
from metasae.sources.user_presets import read_preset
from metasae.steering.edits import MetaLatentEdit
from metasae.steering.provenance import Provenance
from metasae.studies import result_folder, runs
from metasae.text.documents import own_documents
from metasae.training.unfinished import unfinished_trainings
from tests.bad_input import mutations
from tests.bad_input.watching import WRITES, ends_soon, is_a_sentence
from tests.builders import random_sae, unit_rows
from workbench.state import View
from workbench.steer.tables import view_from_json

CASES = 45
"""Of each kind of file."""

MADE = Provenance("smollm2-135m", "m", "blocks.0.hook_resid_pre", "s@1", "t@2", "0.1.0")

PRESET = {
    "name": "mine", "model": "model", "saes": ["sae"], "title": "Mine", "hook_layer": 1,
    "widths": [12], "opened_width": 12, "meta_width": 4, "start_token": 0,
    "centre_writing_weights": False,
}  # fmt: skip

RESTORED = {
    "view": View().to_query()
    | {"edit": "1_0~2_1~all", "pin": "swap", "write": "I like", "seed": "3"},
    "preset": "smollm2-135m", "model": "m", "hook": "blocks.0.hook_resid_pre", "sae": "s@1",
    "meta_sae": "t@2", "version": "0.1.0", "source": {"label": "Tokyo", "latents": [1]},
    "target": {"label": "Paris", "latents": [2]}, "edit": MetaLatentEdit(((2, 1.0),)).to_dict(),
    "attributes": [{"attribute": "country", "prompt": "Tokyo is in", "answers": []}],
}  # fmt: skip

OF_A_COMMAND = {name: value for name, value in RESTORED.items() if name != "view"}
"""The command line's file has no view."""

LABELS = {"sae": "s@1", "meta_sae": "t@2", "labels": {"64": {"1": "tea"}, "meta": {"2": "jazz"}}}

EXPLAINED = [{"index": 1, "description": "tea"}, {"feature": "2", "description": "jazz"}]

COMPLETION = {"choices": [{"message": {"content": '{"label": "tea", "words": ["tea", "cup"]}'}}]}

MASK = {
    "format": 1, "name": "country", "attribute": "country", "method": "mask",
    "pieces": [1, 2], "keep_residual": False, "keep_error": True, "position": "last",
    "meta_sae": "0" * 64, "made": dataclasses.asdict(MADE), "run": "0" * 12, "data": "own cities",
    "learned_on": 3, "scored_on": 2, "cause": 0.5, "isolate": 0.5, "disentangle": 0.5, "low": 0.1,
    "high": 0.9,
}  # fmt: skip

RAVEL = {
    "entity_attributes": {"Tokyo": {"Country": "Japan"}, "Paris": {"Country": "France, F"}},
    "entity_to_split": {"Tokyo": "train", "Paris": "val"},
    "attribute_to_prompts": {"Country": ["%s is in", "The country of %s is"]},
    "prompt_to_split": {"%s is in": "train", "The country of %s is": "val"},
}

ASKED = runs.Asked("graphs", {"seed": 0, "share": 1.0}, 1, MADE)

RESULT = {
    "format": 1, "study": "graphs", "configuration": {"seed": 0}, "seeds": 1,
    "made": {"preset": ""},
    "weights": {}, "seconds": 1.5, "verdict": "So.", "figures": {"a": 1}, "left_out": ["b"],
    "tables": ["t"], "charts": ["c"], "code": "print()",
}  # fmt: skip

SUMMARY = {
    "patterns": [], "combinations": 4, "scored": 4, "seconds": 1.0, "screened": False,
}  # fmt: skip

ORDER = {"sources": ["a"], "config": {"width": 4, "k": 2}, "controls": ["gaussian"]}


def preset(folder: Path, content: bytes) -> None:
    (folder / "mine.json").write_bytes(content)
    found = read_preset(folder / "mine.json")
    assert isinstance(found, Preset) and len(found.widths) == len(found.saes) > 0
    assert found.meta_width > 0 and found.hook_layer >= 0


def restored(folder: Path, content: bytes) -> None:
    view = view_from_json(content, MADE).view
    assert View.from_query(view.to_query()) == view


def labels(folder: Path, content: bytes) -> None:
    found = Corrections.from_json(content)
    assert Corrections.from_json(found.to_json()) == found


def explanations(folder: Path, content: bytes) -> None:
    assert all(int(index) is not None and text for index, text in explained(content).items())


def kept_labels(folder: Path, content: bytes) -> None:
    path = folder / "labels" / f"{EMBEDDED.name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    assert load_corrections(EMBEDDED, "s@1", "t@2").sae == "s@1"


def answer(folder: Path, content: bytes) -> None:
    try:
        label, words = read_answer(content)
    except ValueError:  # asked for again
        return
    assert label and words


def mask(folder: Path, content: bytes) -> None:
    assert min(masks.from_text(content, "mine.json").pieces) >= 0


def ravel_names(folder: Path, content: bytes) -> None:
    (folder / "ravel_city_entity_attributes.json").write_bytes(content)
    _ravel(folder)


def ravel_prompts(folder: Path, content: bytes) -> None:
    (folder / "ravel_city_attribute_to_prompts.json").write_bytes(content)
    _ravel(folder)


def _ravel(folder: Path) -> None:
    for part, values in RAVEL.items():
        path = folder / f"ravel_city_{part}.json"
        if not path.exists():
            path.write_text(json.dumps(values))
    assert ravel_data.read_ravel(folder).entities


def run(folder: Path, content: bytes) -> None:
    path = folder / "studies" / ASKED.identity / "asked.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    assert runs.opened(ASKED.identity).asked == ASKED
    assert len(runs.all_runs()) == 1


def result(folder: Path, content: bytes) -> None:
    (folder / "result.json").write_bytes(content)
    assert result_folder.read(folder).study


def summary(folder: Path, content: bytes) -> None:
    (folder / "done.json").write_bytes(content)
    assert read_record(folder / "done.json", Summary.from_dict).combinations is not None


def order(folder: Path, content: bytes) -> None:
    (folder / "m.order.json").write_bytes(content)
    assert len(unfinished_trainings(folder)) <= 1


def configuration(folder: Path, content: bytes) -> None:
    _sae(folder)
    (folder / "one" / formats.CONFIG).write_bytes(content)
    assert formats.load(folder / "one").W_dec.isfinite().all()


def text_file(folder: Path, content: bytes) -> None:
    (folder / "a.txt").write_bytes(content)
    assert all(one.text for one in own_documents([str(folder / "a.txt")]))


READERS: dict[str, tuple[Callable[[Path, bytes], None], Any]] = {
    "preset": (preset, PRESET),
    "restored": (restored, RESTORED),
    "of a command": (restored, OF_A_COMMAND),
    "labels": (labels, LABELS),
    "kept labels": (kept_labels, LABELS),
    "explanations": (explanations, EXPLAINED),
    "answer": (answer, COMPLETION),
    "mask": (mask, MASK),
    "ravel names": (ravel_names, RAVEL["entity_attributes"]),
    "ravel prompts": (ravel_prompts, RAVEL["attribute_to_prompts"]),
    "run": (
        run,
        {"format": 1, "began": "2026"} | json.loads(json.dumps(dataclasses.asdict(ASKED))),
    ),
    "result": (result, RESULT),
    "summary": (summary, SUMMARY),
    "order": (order, ORDER),
    "text": (text_file, "Tokyo is in Japan."),
}


def _sae(folder: Path) -> None:
    for name in ("one", "sae"):
        formats.save(random_sae(6, 12, k=2), folder / name, torch.float32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files are, with the SAE and the model that a preset names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    # Imports what makes folders of its own for temporary files.
    import sae_lens.loading.pretrained_sae_loaders  # noqa: F401

    _sae(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"hidden_size": 6}')
    return tmp_path


def sentence_or_taken(read: Callable[[Path, bytes], None], folder: Path, content: bytes) -> str:
    """What is wrong with how a file is read; nothing where it is taken or refused as it should."""
    try:
        with ends_soon(), WRITES.only_in(folder):
            read(folder, content)
    except UserError as error:
        try:
            is_a_sentence(str(error))
        except AssertionError:
            return f"{content[:200]!r}: {str(error)[:300]}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{content[:200]!r}: {type(error).__name__}: {str(error)[:300]}"
    return ""


@pytest.mark.parametrize("name", READERS)
def test_a_file_as_it_should_be_is_taken(name: str, folder: Path) -> None:
    read, valid = READERS[name]
    read(folder, json.dumps(valid).encode())


VERSIONED = (
    "restored", "of a command", "labels", "kept labels", "mask", "run", "result", "summary",
)  # fmt: skip


@pytest.mark.parametrize("name", VERSIONED)
def test_a_file_of_a_newer_version_is_told_from_a_damaged_one(name: str, folder: Path) -> None:
    read, valid = READERS[name]
    with pytest.raises(UserError) as raised:
        read(folder, json.dumps(valid | {"format": 2}).encode())
    is_a_sentence(str(raised.value))
    assert "format 2" in str(raised.value) and "update metasae" in str(raised.value)


@pytest.mark.parametrize("name", VERSIONED)
def test_a_file_that_says_no_version_is_of_the_first(name: str, folder: Path) -> None:
    read, valid = READERS[name]
    read(folder, json.dumps(valid | {"format": 1}).encode())
    unsaid = {key: value for key, value in valid.items() if key != "format"}
    read(folder, json.dumps(unsaid).encode())


@pytest.mark.parametrize("name", READERS)
def test_a_mutated_file_is_refused_in_a_sentence_or_taken(name: str, folder: Path) -> None:
    read, valid = READERS[name]
    draw = random.Random(f"files {name}")
    cases = [mutations.json_content(draw, valid) for _ in range(CASES)]
    found = [said for one in cases if (said := sentence_or_taken(read, folder, one))]
    assert not found, "\n".join(found)


def test_text_that_is_not_there_is_said(folder: Path) -> None:
    absent = ("~nobody/x", "x" * 300, "x" * 5000, "C:\\x", "nothing.json", *mutations.SCRIPTS)
    for name in absent:
        with pytest.raises(UserError) as raised:
            list(own_documents([name]))
        is_a_sentence(str(raised.value))


def test_every_script_is_a_label_a_name_and_a_question(folder: Path) -> None:
    for text in mutations.SCRIPTS:
        view = View().with_setting(source=text, prompt=f"{text} is", answers=(text,))
        file = json.dumps(RESTORED | {"view": view.to_query()}).encode()
        assert view_from_json(file, MADE).view == view
        written = Corrections("s", "t", {"64": {"1": text}})
        assert Corrections.from_json(written.to_json()) == written


# Directions.


def _numpy(matrix: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, matrix)
    return file.getvalue()


def _torch(matrix: torch.Tensor) -> bytes:
    file = io.BytesIO()
    torch.save({"W_dec": matrix}, file)
    return file.getvalue()


def directions(ending: str) -> Callable[[Path, bytes], None]:
    def read(folder: Path, content: bytes) -> None:
        (folder / f"d{ending}").write_bytes(content)
        rows = open_directions([str(folder / f"d{ending}")])
        found = rows.rows(np.arange(len(rows)))
        assert torch.allclose(found.norm(dim=1), torch.ones(len(rows)), atol=1e-3)

    return read


DIRECTIONS = {
    ".npy": _numpy(unit_rows(0).numpy()),
    ".safetensors": save({"W_dec": unit_rows(0)}),
    ".pt": _torch(unit_rows(0)),
}


@pytest.mark.parametrize("ending", DIRECTIONS)
def test_mutated_directions_are_refused_in_a_sentence_or_taken(ending: str, folder: Path) -> None:
    draw, read = random.Random(f"directions {ending}"), directions(ending)
    read(folder, DIRECTIONS[ending])
    cases = [mutations.content(draw, DIRECTIONS[ending]) for _ in range(CASES)]
    # Also where a file says what it holds.
    for _ in range(CASES):
        changed = bytearray(DIRECTIONS[ending])
        changed[draw.randrange(128)] ^= 1 << draw.randrange(8)
        cases.append(bytes(changed))
    found = [said for one in cases if (said := sentence_or_taken(read, folder, one))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("what", ["weights", "configuration"])
def test_a_mutated_sae_is_refused_in_a_sentence_or_taken(what: str, folder: Path) -> None:
    draw = random.Random(f"sae {what}")
    valid = (folder / "one" / formats.CONFIG).read_bytes()
    weights = (folder / "one" / formats.WEIGHTS).read_bytes()

    def opened(folder: Path, content: bytes) -> None:
        (folder / "one" / formats.WEIGHTS).write_bytes(content)
        formats.load(folder / "one")

    read = opened if what == "weights" else configuration
    cases = (
        [mutations.content(draw, weights) for _ in range(CASES)]
        if what == "weights"
        else [mutations.json_content(draw, json.loads(valid)) for _ in range(CASES)]
    )
    found = [said for one in cases if (said := sentence_or_taken(read, folder, one))]
    assert not found, "\n".join(found)
