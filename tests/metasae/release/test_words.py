"""The words of latents, by hand on a text of two windows."""

from types import SimpleNamespace
from typing import Any

import torch

from metasae.release import words
from metasae.release.words import words_of_latents
from metasae.saes.autoencoder import SparseAutoencoder
from tests.builders import residuals

PIECES = ("<s>", " New", " Yo", "rk", ".", " in", " ", "a", "b", "c", "d", "e", "f", "g")
TOKENS = ((0, 1, 2, 3, 4, 5, 2, 3), (0, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13))


def text(*rows: tuple[int, int, float, float]) -> Any:
    """The two windows with these residuals."""
    tokens = torch.zeros(2, 12, dtype=torch.int32)
    for window, ids in enumerate(TOKENS):
        tokens[window, : len(ids)] = torch.tensor(ids)
    return SimpleNamespace(
        activations=residuals(
            torch.tensor([values for _, _, *values in rows]),
            [window for window, *_ in rows],
            [position for _, position, *_ in rows],
        ),
        windows=SimpleNamespace(tokens=tokens),
        model=SimpleNamespace(decode=PIECES.__getitem__),
    )


def listed(made: Any) -> dict[int, list[tuple[int, str, float]]]:
    table: dict[int, list[tuple[int, str, float]]] = {}
    rows = words_of_latents(made, sae()).itertuples(index=False)
    for latent, rank, word, activation in rows:
        table.setdefault(int(latent), []).append((int(rank), word, float(activation)))
    return table


def sae() -> SparseAutoencoder:
    """Each latent is one of the residual's two numbers, where it is positive."""
    eye = torch.eye(2)
    return SparseAutoencoder(eye, torch.zeros(2), eye, torch.zeros(2), k=2)


def test_a_word_is_what_stands_between_spaces_up_to_the_token() -> None:
    made = text(
        (0, 3, 2.0, 0.0),  # " Yo" "rk"
        (0, 4, 0.0, 1.0),  # the same and "."
        (0, 7, 4.0, 0.0),  # York again
        (0, 5, 8.0, -1.0),  # " in": once, so behind York
        (1, 3, 0.0, 5.0),  # a space is no word
        (1, 9, 0.0, 3.0),  # six tokens back at most: "a" to "f"
        (1, 10, 0.0, 2.0),  # so "b" to "g"
    )
    assert listed(made) == {
        0: [(0, "York", 4.0), (1, "in", 8.0)],
        1: [(0, "abcdef", 3.0), (1, "bcdefg", 2.0), (2, "York.", 1.0)],
    }


def test_only_the_strongest_activations_and_the_most_frequent_words_count(
    monkeypatch: Any,
) -> None:
    rows = [(0, 3, 2.0, 0.0), (0, 7, 4.0, 0.0), (0, 5, 8.0, 0.0), (0, 1, 9.0, 0.0)]
    monkeypatch.setattr(words, "CONTEXTS", 3)
    # York's other activation is the weakest: now it is met once, like the other words.
    assert listed(text(*rows))[0] == [(0, "New", 9.0), (1, "in", 8.0), (2, "York", 4.0)]
    monkeypatch.setattr(words, "CONTEXTS", 4)
    monkeypatch.setattr(words, "WORDS", 2)
    assert listed(text(*rows))[0] == [(0, "York", 4.0), (1, "New", 9.0)]
