"""The hashes of what is open: those that sha256sum prints, and of the files as they are now."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from metasae.errors import UserError
from metasae.lab import weights
from metasae.lab.lab import Lab
from metasae.lab.preset_files import meta_sae_folder
from metasae.lab.stored_report import stored_report
from metasae.lab.weights import digest, weights_of
from metasae.saes import formats
from tests.builders import one_sentence


def of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_file_has_its_own_hash_and_several_have_that_of_the_list(tmp_path: Path) -> None:
    one, two = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    one.write_bytes(b"one")
    two.write_bytes(b"two")
    assert digest([one]) == of(b"one")
    both = f"{of(b'one')}  a.safetensors\n{of(b'two')}  b.safetensors\n"
    assert digest([one, two]) == of(both.encode())


def test_a_file_is_read_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    hashed = weights.sha256

    def counted(path: Path) -> str:
        read.append(path)
        return hashed(path)

    monkeypatch.setattr(weights, "sha256", counted)
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"one")
    assert digest([file]) == digest([file]) == of(b"one") and len(read) == 1
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert digest([file]) == of(b"two") and len(read) == 2


def test_files_that_are_gone_are_said(tmp_path: Path) -> None:
    for files in ([], [tmp_path / "nowhere"]):
        with pytest.raises(UserError) as raised:
            digest(files)
        assert "open them again" in one_sentence(raised)


def test_a_lab_has_the_hashes_of_its_three_files(small_lab: Lab) -> None:
    preset, found = small_lab.preset, small_lab.weights
    assert isinstance(preset.model.origin, Path)
    model, sae = preset.model.origin / "model.safetensors", Path(preset.sae(preset.width))
    assert found.model == of(model.read_bytes())
    assert found.sae == of((sae / formats.WEIGHTS).read_bytes())
    assert found.meta_sae == of((meta_sae_folder(preset) / formats.WEIGHTS).read_bytes())
    assert small_lab.provenance.sae.endswith(found.sae[:12])
    assert small_lab.provenance.meta_sae.endswith(found.meta_sae[:12])
    narrow = replace(preset, opened_width=preset.widths[0])
    assert weights_of(narrow).sae != found.sae


def test_the_shipped_weights_have_the_hashes_of_the_report(lab: Lab) -> None:
    stored = stored_report(lab.preset)["weights_sha256"]
    assert lab.weights.sae == stored[f"sae-{lab.preset.width}/{formats.WEIGHTS}"]
    assert lab.weights.meta_sae == stored[f"meta-sae/{formats.WEIGHTS}"]
