"""An edit as Neuronpedia's vector: what its own client sends."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

from metasae.exports.neuronpedia_vector import FILE, SCRIPT
from metasae.exports.one_vector import one_vector
from metasae.exports.to_neuronpedia import TARGET
from metasae.lab.lab import Lab
from tests.metasae.exports.making import edited, is_installed


def test_the_vector_is_what_is_added(small_lab: Lab, tmp_path: Path) -> None:
    one = edited(small_lab)
    found = one_vector(one)
    remarks = TARGET.export(one, tmp_path / "out")
    values = json.loads((tmp_path / "out" / FILE).read_text("utf-8"))
    strength, vector = values["default_steer_strength"], torch.tensor(values["vector"])
    assert float(vector.norm()) == pytest.approx(1.0, abs=1e-5)
    assert torch.allclose(strength * vector, found.coefficient * found.vector, atol=1e-5)
    assert values["label"] == "Tokyo → Paris"
    assert (values["layer_num"], values["hook_type"]) == (small_lab.model.hook_layer,
                                                          "hook_resid_pre")  # fmt: skip
    said = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert found.sentence in said and remarks == (found.sentence,)


@pytest.mark.skipif(not is_installed("neuronpedia"), reason="neuronpedia is not installed")
def test_neuronpedias_client_takes_it(
    small_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neuronpedia.requests.base_request import NPRequest

    sent: list[dict[str, Any]] = []

    def answered(self: Any, method: str, json: dict[str, Any], uri: str) -> dict[str, Any]:
        sent.append(json)
        vector = {
            "modelId": json["modelId"], "source": "0", "index": "1", "hookName": json["hookType"],
            "label": json["vectorLabel"], "values": json["vector"],
            "defaultSteerStrength": json["vectorDefaultSteerStrength"],
        }  # fmt: skip
        return {"vector": vector, "url": "https://there"}

    monkeypatch.setenv("NEURONPEDIA_API_KEY", "none")
    monkeypatch.setattr(NPRequest, "send_request", answered)
    TARGET.export(edited(small_lab), tmp_path / "out")
    runpy.run_path(str(tmp_path / "out" / SCRIPT), run_name="__main__")
    (payload,) = sent
    assert payload["modelId"] == json.loads((tmp_path / "out" / FILE).read_text())["model_id"]
    assert len(payload["vector"]) == small_lab.model.d_model
