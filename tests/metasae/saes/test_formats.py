"""SAEs in SAELens's format: ours read by it, and what can be wrong with a folder."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sae_lens
import torch
from safetensors.torch import load_file, save_file

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lm.language_model import padded
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.formats import CONFIG, WEIGHTS
from metasae.sources.presets import EMBEDDED
from metasae.sources.releases import is_release
from tests.builders import cut_off, one_sentence, random_sae

BOTH = pytest.mark.parametrize("k", [4, None], ids=["topk", "jumprelu"])


def by_hand(**selection: Any) -> SparseAutoencoder:
    return SparseAutoencoder(
        W_enc=torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]]),
        b_enc=torch.tensor([0.0, 0.5, -1.0]),
        W_dec=torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]),
        b_dec=torch.tensor([1.0, -1.0]),
        **selection,
    )


X = torch.tensor([[3.0, 0.0], [0.0, 1.0], [1.0, -3.0]])
# Minus b_dec: (2, 1), (−1, 2), (0, −2); pre-activations by hand:
PRE = torch.tensor([[2.0, 1.5, 2.0], [-1.0, 2.5, -5.0], [0.0, -1.5, 1.0]])


def test_preactivations_by_hand() -> None:
    torch.testing.assert_close(by_hand(k=1).preactivations(X), PRE)


def test_topk_keeps_the_k_largest_and_none_below_zero() -> None:
    sae = by_hand(k=2)
    expected = torch.tensor([[2.0, 0.0, 2.0], [0.0, 2.5, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(sae.encode(X), expected)
    values, latents = sae.encode_sparse(X)
    torch.testing.assert_close(values, torch.tensor([[2.0, 2.0], [2.5, 0.0], [1.0, 0.0]]))
    assert set(latents[0].tolist()) == {0, 2}
    assert latents[1, 0] == 1 and latents[2, 0] == 2


def test_jumprelu_keeps_what_is_above_each_latents_threshold() -> None:
    sae = by_hand(threshold=torch.tensor([2.0, 1.0, 0.5]))
    # Latent 0's 2.0 is not above 2.0.
    expected = torch.tensor([[0.0, 1.5, 2.0], [0.0, 2.5, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(sae.encode(X), expected)


def test_jumprelu_below_a_negative_threshold_stays_zero() -> None:
    sae = by_hand(threshold=torch.full((3,), -2.0))
    assert (sae.encode(X) >= 0).all()
    torch.testing.assert_close(sae.encode(X), PRE.relu())


def test_decode_by_hand() -> None:
    acts = torch.tensor([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(by_hand(k=1).decode(acts), torch.tensor([[3.6, -0.2], [1.0, -1.0]]))


@BOTH
def test_reconstruct_is_decode_of_encode(k: int | None) -> None:
    sae = random_sae(8, 40, k=k)
    x = torch.randn(30, 8)
    torch.testing.assert_close(sae.reconstruct(x), sae.decode(sae.encode(x)))


def test_width_and_what_is_encoded() -> None:
    sae = by_hand(k=1)
    assert (sae.width, sae.d_in) == (3, 2)


def test_only_topk_is_sparse_row_by_row() -> None:
    with pytest.raises(ValueError, match="TopK"):
        by_hand(threshold=torch.zeros(3)).encode_sparse(X)


@BOTH
def test_what_is_saved_is_loaded(tmp_path: Path, k: int | None) -> None:
    sae = random_sae(8, 40, k=k)
    sae = dataclasses.replace(sae, metadata={"hook_name": "here", "seed": 3})
    formats.save(sae, tmp_path / "sae", torch.float32)
    loaded = formats.load(tmp_path / "sae")
    for field in dataclasses.fields(sae):
        one, other = getattr(sae, field.name), getattr(loaded, field.name)
        if isinstance(one, torch.Tensor):
            assert torch.equal(one, other), field.name
        else:
            assert one == other, field.name
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(["sae", CONFIG, WEIGHTS])


@BOTH
def test_half_precision_is_rounded_and_loaded_as_single(tmp_path: Path, k: int | None) -> None:
    sae = random_sae(8, 40, k=k)
    formats.save(sae, tmp_path / "sae")
    assert {value.dtype for value in load_file(tmp_path / "sae" / WEIGHTS).values()} == {
        torch.float16
    }
    loaded = formats.load(tmp_path / "sae")
    assert loaded.W_dec.dtype == torch.float32
    assert torch.equal(loaded.W_dec, sae.W_dec.half().float())


@BOTH
def test_saving_again_replaces_the_old_one_whole(tmp_path: Path, k: int | None) -> None:
    formats.save(random_sae(8, 40, k=3), tmp_path / "sae")
    formats.save(random_sae(6, 20, k=k, seed=1), tmp_path / "sae")
    loaded = formats.load(tmp_path / "sae")
    assert (loaded.width, loaded.d_in, loaded.k) == (20, 6, k)
    assert [path.name for path in tmp_path.iterdir()] == ["sae"]


@BOTH
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_saelens_opens_ours_and_gives_our_activations(
    tmp_path: Path, k: int | None, dtype: torch.dtype
) -> None:
    from sae_lens import SAE

    formats.save(random_sae(8, 40, k=k), tmp_path / "sae", dtype)
    ours = formats.load(tmp_path / "sae")
    theirs = SAE.load_from_disk(tmp_path / "sae")
    x = torch.randn(100, 8)
    expected = ours.encode(x)
    assert (expected > 0).any()
    with torch.no_grad():
        torch.testing.assert_close(theirs.encode(x), expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(theirs(x), ours.reconstruct(x), rtol=0, atol=5e-5)


# What can be wrong with a folder.


def changed_config(**changes: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps(config | changes))

    return change


def changed_weights(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def rewrite(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS)

    return rewrite


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (cut_off(WEIGHTS), "damaged"),
        (cut_off(CONFIG), "damaged"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b""), "damaged"),
        (lambda folder: (folder / CONFIG).write_text("[]"), "damaged"),
        (lambda folder: (folder / CONFIG).unlink(), "it has no cfg.json"),
        (lambda folder: (folder / WEIGHTS).unlink(), "it has no sae_weights.safetensors"),
        (shutil.rmtree, "it has no cfg.json"),
        (changed_config(d_in=9), "latents of width 9"),
        (changed_config(d_sae=41), "41 latents"),
        (changed_config(d_in=None), "latents of width None"),
        (changed_config(architecture="temporal"), "the architecture 'temporal'"),
        (changed_config(architecture=None), "the architecture None"),
        (changed_config(architecture=["topk"]), "the architecture ['topk']"),
        (changed_config(architecture="jumprelu"), "lacks the weights threshold"),
        (changed_config(k=None), "k is None"),
        (changed_config(k=0), "k is 0"),
        (changed_config(k=41), "k is 41"),
        (changed_config(architecture="gated"), "lacks the weights b_gate, b_mag, r_mag"),
        (changed_config(normalize_activations="layer_norm"), "normalize_activations"),
        (changed_config(reshape_activations="hook_z"), "reshape_activations"),
        (changed_weights(lambda tensors: tensors.pop("b_dec")), "lacks the weights b_dec"),
        (changed_weights(lambda t: t.update(b_enc=torch.zeros(39))), "b_enc"),
        (changed_weights(lambda t: t.update(b_dec=torch.zeros(9))), "b_dec"),
        (changed_weights(lambda t: t.update(W_enc=torch.zeros(40, 8))), "W_enc"),
    ],
)
def test_a_folder_that_is_no_sae_is_refused_in_a_sentence(
    tmp_path: Path, spoil: Callable[[Path], object], text: str
) -> None:
    folder = tmp_path / "sae"
    formats.save(random_sae(8, 40, k=4), folder)
    spoil(folder)
    with pytest.raises(UserError) as raised:
        formats.load(folder)
    assert text in one_sentence(raised)
    assert str(folder) in str(raised.value)


def test_a_threshold_of_another_width_is_refused(tmp_path: Path) -> None:
    formats.save(random_sae(8, 40, k=None), tmp_path / "sae")
    changed_weights(lambda t: t.update(threshold=torch.zeros(39)))(tmp_path / "sae")
    with pytest.raises(UserError, match="threshold"):
        formats.load(tmp_path / "sae")


def test_a_place_that_cant_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError) as raised:
        formats.save(random_sae(8, 40, k=4), tmp_path / "file" / "sae")
    assert "can't be written" in one_sentence(raised)


# The shipped ones, on the real model's residuals.

PROMPTS = (
    "Tokyo is a city in the country of Japan",
    "The primary language spoken in Rio de Janeiro is",
    "She put the kettle on and waited for the rain to stop.",
    "def fibonacci(n: int) -> int:",
)


@pytest.mark.parametrize("width", EMBEDDED.widths)
def test_saelens_opens_the_shipped_saes_and_gives_our_activations(lab: Lab, width: int) -> None:
    from sae_lens import SAE

    folder = Path(EMBEDDED.sae(width))
    ours = formats.load(folder)
    assert (ours.width, ours.d_in) == (width, EMBEDDED.model.d_model)
    rows = [lab.model.prompt_tokens(prompt) for prompt in PROMPTS]
    resid = lab.model.residual(padded(rows, lab.model.start_token))[:, 1:].flatten(0, 1)
    compare(SAE.load_from_disk(folder), ours, resid)


def test_saelens_opens_the_shipped_meta_sae_and_gives_our_activations(lab: Lab) -> None:
    from sae_lens import SAE

    assert EMBEDDED.weights is not None
    folder = EMBEDDED.weights / "meta-sae"
    ours = formats.load(folder)
    assert (ours.width, ours.d_in) == (EMBEDDED.meta_width, EMBEDDED.model.d_model)
    compare(SAE.load_from_disk(folder), ours, lab.decomposition.sae.W_dec)


def compare(theirs: Any, ours: SparseAutoencoder, x: torch.Tensor) -> None:
    expected = ours.encode(x)
    assert (expected > 0).any()
    with torch.no_grad():
        torch.testing.assert_close(theirs.encode(x), expected, rtol=0, atol=1e-4)


# Of any architecture of SAELens's.


def theirs(architecture: str, **options: object) -> sae_lens.SAE:
    """An SAE of SAELens's own, with random weights."""
    from sae_lens.registry import get_sae_class

    kind, config_kind = get_sae_class(architecture)
    extra: dict[str, object] = {"k": 4} if architecture == "topk" else {}
    sae = kind(config_kind(d_in=8, d_sae=40, device="cpu", **(extra | options)))
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in sae.parameters():
            weight.copy_(torch.randn(weight.shape, generator=draw) * 0.4)
    return sae


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("standard", {}),
        ("standard", {"normalize_activations": "expected_average_only_in"}),
        ("jumprelu", {}),
        ("gated", {}),
        ("topk", {"rescale_acts_by_decoder_norm": True}),
    ],
)
def test_it_computes_what_saelens_computes(
    tmp_path: Path, architecture: str, options: dict[str, object], centred: bool
) -> None:
    sae = theirs(architecture, apply_b_dec_to_input=centred, **options)
    sae.save_model(tmp_path / "sae")
    ours = formats.open_sae(str(tmp_path / "sae"))
    assert torch.allclose(ours.W_dec.norm(dim=1), torch.ones(40), atol=1e-5)
    x = 2 * torch.randn(64, 8)
    with torch.no_grad():
        acts, reconstruction = sae.encode(x), sae(x)
        if architecture != "topk":
            acts = acts * sae.W_dec.norm(dim=1)
    found = ours.encode(x)
    assert 0.02 < (found > 0).float().mean() < 0.98
    assert (found - acts).abs().max() < 1e-5 * acts.abs().max()
    assert (ours.reconstruct(x) - reconstruction).abs().max() < 1e-4


