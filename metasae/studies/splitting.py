"""Feature splitting: a latent of a smaller SAE that becomes several in a larger one.

A latent of one width is the parent of those of the next width whose directions have a cosine above
a threshold with its own. If a child is its parent and something besides, it should have its
parent's meta-latents and others; as a control, random directions with the same cosines to the
parent are taken apart in the children's place.

Tables: ``children`` (width, parent, child_width, child, cosine, shared, added, kept, kept_random):
meta-latents the child has from the parent, by number, those it adds, whether there is one of the
former, and the same of the random direction; ``families`` (width, parent, children, kept);
``counts`` (width, meta_latents, latents): how many latents of a width have how many meta-latents;
``shares`` (meta, width, share): of a meta-latent's activation, the share on latents of a width,
each width counted as one.

Shapes: F latents, D = d_model.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from metasae.errors import UserError
from metasae.progress import Progress
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from metasae.saes.neighbours import VERY_SIMILAR
from metasae.studies.study import Finding, Material, Study, check_threshold, mean_with_interval

_CHUNK = 2048
"""Parents whose cosines are held at once."""


@dataclass(frozen=True)
class Configuration:
    """What counts as a split.

    Attributes:
        threshold: cosine above which a latent of the next width is a child (the post's 0.7).
        fewest: children from which on a family is a split.
        seed: of the random directions and the intervals.

    Raises:
        UserError: for a threshold that is no cosine above 0, or fewer than two children.
    """

    threshold: float = VERY_SIMILAR
    fewest: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        check_threshold(self.threshold)
        if self.fewest < 2:
            raise UserError("A family has at least two children; give 2 or more.")


def children(
    parents: Float[Tensor, "F D"], candidates: Float[Tensor, "G D"], threshold: float
) -> pd.DataFrame:
    """Columns parent, child, cosine: all pairs above the threshold."""
    unit, parts = normalize(candidates), []
    for begin in range(0, len(parents), _CHUNK):
        cosine = normalize(parents[begin : begin + _CHUNK]) @ unit.T
        parent, child = (cosine > threshold).nonzero(as_tuple=True)
        parts.append(
            pd.DataFrame(
                {
                    "parent": parent.numpy() + begin,
                    "child": child.numpy(),
                    "cosine": cosine[parent, child].numpy(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def at_cosine(
    directions: Float[Tensor, "N D"], cosine: Float[Tensor, " N"], draw: torch.Generator
) -> Float[Tensor, "N D"]:
    """Random unit directions, each with a given cosine to one of some directions."""
    unit = normalize(directions)
    random = torch.randn(unit.shape, generator=draw)
    across = normalize(random - (random * unit).sum(1, keepdim=True) * unit)
    return cosine[:, None] * unit + (1 - cosine.square()).clamp(min=0).sqrt()[:, None] * across


def run(material: Material, config: Configuration, progress: Progress) -> Finding:
    """See the module.

    Raises:
        UserError: when there is no smaller SAE, or no latent is split at this threshold.
    """
    material.nearest_width(1.0)  # refuses a preset of one width
    meta = material.decomposition.meta
    saes = [*(material.smaller(width) for width in material.smaller_widths), material.sae]
    taken = {sae.width: Decomposition(sae, meta) for sae in saes}
    draw, parts = torch.Generator().manual_seed(config.seed), []
    for number, (narrow, wide) in enumerate(pairwise(saes)):
        progress("Families", number / len(saes), f"{narrow.width:,} to {wide.width:,}")
        parts.append(_split(taken[narrow.width], taken[wide.width], config, draw))
    table = pd.concat(parts, ignore_index=True)
    if not len(table):
        raise UserError(
            f"No latent has {config.fewest} children of a cosine above {config.threshold:g} in the "
            "next width; choose a lower threshold."
        )
    by_family = table.groupby(["width", "parent"], as_index=False, sort=False)
    families = by_family.agg(children=("child", "size"), kept=("kept", "mean"))
    families = families.sort_values("children", ascending=False, kind="stable")
    # Siblings have one parent's meta-latents in common, so families are drawn again, not children.
    group = table.groupby(["width", "parent"], sort=False).ngroup().to_numpy()
    has, by_chance = (table[name].to_numpy(np.float64) for name in ("kept", "kept_random"))
    kept, random, gain = (
        mean_with_interval(values, config.seed, group)
        for values in (has, by_chance, has - by_chance)
    )
    progress("Families", 1.0, "")
    counts, shares = counts_by_width(saes, taken), shares_by_width(saes, taken)
    figures: dict[str, Any] = {
        "threshold": config.threshold, "families": len(families), "children": len(table),
        "kept": kept, "kept_random": random, "gain": gain,
        "meta_latents_a_latent": {
            str(width): float(np.average(some["meta_latents"], weights=some["latents"]))
            for width, some in counts.groupby("width")
        },
    }  # fmt: skip
    verdict = (
        f"{kept['value']:.0%} of {len(table):,} children keep a meta-latent of their parent, and "
        f"{random['value']:.0%} of random directions of the same cosine: a difference of "
        f"{gain['value']:.0%} ({gain['low']:.0%} to {gain['high']:.0%})."
    )
    tables = {"children": table, "families": families, "counts": counts, "shares": shares}
    return Finding(verdict, figures, tables, {"meta-latents by width": _picture(counts)})


def _split(
    narrow: Decomposition, wide: Decomposition, config: Configuration, draw: torch.Generator
) -> pd.DataFrame:
    """The children of the split latents between two widths, see the module."""
    found = children(narrow.sae.W_dec, wide.sae.W_dec, config.threshold)
    size = found.groupby("parent")["child"].transform("size")
    found = found[size >= config.fewest].reset_index(drop=True)
    directions = narrow.sae.W_dec[torch.tensor(found["parent"].tolist(), dtype=torch.int64)]
    cosine = torch.tensor(found["cosine"].tolist())
    random = [set[int]() for _ in range(len(found))]
    if len(found):
        random = [
            set(row.nonzero()[:, 0].tolist())
            for some in at_cosine(directions, cosine, draw).split(_CHUNK)
            for row in narrow.meta.encode(some)
        ]
    rows = []
    families = zip(found["parent"], found["child"], found["cosine"], random, strict=True)
    for parent, child, by, chance in families:
        of_parent, of_child = set(narrow.pieces(parent)), set(wide.pieces(child))
        shared = sorted(of_parent & of_child)
        rows.append(
            {
                "width": narrow.n_latents, "parent": parent, "child_width": wide.n_latents,
                "child": child, "cosine": by, "shared": shared,
                "added": sorted(of_child - of_parent), "kept": bool(shared),
                "kept_random": bool(of_parent & chance),
            }
        )  # fmt: skip
    columns = ["width", "parent", "child_width", "child", "cosine", "shared", "added", "kept",
               "kept_random"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def counts_by_width(saes: list[SparseAutoencoder], taken: dict[int, Decomposition]) -> pd.DataFrame:
    """How many latents of each width have how many meta-latents."""
    parts = []
    for sae in saes:
        counts = np.bincount(taken[sae.width].activations.crow_indices().diff().numpy())
        parts.append(
            pd.DataFrame(
                {"width": sae.width, "meta_latents": np.arange(len(counts)), "latents": counts}
            )
        )
    return pd.concat(parts, ignore_index=True)


def shares_by_width(saes: list[SparseAutoencoder], taken: dict[int, Decomposition]) -> pd.DataFrame:
    """Of every meta-latent's activation a latent, the share that each width has."""
    means = []
    for sae in saes:
        acts = taken[sae.width].activations
        total = torch.zeros(acts.shape[1]).index_add_(0, acts.col_indices(), acts.values())
        means.append(total / sae.width)
    table = torch.stack(means, dim=1)
    table = table / table.sum(1, keepdim=True)
    alive = table.isfinite().all(1).nonzero()[:, 0]
    return pd.DataFrame(
        {
            "meta": alive.repeat_interleave(len(saes)).numpy(),
            "width": np.tile([sae.width for sae in saes], len(alive)),
            "share": table[alive].flatten().numpy(),
        }
    )


def _picture(counts: pd.DataFrame) -> Any:
    """How many meta-latents latents have, a line a width."""
    import altair as alt

    share = counts["latents"] / counts.groupby("width")["latents"].transform("sum")
    return (
        alt.Chart(counts.assign(share=share, SAE=counts["width"].map("{:,}".format)))
        .mark_line(point=True)
        .encode(
            alt.X("meta_latents:Q", title="meta-latents a latent"),
            alt.Y("share:Q", title="share of latents", axis=alt.Axis(format="%")),
            alt.Color("SAE:O", sort=alt.EncodingSortField("width"), title="width"),
            tooltip=["SAE", "meta_latents", "latents", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=420, height=220)
    )


STUDY = Study(
    name="splitting",
    title="Feature splitting",
    question="Does a latent that splits hand its meta-latents to its children?",
    published="On GPT-2 latent 8326 (“talk”) splits into seven that share its one meta-latent.",
    configuration=Configuration,
    run=run,
)
