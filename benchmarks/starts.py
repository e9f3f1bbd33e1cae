"""Which start and selection make a base SAE whose latents are composites, and a meta-SAE good.

Trains small base SAEs on one part of the embedded default's text with each combination of start,
selection and sparsity, and on each of their decoders a meta-SAE and its Gaussian control. Then
meta-SAEs of the shipped decoder from each start.

    python -m benchmarks.starts [--quick] [--json]
"""

from dataclasses import replace
from itertools import product
from typing import Any

from torch import Tensor

from benchmarks.figures import cells, parser, print_figures
from metasae.progress import to_stream
from metasae.release.recipe import SHIPPED
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.sources.presets import EMBEDDED
from metasae.training import base_sae, explained
from metasae.training.config import TrainConfig
from metasae.training.controls import gaussian_like
from metasae.training.meta_sae import train_meta_sae
from metasae.training.rows import TensorRows

WIDTH, STEPS, TOKENS = 4608, 300, 200_000
META_STEPS = 300
SPARSITIES = (4, 16)


def by_base(width: int, steps: int, tokens: int, meta_steps: int) -> list[dict[str, Any]]:
    """One row per base SAE."""
    report = to_stream()
    text = base_sae.read_training_text(EMBEDDED, tokens=tokens, progress=report)
    rows = []
    for k, selection, start in product(SPARSITIES, ("topk", "batch_topk"), ("data", "random")):
        config = TrainConfig(width=width, k=k, steps=steps, selection=selection, start=start)  # type: ignore[arg-type]
        sae = base_sae.train_base_sae(text, config, progress=report)
        apart = replace(SHIPPED.meta, width=max(8, width // 21), steps=meta_steps)
        fves = [_explained(rows_of, apart) for rows_of in (sae.W_dec, gaussian_like(sae.W_dec))]
        rows.append(
            {"k": k, "selection": selection, "start": start}
            | base_sae.measure(text, sae)
            | {"meta_fve": fves[0], "meta_fve_control": fves[1]}
        )
    return rows


def _explained(rows: Tensor, config: TrainConfig) -> float:
    """Variance of some directions that a meta-SAE explains."""
    meta = train_meta_sae(TensorRows(rows), config, progress=to_stream())
    return explained.quality(meta, rows).fve


def by_meta(steps: int) -> list[dict[str, Any]]:
    """One row per start of a meta-SAE on the shipped widest SAE."""
    report = to_stream()
    decoder = formats.open_sae(EMBEDDED.sae(EMBEDDED.width)).W_dec
    config = replace(SHIPPED.meta, width=EMBEDDED.meta_width, steps=steps)
    starts: dict[str, SparseAutoencoder | None] = {"random": None, "data": None}
    starts["an earlier meta-SAE"] = train_meta_sae(
        TensorRows(decoder), replace(config, seed=1), progress=report, stage="The earlier one"
    )
    rows = []
    for name, initial in starts.items():
        start = name if initial is None else "sae"
        meta = train_meta_sae(
            TensorRows(decoder), replace(config, start=start),  # type: ignore[arg-type]
            progress=report, stage=f"From {name}", initial=initial,
        )  # fmt: skip
        quality = explained.quality(meta, decoder)
        rows.append({"start": name, "l0": quality.l0, "fve": quality.fve, "dead": quality.dead})
    return rows


def main() -> None:
    """Print the figures."""
    arguments = parser(__doc__).parse_args()
    size = (WIDTH, 20, 20_000, 20) if arguments.quick else (WIDTH, STEPS, TOKENS, META_STEPS)
    figures: dict[str, Any] = {
        "base": by_base(*size),
        "meta": by_meta(20 if arguments.quick else META_STEPS),
        "width": WIDTH, "steps": size[1], "tokens": size[2], "meta_steps": size[3],
    }  # fmt: skip
    print_figures(figures, arguments.json, map(cells, [*figures["base"], *figures["meta"]]))


if __name__ == "__main__":
    main()
