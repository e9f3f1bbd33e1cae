"""The glossary's page has every word that the app explains."""

from docs.handbook import words
from workbench.glossary import TERMS


def test_every_word_stands_with_its_meaning() -> None:
    page = words.page()
    assert all(f"## {word}\n\n{meaning}\n" in page for word, meaning in TERMS.items())
