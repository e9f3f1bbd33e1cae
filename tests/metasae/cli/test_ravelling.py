"""``metasae ravel`` as a person calls it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metasae.cli.main import main
from metasae.lab.lab import Lab
from metasae.lab.spread import Spread, here
from metasae.ravel import evaluation, masks
from metasae.ravel.evaluation import Configuration
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import EMBEDDED, Opened
from metasae.studies.runs import opened
from tests.builders import never
from tests.command_line import refused, run
from tests.ravel_data import small_data


@pytest.fixture
def taught_cities(small_lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr("metasae.lab.lab.open_lab", lambda *_: small_lab)
    monkeypatch.setattr("metasae.ravel.data.own_cities", small_data)
    quick = Configuration(seeds=1, sources=2, targets=1, views=1, learned_towards=2, steps=4)
    monkeypatch.setattr(evaluation, "QUICK", quick)


@pytest.mark.usefixtures("taught_cities")
def test_a_table_is_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["ravel", "--quick", "--methods", "nothing,latent-swap", "--out", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    rows = {(row["rule"], row["method"], row["attribute"]): row for row in printed["methods"]}
    for rule in ("greedy", "choice"):
        row = rows[rule, "nothing", "all"]
        assert (row["cause"], row["isolate"], row["disentangle"]) == (0.0, 1.0, 0.5)
        assert {"low", "high", "seeds"} <= set(row)
    assert printed["quick"] and printed["facts"]["names"]["kept_held_out"] == 4
    assert printed["made"]["preset"] and (tmp_path / "out" / "tables" / "triples.parquet").exists()
    assert printed["masks"] == {} and printed["learned_edits"]["masks"] == []
    # Doing nothing moves nothing.
    leaks = [row for row in printed["leak"] if row["method"] == "nothing"]
    assert leaks and {(row["moved"], row["stayed"]) for row in leaks} == {(0.0, 1.0)}
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "A quick sample" in text and "latent-swap" in text


@pytest.mark.usefixtures("taught_cities")
def test_the_same_is_read_back_unless_anew(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["ravel", "--quick", "--methods", "nothing,latent-swap", "--json"]
    first = run(capsys, *words)
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "evaluate", never("it is kept"))
        assert run(capsys, *words) == first
        # The same run by its other name, as the page's code says it.
        settings = [f"--set={one}" for one in ("quick=True", "methods=nothing,latent-swap")]
        assert run(capsys, "study", "ravel", *settings)["run"] == first["run"]
    assert run(capsys, *words, "--anew")["methods"] == first["methods"]
    assert opened(first["run"]).finished


@pytest.mark.usefixtures("taught_cities")
def test_a_folder_of_other_files_is_refused_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one.txt").write_text("Dear")
    monkeypatch.setattr("metasae.lab.lab.open_lab", never("the folder is looked at first"))
    said = refused(capsys, ["ravel", "--quick", "--out", str(tmp_path / "letters")])
    assert "holds other files" in said
    assert (tmp_path / "letters" / "one.txt").read_text() == "Dear"


@pytest.mark.usefixtures("taught_cities")
def test_saved_masks_are_edits_of_steer(
    small_lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["ravel", "--quick", "--methods", "nothing,mask-gradient", "--save-masks"]
    saved = run(capsys, *words)["masks"]
    assert saved and set(saved) <= {"country", "language", "continent", "currency"}
    assert main(words) == 0
    text = capsys.readouterr().out
    assert f'Saved the mask "{next(iter(saved))}" as ' in text
    learned = run(capsys, *words)["learned_edits"]
    assert {one["attribute"] for one in learned["masks"]} >= set(saved)
    for one in learned["masks"]:
        assert f"{one['attribute']}, mask-gradient: {one['text']}" in text
        assert all(taken["called"] in one["text"] for taken in one["most"])
    # The small lab's pieces are few: a mask of all of them takes something of any pair.
    pair = small_lab.experiment(small_lab.subject("Tokyo"), small_lab.subject("Lyon"))
    own = [one for one in pair.pieces if one.side != "shared"]
    first = replace(
        masks.find(next(iter(saved))), name="first", pieces=tuple(one.meta for one in own[:1])
    )
    rest = replace(first, name="rest", pieces=tuple(one.meta for one in own[1:]))
    first.save()
    path = rest.save().rename(tmp_path / "rest.json")
    steer = ["steer", "--source", "Tokyo", "--target", "Lyon"]
    given = run(capsys, *steer, "--mask", "first", "--mask", str(path))
    expected = {str(one.meta): 1.0 - one.default for one in own}
    assert given["edit"]["strengths"] == expected
    typed = run(capsys, *steer, "--mask", "first", "--strength", f"{own[0].meta}=0.5")
    assert typed["edit"]["strengths"] == {str(own[0].meta): 0.5}
    replace(first, name="foreign", meta_sae="0" * 64).save()
    for bad, said in (
        (["--mask", "nonsense"], "no mask"),
        (["--mask", "foreign"], "meta-SAE"),
        (["--mask", "first", "--swap"], "--swap"),
        (["--mask", "first", "--everywhere"], "--everywhere"),
    ):
        assert said in refused(capsys, [*steer, *bad])
    path.write_text("{", "utf-8")
    assert "damaged" in refused(capsys, [*steer, "--mask", str(path)])


@pytest.mark.usefixtures("taught_cities")
def test_no_cluster_is_said_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is an extra: pip install 'metasae[ray]'")
    monkeypatch.setattr("metasae.lab.lab.open_lab", never("the cluster is looked for first"))
    said = refused(capsys, ["ravel", "--quick", "--ray", "localhost:1"])
    assert "No Ray cluster answers at localhost:1 " in said


@pytest.mark.usefixtures("taught_cities")
def test_names_are_spread_where_it_says_with_as_many_threads_as_here(
    small_lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spread_by: list[object] = []

    def over_ray(*given: object) -> Spread:
        spread_by.append(given)
        return here(small_lab)

    monkeypatch.setattr("metasae.lab.ray_cluster.over_ray", over_ray)
    words = ["ravel", "--quick", "--methods", "nothing,latent-swap", "--json"]
    first = run(capsys, *words, "--ray", "node:6379")
    assert spread_by == [(Opened(EMBEDDED.name), "node:6379", torch.get_num_threads())]
    # Where it was worked out is no part of the question.
    assert run(capsys, *words) == first


@pytest.mark.usefixtures("taught_cities")
@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--data", "nowhere"], "nowhere"),
        (["--methods", "magic"], "magic"),
        (["--methods", ","], "method"),
        (["--seeds", "0"], "--seeds"),
    ],
)
def test_bad_input_is_one_sentence(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ravel", "--quick", *words]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("metasae: ") and named in said
