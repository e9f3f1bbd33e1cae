"""The trade-off behind the embedded default: meta-SAE width and L0 against what cities share.

Trains a meta-SAE of each width on the shipped SAE's decoder (and, for the control, on Gaussian
rows), reads it at several thresholds, and measures what the report measures: variance explained,
the table's cities of one and of two countries that share a meta-latent, of those whose country the
model knows, and countries with one of their own. With
``--base`` also what the SAE recovers when it is read with more latents a token than it was trained
with.

    python -m benchmarks.composition [--quick] [--base] [--json]
"""

from dataclasses import replace
from typing import Any

import torch

from benchmarks.figures import cells, parser, print_figures
from metasae.lab.lab import open_lab
from metasae.lm.matmul import fast_dtype
from metasae.progress import to_stream
from metasae.release.figures import sharing
from metasae.release.material import material
from metasae.release.recipe import SHIPPED
from metasae.saes import formats
from metasae.saes.decomposition import Decomposition
from metasae.sources.presets import EMBEDDED
from metasae.training import explained
from metasae.training.controls import gaussian_like
from metasae.training.held_out import base_quality, held_out_batches
from metasae.training.meta_sae import train_meta_sae
from metasae.training.rows import TensorRows
from metasae.training.threshold import with_threshold

WIDTHS = (864, 1152, 2304)
L0S = (4.0, 3.6)
TOKENWISE = (4, 6, 8)


def by_width(widths: tuple[int, ...], control: bool) -> list[dict[str, Any]]:
    """One row per width of the meta-SAE and L0 it is read at."""
    report = to_stream()
    lab = open_lab(progress=report)
    sae, rows = lab.decomposition.sae, []
    known = [record for record in lab.records.values() if record.known["country"]]
    decoder = TensorRows(sae.W_dec)
    for width in widths:
        config = replace(SHIPPED.meta, width=width)
        against = None
        if control:
            gaussian = gaussian_like(sae.W_dec)
            other = train_meta_sae(
                TensorRows(gaussian), config, progress=report, stage=f"Control of {width}"
            )
            against = explained.quality(other, gaussian).fve
        meta = train_meta_sae(decoder, config, progress=report, stage=f"Meta-SAE of {width}")
        for l0 in L0S:
            read = with_threshold(meta, sae.W_dec, l0)
            quality = explained.quality(read, sae.W_dec)
            shared = sharing(Decomposition(sae, read), known)
            rows.append(
                {
                    "meta_latents": width,
                    "l0": quality.l0,
                    "fve": quality.fve,
                    "fve_control": against if l0 == L0S[0] else None,
                    "dead": quality.dead,
                    "same_country_share": shared["same_country_share"],
                    "two_countries_share": shared["two_countries_share"],
                    "countries_with_meta_latent": shared["countries_with_meta_latent"],
                    "countries": shared["countries"],
                }
            )
    return rows


def by_k() -> list[dict[str, Any]]:
    """Cross-entropy the widest SAE recovers when it is read with more latents a token."""
    text = material(EMBEDDED, to_stream())
    sae = formats.open_sae(EMBEDDED.sae(EMBEDDED.width))
    batches = held_out_batches(text.windows)
    rows = []
    for k in TOKENWISE:
        (row,) = base_quality(
            text.model, {sae.width: replace(sae, k=k)}, batches,
            text.activations.mean, text.activations.median_norm, to_stream(),
        )  # fmt: skip
        rows.append({"k": k} | {name: row[name] for name in ("l0", "fve", "ce_recovered")})
    return rows


def main() -> None:
    """Print the figures."""
    words = parser(__doc__)
    words.add_argument(
        "--base", action="store_true", help="also the SAE with more latents; collects residuals"
    )
    arguments = words.parse_args()
    figures: dict[str, Any] = {
        "meta_sae": by_width((144,), False) if arguments.quick else by_width(WIDTHS, True),
        "dtype": str(fast_dtype()),
        "threads": torch.get_num_threads(),
    }
    if arguments.base:
        figures["sae"] = by_k()
    print_figures(figures, arguments.json, map(cells, figures["meta_sae"] + figures.get("sae", [])))


if __name__ == "__main__":
    main()
