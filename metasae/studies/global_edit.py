"""One meta-latent out of every latent: what the model forgets, and what that costs on other text.

A meta-latent is made weaker or stronger in all latents that have it (see `steering.global_edit`).
Which: of every country with enough cities, the meta-latent whose mean activation on the latents of
its cities exceeds that on the others' most; the countries where it does so most. No label of a
meta-latent is read. It is chosen on one half of each country's cities and measured on the other.

Beside it stand the same with the meta-SAE's residual dropped, another meta-latent on about as many
latents with about the same activation, and one random direction taken out of the same latents, by
as much as the edit changes each. Last, the whole decoder is replaced by the meta-SAE's rebuild of
it, with each direction's length as it was and as it comes, with meta-latents' directions shuffled
as a control; there the SAE's error is dropped, as where its own reconstruction is spliced in.

Tables: ``edits`` (country, meta, edit, latents, tokens, nats, nats_low, nats_high, here, here_low,
here_high, elsewhere, elsewhere_low, elsewhere_high, kept_here, known_here, kept_elsewhere,
known_elsewhere): ``tokens`` is the share of held-out tokens that are changed, ``nats`` the
cross-entropy a token above the unedited model's, ``here`` and ``elsewhere`` the mean change of the
right answer's log-probability on the country's cities and the others, ``kept`` of ``known`` facts
that are still right; ``attributes`` (country, meta, edit, attribute, here, elsewhere); ``decoder``
(way, nats, low, high, recovered): cross-entropy a token, and its share of what the residual stream
is worth against its mean. Nats throughout; intervals are over windows, or over cities.

Shapes: C cities, M meta-latents, N rows, F latents, W windows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from metasae.errors import UserError
from metasae.lab.city_records import CityRecord
from metasae.progress import Progress
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from metasae.steering.edits import MAX_STRENGTH
from metasae.steering.global_edit import GlobalEdit
from metasae.studies.city_facts import Ask
from metasae.studies.firing import activations
from metasae.studies.held_out_text import HeldOutText, in_turn
from metasae.studies.study import Finding, Material, Study, mean_with_interval, ratio_with_interval

_ALIKE = 20
"""Meta-latents of nearly the same frequency that a control is drawn from."""

TAKEN_OUT = "taken out"
WITHOUT_RESIDUAL = "taken out, residual dropped"
OTHER = "another meta-latent taken out"
RANDOM = "random direction taken out"
"""Names of the edits; one that makes it stronger is called by its strength."""


@dataclass(frozen=True)
class Configuration:
    """How it is asked.

    Attributes:
        meta: the meta-latent; −1: chosen by the rule.
        countries: how many it is asked of.
        least: cities a country must have, half of which choose and half measure.
        strength: of the edit that makes it stronger instead; 1: none.
        windows: most windows of held-out text.
        seed: of the halves, the controls and the intervals.

    Raises:
        UserError: for values out of range.
    """

    meta: int = -1
    countries: int = 3
    least: int = 6
    strength: float = 2.0
    windows: int = 160
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.countries, self.windows) < 1 or self.least < 2:
            raise UserError("Give at least one country, one window and two cities of a country.")
        if self.meta < -1:
            raise UserError(f"There is no meta-latent {self.meta}; give −1 for the rule's choice.")
        if not abs(self.strength) <= MAX_STRENGTH:
            raise UserError(
                f"The strength is {self.strength:g}; give one from −{MAX_STRENGTH:g} to "
                f"{MAX_STRENGTH:g}."
            )


@dataclass(frozen=True)
class Chosen:
    """A meta-latent and the country it is asked of.

    Attributes:
        excess: mean activation on the country's cities above that on the others, where chosen.
    """

    country: str
    meta: int
    excess: float


def halves(records: Sequence[CityRecord], seed: int) -> tuple[list[CityRecord], list[CityRecord]]:
    """Cities to choose on and to measure on: about half of each country's each, drawn by seed."""
    draw = np.random.default_rng(seed)
    choose, measure = list[CityRecord](), list[CityRecord]()
    by_country: dict[str, list[CityRecord]] = {}
    for record in records:
        by_country.setdefault(record.country, []).append(record)
    for number, (_, cities) in enumerate(sorted(by_country.items())):
        order = [cities[n] for n in draw.permutation(len(cities))]
        # What is over goes to either side in turn: of many countries there is one city.
        cut = (len(order) + number % 2) // 2
        choose += order[:cut]
        measure += order[cut:]
    return choose, measure


