"""The steering file of lm-evaluation-harness: its content, and what the harness makes of it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from metasae.errors import UserError
from metasae.exports.one_vector import one_vector
from metasae.exports.to_lm_eval import FILE, TARGET, hook_point
from metasae.lab.lab import Lab
from tests.metasae.exports.making import edited, is_installed, model_folder
from tests.other_presets import OtherPreset


def test_the_file_is_what_the_harness_reads(small_lab: Lab, tmp_path: Path) -> None:
    one = edited(small_lab)
    found = one_vector(one)
    TARGET.export(one, tmp_path / "out")
    read = torch.load(tmp_path / "out" / FILE, weights_only=True)
    assert list(read) == [hook_point(small_lab.model)]
    (steered,) = read.values()
    assert set(steered) == {
        "steering_vector", "steering_coefficient", "action", "bias", "head_index",
    }  # fmt: skip
    assert torch.equal(steered["steering_vector"], found.vector)
    assert steered["steering_coefficient"] == found.coefficient
    assert steered["action"] == "add" and steered["bias"] is None


def test_how_far_it_is_off_stands_beside_it(small_lab: Lab, tmp_path: Path) -> None:
    one = edited(small_lab)
    remarks = TARGET.export(one, tmp_path / "out")
    said = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert one_vector(one).text(one) in said and remarks == (one_vector(one).sentence,)


def test_the_modules_output_is_the_residual_stream_at_the_hook(other_preset: OtherPreset) -> None:
    """Of a hook in the middle and of the first, in either family."""
    model = other_preset.lab.model
    tokens = torch.tensor([model.prompt_tokens("Tokyo is a city")])
    with torch.inference_mode():
        hidden = model.hf.base_model(tokens, output_hidden_states=True).hidden_states
    for layer in (0, model.hook_layer):
        first = type(model)(
            model.hf, model.tokenizer, model.name, layer, model.start_token
        )  # the same model, read before another block
        seen: list[Any] = []
        module = model.hf.base_model.get_submodule(hook_point(first))
        handle = module.register_forward_hook(lambda _, __, out, seen=seen: seen.append(out))
        with torch.inference_mode():
            model.hf.base_model(tokens)
        handle.remove()
        out = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
        assert torch.equal(out, hidden[layer]), layer


def test_an_edit_it_cant_express_leaves_nothing_behind(small_lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no single vector"):
        TARGET.export(edited(small_lab, "everywhere"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(not is_installed("lm_eval"), reason="lm_eval is not installed")
@pytest.mark.parametrize("kind", ["added", "swap"])
def test_the_harness_does_what_was_measured(small_lab: Lab, tmp_path: Path, kind: str) -> None:
    from lm_eval.models.hf_steered import SteeredModel

    one = edited(small_lab, kind)
    TARGET.export(one, tmp_path / "out")
    steered = SteeredModel(
        str(model_folder(small_lab)), str(tmp_path / "out" / FILE), device="cpu", dtype="float32"
    )
    model, scores = small_lab.model, []
    for question, answer in one.experiment.questions.answers:
        prompt, said = model.prompt_tokens(question.prompt), model.encode(" " + answer.text)
        with torch.inference_mode():
            logits = steered._model_call(torch.tensor([[*prompt, *said]]))[0]
        after = logits.log_softmax(-1)[len(prompt) - 1 : -1]
        scores.append(float(after[torch.arange(len(said)), said].sum()))
    wanted = one_vector(one).logprobs
    assert torch.allclose(torch.tensor(scores), wanted, atol=1e-4)
    assert not torch.allclose(wanted, one.outcome.baseline, atol=0.1)
