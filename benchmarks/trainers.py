"""The trainers of a meta-SAE that are compared, and the planted rows they train on."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sae_lens
import torch
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer
from safetensors.torch import load_file, save_file

from metasae.lm.matmul import fast_dtype
from metasae.training import explained
from metasae.training.config import TrainConfig
from metasae.training.rows import TensorRows
from metasae.training.threshold import with_threshold
from metasae.training.trainer import Trainer

ROWS, WIDTH, ATOMS, PARTS = 49_152, 768, 3_000, 4
NOISE = 0.35
"""Length of the noise beside a row's structure of length one."""

PEER_RATE = 1e-3
"""SAELens's learning rate: the authors'. Its own default is 3e-4."""


def directions(draw: torch.Generator) -> torch.Tensor:
    """The unit directions that are planted, (ATOMS, WIDTH)."""
    return torch.nn.functional.normalize(torch.randn(ATOMS, WIDTH, generator=draw))


def planted(rows: int, seed: int = 0) -> torch.Tensor:
    """Unit rows: sums of a few of the atoms with positive weights, and noise."""
    draw = torch.Generator().manual_seed(seed)
    atoms = directions(draw)
    out = torch.empty(rows, WIDTH)
    for part in out.split(16_384):
        chosen = torch.randint(ATOMS, (len(part), PARTS), generator=draw)
        weights = 0.5 + torch.rand(len(part), PARTS, generator=draw)
        structure = torch.nn.functional.embedding_bag(
            chosen, atoms, mode="sum", per_sample_weights=weights
        )
        noise = torch.randn(len(part), WIDTH, generator=draw) * (NOISE / WIDTH**0.5)
        part.copy_(torch.nn.functional.normalize(structure) + noise)
    return torch.nn.functional.normalize(out)


def batches(rows: torch.Tensor, config: TrainConfig, done: int = 0) -> Iterator[torch.Tensor]:
    """Endless shuffled batches for the peers, without the first ones."""
    draw = np.random.default_rng(config.seed)
    while True:
        order = draw.permutation(len(rows))
        for begin in range(0, len(rows) - config.batch + 1, config.batch):
            if done:
                done -= 1
                continue
            yield rows[torch.from_numpy(order[begin : begin + config.batch])]


class Ours:
    """This package's trainer, with its sparse kernel."""

    def __init__(self, rows: torch.Tensor, config: TrainConfig) -> None:
        self.rows, self.config = rows, config
        self.trainer = Trainer(TensorRows(rows), config, dtype=fast_dtype(), device="cpu")

    def step(self) -> None:
        """One step."""
        self.trainer.advance()

    def quality(self) -> dict[str, float]:
        """Variance explained and L0 at inference."""
        sae = with_threshold(self.trainer.result(), self.rows, self.config.k)
        quality = explained.quality(sae, self.rows)
        return {"fve": quality.fve, "l0": quality.l0}

    @property
    def decoder(self) -> torch.Tensor:
        """Its rows."""
        return self.trainer.p.W_dec

    @property
    def done(self) -> int:
        """Steps so far."""
        return self.trainer.step

    def save(self, folder: Path) -> None:
        """Keep what the next step needs."""
        self.trainer.save(folder / "trainer.safetensors")

    def restore(self, folder: Path) -> None:
        """Go on from what was kept."""
        self.trainer.restore(folder / "trainer.safetensors")


@dataclass(frozen=True)
class Recipe:
    """How SAELens is run.

    Attributes:
        autocast: products in bf16.
        rescale: activations times the decoder's norms, which is its default; without, the norms
            drift.
        compiled: its forward pass by torch.compile, as its runner does when asked to.
    """

    autocast: bool = False
    rescale: bool = True
    compiled: bool = False


