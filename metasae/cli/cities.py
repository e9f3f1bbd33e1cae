"""Commands about names: all cities, any name with its latents, how well cities are known."""

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from metasae import progress
from metasae.cli.arguments import Add, opened_explorer, opened_lab
from metasae.sources.user_presets import preset_of

if TYPE_CHECKING:
    from metasae.explorer.explorer import Explorer
    from metasae.lab.city_records import NameRecord
    from metasae.lab.lab import Lab
    from metasae.lab.wordings import Measured


def register(add: Add) -> None:
    """Declare the commands."""
    add("cities", cities, "The cities, what the model knows of them, their latents.")
    one = add("city", city, "A city's or any other name's latents, ranked and decomposed.")
    one.add_argument("name", help="a city, a person, an animal, any word or phrase")
    add("wordings", wordings, "How many facts the model knows, by the words it is asked in.")


def _latents(lab: "Lab", record: "NameRecord") -> list[dict[str, Any]]:
    return [
        {
            "id": one.latent,
            "activation": one.activation,
            "selectivity": one.selectivity,
            "effect": one.effect,
            "own": one.own,
            "chosen": one.chosen,
            "words": list(lab.latent_words(one.latent)),
            "meta_latents": [
                {"id": meta, "activation": value}
                for meta, value in lab.decomposition.pieces(one.latent).items()
            ],
        }
        for one in record.latents
    ]


@dataclass(frozen=True)
class CityTable:
    """All cities of a preset."""

    lab: "Lab"

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        rows = [
            {
                "name": record.name,
                "country": record.country,
                "continent": record.continent,
                "language": record.language,
                "currency": record.currency,
                "answers": record.answers,
                "known": record.known,
                "latents": _latents(self.lab, record),
            }
            for record in self.lab.records.values()
        ]
        return {"cities": rows}

    def text(self) -> str:
        """See `arguments.Result`."""
        return "\n".join(
            f"{record.name:<20} {record.country:<24} {record.language:<12} {record.currency:<9} "
            f"knows {', '.join(n for n, known in record.known.items() if known) or 'nothing'}"
            for record in self.lab.records.values()
        )


@dataclass(frozen=True)
class NameLatents:
    """A city or any other name, and its latents."""

    explorer: "Explorer"
    record: "NameRecord"

    def remarks(self) -> list[str]:
        """What has to be said of it, a sentence each."""
        names = self.explorer.lab.names
        return list(filter(None, (names.sharing(self.record), names.meant(self.record))))

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`; "known" is empty for a name without facts."""
        return {
            "name": self.record.name,
            "known": getattr(self.record, "known", {}),
            "remarks": self.remarks(),
            "latents": _latents(self.explorer.lab, self.record),
        }

    def lines(self) -> list[str]:
        """Its latents to read, and what has to be said of them."""
        from metasae.explorer.explorer import META

        lines = self.remarks()
        for one in _latents(self.explorer.lab, self.record):
            effect = "" if one["effect"] is None else f", effect {one['effect']:+.2f} nats"
            lines.append(
                f"{'*' if one['chosen'] else ' '} latent {one['id']}: activation "
                f"{one['activation']:.1f}, selectivity {one['selectivity']:.2f}{effect} "
                f"({', '.join(one['words'])})"
            )
            for meta in one["meta_latents"]:
                called = self.explorer.named(META, meta["id"])
                lines.append(f"      {meta['activation']:.2f}  {called}")
        return lines

    def text(self) -> str:
        """See `arguments.Result`."""
        from metasae.lab.city_records import CityRecord

        record = self.record
        facts = "no facts are known"
        if isinstance(record, CityRecord):
            facts = f"{record.country}, {record.language}, {record.currency}"
        return "\n".join([f"{record.name}: {facts}", *self.lines()])


def cities(arguments: argparse.Namespace) -> CityTable:
    """All cities of the preset."""
    return CityTable(opened_lab(arguments))


def wordings(arguments: argparse.Namespace) -> "Measured":
    """Ask about every city in all words there are."""
    from metasae.lab.wordings import measured
    from metasae.lm.loading import load_model

    shown = progress.to_stream()
    return measured(load_model(preset_of(arguments.preset), shown), progress=shown)


def city(arguments: argparse.Namespace) -> NameLatents:
    """One name."""
    explorer = opened_explorer(arguments)
    return NameLatents(explorer, explorer.lab.names.record(arguments.name))
