"""SAEs in SAELens's file format: read and written; Gemma Scope 2's format read.

A folder holds ``cfg.json`` and ``sae_weights.safetensors``; ``sae_lens.SAE.load_from_disk`` opens
those written here. They keep the k largest latents of a row (architecture ``topk``) or every latent
above its threshold (``jumprelu``, the inference form of BatchTopK). Standard and gated SAEs are the
same function with other weights, and are read as such.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from metasae.errors import UserError
from metasae.progress import Progress, silent
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.sources.files import expanded, read_json, write_json, written_whole
from metasae.sources.releases import GEMMA_SCOPE, SAELENS, is_release, release_folder

CONFIG, WEIGHTS = SAELENS
"""Names of the files of a folder that is written here."""

REPORT = "report.json"
"""Name of a training's report beside its weights."""

HASH = "tensors"
"""In the header of a safetensors file that is written here: the hash of its tensors."""

_UNIT = 1e-2
"""How far a decoder row's norm may be from 1: fp16 weights are a little off."""

_OPTIONS = {
    "normalize_activations": ("none", "expected_average_only_in"),
    "reshape_activations": ("none",),
    "finetuning_scaling_factor": (False,),
}
"""SAELens's options, and the values of each for which `SparseAutoencoder` computes the same.
The average matters in training only: at inference SAELens leaves the input as it is."""

_SCOPE = {"w_enc": "W_enc", "b_enc": "b_enc", "w_dec": "W_dec", "b_dec": "b_dec"}
"""Gemma Scope 2's name of each weight → SAELens's."""

_WEIGHTS = {
    "standard": ("W_enc", "b_enc", "W_dec", "b_dec"),
    "topk": ("W_enc", "b_enc", "W_dec", "b_dec"),
    "jumprelu": ("W_enc", "b_enc", "W_dec", "b_dec", "threshold"),
    "gated": ("W_enc", "W_dec", "b_dec", "b_gate", "r_mag", "b_mag"),
}
"""The weights each architecture stores."""


def save(
    sae: SparseAutoencoder,
    folder: Path,
    dtype: torch.dtype = torch.float16,
    report: Mapping[str, Any] | None = None,
) -> None:
    """Write an SAE in SAELens's format; the folder appears whole or not at all.

    Args:
        report: JSON-able values to write beside it, as `REPORT`.

    Raises:
        UserError: when the folder can't be written.
    """
    config: dict[str, Any] = {
        "architecture": "topk" if sae.k is not None else "jumprelu",
        "d_in": sae.d_in,
        "d_sae": sae.width,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": sae.metadata,
    }
    tensors = {"W_enc": sae.W_enc, "b_enc": sae.b_enc, "W_dec": sae.W_dec, "b_dec": sae.b_dec}
    if sae.k is not None:
        config |= {"k": sae.k, "rescale_acts_by_decoder_norm": False}
    elif sae.threshold is not None:
        tensors["threshold"] = sae.threshold
    with written_whole(folder) as part:
        part.mkdir()
        (part / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        save_tensors({name: tensor.to(dtype) for name, tensor in tensors.items()}, part / WEIGHTS)
        if report is not None:
            write_json(part / REPORT, report)


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, header: dict[str, str] | None = None
) -> None:
    """Write tensors into a safetensors file, in whose header a hash tells what they are.

    Raises:
        OSError: when the disk is full or the file can't be written.
    """
    whole = {name: one.detach().cpu().contiguous() for name, one in tensors.items()}
    try:
        save_file(whole, path, {**(header or {}), HASH: _digest(whole)})
    except SafetensorError as error:
        # The system's error number is in its text alone.
        number = re.search(r"os error (\d+)", str(error))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code)) from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A safetensors file's tensors, and its header.

    Raises:
        OSError, SafetensorError: when it can't be read or is cut off.
        ValueError: when its tensors aren't what its header says they hash to; others' files say
            nothing.
    """
    with safe_open(path, "pt") as file:
        header = dict(file.metadata() or {})
    tensors = load_file(path)
    if HASH in header and header[HASH] != _digest(tensors):
        raise ValueError(f"a flipped bit in {path}")
    return tensors, header


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """A hash of some tensors, in which a flipped bit shows."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def lossless_dtype(*tensors: Tensor) -> torch.dtype:
    """Half precision where that loses nothing of any of them, else fp32."""
    same = all(torch.equal(one.half().float(), one) for one in tensors)
    return torch.float16 if same else torch.float32