def on_cities(decomposition: Decomposition, records: Sequence[CityRecord]) -> Float[Tensor, "C M"]:
    """The largest activation of every meta-latent on the latents of each city."""
    found = torch.zeros(len(records), decomposition.n_meta)
    for row, record in zip(found, records, strict=True):
        for one in record.chosen:
            for meta, value in decomposition.pieces(one.latent).items():
                row[meta] = max(float(row[meta]), value)
    return found


def chosen(
    decomposition: Decomposition,
    records: Sequence[CityRecord],
    able: set[str],
    config: Configuration,
) -> list[Chosen]:
    """The meta-latents that are asked about, those that stand out most first.

    Args:
        records: the cities to choose on.
        able: countries with enough cities.

    Raises:
        UserError: for a meta-latent out of range, or one on no such country's cities.
    """
    active = on_cities(decomposition, records)
    country = np.array([record.country for record in records])
    found = []
    for name in sorted(able & set(country)):
        here = torch.from_numpy(country == name)
        excess = active[here].mean(0) - (active[~here].mean(0) if (~here).any() else 0)
        meta = int(excess.argmax())
        if config.meta >= 0:
            decomposition.check_meta(config.meta)
            meta = config.meta
        found.append(Chosen(name, meta, float(excess[meta])))
    best: dict[int, Chosen] = {}
    for one in sorted(found, key=lambda one: -one.excess):
        if one.excess > 0:
            best.setdefault(one.meta, one)
    if not best:
        raise UserError(
            "No meta-latent stands out on the cities of a country; give another one, or a smaller "
            "number of cities."
        )
    return list(best.values())[: config.countries]


def like(decomposition: Decomposition, meta: int, seed: int) -> int | None:
    """Another meta-latent on about as many latents with about as much activation; None if none."""
    acts = decomposition.activations
    column, value = acts.col_indices(), acts.values()
    latents = torch.bincount(column, minlength=decomposition.n_meta).double()
    summed = torch.zeros(decomposition.n_meta).index_add_(0, column, value).double()
    able = latents > 0
    able[meta] = False
    if not able.any() or not latents[meta]:
        return None
    away = (latents / latents[meta]).log().square() + (summed / summed[meta]).log().square()
    nearest = away.masked_fill(~able, torch.inf).argsort(stable=True)[
        : min(_ALIKE, int(able.sum()))
    ]
    return int(nearest[int(np.random.default_rng((seed, meta)).integers(len(nearest)))])


def random_like(edit: GlobalEdit, seed: int) -> GlobalEdit:
    """The edit with one random direction in place of its own, as long in every latent."""
    draw = torch.Generator().manual_seed(seed)
    direction = normalize(torch.randn(edit.step.shape[1], generator=draw), dim=0)
    return replace(edit, step=-edit.step.norm(dim=1, keepdim=True) * direction)


def edits(
    decomposition: Decomposition, one: Chosen, config: Configuration
) -> Iterator[tuple[str, GlobalEdit]]:
    """All that is done with one meta-latent, and its controls."""
    out = GlobalEdit.of(decomposition, {one.meta: 0.0})
    yield TAKEN_OUT, out
    if config.strength != 1:
        yield f"at strength {config.strength:g}", GlobalEdit.of(
            decomposition, {one.meta: config.strength}
        )  # fmt: skip
    yield WITHOUT_RESIDUAL, GlobalEdit.of(decomposition, {one.meta: 0.0}, keep_residual=False)
    other = like(decomposition, one.meta, config.seed)
    if other is not None:
        yield OTHER, GlobalEdit.of(decomposition, {other: 0.0})
    yield RANDOM, random_like(out, config.seed + one.meta)


def per_token(
    nats: Float[Tensor, " W"], tokens: Float[Tensor, " W"], seed: int
) -> dict[str, float]:
    """Nats a token, and the middle 95 % of what as many windows drawn again give."""
    return ratio_with_interval(nats.double().numpy(), tokens.double().numpy(), seed)


@dataclass(frozen=True)
class _Text:
    """Held-out text with its latents, encoded once.

    Attributes:
        acts: activations, (N, F).
    """

    text: HeldOutText
    rows: Float[Tensor, "N D"]
    acts: sp.csc_array

    def under(self, edit: GlobalEdit) -> tuple[Float[Tensor, " W"], float]:
        """Each window's nats above the unedited model's, and the share of tokens changed."""
        firing = torch.from_numpy(self.acts[:, edit.latents.numpy()].toarray())
        change = firing @ edit.step
        nats = self.text.nats(in_turn(self.rows + change)) - self.text.nats()
        return nats, float(change.any(1).float().mean())

    def rebuilt(self, sae: SparseAutoencoder, W_dec: Float[Tensor, "F D"]) -> Float[Tensor, " W"]:
        """Each window's nats with the SAE's reconstruction under another decoder."""
        made = torch.from_numpy(self.acts.tocsr() @ W_dec.numpy()) + sae.b_dec
        return self.text.nats(in_turn(made.to(self.rows.dtype)))


