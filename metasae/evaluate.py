"""How good a preset's SAEs, meta-SAE and city latents are: every figure the report states.

Text is held-out (`corpus` keeps it from training) and so are the prompts about cities; the cities
themselves occur in the training text, since a city that never occurs can have no latent.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, permutations
from math import inf
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.activations import not_massive
from metasae.autoencoders import SparseAutoencoder
from metasae.corpus import Windows
from metasae.decomposition import Decomposition
from metasae.edits import Edit
from metasae.locate import CityRecord
from metasae.model import LanguageModel
from metasae.progress import Progress, silent
from metasae.steering import Case

HELD_OUT_WINDOWS = 160
_BATCH = 16

COUNTRY_SHARE = 0.6
OTHERS_SHARE = 0.05
"""A meta-latent is a country's when it is active on at least the first share of its cities' latents
and on at most the second share of all other cities'."""


def held_out_batches(
    windows: Windows, count: int = HELD_OUT_WINDOWS
) -> list[tuple[Tensor, Tensor]]:
    """Held-out windows as (tokens, lengths), like lengths together, spread over the text."""
    kept = torch.tensor(windows.held_out)[windows.document] & (windows.lengths > 8)
    index = kept.nonzero()[:, 0]
    index = index[torch.linspace(0, len(index) - 1, min(count, len(index))).round().long()]
    index = index[windows.lengths[index].argsort(stable=True)]
    batches = []
    for part in index.split(_BATCH):
        lengths = windows.lengths[part]
        batches.append((windows.tokens[part, : int(lengths.max())].long(), lengths))
    return batches


@torch.inference_mode()
def base_quality(
    model: LanguageModel,
    saes: Mapping[int, SparseAutoencoder],
    batches: Sequence[tuple[Tensor, Tensor]],
    mean: Float[Tensor, " D"],
    median_norm: float,
    progress: Progress = silent,
) -> list[dict[str, Any]]:
    """L0, explained variance and recovered cross-entropy of each SAE on held-out text.

    An SAE is spliced in at every position but the start token's and massive activations'. Its
    recovered share is (ablated − spliced) / (ablated − clean), cross-entropy in nats a token, where
    ablated puts the mean residual in the same positions.
    """
    nats: dict[Any, float] = defaultdict(float)
    left: dict[int, float] = defaultdict(float)
    active: dict[int, float] = defaultdict(float)
    spread, rows, tokens_scored = 0.0, 0, 0
    for number, (tokens, lengths) in enumerate(batches):
        resid = model.residual(tokens)
        inside = torch.arange(tokens.shape[1])[None] < lengths[:, None]
        put = inside & not_massive(resid.norm(dim=-1), median_norm)
        put[:, 0] = False
        x = resid[put]
        spread += float((x - mean).double().square().sum())
        rows += len(x)
        tokens_scored += int((lengths - 1).sum())
        nats["clean"] += _nats(model, resid, tokens, inside)
        nats["ablated"] += _nats(model, _put(resid, put, mean), tokens, inside)
        for width, sae in saes.items():
            acts, latents = sae.encode_sparse(x)
            recon = torch.einsum("nk,nkd->nd", acts, sae.W_dec[latents]) + sae.b_dec
            left[width] += float((x - recon).double().square().sum())
            active[width] += float((acts > 0).sum())
            nats[width] += _nats(model, _put(resid, put, recon), tokens, inside)
        progress("Measuring the SAEs on held-out text", (number + 1) / len(batches), "")
    clean, ablated = nats["clean"] / tokens_scored, nats["ablated"] / tokens_scored
    return [
        {
            "width": width,
            "l0": active[width] / rows,
            "fve": 1 - left[width] / spread,
            "ce_recovered": (ablated - nats[width] / tokens_scored) / (ablated - clean),
            "ce_clean": clean,
            "ce_spliced": nats[width] / tokens_scored,
            "ce_ablated": ablated,
            "tokens": tokens_scored,
            "nearest_cosine": nearest_cosine(saes[width].W_dec),
        }
        for width in sorted(saes)
    ]


def _put(resid: Tensor, where: Tensor, what: Tensor) -> Tensor:
    out = resid.clone()
    out[where] = what
    return out


def _nats(model: LanguageModel, resid: Tensor, tokens: Tensor, inside: Tensor) -> float:
    """Summed cross-entropy of the next token, over the positions that have one."""
    logits = model.logits_above(resid)[:, :-1]
    wanted = inside[:, 1:]
    return float(
        torch.nn.functional.cross_entropy(logits[wanted], tokens[:, 1:][wanted], reduction="sum")
    )


