"""The folder of a repository: SAELens opens it and uploads it, the card says what it is."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from metasae.errors import UserError
from metasae.exports.model_card import model_card
from metasae.exports.to_huggingface import TARGET, Repository, _shared_preset, upload
from metasae.lab import city_table
from metasae.lab.lab import Lab, open_lab
from metasae.saes import formats
from metasae.sources import hub
from metasae.sources.files import write_json
from metasae.sources.presets import EMBEDDED
from metasae.sources.user_presets import find_preset
from metasae.training import meta_sae_run
from tests import small_models
from tests.builders import never
from tests.other_presets import OtherPreset, only_here
from tests.small_models import in_hub_cache

SMALLEST = Path(EMBEDDED.sae(min(EMBEDDED.widths)))
"""Folder of a shipped SAE."""


def test_the_folder_holds_the_same_saes(small_lab: Lab, tmp_path: Path) -> None:
    from sae_lens import SAE

    out = tmp_path / "out"
    TARGET.export(Repository(small_lab, "me/saes", all_widths=True), out)
    assert {one.name for one in out.iterdir()} == {"sae-16", "sae-64", "meta-sae", "README.md"}
    for name, wanted in (
        ("sae-64", small_lab.decomposition.sae), ("meta-sae", small_lab.decomposition.meta),
    ):  # fmt: skip
        assert torch.equal(formats.load(out / name).W_dec, wanted.W_dec)
        theirs = SAE.load_from_disk(str(out / name))
        rows = wanted.W_dec[:5]
        assert torch.allclose(theirs.encode(rows), wanted.encode(rows), atol=1e-5)


def test_only_the_open_sae_unless_all_are_wanted(small_lab: Lab) -> None:
    assert list(Repository(small_lab).folders()) == ["sae-64", "meta-sae"]


def test_the_card_is_filled_in(small_lab: Lab) -> None:
    from huggingface_hub import ModelCard

    folders = Repository(small_lab, "me/saes").folders()
    card = ModelCard(model_card(small_lab, "me/saes", folders))
    assert card.data.to_dict()["library_name"] == "saelens"
    assert 'SAE.from_pretrained("me/saes", "sae-64")' in card.text
    report = small_lab.report["meta_sae"]
    for said in (
        small_lab.provenance.hook, small_lab.provenance.meta_sae, f"{report['fve']:.1%}",
        f"{report['fve_control']:.1%}", *folders.values(),
    ):  # fmt: skip
        assert said in card.text, said


def test_the_card_tells_of_the_saes_that_are_in_it_alone(small_lab: Lab) -> None:
    figures = {"fve": 0.5, "l0": 3.0, "ce_recovered": 0.9}
    saes = [figures | {"width": width} for width in small_lab.preset.widths]
    lab = replace(small_lab, report=small_lab.report | {"saes": saes})
    one = model_card(lab, "me/saes", Repository(lab).folders())
    both = model_card(lab, "me/saes", Repository(lab, all_widths=True).folders())
    assert "the SAE of 64 latents explains 50.0%" in one and "of 16 latents explains" not in one
    assert "of 16 latents explains" in both


@pytest.fixture
def folder(small_lab: Lab, tmp_path: Path) -> Path:
    TARGET.export(Repository(small_lab, "me/saes"), tmp_path / "out")
    return tmp_path / "out"


def test_saelens_uploads_what_was_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sae_lens
    from huggingface_hub import HfApi

    sent: list[Any] = []
    monkeypatch.setattr(hub, "is_reachable", lambda: True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(
        sae_lens, "upload_saes_to_huggingface", lambda saes, **more: sent.append((saes, more))
    )
    monkeypatch.setattr(HfApi, "upload_folder", lambda self, **more: sent.append(more))
    assert upload(folder, "me/saes").endswith("/me/saes")
    (saes, more), card = sent
    assert saes == {name: folder / name for name in ("meta-sae", "sae-64")}
    assert more["hf_repo_id"] == "me/saes" and not more["add_default_readme"]
    assert card["folder_path"] == folder and card["repo_id"] == "me/saes"
    assert card["allow_patterns"] == ["README.md", "preset.json", "meta-sae/report.json"]


def test_without_a_network_the_folder_is_kept_and_one_sentence_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "is_reachable", lambda: False)
    with pytest.raises(UserError, match="nothing was uploaded") as caught:
        upload(folder, "me/saes")
    assert str(folder) in str(caught.value) and (folder / "README.md").exists()


def test_what_the_hub_refuses_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sae_lens
    from huggingface_hub.errors import LocalTokenNotFoundError

    def refused(*_: Any, **__: Any) -> None:
        raise LocalTokenNotFoundError("no token\nsecond line")

    monkeypatch.setattr(hub, "is_reachable", lambda: True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(sae_lens, "upload_saes_to_huggingface", refused)
    with pytest.raises(UserError, match="log in") as caught:
        upload(folder, "me/saes")
    assert "\n" not in str(caught.value)


@pytest.mark.long
def test_its_name_opens_what_was_shared(
    open_other: Callable[[str], OtherPreset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a small GPT-2 whose SAEs were uploaded: nothing is trained, all weights are the same."""
    other = open_other("gpt2-small")
    with other.in_place():
        TARGET.export(Repository(other.lab, "me/saes"), tmp_path / "out")
        there = in_hub_cache(other.folder / "hub", "me/saes", "0" * 40)
        shutil.copytree(tmp_path / "out", there, dirs_exist_ok=True)
        monkeypatch.setattr(city_table, "load_names", lambda: ("lobster", "Mozart"))
        monkeypatch.setattr(meta_sae_run, "make", never("it was trained"))
        preset = find_preset("hf:me/saes")
        assert str(preset.opened) == "hf:me/saes" and find_preset(str(preset.opened)) == preset
        opened = open_lab(preset)
        first, shared = opened.weights, other.lab.weights
    for mine, theirs in (
        (opened.decomposition.sae, other.lab.decomposition.sae),
        (opened.decomposition.meta, other.lab.decomposition.meta),
    ):
        assert torch.equal(mine.W_dec, theirs.W_dec)
    assert opened.report["meta_sae"]["fve"] == other.lab.report["meta_sae"]["fve"]
    assert opened.provenance.preset == "hf:me/saes" and first.model == shared.model


