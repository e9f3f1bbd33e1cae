"""Files in delphi's layout: written and read back, by us and by delphi where it is installed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from metasae.errors import UserError
from metasae.explorer.delphi_files import Run
from metasae.explorer.label_answers import all_questions, as_delphi
from metasae.explorer.label_questions import DETECTION, INTRUDER, KINDS
from metasae.explorer.label_scores import scored
from metasae.explorer.right_answers import published
from metasae.explorer.score_examples import Sampling, examples_of
from metasae.explorer.token_activations import TokenActivations
from tests.builders import one_sentence
from tests.metasae.explorer.scored_text import LENGTH, ROWS, coin, firing, material, read

MODULE = "blocks.1.hook_resid_pre"


def written(folder: Path, width: int = 3) -> Run:
    run = Run(folder, MODULE)
    run.write_activations(firing(), width, {"model_name": "small"})
    run.write_explanations({0: "tokyo", 1: "京都 <<x>>"})
    return run


def entries(found: TokenActivations) -> list[tuple[int, int, int, float]]:
    columns = found.latent, found.row, found.position, found.activation
    return sorted(zip(*(one.tolist() for one in columns), strict=True))


def test_activations_come_back(tmp_path: Path) -> None:
    run = written(tmp_path)
    back = Run.of(tmp_path).read_activations()
    assert Run.of(tmp_path) == run
    assert entries(back) == entries(firing()) and (back.tokens == firing().tokens).all()
    assert set(back.lengths.tolist()) == {LENGTH}
    assert entries(run.read_activations([1])) == [
        one for one in entries(firing()) if one[0] == 1
    ]  # fmt: skip
    assert examples_of(back, 0, read, Sampling()) == examples_of(firing(), 0, read, Sampling())


def test_the_layout_is_delphis(tmp_path: Path) -> None:
    run = written(tmp_path)
    folder = tmp_path / "latents" / MODULE
    assert {one.name for one in folder.iterdir()} == {"0_2.safetensors", "config.json"}
    arrays = load_file(folder / "0_2.safetensors")
    assert {name: str(one.dtype) for name, one in arrays.items()} == {
        "locations": "uint16", "activations": "float16", "tokens": "int64",
    }  # fmt: skip
    at = arrays["locations"]
    assert at.shape == (len(arrays["activations"]), 3)
    assert (arrays["tokens"][at[:, 0], at[:, 1]] == at[:, 2] + 1).all()
    config = json.loads((folder / "config.json").read_text())
    assert (config["cache_ctx_len"], config["model_name"]) == (LENGTH, "small")
    assert run.explanations() == {0: "tokyo", 1: "京都 <<x>>"}
    assert (tmp_path / "explanations" / f"{MODULE}_latent1.txt").exists()


def test_several_files_are_one_cache(tmp_path: Path) -> None:
    """As delphi splits it: by latents, each file's numbered from its first."""
    folder = tmp_path / "latents" / "layers.3.mlp"
    folder.mkdir(parents=True)
    tokens = np.arange(64).reshape(1, 64)
    for first, last, latent in ((0, 9, 4), (10, 19, 15)):
        save_file(
            {"locations": np.array([[0, 5, latent - first]], dtype=np.uint32),
             "activations": np.array([latent], dtype=np.float16), "tokens": tokens},
            folder / f"{first}_{last}.safetensors",
        )  # fmt: skip
    found = Run.of(tmp_path).read_activations()
    assert sorted(found.latent.tolist()) == [4, 15] and found.activation.tolist() == [4.0, 15.0]


def test_rows_with_padding_are_left_out(tmp_path: Path) -> None:
    found = firing()
    short = found.lengths.copy()
    short[:10] = 20
    run = Run(tmp_path, MODULE)
    run.write_activations(
        TokenActivations(found.tokens, short, found.latent, found.row, found.position,
                         found.activation), 3, {},
    )  # fmt: skip
    back = run.read_activations()
    assert (back.tokens == found.tokens[10:]).all()
    assert entries(back) == [
        (latent, row - 10, *rest) for latent, row, *rest in entries(found) if row >= 10
    ]
    with pytest.raises(UserError, match="No row"):
        run.write_activations(replace(found, lengths=short * 0), 3, {})