def nearest_cosine(directions: Float[Tensor, "F D"], chunk: int = 2048) -> float:
    """Median over the directions of the cosine to their nearest other one."""
    unit = directions / directions.norm(dim=1, keepdim=True)
    nearest = []
    for begin in range(0, len(unit), chunk):
        cosine = unit[begin : begin + chunk] @ unit.T
        cosine[torch.arange(len(cosine)), torch.arange(begin, begin + len(cosine))] = -1.0
        nearest.append(cosine.amax(1))
    return float(torch.cat(nearest).median())


def sharing(
    decomposition: Decomposition, records: Sequence[CityRecord]
) -> dict[str, float | int | list[str]]:
    """Do cities of one country share a meta-latent, and does each country have its own?

    A city stands for the meta-latents of its best latent.
    """
    located = [record for record in records if record.chosen]
    metas = {r.name: set(decomposition.pieces(r.chosen[0].latent)) for r in located}
    same: list[bool] = []
    other: list[bool] = []
    for a, b in combinations(located, 2):
        (same if a.country == b.country else other).append(bool(metas[a.name] & metas[b.name]))
    by_country: dict[str, list[set[int]]] = defaultdict(list)
    for record in located:
        by_country[record.country].append(metas[record.name])
    countries = {name: sets for name, sets in by_country.items() if len(sets) >= 3}
    having = []
    for name, inside in countries.items():
        outside = [metas[r.name] for r in located if r.country != name]
        for meta in set().union(*inside):
            mine = sum(meta in one for one in inside) / len(inside)
            theirs = sum(meta in one for one in outside) / max(1, len(outside))
            if mine >= COUNTRY_SHARE and theirs <= OTHERS_SHARE:
                having.append(name)
                break
    return {
        "same_country_share": sum(same) / max(1, len(same)),
        "two_countries_share": sum(other) / max(1, len(other)),
        "countries": len(countries),
        "countries_with_meta_latent": len(having),
        "countries_without": sorted(set(countries) - set(having)),
    }


def swaps(cases: Iterable[Case], count: int, progress: Progress = silent) -> dict[str, Any]:
    """What the latent swap moves, over some ordered pairs of cities.

    An attribute counts where the two cities' answers differ; it has moved when the target's answer
    is likelier than the source's after the swap (``moved``), or than every candidate's, a third
    city's among them (``first_of_all``). ``…_of_4`` is four times the share. The swap is made at
    all positions, as the post has it; ``at_name`` has the same for the name's last token alone.
    """
    differing = 0
    edits = {"all": Edit("swap", position="all"), "last": Edit("swap")}
    counts = {position: {"moved": 0, "first_of_all": 0} for position in edits}
    for number, case in enumerate(cases):
        before = differing
        for position, counted in counts.items():
            verdicts = list(_swapped(case, case.score(edits[position]).answers))
            differing = before + len(verdicts)
            counted["moved"] += sum(moved for moved, _ in verdicts)
            counted["first_of_all"] += sum(first for _, first in verdicts)
        progress("Swapping cities", (number + 1) / count, "")

    def shares(position: str) -> dict[str, Any]:
        of_4 = {f"{k}_of_4": 4 * n / max(1, differing) for k, n in counts[position].items()}
        return counts[position] | of_4

    return {
        "pairs": count,
        "attributes_that_differ": differing,
        **shares("all"),
        "at_name": shares("last"),
    }


def _swapped(case: Case, answers: pd.DataFrame) -> Iterator[tuple[bool, bool]]:
    """Per attribute that differs: does the target's answer pass the source's, and every other?"""
    for _, rows in answers.groupby("attribute"):
        cities = rows["city"].str.split(", ")
        if any(case.source.label in one and case.target.label in one for one in cities):
            continue
        targets = cities.map(lambda one: case.target.label in one).to_numpy()
        sources = cities.map(lambda one: case.source.label in one).to_numpy()
        scores = rows["logprob"].to_numpy()
        moved = scores[targets].max(initial=-inf) > scores[sources].max(initial=-inf)
        yield bool(moved), bool(targets[scores.argmax()])


def well_known(records: Sequence[CityRecord], count: int = 30) -> list[CityRecord]:
    """Cities all of whose facts the model knows and that have a latent, spread over the table."""
    known = [record for record in records if all(record.known.values()) and record.chosen]
    places = np.linspace(0, len(known) - 1, min(count, len(known))).round().astype(int)
    return [known[place] for place in places]


def ordered_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Every source with every other target."""
    return list(permutations(names, 2))
