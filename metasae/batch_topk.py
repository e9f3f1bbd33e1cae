"""The sparse training kernel and trainer that base SAEs and meta-SAEs share.

One dense product finds the candidates (bf16 where the processor is fast at it); everything after it
works on the selected entries only: their activations in fp32, the reconstruction, the gradients.
The gradients are written by hand and checked against autograd in the tests.

Shapes: B rows of a batch, D their width, F latents, E selected (row, latent) entries.
"""

import functools
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor

from metasae import assets
from metasae.autoencoders import SparseAutoencoder
from metasae.errors import UserError
from metasae.progress import Progress, silent


class Rows(Protocol):
    """Something to train on: rows by index."""

    def __len__(self) -> int: ...

    def rows(self, index: np.ndarray) -> Float[Tensor, "B D"]:
        """The rows at some indices, fp32, in any order."""
        ...


def width_of(rows: Rows) -> int:
    """D of some rows."""
    return rows.rows(np.zeros(1, dtype=np.int64)).shape[1]


@dataclass(frozen=True)
class TensorRows:
    """Rows held in memory, such as a decoder."""

    tensor: Float[Tensor, "N D"]

    def __len__(self) -> int:
        return len(self.tensor)

    def rows(self, index: np.ndarray) -> Float[Tensor, "B D"]:
        """The rows at some indices."""
        return self.tensor.index_select(0, torch.from_numpy(index))


@dataclass(frozen=True)
class TrainConfig:
    """How one SAE is trained.

    Attributes:
        width: number of latents.
        k: latents a row on average; exactly k a row when ``selection`` is "topk".
        selection: the k largest of every row, or the k·B largest of the batch.
        first_k: a training begins with this many times k latents a row, which become k; begun with
            2 a meta-SAE explains more in the end than with 1.
        settled: share of the steps over which they become fewer.
        start: decoder rows from given directions, random ones, or all from an existing SAE.
        encoder_scale: the encoder starts as this many times the decoder.
        warmup: steps of linear rise of the learning rate.
        decay: share of the steps, at the end, over which it falls to zero.
        auxiliary: weight of the loss that lets dead latents explain what is left over.
        dead_after: steps of silence after which a latent counts as dead.
        auxiliary_k: dead latents a row that take part in that loss.
        train_decoder: false leaves the decoder where it starts.
    """

    width: int
    k: int
    steps: int
    batch: int = 4096
    selection: Literal["topk", "batch_topk"] = "topk"
    first_k: float = 1.0
    settled: float = 0.6
    start: Literal["data", "random", "sae"] = "data"
    encoder_scale: float = 0.4
    lr: float = 5e-4
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: int = 100
    decay: float = 0.2
    auxiliary: float = 1 / 32
    dead_after: int = 800
    auxiliary_k: int = 256
    seed: int = 0
    train_decoder: bool = True

    def active(self, step: int) -> int:
        """Latents a row, on average, of a step."""
        left = max(0.0, 1 - step / max(1.0, self.settled * self.steps))
        return min(self.width, round(self.k * (1 + (self.first_k - 1) * left)))

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        rising = (step + 1) / max(1, self.warmup)
        falling = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.lr * min(1.0, rising, falling)


@dataclass
class Parameters:
    """What is trained; decoder rows are unit vectors after every step."""

    W_enc: Float[Tensor, "F D"]
    b_enc: Float[Tensor, " F"]
    W_dec: Float[Tensor, "F D"]
    b_dec: Float[Tensor, " D"]

    def tensors(self) -> dict[str, Tensor]:
        """By name, in a fixed order."""
        return {
            "W_enc": self.W_enc,
            "b_enc": self.b_enc,
            "W_dec": self.W_dec,
            "b_dec": self.b_dec,
        }


@dataclass(frozen=True)
class Entries:
    """Selected (row, latent) pairs of a batch, row by row."""

    row: Int[Tensor, " E"]
    latent: Int[Tensor, " E"]


_GROUP = 64
_SAMPLE = 50_000
_ALIGNED = 32


