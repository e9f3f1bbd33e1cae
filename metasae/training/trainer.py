"""The trainer that base SAEs and meta-SAEs share: batches, optimiser, checkpoints.

Shapes: B rows of a batch, D their width, F latents.
"""

import functools
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from metasae.errors import UserError
from metasae.progress import Progress, silent
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.formats import load_tensors, save_tensors
from metasae.saes.selection import select_batch_topk, select_topk
from metasae.sources.files import json_values, written_whole
from metasae.sources.records import from_values, to_values
from metasae.sources.versions import KEY, TRAINING
from metasae.training.config import TrainConfig
from metasae.training.gradients import ExtraGradient, Parameters, StepResult, loss_and_gradients
from metasae.training.rows import Rows, width_of

_ALIGNED = 32

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""By their names in a checkpoint."""


@dataclass(frozen=True)
class Moment:
    """State of a training after a step.

    Attributes:
        step: steps done.
        steps: steps in all.
        loss: mean squared norm of a row's residual, ‖x − x̂‖², on the step's batch.
        l0: mean number of active latents a row, on the step's batch.
        dead: number of latents without an activation for more than ``config.dead_after`` steps.
    """

    step: int
    steps: int
    loss: float
    l0: float
    dead: int


Watch = Callable[[Moment], bool]
"""Called after every step of a training; stops it by returning True."""


class Stopped(UserError):
    """A training was stopped by its `Watch`; the checkpoint is written."""


def precision_of(checkpoint: Path) -> torch.dtype | None:
    """Precision in which a checkpoint's candidates were found; None where nothing says so."""
    try:
        with safe_open(checkpoint, "pt") as file:
            return _DTYPES.get((file.metadata() or {}).get("dtype", ""))
    except (SafetensorError, OSError):  # `Trainer.restore` says what is wrong with it
        return None


