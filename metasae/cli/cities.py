"""Commands about names: all cities of the table, or any name with its latents."""

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from metasae.cli.arguments import Add, opened_explorer, opened_lab

if TYPE_CHECKING:
    from metasae.explorer.explorer import Explorer
    from metasae.lab.city_records import CityRecord
    from metasae.lab.lab import Lab


def register(add: Add) -> None:
    """Declare the commands."""
    add("cities", cities, "The cities, what the model knows of them, their latents.")
    one = add("city", city, "A name's latents, ranked and decomposed.")
    one.add_argument("name", help="a city, a person, any word or phrase")


def _latents(lab: "Lab", record: "CityRecord") -> list[dict[str, Any]]:
    return [
        {
            "id": one.latent,
            "activation": one.activation,
            "selectivity": one.selectivity,
            "effect": one.effect,
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
class CityLatents:
    """A name and its latents."""

    explorer: "Explorer"
    record: "CityRecord"

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        return {
            "name": self.record.name,
            "known": self.record.known,
            "note": self.explorer.lab.note(self.record.name),
            "latents": _latents(self.explorer.lab, self.record),
        }

    def text(self) -> str:
        """See `arguments.Result`."""
        from metasae.explorer.explorer import META

        record = self.record
        facts = [record.country, record.language, record.currency] if record.in_table else []
        lines = [": ".join(filter(None, (record.name, ", ".join(facts))))]
        if note := self.explorer.lab.note(record.name):
            lines.append(note)
        for one in _latents(self.explorer.lab, record):
            lines.append(
                f"{'*' if one['chosen'] else ' '} latent {one['id']}: activation "
                f"{one['activation']:.1f}, selectivity {one['selectivity']:.2f}, effect "
                f"{one['effect']:+.2f} nats ({', '.join(one['words'])})"
            )
            for meta in one["meta_latents"]:
                called = self.explorer.named(META, meta["id"])
                lines.append(f"      {meta['activation']:.2f}  {called}")
        return "\n".join(lines)


def cities(arguments: argparse.Namespace) -> CityTable:
    """All cities of the preset."""
    return CityTable(opened_lab(arguments))


def city(arguments: argparse.Namespace) -> CityLatents:
    """One name."""
    explorer = opened_explorer(arguments)
    return CityLatents(explorer, explorer.lab.record(arguments.name))
