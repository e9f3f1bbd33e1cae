"""The folder of a repository: SAELens opens it and uploads it, the card says what it is."""

from pathlib import Path
from typing import Any

import pytest
import torch

from metasae.errors import UserError
from metasae.exports.model_card import model_card
from metasae.exports.to_huggingface import TARGET, Repository, upload
from metasae.lab.lab import Lab
from metasae.saes import formats
from metasae.sources import hub


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
    assert card.data.library_name == "saelens"
    assert 'SAE.from_pretrained("me/saes", "sae-64")' in card.text
    report = small_lab.report["meta_sae"]
    for said in (
        small_lab.provenance.hook, small_lab.provenance.meta_sae, f"{report['fve']:.1%}",
        f"{report['fve_control']:.1%}", *folders.values(),
    ):  # fmt: skip
        assert said in card.text, said


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
    monkeypatch.setattr(HfApi, "upload_file", lambda self, **more: sent.append(more))
    assert upload(folder, "me/saes").endswith("/me/saes")
    (saes, more), card = sent
    assert saes == {name: folder / name for name in ("meta-sae", "sae-64")}
    assert more["hf_repo_id"] == "me/saes" and not more["add_default_readme"]
    assert card["path_or_fileobj"] == folder / "README.md" and card["repo_id"] == "me/saes"


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
