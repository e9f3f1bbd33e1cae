"""The words of the field in plain English: beside a text that uses them, or all at once."""

import re

import streamlit as st

TERMS = {
    "SAE": "a sparse autoencoder. It writes what the model holds about one word as a sum of a few "
    "directions, out of thousands it has learnt.",
    "latent": "one of those directions. It is off almost everywhere and on where the text is about "
    "its own subject, for example one city.",
    "meta-SAE": "a second SAE. It was trained on the first one's directions alone, without any "
    "text, and writes each of them as a sum of a few pieces.",
    "meta-latent": "one of those pieces. Many latents share it: a country, being a city, a first "
    "letter.",
    "nat": "the unit of a log-probability. 0 is certain, −0.7 is one in two, −2.3 is one in ten, "
    "−4.6 is one in a hundred.",
    "L0": "how many are on at once. Of an SAE: latents per word of a text. Of a meta-SAE: pieces "
    "per latent.",
    "block": "one of the layers a model is stacked from. The SAE reads what passes between two of "
    "them.",
}
"""Word → what it means, as half a sentence; words that others are explained by come first."""


def in_text(text: str) -> tuple[str, ...]:
    """The words of the glossary that a text uses, in the glossary's order.

    A word inside another does not count: "meta-latent" is no "latent".
    """
    return tuple(
        term
        for term in TERMS
        if re.search(rf"(?<![\w-]){re.escape(term)}s?(?![\w-])", text, re.IGNORECASE)
    )


def explained(*terms: str) -> str:
    """What some words mean, as Markdown, a paragraph each.

    Raises:
        KeyError: for a word the glossary does not have.
    """
    return "\n\n".join(f"**{term}**: {TERMS[term]}" for term in terms)


def glossary() -> None:
    """All words, behind a button."""
    with st.popover("Words explained", type="tertiary", icon=":material/help:", key="glossary"):
        st.markdown(explained(*TERMS))
