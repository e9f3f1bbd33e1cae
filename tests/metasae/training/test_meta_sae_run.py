"""A meta-SAE trained into a folder: what is written, and a run that was stopped."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sae_lens
import torch

from metasae.errors import UserError
from metasae.lm import matmul
from metasae.saes import formats
from metasae.saes.directions import Directions
from metasae.training import meta_sae_run
from metasae.training.meta_sae_run import make
from metasae.training.trainer import Moment, Stopped, Trainer
from metasae.training.unfinished import unfinished_trainings
from tests.builders import one_sentence, random_sae
from tests.metasae.training.planted import CONFIG


def before_each_step(monkeypatch: pytest.MonkeyPatch, look: Callable[[Trainer], object]) -> None:
    """Have a look at every training before each of its steps."""
    advance = Trainer.advance

    def watched(self: Trainer) -> object:
        look(self)
        return advance(self)

    monkeypatch.setattr(Trainer, "advance", watched)


def test_what_is_written_opens_in_saelens_with_our_activations(
    directions: Directions, tmp_path: Path
) -> None:
    made = make(directions, CONFIG, tmp_path / "out", ("gaussian", "pca", "random"))
    theirs = sae_lens.SAE.load_from_disk(str(tmp_path / "out"))
    x = directions.rows(np.arange(200))
    ours = formats.load(tmp_path / "out")
    with torch.no_grad():
        torch.testing.assert_close(theirs.encode(x), ours.encode(x), rtol=0, atol=1e-5)
        torch.testing.assert_close(theirs(x), ours.reconstruct(x), rtol=0, atol=1e-5)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report == json.loads(json.dumps(made))
    assert report["data"] == [
        {"source": "one", "directions": 300}, {"source": "two", "directions": 500},
    ]  # fmt: skip
    quality = report["quality"]
    assert quality["l0"] == pytest.approx(2, abs=0.02)
    assert sum(quality["l0_counts"]) == 800
    # Planted structure is found, and more of it than there is in anything the controls have.
    controls = report["controls"]
    assert controls.keys() == {"gaussian", "pca", "random"}
    assert all(found["fve"] < quality["fve"] for found in controls.values())
    assert [path.name for path in tmp_path.glob("*")] == ["out"]


def test_a_stopped_run_goes_on_and_ends_as_if_it_had_not_been_stopped(
    directions: Directions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make(directions, CONFIG, tmp_path / "whole", ("gaussian",))
    begun = Trainer(directions, CONFIG, dtype=matmul.fast_dtype())
    for _ in range(20):
        begun.advance()
    begun.save(tmp_path / "out.meta-sae.checkpoint")
    with pytest.raises(UserError, match="stopped before its end; go on with --resume"):
        make(directions, CONFIG, tmp_path / "out")
    steps: list[int] = []
    before_each_step(monkeypatch, lambda trainer: steps.append(trainer.step))
    resumed = make(directions, CONFIG, tmp_path / "out", ("gaussian",), resume=True)
    assert steps == [*range(20, 60), *range(60)]
    assert resumed["quality"] == whole["quality"]
    assert resumed["controls"] == whole["controls"]


def test_a_folder_appears_with_its_report_or_not_at_all(
    directions: Directions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = formats.write_json

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(formats, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        make(directions, CONFIG, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(formats, "write_json", written)
    monkeypatch.setattr(Trainer, "advance", lambda self: pytest.fail("it was trained again"))
    make(directions, CONFIG, tmp_path / "out", resume=True)
    assert (tmp_path / "out" / formats.REPORT).exists()


def test_a_control_can_be_stopped_and_gone_on_with(directions: Directions, tmp_path: Path) -> None:
    moments: list[Moment] = []
    asked = iter([False] * 60 + [False] * 10 + [True])
    with pytest.raises(Stopped, match="Control on Gaussian rows was stopped at step 11"):
        make(
            directions, CONFIG, tmp_path / "out", ("gaussian",),
            record=moments.append, stopped=asked.__next__,
        )  # fmt: skip
    assert [moment.step for moment in moments] == [*range(1, 61)]
    report = make(directions, CONFIG, tmp_path / "out", ("gaussian",), resume=True)
    whole = make(directions, CONFIG, tmp_path / "whole", ("gaussian",))
    assert report["controls"] == whole["controls"]


def test_another_configuration_loses_nothing_of_a_stopped_run(
    directions: Directions, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Stopped):
        make(directions, CONFIG, out, stopped=lambda: True)
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for changed, controls in ((replace(CONFIG, lr=1e-3), ()), (CONFIG, ("pca",))):
        with pytest.raises(UserError) as raised:
            make(directions, changed, out, controls, resume=True)
        assert "begun with another configuration" in one_sentence(raised)
    other = Directions(("other",), (directions.parts[0],))
    with pytest.raises(UserError, match="made from other data"):
        make(other, CONFIG, out, resume=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == kept


def test_a_bad_start_leaves_no_request(directions: Directions, tmp_path: Path) -> None:
    config = replace(CONFIG, start="sae")
    formats.save(random_sae(6, 12, k=2), tmp_path / "small")
    for initial, said in (
        (tmp_path / "small", "it must have 16 of width 24"),
        (tmp_path / "nowhere", "is no SAE"),
        (None, "none is named"),
    ):
        with pytest.raises(UserError) as raised:
            make(directions, config, tmp_path / "out", initial=initial)
        assert said in one_sentence(raised)
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


def test_a_request_says_where_the_training_starts(
    directions: Directions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(directions, CONFIG, tmp_path / "first")
    monkeypatch.chdir(tmp_path)
    config = replace(CONFIG, start="sae", first_k=1.0)
    with pytest.raises(Stopped):
        make(directions, config, Path("second"), initial=Path("first"), stopped=lambda: True)
    (request,) = unfinished_trainings(tmp_path)
    assert request.initial == tmp_path / "first"
    report = make(
        directions, request.config, request.out, initial=request.initial, resume=True
    )  # fmt: skip
    assert report["config"]["start"] == "sae"


def test_a_run_stays_in_the_precision_it_began_in(
    directions: Directions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meta_sae_run, "fast_dtype", lambda: torch.bfloat16)
    with pytest.raises(Stopped):
        make(directions, CONFIG, tmp_path / "out", ("gaussian",), stopped=lambda: True)
    monkeypatch.setattr(meta_sae_run, "fast_dtype", lambda: torch.float32)
    used: set[torch.dtype] = set()
    before_each_step(monkeypatch, lambda trainer: used.add(trainer.dtype))
    report = make(directions, CONFIG, tmp_path / "out", ("gaussian",), resume=True)
    assert report["precision_of_selection"] == "bfloat16" and used == {torch.bfloat16}