def decoders(decomposition: Decomposition, seed: int) -> Iterator[tuple[str, Float[Tensor, "F D"]]]:
    """The decoder, and what the meta-SAE makes of it."""
    sae, meta = decomposition.sae, decomposition.meta
    own = sae.W_dec
    length = own.norm(dim=1, keepdim=True)
    rebuilt = decomposition.activations @ meta.W_dec + meta.b_dec
    order = torch.randperm(meta.width, generator=torch.Generator().manual_seed(seed))
    shuffled = decomposition.activations @ meta.W_dec[order] + meta.b_dec
    yield "the SAE", own
    yield "rebuilt by the meta-SAE", length * normalize(rebuilt)
    yield "rebuilt, lengths as they come", rebuilt
    yield "rebuilt, meta-latents shuffled", length * normalize(shuffled)


def run(material: Material, config: Configuration, progress: Progress) -> Finding:
    """See the module.

    Raises:
        UserError: when there is no text or no city to ask about, or no meta-latent to take out.
    """
    decomposition, facts = material.decomposition, material.cities
    choose, measure = halves(facts.records, config.seed)
    every = [record.country for record in facts.records]
    able = {one for one in every if every.count(one) >= config.least}
    asked = chosen(decomposition, choose, able, config)
    held_out = material.text(config.windows, progress)
    rows = held_out.rows
    text = _Text(held_out, rows, sp.csc_array(activations(material.sae, rows, progress)))
    ask = facts.prepare(measure, progress)
    table, attributes = _edits(material, text, ask, measure, asked, config, progress)
    decoder = _decoder(decomposition, text, config.seed, progress)
    figures: dict[str, Any] = {
        "chosen": [vars(one) for one in asked],
        "windows": len(held_out.tokens),
        "tokens": int(held_out.tokens.sum()),
        "cities_measured": len(measure),
        "edits": table.to_dict("records"),
        "attributes": attributes.to_dict("records"),
        "decoder": decoder.to_dict("records"),
    }
    return Finding(
        verdict=_verdict(table, decoder),
        figures=figures,
        tables={"edits": table, "attributes": attributes, "decoder": decoder},
        charts={"cities": _picture(table)},
    )


