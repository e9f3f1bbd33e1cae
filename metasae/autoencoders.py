"""Sparse autoencoders as SAELens stores them: read, write, encode, decode.

A folder holds ``cfg.json`` and ``sae_weights.safetensors``; ``sae_lens.SAE.load_from_disk`` opens
ours. Base SAEs keep the K largest latents of a token (architecture ``topk``); meta-SAEs keep every
meta-latent above one threshold (``jumprelu``, what BatchTopK becomes at inference).

Shapes: D = d_in, F = number of latents, N rows.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor

from metasae import assets
from metasae.errors import UserError

CONFIG = "cfg.json"
WEIGHTS = "sae_weights.safetensors"

_OPTIONS = {
    "apply_b_dec_to_input": True,
    "normalize_activations": "none",
    "reshape_activations": "none",
    "rescale_acts_by_decoder_norm": False,
}
"""SAELens's options, and the one value of each that `SparseAutoencoder` computes."""


@dataclass(frozen=True)
class SparseAutoencoder:
    """``f(x) = select(ReLU((x − b_dec) W_enc + b_enc))``, ``x̂ = b_dec + f(x) W_dec``.

    Exactly one of ``k`` and ``threshold`` says what ``select`` keeps: the k largest latents of a
    row, or every latent above its threshold.
    """

    W_enc: Float[Tensor, "D F"]
    b_enc: Float[Tensor, " F"]
    W_dec: Float[Tensor, "F D"]
    b_dec: Float[Tensor, " D"]
    k: int | None = None
    threshold: Float[Tensor, " F"] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Number of latents."""
        return self.W_dec.shape[0]

    @property
    def d_in(self) -> int:
        """Width of what is encoded."""
        return self.W_dec.shape[1]

    def preactivations(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N F"]:
        """What the selection chooses from."""
        return (x - self.b_dec) @ self.W_enc + self.b_enc

    def encode_sparse(
        self, x: Float[Tensor, "N D"]
    ) -> tuple[Float[Tensor, "N k"], Int[Tensor, "N k"]]:
        """The k largest activations of each row and their latents (TopK only)."""
        if self.k is None:
            raise ValueError("only a TopK SAE has the same number of latents in every row")
        values, latents = self.preactivations(x).topk(self.k, dim=-1)
        return values.relu(), latents

    def encode(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N F"]:
        """Activations of all latents."""
        if self.k is not None:
            values, latents = self.encode_sparse(x)
            return torch.zeros(len(x), self.width).scatter_(1, latents, values)
        pre = self.preactivations(x)
        assert self.threshold is not None
        return torch.where(pre > self.threshold, pre.relu(), 0.0)

    def decode(self, activations: Float[Tensor, "N F"]) -> Float[Tensor, "N D"]:
        """Reconstruction from activations."""
        return activations @ self.W_dec + self.b_dec

    def reconstruct(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Encode and decode, without the dense activations where they can be avoided."""
        if self.k is None:
            return self.decode(self.encode(x))
        values, latents = self.encode_sparse(x)
        return torch.einsum("nk,nkd->nd", values, self.W_dec[latents]) + self.b_dec


def save(sae: SparseAutoencoder, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write an SAE in SAELens's format; the folder appears whole or not at all.

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
    with assets.written_whole(folder) as part:
        part.mkdir()
        (part / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        save_file(
            {name: tensor.to(dtype).contiguous() for name, tensor in tensors.items()},
            part / WEIGHTS,
        )


def load(folder: Path) -> SparseAutoencoder:
    """Read an SAE from SAELens's format, as fp32.

    Raises:
        UserError: when a file is missing, cut off, or not of this format.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).exists():
            raise UserError(
                f"{folder} is no SAE in SAELens's format: it has no {name}; choose the folder "
                f"that holds {CONFIG} and {WEIGHTS}."
            )
    try:
        config = json.loads((folder / CONFIG).read_text())
        if not isinstance(config, dict):
            raise ValueError
        tensors = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
    except Exception as error:  # safetensors and json have their own families of errors
        raise UserError(
            f"The SAE in {folder} is damaged (cut off or overwritten); fetch it again."
        ) from error
    architecture = config.get("architecture")
    if architecture not in ("topk", "jumprelu"):
        raise UserError(
            f"The SAE in {folder} has the architecture {architecture!r}; this version opens topk "
            "and jumprelu."
        )
    wanted = {"W_enc", "b_enc", "W_dec", "b_dec"} | (
        {"threshold"} if architecture == "jumprelu" else set()
    )
    if missing := wanted - set(tensors):
        raise UserError(f"The SAE in {folder} lacks the weights {', '.join(sorted(missing))}.")
    d_sae, d_in = config.get("d_sae"), config.get("d_in")
    shapes = {
        "W_dec": (d_sae, d_in),
        "W_enc": (d_in, d_sae),
        "b_enc": (d_sae,),
        "b_dec": (d_in,),
        "threshold": (d_sae,),
    }
    for name, shape in shapes.items():
        if name in wanted and tuple(tensors[name].shape) != shape:
            raise UserError(
                f"The SAE in {folder} says it has {d_sae} latents of width {d_in}, but its {name} "
                f"is {tuple(tensors[name].shape)}."
            )
    k = config.get("k")
    if architecture == "topk" and not (isinstance(k, int) and 1 <= k <= len(tensors["W_dec"])):
        raise UserError(
            f"The SAE in {folder} is a topk SAE whose k is {k}; it must be from 1 to {d_sae}."
        )
    for option, value in _OPTIONS.items():
        if config.get(option, value) != value:
            raise UserError(
                f"The SAE in {folder} has {option} set to {config[option]}; this version opens "
                f"only SAEs that have it set to {value}."
            )
    return SparseAutoencoder(
        W_enc=tensors["W_enc"],
        b_enc=tensors["b_enc"],
        W_dec=tensors["W_dec"],
        b_dec=tensors["b_dec"],
        k=k if architecture == "topk" else None,
        threshold=tensors.get("threshold"),
        metadata=config.get("metadata") or {},
    )