def test_answers_give_the_same_scores_when_they_are_read_back(tmp_path: Path) -> None:
    sampling = Sampling(20, 5)
    text = material()
    asked = all_questions(text.examples(sampling), text.labels, text.others, sampling)
    says = coin()
    found = [
        (one, None if number % 7 == 3 else one.read(says("\n".join(one.lines))))
        for number, one in enumerate(asked)
    ]
    run = Run(tmp_path, MODULE)
    for kind, answers in as_delphi(found).items():
        run.write_answers(kind, answers)
    scores = {(one.latent, one.kind): one.score for one in scored(found, text.labels)}
    assert published(Run.of(tmp_path)) == scores and len(scores) == 6
    (row, *_) = run.answers(DETECTION)[0]
    assert set(row) == {
        "str_tokens", "activations", "distance", "activating", "prediction", "probability",
        "correct",
    }  # fmt: skip
    assert {kind: len(run.answers(kind)[0]) for kind in KINDS} == {
        "detection": 40, "fuzz": 40, INTRUDER: 20
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("latents/m/0_9.safetensors", b"no tensors"),
        ("latents/m/0_9.safetensors", b""),
        ("explanations/m_latent3.txt", b"no json"),
        ("explanations/m_latent3.txt", b"[1]"),
        ("scores/detection/m_latent3.txt", b'[{"activating": true}]'),
        ("scores/intruder/m_latent3.txt", b'{"x": 1}'),
    ],
)
def test_what_is_damaged_is_one_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        run = Run.of(tmp_path)
        if name.startswith("latents"):
            run.read_activations()
        run.explanations()
        published(run)
    one_sentence(raised)


def test_a_folder_of_nothing_or_of_two_hooks_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run of delphi") as raised:
        Run.of(tmp_path)
    one_sentence(raised)
    for module in "ab":
        Run(tmp_path, module).write_explanations({0: "x"})
    with pytest.raises(UserError, match="a, b"):
        Run.of(tmp_path)


def test_delphi_reads_what_we_write(tmp_path: Path) -> None:
    """Its own loader finds the same pieces; its own reading of scores gives the same accuracy."""
    loader = pytest.importorskip("delphi.latents.loader", reason="delphi isn't installed")
    config = pytest.importorskip("delphi.config")

    class Words:
        def batch_decode(self, tokens: object) -> list[str]:
            return [read(int(token)) for token in tokens]  # type: ignore[attr-defined]

    run = written(tmp_path)
    dataset = loader.LatentDataset(
        raw_dir=str(tmp_path / "latents"), modules=[MODULE], tokenizer=Words(),
        sampler_cfg=config.SamplerConfig(n_examples_train=5, n_examples_test=20, n_quantiles=5),
        constructor_cfg=config.ConstructorConfig(min_examples=10, n_non_activating=20),
    )  # fmt: skip
    records = {record.latent.latent_index: record for record in dataset}
    assert set(records) == {0, 1}
    for latent, record in records.items():
        row, _, activation = firing().of(latent)
        assert len(record.examples) == len(row)
        assert record.max_activation == max(activation)
        assert all(max(one.activations) == 0 for one in record.not_active)
        strongest = {float(one.activations.max()) for one in record.examples}
        assert strongest == set(activation.tolist())
    made = examples_of(firing(), 0, read, Sampling(20, 5))
    assert made is not None and len(records[0].test) == len(made.firing)
    quantile_of = {float(one.activations.max()): one.quantile for one in records[0].test}
    for one in made.firing:
        assert quantile_of.get(max(one.activations), one.distance) == one.distance
    sampling = Sampling(20, 5)
    text, says = material(), coin()
    asked = all_questions(text.examples(sampling), text.labels, text.others, sampling, [DETECTION])
    found = [(one, one.read(says("\n".join(one.lines)))) for one in asked]
    run.write_answers(DETECTION, as_delphi(found)[DETECTION])
    analysis = pytest.importorskip("delphi.log.result_analysis")
    table, _ = analysis.load_data(tmp_path / "scores", [MODULE])
    for latent, rows in table.groupby("latent_idx"):
        theirs = analysis.compute_classification_metrics(analysis.compute_confusion(rows))
        ours = published(run)[latent, DETECTION]
        assert theirs["accuracy"] == pytest.approx(ours.value)
        assert theirs["f1_score"] == pytest.approx(ours.f1)
    assert len(records[0].examples) == ROWS