class Trainer:
    """Training of one SAE, determined by the configuration, the rows and the start alone.

    Args:
        rows: the training rows.
        directions: decoder rows to start from, scaled to unit norm; needed when ``config.start`` is
            "data" or "ngrams".
        centre: b_dec to start from; zero when left out.
        initial: SAE to start from; needed when ``config.start`` is "sae".
        scale: factor the rows are multiplied by.
        dtype: precision of the product that finds the candidates, until a checkpoint is restored
            that has another.
        device: where the weights are; by default the GPU where there is one. The rows stay where
            they are, and a batch at a time is moved there.

    Raises:
        ValueError: when what ``config.start`` needs is left out.
    """

    def __init__(
        self,
        rows: Rows,
        config: TrainConfig,
        directions: Float[Tensor, "F D"] | None = None,
        centre: Float[Tensor, " D"] | None = None,
        initial: SparseAutoencoder | None = None,
        scale: float = 1.0,
        dtype: torch.dtype = torch.float32,
        device: str | None = None,
    ) -> None:
        self.rows, self.config, self.scale, self.dtype = rows, config, scale, dtype
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        width = width_of(rows)
        if config.start == "sae":
            if initial is None:
                raise ValueError("a start from an SAE needs that SAE")
            # The fused optimiser goes through parameter and gradient as they lie in memory: a
            # transposed copy would be moved by other elements' gradients.
            self.p = Parameters(
                W_enc=initial.W_enc.T.clone(memory_format=torch.contiguous_format),
                b_enc=initial.b_enc * scale,
                W_dec=initial.W_dec.clone(memory_format=torch.contiguous_format),
                b_dec=initial.b_dec * scale,
            )
        else:
            if config.start != "random":
                if directions is None:
                    raise ValueError("a start from data needs the directions to start from")
                W_dec = directions.clone()
            else:
                generator = torch.Generator().manual_seed(config.seed)
                W_dec = torch.randn(config.width, width, generator=generator)
            W_dec /= W_dec.norm(dim=1, keepdim=True)
            self.p = Parameters(
                W_enc=config.encoder_scale * W_dec,
                b_enc=torch.zeros(config.width),
                W_dec=W_dec,
                b_dec=torch.zeros(width) if centre is None else centre * scale,
            )
        # Drawn on the CPU, so that every device starts from the same numbers.
        on_device = {name: one.to(self.device) for name, one in self.p.tensors().items()}
        self.p = Parameters(**on_device)
        self.step = 0
        self.silent = torch.zeros(config.width, dtype=torch.int64, device=self.device)
        self.loss = float("nan")
        self._optimiser = torch.optim.Adam(
            list(self.p.tensors().values()), lr=config.lr, betas=config.betas, fused=True
        )
        self._scratch = (torch.empty(0), torch.empty(0), torch.empty(0))
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)

    def batch(self, step: int) -> Float[Tensor, "B D"]:
        """Rows of a step, from a permutation that the seed and the epoch determine."""
        size = min(self.config.batch, len(self.rows))
        per_epoch = len(self.rows) // size
        epoch, place = divmod(step, per_epoch)
        if epoch != self._epoch:
            order = np.random.default_rng([self.config.seed, epoch]).permutation(len(self.rows))
            self._epoch, self._order = epoch, order
        rows = self.rows.rows(self._order[place * size : (place + 1) * size]).to(self.device)
        return rows if self.scale == 1.0 else rows * self.scale

    def draw(self, step: int) -> tuple[Float[Tensor, "B D"], ExtraGradient | None]:
        """Rows of a step, and the gradient of a loss beside the squared error, if there is one."""
        return self.batch(step), None

    @torch.no_grad()
    def advance(self) -> StepResult:
        """Do one training step.

        Returns:
            Its loss and what was active.
        """
        config, p = self.config, self.p
        x, extra_gradient = self.draw(self.step)
        pre = self._candidates(x)
        select = select_topk if config.selection == "topk" else select_batch_topk
        entries = select(pre, config.active(self.step))
        del pre
        dead = (self.silent > config.dead_after).nonzero()[:, 0]
        result = loss_and_gradients(
            p, x, entries, dead, config.auxiliary, config.auxiliary_k, extra_gradient
        )
        gradient = result.gradients["W_dec"]
        # The decoder stays on the unit sphere: only the tangent part of its gradient counts.
        gradient -= (gradient * p.W_dec).sum(1, keepdim=True) * p.W_dec
        if not config.train_decoder:
            gradient.zero_()
        for name, tensor in p.tensors().items():
            tensor.grad = result.gradients[name]
        for group in self._optimiser.param_groups:
            group["lr"] = config.rate(self.step)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        if config.train_decoder:  # a unit row divided by its norm need not be the same to the bit
            p.W_dec /= p.W_dec.norm(dim=1, keepdim=True)
        self.silent += 1
        self.silent[result.active] = 0
        self.step += 1
        self.loss = result.loss
        return result

    def _candidates(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B F"]:
        """Pre-activations in the product's precision.

        The bias rides along as one more column of the product: added afterwards it would cost a
        pass over the largest tensor there is. Rows end on a boundary the processor likes, and the
        memory is used again in the next step: what is returned holds until then.
        """
        rows, width = x.shape
        latents = len(self.p.W_enc)
        padded = -(-(width + 1) // _ALIGNED) * _ALIGNED
        left, right, pre = self._scratch
        if left.shape != (rows, padded) or left.dtype != self.dtype:
            make = functools.partial(torch.zeros, dtype=self.dtype, device=x.device)
            left, right = make(rows, padded), make(latents, padded)
            left[:, width] = 1.0
            pre = make(rows, latents)
            self._scratch = left, right, pre
        torch.sub(x, self.p.b_dec, out=left[:, :width])
        right[:, :width] = self.p.W_enc
        right[:, width] = self.p.b_enc
        return torch.mm(left, right.T, out=pre)

    def run(self, checkpoint: Path | None = None, every: float = 30.0, progress: Progress = silent,
            stage: str = "Training", watch: Watch | None = None) -> None:  # fmt: skip
        """Train to the last step, from the checkpoint if there is one.

        Args:
            checkpoint: file that is written now and then, and that the training goes on from.
            every: seconds between two writes of it: the most work a kill can cost.
            stage: name of the training in the progress.
            watch: called after every step; stops the training by returning True.

        Raises:
            Stopped: when ``watch`` stopped it, after saving.
            UserError: when the checkpoint is of another configuration or other data or damaged, or
                the disk is full.
            Exception: whatever ``progress`` raises, after saving.
        """
        if checkpoint is not None and checkpoint.exists():
            self.restore(checkpoint)
        kept = time.monotonic()
        while self.step < self.config.steps:
            result = self.advance()
            dead = int((self.silent > self.config.dead_after).sum())
            now = Moment(self.step, self.config.steps, self.loss, result.l0, dead)
            stop = watch is not None and watch(now)
            due = time.monotonic() - kept >= every or self.step == self.config.steps
            if checkpoint is not None and (stop or due):
                self.save(checkpoint)
                kept = time.monotonic()
            if stop:
                raise Stopped(
                    f"{stage} was stopped at step {self.step:,}; it can go on from there."
                )
            try:
                progress(
                    stage,
                    self.step / self.config.steps,
                    f"step {self.step:,} of {self.config.steps:,}, loss {self.loss:.4g}, "
                    f"L0 {result.l0:.2f}, dead {dead / self.config.width:.1%}",
                )
            except Exception:  # how work is cancelled by who watches its progress
                if checkpoint is not None:
                    self.save(checkpoint)
                raise

    def save(self, path: Path) -> None:
        """Write a checkpoint: everything the next step depends on.

        Raises:
            UserError: when the disk is full or the folder can't be written.
        """
        tensors = dict(self.p.tensors()) | {"silent": self.silent}
        for name, tensor in self.p.tensors().items():
            state = self._optimiser.state[tensor]
            tensors |= {f"m.{name}": state["exp_avg"], f"v.{name}": state["exp_avg_sq"]}
        header = {
            KEY: str(TRAINING.newest),
            "step": str(self.step),
            "config": json.dumps(to_values(self.config)),
            "rows": self._about_rows,
            "dtype": str(self.dtype).removeprefix("torch."),
        }
        with written_whole(path) as part:
            save_tensors(tensors, part, header)

    @functools.cached_property
    def _about_rows(self) -> str:
        """Size of the rows and a hash of a few, which tell them from other data in a checkpoint."""
        some = np.linspace(0, len(self.rows) - 1, 16).astype(np.int64)
        rows = self.rows.rows(some).contiguous()
        digest = hashlib.sha256(rows.numpy().tobytes()).hexdigest()[:16]
        return f"{len(self.rows)} × {rows.shape[1]}, {digest}"

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint, in the precision it was trained in.

        Raises:
            UserError: when it is of another configuration, other data or a newer version, or
                damaged.
        """
        try:
            tensors, header = load_tensors(path)
            TRAINING.check({KEY: int(header.get(KEY, 1))}, f"The checkpoint {path}")
            # What a configuration said nothing of then was as it is now by default.
            made_with = from_values(TrainConfig, json_values(header["config"]))
            # A checkpoint of an earlier version says nothing of the precision.
            dtype = _DTYPES[header["dtype"]] if "dtype" in header else self.dtype
            step, silent = int(header["step"]), tensors["silent"]
            values = {
                name: (tensors[name], tensors[f"m.{name}"], tensors[f"v.{name}"])
                for name in self.p.tensors()
            }
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"The checkpoint {path} is damaged; delete it to start again."
            ) from error
        if made_with != self.config:
            raise UserError(
                f"The checkpoint {path} was made with another configuration; delete it or use the "
                "same configuration."
            )
        if header.get("rows", self._about_rows) != self._about_rows:
            raise UserError(
                f"The checkpoint {path} was made from other data; delete it or train on the same."
            )
        self.dtype = dtype
        self.step, self.silent = step, silent.to(self.device)
        for name, tensor in self.p.tensors().items():
            value, first_moment, second_moment = values[name]
            tensor.copy_(value)
            self._optimiser.state[tensor] = {
                "step": torch.tensor(float(self.step), device=self.device),
                "exp_avg": first_moment.to(self.device),
                "exp_avg_sq": second_moment.to(self.device),
            }

    def result(self) -> SparseAutoencoder:
        """The SAE in the rows' own units, without the training scale, with TopK selection."""
        return SparseAutoencoder(
            W_enc=self.p.W_enc.T.clone().cpu(),
            b_enc=self.p.b_enc.cpu() / self.scale,
            W_dec=self.p.W_dec.clone().cpu(),
            b_dec=self.p.b_dec.cpu() / self.scale,
            k=self.config.k,
        )
