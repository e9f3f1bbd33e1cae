"""Edits as Python of other libraries: the scripts do, on their own, what the workbench did."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from metasae.exports.code import code_target
from metasae.exports.edited import Edited
from metasae.exports.registry import TARGETS
from metasae.exports.scripts import edit as standalone
from metasae.lab.lab import Lab
from metasae.lm.loading import prepare_model
from tests.metasae.exports.making import (
    KINDS,
    differences,
    edit_of,
    edited,
    is_installed,
    model_folder,
    run_alone,
)
from tests.other_presets import OtherPreset, experiment_with_own_pieces

SCRIPTS = {
    "transformers": "with_transformers.py",
    "transformer-lens": "with_transformer_lens.py",
    "nnsight": "with_nnsight.py",
}

SAME = 1e-4
"""Nats."""


def exported(lab: Lab, to: str, kind: str, folder: Path) -> Path:
    out = folder / kind.replace(" ", "-")
    TARGETS[to].export(edited(lab, kind), out)
    return out


@pytest.mark.slow
def test_transformers_alone_gives_the_same_log_probabilities(
    small_lab: Lab, tmp_path: Path
) -> None:
    folders = [exported(small_lab, "transformers", kind, tmp_path) for kind in KINDS]
    found = differences(SCRIPTS["transformers"], model_folder(small_lab), *folders)
    assert max(found) < SAME, dict(zip(KINDS, found, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("to", ["transformer-lens", "nnsight"])
def test_other_libraries_give_the_same_log_probabilities(
    small_lab: Lab, tmp_path: Path, to: str
) -> None:
    if to == "nnsight" and not is_installed("nnsight"):
        pytest.skip("nnsight is not installed")
    folders = [exported(small_lab, to, kind, tmp_path) for kind in ("added", "swap at all")]
    assert max(differences(SCRIPTS[to], model_folder(small_lab), *folders)) < SAME


def test_the_scripts_know_nothing_of_this_package(small_lab: Lab, tmp_path: Path) -> None:
    for to, script in SCRIPTS.items():
        TARGETS[to].export(edited(small_lab), tmp_path / to)
        for name in ("edit.py", script):
            lines = (tmp_path / to / name).read_text("utf-8").splitlines()
            assert not [line for line in lines if line.startswith(("import metasae", "from meta"))]


@pytest.mark.slow
def test_a_script_says_when_the_numbers_are_others(small_lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "out"
    TARGETS["transformers"].export(edited(small_lab), out)
    tensors = load_file(out / "edit.safetensors")
    save_file(tensors | {"step": tensors["step"] * 0.5}, out / "edit.safetensors")
    done = run_alone(out, SCRIPTS["transformers"], str(model_folder(small_lab)))
    assert done.returncode == 1 and "not the same" in done.stderr


def test_tensors_are_those_the_edit_needs_alone(small_lab: Lab) -> None:
    sae = small_lab.decomposition.sae
    tensors = edited(small_lab, "removed").tensors()
    assert tensors["W_enc"].shape == (sae.d_in, 1) and tensors["step"].shape == (1, sae.d_in)
    whole = edited(small_lab, "without error").tensors()
    assert whole["W_enc"].shape == sae.W_enc.shape and "W_dec" in whole


def test_a_topk_sae_keeps_its_k_largest(tmp_path: Path) -> None:
    """By hand: of three latents two are kept, and only those of them that are positive count."""
    tensors = {
        "W_enc": torch.eye(3), "b_enc": torch.zeros(3), "b_dec": torch.zeros(3),
        "latents": torch.tensor([0, 2]), "constant": torch.zeros(3),
        "step": torch.tensor([[10.0, 0, 0], [0, 10.0, 0]]),
    }  # fmt: skip
    save_file(tensors, tmp_path / "edit.safetensors")
    about = {"k": 2, "centred": False, "largest_norm": 100.0}
    (tmp_path / "edit.json").write_text(json.dumps(about))
    made = standalone.Edit(tmp_path)
    resid = torch.tensor([[[1.0, 2, 3], [1, 2, 3], [3, 1, -5]]])
    # Latent 0 is not among the two largest of the second token; of the third it is, and 2 is not.
    assert made(resid, None).tolist() == [[[1, 2, 3], [1, 32, 3], [33, 1, -5]]]
    # At one position alone, also when text is written token by token.
    assert made(resid, 1).tolist() == [[[1, 2, 3], [1, 32, 3], [3, 1, -5]]]
    assert made(resid[:, 2:], 2, start=2).tolist() == [[[33, 1, -5]]]
    # What is longer than usual is left alone.
    made.about["largest_norm"] = 5.0
    assert made(resid, None).tolist() == [[[1, 2, 3], [1, 32, 3], [3, 1, -5]]]


@pytest.mark.slow
def test_the_hook_edits_what_is_written_too(small_lab: Lab, tmp_path: Path) -> None:
    """Token by token, with keys and values kept, the name's token is edited once."""
    out = tmp_path / "out"
    TARGETS["transformers"].export(edited(small_lab, "added"), out)
    program = (
        "import torch\n"
        "from with_transformers import edited\n"
        "from edit import Edit, open_model\n"
        "edit = Edit(); model, tokenizer = open_model(edit)\n"
        "prompt = edit.about['questions'][0]['prompt']\n"
        "tokens = torch.tensor([edit.tokens(tokenizer, prompt)])\n"
        "with edited(model, edit, edit.place(tokenizer, prompt)):\n"
        "    out = model.generate(tokens, max_new_tokens=4, do_sample=False, pad_token_id=0)\n"
        "print('WRITTEN', tokenizer.decode(out[0, tokens.shape[1]:], skip_special_tokens=True))\n"
        "assert not model.get_submodule(edit.about['block'])._forward_pre_hooks\n"
    )
    (out / "write.py").write_text(program)
    done = run_alone(out, "write.py", str(model_folder(small_lab)))
    assert done.returncode == 0, done.stderr
    one = edited(small_lab, "added")
    prompt = one.experiment.questions[0].prompt
    ours = one.experiment.continuation(one.edit, prompt, 4)
    assert done.stdout.partition("WRITTEN ")[2].rstrip("\n") == ours


def test_other_families_are_edited_where_their_saes_read(
    other_preset: OtherPreset, tmp_path: Path
) -> None:
    """On the model as the hub has it: a GPT-2's mean is still in its residual stream there."""
    lab, out = other_preset.lab, tmp_path / "out"
    with other_preset.in_place():
        experiment = experiment_with_own_pieces(lab)
        edit = edit_of(experiment, "without error")
        TARGETS["transformers"].export(Edited(lab, experiment, edit), out)
        folder = prepare_model(other_preset.preset)
    assert json.loads((out / "edit.json").read_text("utf-8"))["centred"] == (
        other_preset.preset.name == "gpt2-small"
    )
    assert max(differences(SCRIPTS["transformers"], folder, out)) < SAME


def test_the_shipped_model_alone_gives_the_same_log_probabilities(lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "out"
    TARGETS["transformers"].export(edited(lab), out)
    assert max(differences(SCRIPTS["transformers"], prepare_model(lab.preset), out)) < SAME
    assert lab.preset.model.name in (out / "README.md").read_text("utf-8")


def test_what_is_needed_is_said(small_lab: Lab, tmp_path: Path) -> None:
    target = code_target("x", "X", "with_transformers.py", "torch something")
    target.export(edited(small_lab), tmp_path / "out")
    said = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "pip install torch something" in said and edited(small_lab).outcome.sentence in said
