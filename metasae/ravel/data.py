"""What is asked of whom: names with their attributes, and prompts about each attribute.

RAVEL's own files are read from a folder; the cities of this package are a second set, with
currency. Both hold some names and some prompts out: what chooses or learns an edit sees only those
of the training split, what scores it only those of the other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from metasae.errors import UserError
from metasae.sources.files import read_json
from metasae.text.cities import ATTRIBUTES, load_cities
from metasae.text.prompts import CANDIDATES, CITY, REWORDED
from metasae.text.shares import share

NAME = "%s"
"""What stands for the name in a template's text; exactly once."""

TRAIN, VALIDATION = "train", "val"

_HELD_OUT = 0.4
"""Share of this package's cities that nothing is learned from."""


@dataclass(frozen=True)
class Entity:
    """A name and what is true of it.

    Attributes:
        values: attribute → its accepted answers, the usual one first.
        split: "train", "val" or "test".
    """

    name: str
    values: Mapping[str, tuple[str, ...]]
    split: str

    @property
    def held_out(self) -> bool:
        """Whether nothing may be learned from it."""
        return self.split != TRAIN

    def differs(self, other: "Entity", attribute: str) -> bool:
        """Whether no answer about one is right about the other."""
        return not set(self.values[attribute]) & set(other.values[attribute])


@dataclass(frozen=True)
class Template:
    """A prompt about an attribute, with `NAME` in the name's place; the next words answer it."""

    attribute: str
    text: str
    split: str

    @property
    def held_out(self) -> bool:
        """Whether nothing may be learned with it."""
        return self.split != TRAIN

    def prompt(self, name: str) -> str:
        """The prompt about a name."""
        return self.text.replace(NAME, name)

    def name_end(self, name: str) -> int:
        """Where, in characters, the name ends in the prompt about it."""
        return self.text.index(NAME) + len(name)

    @property
    def gap(self) -> str:
        """What stands between the prompt and an answer: nothing after a space or a quotation mark
        that opens the answer, else a space."""
        return "" if self.text[-1] in ' "(' else " "

    def gives_away(self, name: str) -> bool:
        """Whether the prompt names it as an example, and so may answer itself."""
        return name in self.text


@dataclass(frozen=True)
class RavelData:
    """Names and templates.

    Attributes:
        name: of the set.
    """

    name: str
    entities: tuple[Entity, ...]
    templates: tuple[Template, ...]

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """What is asked about, in the order of the templates."""
        return tuple(dict.fromkeys(one.attribute for one in self.templates))

    def answers(self, attribute: str) -> tuple[str, ...]:
        """Every accepted answer about an attribute, over all names, each once, sorted."""
        return answers_about(self.entities, (attribute,))[attribute]


def answers_about(
    entities: Iterable[Entity], attributes: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Attribute → every accepted answer about some names, each once, sorted."""
    some = tuple(entities)
    return {
        attribute: tuple(sorted({text for one in some for text in one.values[attribute]}))
        for attribute in attributes
    }


def own_cities() -> RavelData:
    """The cities of this package with four attributes, and its ways to ask about each."""
    entities = tuple(
        Entity(
            city.name,
            {attribute: city.answers(attribute) for attribute in ATTRIBUTES},
            VALIDATION if share(f"ravel/{city.name}") < _HELD_OUT else TRAIN,
        )
        for city in load_cities()
    )
    templates = tuple(
        Template(attribute, text.replace(CITY, NAME), (TRAIN, VALIDATION)[number % 2])
        for attribute in ATTRIBUTES
        for number, text in enumerate((*CANDIDATES[attribute], REWORDED[attribute]))
    )
    return RavelData("own cities", entities, templates)


def read_ravel(folder: Path, kind: str = "city") -> RavelData:
    """RAVEL's files about one kind of names.

    Args:
        kind: as in the files' names, such as ``ravel_city_entity_attributes.json``.

    Raises:
        UserError: when a file is missing or isn't as RAVEL writes it; says which and where in it.
    """
    attributes = _Part(folder, kind, "entity_attributes")
    entity_splits = _Part(folder, kind, "entity_to_split")
    prompts = _Part(folder, kind, "attribute_to_prompts")
    prompt_splits = _Part(folder, kind, "prompt_to_split")
    templates = tuple(
        Template(attribute, text, prompt_splits.text(text))
        for attribute in prompts.values
        for text in prompts.texts(attribute)
    )
    for one in templates:
        if one.text.count(NAME) != 1:
            raise prompts.wrong(one.attribute, f'the prompt "{one.text}" has not one {NAME}')
    asked = tuple(prompts.values)
    entities = tuple(
        Entity(name, attributes.facts(name, asked), entity_splits.text(name))
        for name in attributes.values
    )
    data = RavelData(f"RAVEL, {kind}", entities, templates)
    _check_splits(data, folder)
    return data


def _check_splits(data: RavelData, folder: Path) -> None:
    """Refuse data of which nothing is held out, or nothing can be learned from.

    Raises:
        UserError: for it.
    """
    for what, splits in (
        ("names", {one.split for one in data.entities}),
        ("prompts", {one.split for one in data.templates}),
    ):
        if TRAIN not in splits or splits == {TRAIN}:
            raise UserError(
                f"The {what} in {folder} are all of the split {' or '.join(sorted(splits))}; some "
                f'must be "{TRAIN}" and some not, so that edits are scored on others than they '
                "were learned from."
            )


class _Part:
    """One of RAVEL's files: a JSON object whose keys are names, attributes or prompts."""

    def __init__(self, folder: Path, kind: str, what: str) -> None:
        self.path = folder / f"ravel_{kind}_{what}.json"
        try:
            values = read_json(self.path)
        except OSError as error:
            raise UserError(
                f"{self.path} can't be read ({error.strerror}); give the folder of RAVEL's files "
                f'about "{kind}".'
            ) from error
        except ValueError as error:
            raise UserError(f"{self.path} holds no JSON; fetch RAVEL's files again.") from error
        if not isinstance(values, dict) or not values:
            raise UserError(
                f"{self.path} must hold a JSON object with an entry for each name, attribute or "
                "prompt."
            )
        self.values: dict[str, Any] = values

    def wrong(self, key: str, what: str) -> UserError:
        return UserError(f'{self.path} is not as RAVEL writes it: at the key "{key}", {what}.')

    def text(self, key: str) -> str:
        found = self.values.get(key)
        if found is None:
            raise self.wrong(key, "there is nothing")
        if not isinstance(found, str) or not found:
            raise self.wrong(key, "there is no text")
        return found

    def texts(self, key: str) -> list[str]:
        found = self.values[key]
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise self.wrong(key, "there is no list of texts")
        return found

    def facts(self, name: str, attributes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        """A name's accepted answers: RAVEL joins several with commas."""
        found = self.values[name]
        if not isinstance(found, dict):
            raise self.wrong(name, "there is no object of attributes")
        facts = {}
        for attribute in attributes:
            value = found.get(attribute)
            texts = (
                tuple(filter(None, map(str.strip, value.split(","))))
                if isinstance(value, str)
                else ()
            )
            if not texts:
                raise self.wrong(name, f'"{attribute}" is missing or no text')
            facts[attribute] = texts
        return facts
