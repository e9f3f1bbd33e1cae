"""A small set of names for RAVEL: the cities the small Llama was taught, asked as it was taught."""

import json
from pathlib import Path

from metasae.ravel.data import NAME, TRAIN, VALIDATION, Entity, RavelData, Template
from metasae.text.cities import ATTRIBUTES, find_city
from metasae.text.prompts import CITY, QUESTIONS
from tests.small_models import TAUGHT

HELD_OUT = ("Cairo", "Kyoto", "Lyon", "Tokyo")

ANSWERS = {
    "country": ("Egypt", "France", "Japan"),
    "language": ("Arabic", "French", "Japanese"),
    "continent": ("Africa", "Asia", "Europe"),
    "currency": ("euro", "pound", "yen"),
}
"""Attribute → the answers about those cities."""


def small_data() -> RavelData:
    """Four cities to learn from and four held out; the same questions in both splits."""
    entities = tuple(
        Entity(
            name,
            {attribute: find_city(name).answers(attribute)[:1] for attribute in ATTRIBUTES},
            VALIDATION if name in HELD_OUT else TRAIN,
        )
        for name in TAUGHT
    )
    templates = tuple(
        Template(attribute, text.replace(CITY, NAME), split)
        for attribute, text in QUESTIONS.items()
        for split in (TRAIN, VALIDATION)
    )
    return RavelData("taught cities", entities, templates)


def write_ravel(folder: Path) -> Path:
    """RAVEL's four files about a few cities."""
    files: dict[str, dict[str, object]] = {
        "entity_attributes": {
            "Lyon": {"Country": "France", "Language": "French"},
            "Ghent": {"Country": "Belgium", "Language": "Dutch,French"},
            "Kyoto": {"Country": "Japan", "Language": "Japanese"},
        },
        "entity_to_split": {"Lyon": "train", "Ghent": "val", "Kyoto": "val"},
        "attribute_to_prompts": {
            "Country": ["%s is in the country of", '[{"city": "%s", "country": "'],
            "Language": ["People in %s speak", "The language of %s is"],
        },
        "prompt_to_split": {
            "%s is in the country of": "train",
            '[{"city": "%s", "country": "': "val",
            "People in %s speak": "train",
            "The language of %s is": "val",
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in files.items():
        (folder / f"ravel_city_{name}.json").write_text(json.dumps(values), "utf-8")
    return folder
