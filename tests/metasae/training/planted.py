"""Directions with planted structure, and a recipe small enough for a test."""

from dataclasses import replace

import torch

from metasae.training.meta_sae import RECIPE

CONFIG = replace(RECIPE, width=16, k=2, steps=60, batch=256, lr=3e-3, warmup=5)


def rows(count: int = 800, width: int = 24, seed: int = 3) -> torch.Tensor:
    """Sums of two of twelve orthogonal atoms, all of one length."""
    draw = torch.Generator().manual_seed(seed)
    atoms = torch.linalg.qr(torch.randn(width, 12, generator=draw))[0].T
    parts = torch.rand(count, 12, generator=draw).argsort(1)[:, :2]
    return 2.0 * (atoms[parts[:, 0]] + 0.8 * atoms[parts[:, 1]])