def _edits(
    material: Material,
    text: _Text,
    ask: Ask,
    cities: Sequence[CityRecord],
    asked: Sequence[Chosen],
    config: Configuration,
    progress: Progress,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables ``edits`` and ``attributes``."""
    country = {record.name: record.country for record in cities}
    before, rows, parts = ask(None), [], []
    todo = [(one, *made) for one in asked for made in edits(material.decomposition, one, config)]
    for number, (one, name, edit) in enumerate(todo):
        progress("Edits in every latent", number / len(todo), f"{one.country}, {name}")
        nats, touched = text.under(edit)
        after = ask(edit.edited)
        both = before.assign(
            change=after["nats"] - before["nats"],
            kept=before["right"] & after["right"],
            here=before["city"].map(country) == one.country,
        )
        cost = per_token(nats, text.text.tokens, config.seed)
        head = {"country": one.country, "meta": one.meta, "edit": name}
        rows.append(
            {
                **head, "latents": len(edit.latents), "tokens": touched,
                "nats": cost["value"], "nats_low": cost["low"], "nats_high": cost["high"],
                **_changes(both[both["here"]], "here", config.seed),
                **_changes(both[~both["here"]], "elsewhere", config.seed),
            }
        )  # fmt: skip
        parts += [
            {
                **head, "attribute": attribute,
                "here": float(some.loc[some["here"], "change"].mean()),
                "elsewhere": float(some.loc[~some["here"], "change"].mean()),
            }
            for attribute, some in both.groupby("attribute", sort=False)
        ]  # fmt: skip
    return pd.DataFrame(rows), pd.DataFrame(parts)


def _changes(some: pd.DataFrame, where: str, seed: int) -> dict[str, Any]:
    """Mean change of some facts, its interval over cities, and how many known ones are kept."""
    groups = pd.factorize(some["city"])[0]
    found = mean_with_interval(some["change"].to_numpy(), seed, groups)
    return {
        where: found["value"], f"{where}_low": found["low"], f"{where}_high": found["high"],
        f"kept_{where}": int(some["kept"].sum()), f"known_{where}": int(some["right"].sum()),
    }  # fmt: skip


def _decoder(
    decomposition: Decomposition, text: _Text, seed: int, progress: Progress
) -> pd.DataFrame:
    """The table ``decoder``."""
    tokens = text.text.tokens
    ways = {"the residual stream": text.text.nats()}
    for name, W_dec in decoders(decomposition, seed):
        progress("The whole decoder", len(ways) / 6, name)
        ways[name] = text.rebuilt(decomposition.sae, W_dec)
    mean = text.rows.mean(0)
    ways["its mean"] = text.text.nats(lambda rows: mean.expand_as(rows))
    clean, ablated = (float(ways[one].sum()) for one in ("the residual stream", "its mean"))
    return pd.DataFrame(
        {"way": name, "nats": found["value"], "low": found["low"], "high": found["high"],
         "recovered": (ablated - float(nats.sum())) / (ablated - clean)}
        for name, nats in ways.items()
        for found in [per_token(nats, tokens, seed)]
    )  # fmt: skip


def _verdict(table: pd.DataFrame, decoder: pd.DataFrame) -> str:
    out, other = (table[table["edit"] == one] for one in (TAKEN_OUT, OTHER))
    random = table[table["edit"] == RANDOM]
    named = ", ".join(
        f"{meta} of {one}" for meta, one in zip(out["meta"], out["country"], strict=True)
    )
    recovered = decoder.set_index("way")["recovered"]
    beside = f"; a random direction instead changes them by {random['here'].mean():+.2f}"
    if len(other):
        beside += f", another meta-latent by {other['here'].mean():+.2f}"
    return (
        f"Taken out of every latent (meta-latents {named}), a country's meta-latent changes the "
        f"right answers of its cities by {out['here'].mean():+.2f} nats and of others by "
        f"{out['elsewhere'].mean():+.2f}, and costs {out['nats'].mean():.4f} nats a token of other "
        f"text{beside}; rebuilt as a whole by the meta-SAE the decoder keeps "
        f"{recovered['rebuilt by the meta-SAE']:.0%} of what the residual stream is worth, the "
        f"SAE's own {recovered['the SAE']:.0%}."
    )


def _picture(table: pd.DataFrame) -> Any:
    """Mean change of the right answers on the country's cities and on the others."""
    import altair as alt

    names = {"here": "cities of the country", "elsewhere": "all others"}
    long = pd.concat(
        table[["country", "meta", "edit", where, f"{where}_low", f"{where}_high"]]
        .set_axis(["country", "meta", "edit", "change", "low", "high"], axis=1)
        .assign(cities=name)
        for where, name in names.items()
    )
    long["asked"] = long["country"] + ", meta-latent " + long["meta"].astype(str)
    base = alt.Chart(long).encode(
        alt.Y("edit:N", sort=None, title=None, axis=alt.Axis(labelLimit=240)),
        alt.YOffset("cities:N", sort=None),
        alt.Color("cities:N", sort=None, title=None),
    )
    points = base.mark_point(filled=True, size=60).encode(
        alt.X("change:Q", title="change of the right answer, nats"),
        tooltip=["asked", "edit", "cities", alt.Tooltip("change:Q", format="+.3f")],
    )
    ranges = base.mark_rule().encode(alt.X("low:Q"), alt.X2("high:Q"))
    return (ranges + points).properties(width=360).facet(row=alt.Row("asked:N", title=None))


STUDY = Study(
    name="global-edit",
    title="One meta-latent out of every latent",
    question="What does the model forget when a meta-latent goes from all latents at once?",
    published="",
    configuration=Configuration,
    run=run,
    words={
        "chosen": "meta-latents taken out",
        "excess": "activation on the country's cities above that on others",
        "windows": "windows of held-out text",
        "cities_measured": "cities measured on",
        "edits": "what each edit does",
        "attributes": "by what was asked, change of the right answer in nats",
        "decoder": "the whole decoder replaced",
        "latents": "latents edited",
        "edits.nats": "cost on other text, nats a token",
        "edits.tokens": "tokens it changes %",
        "here": "change on its cities, nats",
        "elsewhere": "change on all others, nats",
        "kept_here": "facts of its cities kept",
        "known_here": "of those known",
        "kept_elsewhere": "other facts kept",
        "known_elsewhere": "of others known",
        "way": "decoder",
        "recovered": "cross-entropy recovered %",
    },
)
