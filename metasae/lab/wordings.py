"""How many of the cities' facts a model gets right, by the words it is asked in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metasae.lab.city_table import Told, told
from metasae.lm.language_model import LanguageModel
from metasae.progress import Progress, silent
from metasae.sources.records import to_values
from metasae.text.cities import ATTRIBUTES, City, load_cities
from metasae.text.prompts import CANDIDATES, REWORDED, WORDINGS


@dataclass(frozen=True)
class Wording:
    """One way to ask for an attribute, and how many facts the model gets right by it.

    Attributes:
        known: cities whose fact is the likeliest among all answers of the table.
        says: cities whose fact the model would write of its own accord.
        sets: the sets of questions it belongs to, keys of `text.prompts.WORDINGS`.
    """

    attribute: str
    template: str
    known: int
    says: int
    sets: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """Every wording of every attribute, measured on some cities.

    Attributes:
        wordings: attribute by attribute, the best first.
        all_four: per set of questions the cities all of whose facts are known by it.
    """

    cities: int
    wordings: tuple[Wording, ...]
    all_four: dict[str, int]

    def of(self, attribute: str) -> tuple[Wording, ...]:
        """One attribute's wordings, the best first."""
        return tuple(one for one in self.wordings if one.attribute == attribute)

    def best(self, attribute: str) -> str:
        """The candidate by which most facts are known; of equals the one most are said by."""
        return next(w.template for w in self.of(attribute) if w.template in CANDIDATES[attribute])

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return to_values(self) | {"best": {name: self.best(name) for name in ATTRIBUTES}}

    def text(self) -> str:
        """As a table to read."""
        lines = [f"Of {self.cities} cities the model gets right, by how it is asked:"]
        for attribute in ATTRIBUTES:
            lines += ["", f"{attribute:<58} known  says"]
            lines += [
                f"  {one.template:<56} {one.known:>5} {one.says:>5}  {', '.join(one.sets)}".rstrip()
                for one in self.of(attribute)
            ]
        sets = ", ".join(f"{name} {count}" for name, count in self.all_four.items())
        return "\n".join([*lines, "", f"cities all of whose facts are known: {sets}"])


def measured(
    model: LanguageModel, cities: Sequence[City] | None = None, progress: Progress = silent
) -> Measured:
    """Every candidate and the reworded questions, asked about all cities.

    Args:
        cities: those of the table when left out.
    """
    cities = load_cities() if cities is None else cities
    asked = [(name, one) for name in ATTRIBUTES for one in (*CANDIDATES[name], REWORDED[name])]
    found: list[dict[tuple[str, str], Told]] = []
    for number, city in enumerate(cities, 1):
        found.append(dict(zip(asked, told(model, city, asked), strict=True)))
        progress("Asking in all wordings", number / len(cities), city.name)
    wordings = [
        Wording(
            attribute=attribute,
            template=template,
            known=sum(one[attribute, template].known for one in found),
            says=sum(one[attribute, template].says for one in found),
            sets=tuple(name for name, asks in WORDINGS.items() if asks[attribute] == template),
        )
        for attribute, template in asked
    ]
    wordings.sort(key=lambda one: (ATTRIBUTES.index(one.attribute), -one.known, -one.says))
    return Measured(
        cities=len(cities),
        wordings=tuple(wordings),
        all_four={
            name: sum(all(one[key].known for key in asks.items()) for one in found)
            for name, asks in WORDINGS.items()
        },
    )