def load(folder: Path) -> SparseAutoencoder:
    """The SAE of a folder in SAELens's format or Gemma Scope 2's, in fp32.

    Raises:
        UserError: when a file is missing, damaged, or not of these formats, or `SparseAutoencoder`
            can't compute the SAE.
    """
    config, tensors = _read(folder)
    architecture = config.get("architecture")
    if not isinstance(architecture, str) or architecture not in _WEIGHTS:
        raise UserError(
            f"The SAE in {folder} has the architecture {architecture!r}; this version opens "
            f"{', '.join(_WEIGHTS)}."
        )
    wanted = _WEIGHTS[architecture]
    if missing := set(wanted) - set(tensors):
        raise UserError(f"The SAE in {folder} lacks the weights {', '.join(sorted(missing))}.")
    d_sae, d_in = config.get("d_sae"), config.get("d_in")
    shapes = {"W_dec": (d_sae, d_in), "W_enc": (d_in, d_sae), "b_dec": (d_in,)}
    for name in wanted:
        if tuple(tensors[name].shape) != shapes.get(name, (d_sae,)):
            raise UserError(
                f"The SAE in {folder} says it has {d_sae} latents of width {d_in}, but its {name} "
                f"is {tuple(tensors[name].shape)}."
            )
    k = config.get("k")
    if architecture == "topk" and not (isinstance(k, int) and 1 <= k <= len(tensors["W_dec"])):
        raise UserError(
            f"The SAE in {folder} is a topk SAE whose k is {k}; it must be from 1 to {d_sae}."
        )
    for option, values in _OPTIONS.items():
        if config.get(option, values[0]) not in values:
            raise UserError(
                f"The SAE in {folder} has {option} set to {config[option]}; this version opens "
                f"only SAEs that have it set to {values[0]}."
            )
    return _as_one(config, tensors, architecture)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and weights under the names of SAELens's current version."""
    scope = (folder / GEMMA_SCOPE.weights).exists()
    layout = GEMMA_SCOPE if scope else SAELENS
    for name in layout:
        if not (folder / name).exists():
            raise UserError(
                f"{folder} is no SAE in SAELens's format: it has no {name}; choose the folder "
                f"that holds {CONFIG} and {WEIGHTS}."
            )
    try:
        config = read_json(folder / layout.config)
        if not isinstance(config, dict):
            raise ValueError
        stored, _ = load_tensors(folder / layout.weights)
        tensors = {name: value.float() for name, value in stored.items()}
        if scope:
            tensors = {_SCOPE.get(name, name): value for name, value in tensors.items()}
            d_sae, d_in = tensors["W_dec"].shape
            config = {"architecture": "jumprelu", "d_in": d_in, "d_sae": d_sae, "metadata": config}
        elif "hook_point" in config or "architecture" not in config:
            from sae_lens.loading.pretrained_sae_loaders import handle_config_defaulting

            config = handle_config_defaulting(config)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # The last three for a configuration whose values are of another kind than SAELens expects.
        raise UserError(
            f"The SAE in {folder} is damaged (cut off, overwritten, or a flipped bit); delete that "
            "folder, and fetch or train it again."
        ) from error
    return config, tensors


def _as_one(
    config: dict[str, Any], tensors: dict[str, Tensor], architecture: str
) -> SparseAutoencoder:
    """The same function as one selection behind one affine map.

    A gated SAE's gate, ``x W_enc + b_gate > 0``, is a threshold on its magnitude ``x W_enc
    exp(r_mag) + b_mag``, since both are the same product. An input that is not centred moves
    ``b_dec W_enc`` into the bias. TopK on activations times the decoder's norms is TopK with the
    norms in the encoder.
    """
    W_enc, W_dec, b_dec = tensors["W_enc"], tensors["W_dec"], tensors["b_dec"]
    threshold = tensors.get("threshold")
    if architecture == "gated":
        size = tensors["r_mag"].exp()
        W_enc, b_enc = W_enc * size, tensors["b_mag"]
        threshold = b_enc - size * tensors["b_gate"]
    else:
        b_enc = tensors["b_enc"]
    if architecture == "standard":
        threshold = torch.zeros(len(W_dec))
    if not config.get("apply_b_dec_to_input", True):
        moved = b_dec @ W_enc
        b_enc = b_enc + moved
    sae = SparseAutoencoder(
        W_enc=W_enc,
        b_enc=b_enc,
        W_dec=W_dec,
        b_dec=b_dec,
        k=config["k"] if architecture == "topk" else None,
        threshold=None if architecture == "topk" else threshold,
        metadata=config.get("metadata") or {},
    )
    return _normed(sae) if config.get("rescale_acts_by_decoder_norm") else sae


def _normed(sae: SparseAutoencoder) -> SparseAutoencoder:
    """The same SAE with decoder rows of norm 1, their norms in the encoder."""
    norm = sae.W_dec.norm(dim=1).clamp(min=1e-12)
    return replace(
        sae,
        W_enc=sae.W_enc * norm,
        b_enc=sae.b_enc * norm,
        W_dec=sae.W_dec / norm[:, None],
        threshold=None if sae.threshold is None else sae.threshold * norm,
    )


def open_sae(source: str, size: int = 0, progress: Progress = silent) -> SparseAutoencoder:
    """An SAE from a folder or from SAELens's releases, its decoder rows of norm 1.

    Args:
        source: a folder, or ``RELEASE:ID``.
        size: bytes of its weights, for the error when they can't be fetched.

    Raises:
        UserError: as `load` and `releases.release_folder`; for a TopK SAE that selects by
            activation alone while its decoder rows have other norms than 1.
    """
    folder = release_folder(source, size, progress) if is_release(source) else expanded(source)
    sae = load(folder)
    norm = sae.W_dec.norm(dim=1)
    if bool(((norm - 1).abs() < _UNIT).all()):
        return sae
    if sae.k is not None:
        raise UserError(
            f"The SAE in {folder} keeps the k largest activations and has decoder rows of other "
            f"norms than 1 ({float(norm.min()):.3g} to {float(norm.max()):.3g}); fold the norms "
            "into its encoder with SAELens's fold_W_dec_norm first."
        )
    return _normed(sae)