class SAELens:
    """SAELens's trainer on its own BatchTopK SAE, with the same optimiser settings but for the
    rate."""

    def __init__(
        self,
        rows: torch.Tensor,
        config: TrainConfig,
        rate: float = PEER_RATE,
        recipe: Recipe = Recipe(),
    ) -> None:
        torch.manual_seed(config.seed)
        self.rows, self.config = rows, config
        self.sae = BatchTopKTrainingSAE(
            BatchTopKTrainingSAEConfig(
                d_in=rows.shape[1], d_sae=config.width, k=config.k, device="cpu", dtype="float32",
                normalize_activations="none", apply_b_dec_to_input=True,
                rescale_acts_by_decoder_norm=recipe.rescale,
            )
        )  # fmt: skip
        settings = SAETrainerConfig(
            total_training_samples=config.batch * config.steps,
            train_batch_size_samples=config.batch,
            lr=rate,
            lr_end=0.0,
            lr_warm_up_steps=config.warmup,
            lr_decay_steps=int(config.decay * config.steps),
            adam_beta1=config.betas[0],
            adam_beta2=config.betas[1],
            dead_feature_window=config.dead_after,
            autocast=recipe.autocast,
        )
        if recipe.compiled:
            compiled = torch.compile(self.sae.training_forward_pass)
            self.sae.training_forward_pass = compiled
        self.batches = batches(rows, config)
        self.trainer = SAETrainer(settings, self.sae, self.batches)

    def step(self) -> None:
        """One step as `fit` does it, without its progress bar."""
        self.trainer.step(next(self.batches))
        self.trainer.n_training_steps += 1

    @torch.no_grad()
    def quality(self) -> dict[str, float]:
        """Variance explained and L0 at inference, as saved and opened by SAELens; and the variance
        explained with our threshold in place of its own."""
        with tempfile.TemporaryDirectory() as folder:
            self.sae.save_inference_model(folder)
            opened = sae_lens.SAE.load_from_disk(folder)
        fve, l0 = self._explained(opened)
        opened.threshold.zero_()
        count = self.sae.cfg.k * len(self.rows)
        largest = torch.empty(0)
        for part in self.rows.split(2048):
            largest = torch.cat([largest, opened.encode(part).flatten()])
            largest = largest.topk(min(int(count) + 1, len(largest))).values
        opened.threshold.fill_(float(largest[-1]))
        return {"fve": fve, "l0": l0, "fve_our_threshold": self._explained(opened)[0]}

    @property
    def decoder(self) -> torch.Tensor:
        """Its rows."""
        return self.sae.W_dec

    @property
    def done(self) -> int:
        """Steps so far."""
        return self.trainer.n_training_steps

    def save(self, folder: Path) -> None:
        """Keep what the next step needs."""
        save_file(dict(self.sae.state_dict()), folder / "sae.safetensors")
        self.trainer.save_trainer_state(folder)

    def restore(self, folder: Path) -> None:
        """Go on from what was kept."""
        self.sae.load_state_dict(load_file(folder / "sae.safetensors"))
        self.trainer.load_trainer_state(folder)
        self.batches = batches(self.rows, self.config, self.trainer.n_training_steps)

    def _explained(self, sae: Any) -> tuple[float, float]:
        left, active = 0.0, 0
        for part in self.rows.split(2048):
            acts = sae.encode(part)
            left += float((part - sae.decode(acts)).square().sum())
            active += int((acts > 0).sum())
        return 1 - left / float(self.rows.square().sum()), active / len(self.rows)


class Dense:
    """The same loss by autograd on dense activations, fp32."""

    def __init__(self, rows: torch.Tensor, config: TrainConfig) -> None:
        self.config, self.batches = config, batches(rows, config)
        start = Trainer(TensorRows(rows[:1]), config, device="cpu").p
        self.p = start
        for tensor in start.tensors().values():
            tensor.requires_grad_(True)
        self.optimiser = torch.optim.Adam(
            list(start.tensors().values()), lr=config.lr, betas=config.betas, fused=True
        )

    def step(self) -> None:
        """One step."""
        x, p = next(self.batches), self.p
        acts = ((x - p.b_dec) @ p.W_enc.T + p.b_enc).relu()
        top = acts.flatten().topk(self.config.k * len(x), sorted=False)
        kept = torch.zeros_like(acts).flatten().scatter(0, top.indices, top.values).view_as(acts)
        loss = (x - kept @ p.W_dec - p.b_dec).square().sum() / len(x)
        loss.backward()
        with torch.no_grad():
            assert p.W_dec.grad is not None
            p.W_dec.grad -= (p.W_dec.grad * p.W_dec).sum(1, keepdim=True) * p.W_dec
            self.optimiser.step()
            self.optimiser.zero_grad()
            p.W_dec /= p.W_dec.norm(dim=1, keepdim=True)
