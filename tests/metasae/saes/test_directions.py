"""Directions from every kind of file, and one sentence for each that can't be opened."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from metasae.errors import UserError
from metasae.saes.directions import Directions, open_directions
from metasae.sources import hub


def matrix(rows: int = 5, width: int = 3) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(rows))


def unit(rows: torch.Tensor) -> torch.Tensor:
    return rows / rows.norm(dim=1, keepdim=True)


def written(folder: Path, kind: str, rows: torch.Tensor) -> Path:
    if kind == "saelens":
        path = folder / "sae"
        path.mkdir()
        (path / "cfg.json").write_text(json.dumps({"architecture": "gated"}))
        biases = {"b_dec": torch.zeros(rows.shape[1]), "W_enc": rows.T.contiguous()}
        save_file({"W_dec": rows, **biases}, path / "sae_weights.safetensors")
    elif kind == "authors":
        path = folder / "theirs"
        path.mkdir()
        (path / "config.json").write_text("{}")
        torch.save({"W_dec": rows, "W_enc": rows.T, "b_enc": rows[0]}, path / "sae.pt")
    elif kind == "npy":
        path = folder / "rows.npy"
        np.save(path, rows.numpy())
    elif kind == "pt":
        path = folder / "rows.pt"
        torch.save(rows, path)
    else:
        path = folder / "rows.safetensors"
        save_file({"anything": rows, "bias": rows[0].clone()}, path)
    return path


@pytest.mark.parametrize("kind", ["saelens", "authors", "npy", "pt", "safetensors"])
def test_every_kind_of_file_gives_its_unit_rows(tmp_path: Path, kind: str) -> None:
    rows = matrix()
    found = open_directions([str(written(tmp_path, kind, rows))])
    assert (len(found), found.d_in) == (5, 3)
    index = np.array([4, 0, 0])
    torch.testing.assert_close(found.rows(index), unit(rows)[[4, 0, 0]])


def test_half_precision_is_kept_as_it_is_and_read_as_fp32(tmp_path: Path) -> None:
    rows = matrix().half()
    found = open_directions([str(written(tmp_path, "safetensors", rows))])
    assert found.parts[0].dtype == torch.float16
    torch.testing.assert_close(found.rows(np.arange(5)), unit(rows.float()))


def test_several_sources_stand_one_after_the_other() -> None:
    small, large = matrix(4), matrix(6)
    both = Directions(("small", "large"), (small, large))
    assert len(both) == 10
    index = np.array([9, 3, 4, 0])
    expected = unit(torch.stack([large[5], small[3], large[0], small[0]]))
    torch.testing.assert_close(both.rows(index), expected)


class Harmful:
    """What a pickle could hold: it would be called when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("code of a user's file was run",))


@pytest.mark.parametrize("name", ["bad.pt", "folder/sae.pt", "bad.npy"])
def test_no_file_is_unpickled(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".pt":
        torch.save({"W_dec": Harmful()}, path)
    else:
        path.write_bytes(pickle.dumps(Harmful()))
    source = path.parent if name.startswith("folder") else path
    with pytest.raises(UserError, match=r"damaged or holds"):
        open_directions([str(source)])


def test_bad_matrices_are_named() -> None:
    rows = matrix()
    zero, nan = rows.clone(), rows.clone()
    zero[3] = 0
    nan[1, 2] = float("nan")
    with pytest.raises(UserError, match=r"Row 3 of mine is zero, .*1 such of 5"):
        Directions(("mine",), (zero,))
    with pytest.raises(UserError, match=r"Row 1 of mine is not finite"):
        Directions(("mine",), (nan,))
    with pytest.raises(UserError, match=r"no matrix of directions: it is \(5,\)"):
        Directions(("mine",), (rows[:, 0],))
    with pytest.raises(UserError, match=r"of int64"):
        Directions(("mine",), (rows.long(),))
    with pytest.raises(UserError, match=r"b have width 4, those of a 3"):
        Directions(("a", "b"), (rows, matrix(5, 4)))


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file or folder"):
        open_directions(["nowhere"])
    with pytest.raises(UserError, match="Name at least one"):
        open_directions([])
    with pytest.raises(UserError, match="is no SAE"):
        open_directions([str(tmp_path)])
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(UserError, match="kind that isn't opened"):
        open_directions([str(tmp_path / "a.csv")])
    whole = written(tmp_path, "safetensors", matrix(500))
    whole.write_bytes(whole.read_bytes()[:300])
    with pytest.raises(UserError, match="damaged or no safetensors"):
        open_directions([str(whole)])
    save_file({"a": matrix(), "b": matrix(4)}, tmp_path / "two.safetensors")
    with pytest.raises(UserError, match="holds 2 matrices and none is called W_dec"):
        open_directions([str(tmp_path / "two.safetensors")])


def test_the_hubs_releases_are_known_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match='knows no release "nobody"'):
        open_directions(["nobody:1"])
    release = "gpt2-small-res-jb-feature-splitting"
    with pytest.raises(UserError, match=r'has no "nothing"; it has blocks.8'):
        open_directions([f"{release}:nothing"])


def test_a_hub_that_cant_be_reached_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for source in (
        "gpt2-small-res-jb-feature-splitting:blocks.8.hook_resid_pre_768",
        "gemma-scope-2b-pt-res:layer_0/width_16k/average_l0_13",
    ):
        with pytest.raises(UserError, match=r"could not be fetched .* by hand"):
            open_directions([source])


def test_a_release_of_another_layout_is_kept_as_saelens_writes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sae_lens

    monkeypatch.setenv("METASAE_CACHE", str(tmp_path))
    made = sae_lens.StandardSAE(sae_lens.StandardSAEConfig(d_in=4, d_sae=9, device="cpu"))
    asked: list[tuple[str, str]] = []

    def download(release: str, sae_id: str) -> sae_lens.SAE:
        asked.append((release, sae_id))
        return made

    monkeypatch.setattr(sae_lens.SAE, "from_pretrained", download)
    monkeypatch.setattr(hub, "is_reachable", lambda: True)
    source = "gemma-scope-2b-pt-res:layer_0/width_16k/average_l0_13"
    for _ in range(2):
        (found,) = open_directions([source]).parts
        assert torch.equal(found, made.W_dec.detach())
    assert len(asked) == 1
    # One in which a bit flipped is fetched again.
    (kept,) = (tmp_path / "saes").rglob("*.safetensors")
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(content)
    (found,) = open_directions([source]).parts
    assert torch.equal(found, made.W_dec.detach()) and len(asked) == 2