@pytest.mark.parametrize("rescaled", [True, False])
def test_a_batch_topk_sae_that_saelens_trained_computes_what_saelens_computes(
    tmp_path: Path, rescaled: bool
) -> None:
    sae = sae_lens.BatchTopKTrainingSAE(
        sae_lens.BatchTopKTrainingSAEConfig(
            d_in=8, d_sae=40, k=4, device="cpu", rescale_acts_by_decoder_norm=rescaled
        )
    )
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in sae.parameters():
            weight.copy_(torch.randn(weight.shape, generator=draw) * 0.4)
        sae.topk_threshold.fill_(0.7)
    sae.save_inference_model(tmp_path / "sae")
    saved = sae_lens.SAE.load_from_disk(tmp_path / "sae")
    ours = formats.open_sae(str(tmp_path / "sae"))
    assert torch.allclose(ours.W_dec.norm(dim=1), torch.ones(40), atol=1e-5)
    x = 2 * torch.randn(64, 8)
    with torch.no_grad():
        acts, reconstruction = saved.encode(x) * saved.W_dec.norm(dim=1), saved(x)
    found = ours.encode(x)
    assert 0.02 < (found > 0).float().mean() < 0.98
    torch.testing.assert_close(found, acts, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.reconstruct(x), reconstruction, rtol=0, atol=1e-4)


def test_a_topk_sae_of_other_norms_is_refused(tmp_path: Path) -> None:
    theirs("topk", rescale_acts_by_decoder_norm=False).save_model(tmp_path / "sae")
    with pytest.raises(UserError) as raised:
        formats.open_sae(str(tmp_path / "sae"))
    assert "fold_W_dec_norm" in one_sentence(raised)


def test_a_folder_with_a_colon_in_its_name_is_no_release(tmp_path: Path) -> None:
    folder = tmp_path / "mine:8"
    assert is_release(str(folder))
    made = random_sae(4, 8, k=None)
    made = dataclasses.replace(made, W_dec=torch.nn.functional.normalize(made.W_dec))
    formats.save(made, folder, torch.float32)
    assert not is_release(str(folder)) and not is_release(str(tmp_path))
    assert torch.equal(formats.open_sae(str(folder)).W_dec, made.W_dec)