def select_topk(pre: Float[Tensor, "B F"], k: int) -> Entries:
    """The k largest of every row, exactly.

    A row's k largest entries lie in the k groups of columns with the largest maxima, so most
    columns are read once, for their group's maximum.
    """
    rows, width = pre.shape
    if width % _GROUP or width < 4 * k * _GROUP:
        latent = pre.topk(k, dim=1).indices
    else:
        grouped = pre.view(rows, width // _GROUP, _GROUP)
        groups = grouped.amax(dim=2).topk(k, dim=1).indices
        inside = grouped.gather(1, groups[..., None].expand(-1, -1, _GROUP)).flatten(1)
        place = inside.topk(k, dim=1).indices
        latent = groups.gather(1, place // _GROUP) * _GROUP + place % _GROUP
    row = torch.arange(rows, device=pre.device)[:, None].expand(-1, k)
    return Entries(row.flatten(), latent.flatten())


def select_batch_topk(pre: Float[Tensor, "B F"], k: int) -> Entries:
    """The k·B largest of the whole batch (BatchTopK, arXiv 2412.06410).

    Of equal entries at the cut the first are taken.
    """
    flat, count = pre.flatten(), k * len(pre)
    # A bound from a sample of the batch leaves about three times as many entries as are wanted;
    # if it was too high (fewer are left than wanted), all are looked at.
    sample = flat[:: max(1, len(flat) // _SAMPLE)]
    rank = min(len(sample), -(-3 * count * len(sample) // len(flat)))
    left = _at_least(flat, sample.topk(rank).values[-1])
    if len(left) < count:
        left = torch.arange(len(flat), device=pre.device)
    values = flat[left].float()
    cut = kth_largest(values, count)
    keep = values > cut
    ties = (values == cut).nonzero()[:, 0]
    keep[ties[: count - int(keep.sum())]] = True
    chosen = left[keep]
    return Entries(chosen // pre.shape[1], chosen % pre.shape[1])


def _at_least(flat: Float[Tensor, " N"], bound: Float[Tensor, ""]) -> Int[Tensor, " n"]:
    """Where entries reach a bound, in order."""
    if flat.device.type != "cpu":
        return (flat >= bound).nonzero()[:, 0]
    if flat.dtype == torch.bfloat16 and bound > 0:
        # The bits of positive floats are ordered as integers are, and those of negative ones are
        # negative; bf16 itself would be converted entry by entry. NumPy is the faster at both.
        bits = flat.view(torch.int16).numpy()
        return torch.from_numpy(np.flatnonzero(bits >= int(bound.view(torch.int16))))
    return torch.from_numpy(np.flatnonzero((flat >= bound).numpy()))


def kth_largest(values: Float[Tensor, " N"], k: int) -> Float[Tensor, ""]:
    """The k-th largest of some values."""
    if values.device.type != "cpu":
        return values.topk(k).values[-1]
    place = len(values) - k
    return torch.tensor(np.partition(values.numpy(), place)[place])


Further = Callable[[Float[Tensor, "B D"], float], Float[Tensor, "B D"]]
"""A loss beside the squared error: takes the reconstruction and the squared error, gives the loss's
gradient with respect to the reconstruction."""


@dataclass(frozen=True)
class StepResult:
    """Loss (mean squared norm of what is left, per row), its gradients, and who was active."""

    loss: float
    l0: float
    gradients: dict[str, Tensor]
    active: Int[Tensor, " A"]


def loss_and_gradients(
    p: Parameters,
    x: Float[Tensor, "B D"],
    entries: Entries,
    dead: Int[Tensor, " M"] | None = None,
    auxiliary: float = 0.0,
    auxiliary_k: int = 256,
    further: Further | None = None,
) -> StepResult:
    """Mean over the rows of ‖x − x̂‖², plus the auxiliary loss, and their exact gradients.

    The auxiliary loss is the squared norm of what the dead latents leave of the (detached)
    residual, computed from their own unsparsified activations.

    Args:
        further: a loss beside the squared error; not part of the loss in the result.
    """
    batch, width = len(x), len(p.W_dec)
    by_row = _Sparse.of(entries.row, entries.latent, batch)
    xc = x - p.b_dec
    pre = by_row.dots(xc, p.W_enc) + p.b_enc[by_row.column]
    value = pre.relu()
    summed = by_row.weighted_sums(value, p.W_dec)
    # In place: fresh memory of this size costs more than the subtraction.
    left = torch.sub(xc, summed, out=summed)
    loss = float(torch.linalg.vector_norm(left).square() / batch)
    # The factor goes onto the few sums that are made of the gradient, not onto all of it.
    grad_recon, factor = left, -2.0 / batch
    if further is not None:
        grad_recon, factor = left * factor + further(x - left, loss), 1.0
    grad_pre = by_row.dots(grad_recon, p.W_dec).mul_(factor) * (pre > 0)
    order, by_latent = by_row.transposed(width)
    b_enc = torch.zeros_like(p.b_enc).index_add_(0, by_row.column, grad_pre)
    gradients = {
        "W_enc": by_latent.weighted_sums(grad_pre[order], xc),
        "b_enc": b_enc,
        "W_dec": by_latent.weighted_sums(factor * value[order], grad_recon),
        "b_dec": factor * grad_recon.sum(0) - b_enc @ p.W_enc,
    }
    if dead is not None and len(dead):
        W_enc, W_dec = p.W_enc[dead], p.W_dec[dead]
        acts = (xc @ W_enc.T + p.b_enc[dead]).relu()
        if len(dead) > auxiliary_k:
            kept = acts.topk(auxiliary_k, dim=1)
            acts = torch.zeros_like(acts).scatter_(1, kept.indices, kept.values)
        missing = acts @ W_dec - left
        grad_missing = missing * (2.0 * auxiliary / batch)
        grad_acts = (grad_missing @ W_dec.T) * (acts > 0)
        gradients["W_enc"].index_add_(0, dead, grad_acts.T @ xc)
        gradients["b_enc"].index_add_(0, dead, grad_acts.sum(0))
        gradients["W_dec"].index_add_(0, dead, acts.T @ grad_missing)
        gradients["b_dec"] -= (grad_acts @ W_enc).sum(0)
    active = by_row.column[value > 0]
    return StepResult(loss, len(active) / batch, gradients, active.unique())


def row_starts(row: Int[Tensor, " E"], rows: int) -> Int[Tensor, " R+1"]:
    """Where each row's entries begin (CSR), of entries in the order of their rows."""
    start = torch.zeros(rows + 1, dtype=torch.int64, device=row.device)
    start[1:] = torch.bincount(row, minlength=rows).cumsum(0)
    return start


@dataclass(frozen=True)
class _Sparse:
    """Places of a sparse matrix's entries, row by row (CSR).

    Every operation reads the dense rows it needs where they lie; gathering them first would move
    ten times as many bytes.
    """

    start: Int[Tensor, " R+1"]
    row: Int[Tensor, " E"]
    column: Int[Tensor, " E"]

    @staticmethod
    def of(row: Int[Tensor, " E"], column: Int[Tensor, " E"], rows: int) -> "_Sparse":
        """From entries in the order of their rows."""
        return _Sparse(row_starts(row, rows), row, column)

    def transposed(self, columns: int) -> tuple[Int[Tensor, " E"], "_Sparse"]:
        """The entries' order by column, and the transposed matrix in that order."""
        if self.column.device.type == "cpu":
            # NumPy sorts 16-bit integers by radix, which is much the fastest there is.
            keys = self.column.numpy()
            keys = keys.astype(np.uint16) if columns <= 1 << 16 else keys
            order = torch.from_numpy(np.argsort(keys, kind="stable"))
        else:
            order = torch.argsort(self.column, stable=True)
        return order, _Sparse.of(self.column[order], self.row[order], columns)

    def dots(self, left: Float[Tensor, "R D"], right: Float[Tensor, "C D"]) -> Float[Tensor, " E"]:
        """For every entry the product of its row of ``left`` and its column's row of ``right``."""
        places = torch.sparse_csr_tensor(
            self.start,
            self.column,
            torch.zeros(len(self.column), device=left.device),
            (len(left), len(right)),
            check_invariants=False,
        )
        return torch.sparse.sampled_addmm(places, left, right.T, beta=0.0).values()

    def weighted_sums(
        self, weights: Float[Tensor, " E"], rows: Float[Tensor, "C D"]
    ) -> Float[Tensor, "R D"]:
        """For every row the weighted sum of its columns' ``rows``."""
        return torch.nn.functional.embedding_bag(
            self.column,
            rows,
            self.start,
            mode="sum",
            per_sample_weights=weights,
            include_last_offset=True,
        )


@dataclass(frozen=True)
class Moment:
    """How a training stands after a step.

    Attributes:
        loss: mean squared norm of what is left of a row, on the step's batch.
        l0: mean number of active latents a row, on the step's batch.
        dead: latents silent for longer than the configuration allows.
    """

    step: int
    steps: int
    loss: float
    l0: float
    dead: int


Watch = Callable[[Moment], bool]
"""Sees a training after every step; stops it by answering True."""


class Stopped(UserError):
    """A training was stopped by who watched it; its checkpoint is written."""


class Trainer:
    """Trains one SAE; every step depends only on the configuration, the rows and the step's number.

    Args:
        rows: what to train on.
        config: how.
        directions: decoder rows to start from, (F, D), scaled to unit norm; needed for a start
            from data.
        centre: where b_dec starts; zero when left out.
        initial: SAE to start from; needed for a start from one.
        scale: rows are multiplied by this first.
        dtype: precision of the product that finds the candidates.
        device: where it is trained; by default on the GPU where there is one. The rows stay where
            they are, a batch at a time is brought there.
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
            self.p = Parameters(
                W_enc=initial.W_enc.T.clone(),
                b_enc=initial.b_enc * scale,
                W_dec=initial.W_dec.clone(),
                b_dec=initial.b_dec * scale,
            )
        else:
            if config.start == "data":
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
        """The rows of a step: a fresh seeded permutation every epoch."""
        size = min(self.config.batch, len(self.rows))
        per_epoch = len(self.rows) // size
        epoch, place = divmod(step, per_epoch)
        if epoch != self._epoch:
            order = np.random.default_rng([self.config.seed, epoch]).permutation(len(self.rows))
            self._epoch, self._order = epoch, order
        rows = self.rows.rows(self._order[place * size : (place + 1) * size]).to(self.device)
        return rows if self.scale == 1.0 else rows * self.scale

    def draw(self, step: int) -> tuple[Float[Tensor, "B D"], Further | None]:
        """What a step is trained on: its rows, and a loss beside the squared error."""
        return self.batch(step), None

    @torch.no_grad()
    def advance(self) -> StepResult:
        """One step of training."""
        config, p = self.config, self.p
        x, further = self.draw(self.step)
        pre = self._candidates(x)
        select = select_topk if config.selection == "topk" else select_batch_topk
        entries = select(pre, config.active(self.step))
        del pre
        dead = (self.silent > config.dead_after).nonzero()[:, 0]
        result = loss_and_gradients(
            p, x, entries, dead, config.auxiliary, config.auxiliary_k, further
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
        if left.shape != (rows, padded):
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
            every: seconds after which the checkpoint is written anew; what a kill can cost.

        Raises:
            Stopped: when ``watch`` said so, after saving.
            UserError: when the checkpoint is of another configuration or damaged, or the disk full.
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
            progress(
                stage,
                self.step / self.config.steps,
                f"step {self.step:,} of {self.config.steps:,}, loss {self.loss:.4g}, "
                f"L0 {result.l0:.2f}, dead {dead / self.config.width:.1%}",
            )

    def save(self, path: Path) -> None:
        """Write everything the next step depends on."""
        tensors = dict(self.p.tensors()) | {"silent": self.silent}
        for name, tensor in self.p.tensors().items():
            state = self._optimiser.state[tensor]
            tensors |= {f"m.{name}": state["exp_avg"], f"v.{name}": state["exp_avg_sq"]}
        header = {
            "step": str(self.step),
            "config": json.dumps(asdict(self.config)),
            "rows": self._about_rows,
        }
        with assets.written_whole(path) as part:
            save_file({name: value.contiguous() for name, value in tensors.items()}, part, header)

    @functools.cached_property
    def _about_rows(self) -> str:
        """Tells what is trained on from other data: its size, and a few of its rows."""
        some = np.linspace(0, len(self.rows) - 1, 16).astype(np.int64)
        rows = self.rows.rows(some).contiguous()
        digest = hashlib.sha256(rows.numpy().tobytes()).hexdigest()[:16]
        return f"{len(self.rows)} × {rows.shape[1]}, {digest}"

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            UserError: when it belongs to another configuration or other data or can't be read.
        """
        from safetensors import safe_open

        try:
            with safe_open(path, "pt") as file:
                header = dict(file.metadata())
            # What a configuration said nothing of then was as it is now by default.
            made_with = TrainConfig(**json.loads(header["config"]))
            tensors = load_file(path)
        except Exception as error:
            raise UserError(
                f"The checkpoint {path} is damaged; delete it to start again."
            ) from error
        if json.dumps(asdict(made_with)) != json.dumps(asdict(self.config)):
            raise UserError(
                f"The checkpoint {path} was made with another configuration; delete it or use the "
                "same configuration."
            )
        if header.get("rows", self._about_rows) != self._about_rows:
            raise UserError(
                f"The checkpoint {path} was made from other data; delete it or train on the same."
            )
        self.step = int(header["step"])
        self.silent = tensors["silent"].to(self.device)
        for name, tensor in self.p.tensors().items():
            tensor.copy_(tensors[name])
            self._optimiser.state[tensor] = {
                "step": torch.tensor(float(self.step), device=self.device),
                "exp_avg": tensors[f"m.{name}"].to(self.device),
                "exp_avg_sq": tensors[f"v.{name}"].to(self.device),
            }

    def result(self) -> SparseAutoencoder:
        """The SAE in the rows' own units (the training scale folded away); TopK selection."""
        return SparseAutoencoder(
            W_enc=self.p.W_enc.T.clone().cpu(),
            b_enc=self.p.b_enc.cpu() / self.scale,
            W_dec=self.p.W_dec.clone().cpu(),
            b_dec=self.p.b_dec.cpu() / self.scale,
            k=self.config.k,
        )


def parts_of(x: Rows | Float[Tensor, "N D"], chunk: int = 4096) -> Iterator[Float[Tensor, "n D"]]:
    """All rows in order, some at a time."""
    for begin in range(0, len(x), chunk):
        end = min(begin + chunk, len(x))
        yield x[begin:end] if isinstance(x, Tensor) else x.rows(np.arange(begin, end))


@torch.no_grad()
def with_threshold(
    sae: SparseAutoencoder, x: Rows | Float[Tensor, "N D"], k: float
) -> SparseAutoencoder:
    """The SAE with the one threshold at which the rows have k active latents on average.

    BatchTopK is coupled across a batch; this is its inference form. Of all pre-activations only
    those that can still be among the largest are held.
    """
    count = round(k * len(x)) + 1
    held, bound = torch.empty(0), 0.0
    for part in parts_of(x):
        pre = sae.preactivations(part).flatten()
        held = torch.cat([held, pre[pre > bound]])
        if len(held) > 4 * count:
            bound = float(kth_largest(held, count))
            held = held[held >= bound]
    # Fewer positive ones than are wanted: all of them stay.
    threshold = float(kth_largest(held, count)) if len(held) >= count else 0.0
    return SparseAutoencoder(
        W_enc=sae.W_enc,
        b_enc=sae.b_enc,
        W_dec=sae.W_dec,
        b_dec=sae.b_dec,
        threshold=torch.full((sae.width,), threshold),
        metadata=sae.metadata,
    )


@dataclass(frozen=True)
class Quality:
    """How well an SAE explains some rows, at inference.

    Attributes:
        l0: mean number of active latents a row.
        fve: 1 − Σ‖x − x̂‖² / Σ‖x‖².
        fve_centred: 1 − Σ‖x − x̂‖² / Σ‖x − mean‖².
        dead: latents active on none of the rows.
        l0_counts: rows with 0, 1, 2, … active latents.
        density: share of the rows a latent is active on, at the quantiles 0, ¼, ½, ¾ and 1 of the
            latents.
    """

    l0: float
    fve: float
    fve_centred: float
    dead: int
    l0_counts: tuple[int, ...] = ()
    density: tuple[float, ...] = ()


@torch.no_grad()
def quality(sae: SparseAutoencoder, x: Rows | Float[Tensor, "N D"], chunk: int = 2048) -> Quality:
    """Measure an SAE on rows, at inference."""
    left, total = 0.0, 0.0
    summed = torch.zeros(sae.d_in, dtype=torch.float64)
    active = torch.zeros(sae.width, dtype=torch.int64)
    l0_counts = torch.zeros(sae.width + 1, dtype=torch.int64)
    for part in parts_of(x, chunk):
        acts = sae.encode(part)
        left += float((part - sae.decode(acts)).double().square().sum())
        total += float(part.double().square().sum())
        summed += part.double().sum(0)
        on = acts > 0
        active += on.sum(0)
        l0_counts += torch.bincount(on.sum(1), minlength=sae.width + 1)
    count = len(x)
    centred = total - float(summed.square().sum()) / count
    most = int(l0_counts.nonzero().max()) + 1
    quantiles = torch.linspace(0, 1, 5, dtype=torch.float64)
    return Quality(
        l0=float(active.sum()) / count,
        fve=1 - left / total,
        fve_centred=1 - left / centred,
        dead=int((active == 0).sum()),
        l0_counts=tuple(l0_counts[:most].tolist()),
        density=tuple((active.double() / count).quantile(quantiles).tolist()),
    )