def test_a_repository_that_isnt_there_is_one_sentence() -> None:
    for name in ("hf:", "hf:me", "hf:../x", "hf:me/..", "hf:a/b/c"):
        with pytest.raises(UserError, match="names no repository"):
            find_preset(name)


def test_a_shared_preset_opens_nothing_of_this_machine(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "name": "theirs", "model": "a/b@" + "0" * 40, "saes": ["me/saes:sae-4"], "widths": [4],
        "hook_layer": 1,
    }  # fmt: skip
    small_models.gpt2(tmp_path / "model")

    def shared(repo: str, **mine: Any) -> str:
        there = in_hub_cache(tmp_path / "hub", repo, "0" * 40)
        write_json(there / "preset.json", values | mine)
        return f"hf:{repo}"

    with only_here(tmp_path):
        assert find_preset(shared("me/saes")).repo == "me/saes"
        for name in (
            shared("me/model", model=str(tmp_path / "model")),
            shared("me/sae", saes=[str(SMALLEST)]),
        ):
            with pytest.raises(UserError, match="somebody's machine"):
                find_preset(name)


def test_a_persons_own_model_makes_no_preset(folder: Path) -> None:
    assert not (folder / "preset.json").exists()
    assert "--preset" not in (folder / "README.md").read_text("utf-8")


def test_the_model_of_a_preset_of_ones_own_is_named_by_the_built_in_one(small_lab: Lab) -> None:
    preset = replace(small_lab.preset, name="mine", model=EMBEDDED.model)
    made = _shared_preset(Repository(replace(small_lab, preset=preset), "me/saes"))
    assert made is not None and made["model"] == EMBEDDED.name
