"""Kinds of words, by hand."""

import pytest

from metasae.text.word_kinds import kinds


@pytest.mark.parametrize(
    ("token", "before", "words", "expected"),
    [
        (" Tokyo", "was born in", ["born", "in", "Tokyo"],
         {"a city", "a city in Japan", "T…", "…kyo"}),
        (" York", "lives in New", ["in", "New", "York"],
         {"a city", "a city in the United States", "Y…"}),
        (" French", "speaks", ["speaks", "French"], {"a language or people", "F…", "…nch"}),
        (" 1987", "in", ["in", "1987"], {"a year"}),
        (" 10¹²", "about", ["about", "10¹²"], set()),
        (" 45", "of", ["of", "45"], {"a number"}),
        ("19", " 45", ["4519"], {"a number"}),
        (" of", "the city", ["city", "of"], {"a preposition", "o…"}),
        (",", " Tokyo", ["Tokyo"], {"“,”"}),
        ("\n", "end.", ["end"], {"a line break"}),
        (" ", "end.", ["end"], {"a space"}),
        ("kyo", "To", ["Tokyo"], {"a city", "a city in Japan", "inside a word"}),
        (" running", "was", ["was", "running"], {"r…", "…ing"}),
        ("Pan", "(", ["Pan"], {"P…"}),
    ],
)  # fmt: skip
def test_kinds(token: str, before: str, words: list[str], expected: set[str]) -> None:
    found = kinds(token, before, words)
    assert set(found) == expected
    assert all(found[kind] == (0.25 if kind == "inside a word" else 1.0) for kind in found)


def test_the_language_of_a_text_is_told_by_its_small_words() -> None:
    french = ["est", "une", "ville", "dans", "le"]
    spanish = ["es", "una", "ciudad", "del", "norte"]
    assert "French text" in kinds(" le", " est une ville dans", french)
    assert "Spanish text" in kinds(" norte", " es una ciudad del", spanish)
    assert "French text" in kinds(",", " est une ville dans le", french)
    for words in (["Les", "Paul", "played"], ["in", "El", "Paso"], ["the", "city", "of"]):
        assert not {"French text", "Spanish text"} & set(kinds(f" {words[-1]}", "x", words))


def test_a_country_is_known_by_all_its_names() -> None:
    for words in (["United", "Kingdom"], ["the", "United", "Kingdom"], ["Japan"]):
        assert "a country" in kinds(" " + words[-1], "in", words)


def test_no_kind_can_be_a_word() -> None:
    from metasae.explorer.labels import WORD

    places = [
        (" Tokyo", "in", ["Tokyo"]),
        (" 1987", "in", ["1987"]),
        (" June", "in", ["June"]),
    ]
    for token, before, words in places:
        assert all(WORD.fullmatch(kind) is None for kind in kinds(token, before, words))
