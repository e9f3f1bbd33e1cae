"""What a model itself goes on with, as text, by hand."""

import pytest
import torch

from metasae.steering.own_words import OwnTokens, OwnWord, own_words, readable
from metasae.steering.questions import Answer, Question, Questions

MONEY = Question("currency", "…", (Answer(("a",), "pound"), Answer(("b",), "pound sterling")))
TONGUE = Question("language", "…", (Answer(("a",), "Thai"), Answer(("b",), "French")))


@pytest.mark.parametrize(
    ("token", "word"),
    [(" Spanish", "Spanish"), ("\n\n", "a new line"), ("  ", "a space"), ("�\x00", "�"),
     ("\x00", "an unreadable byte"), (" a\tb", "a b")],
)  # fmt: skip
def test_a_token_is_a_word_that_can_be_read(token: str, word: str) -> None:
    assert readable(token) == word


def said(says: list[bool], leads: list[int]) -> tuple[OwnWord, ...]:
    scores = torch.tensor([-1.0, -2.0, -3.0, -4.0])
    top = [(" pound", -0.5, -0.75), (" Spanish", -0.25, -9.0)]
    own = OwnTokens(torch.tensor([7, 8]), torch.tensor(says))
    both = (scores, scores - 1.0)
    return own_words(Questions((MONEY, TONGUE)), own, leads, top, both)


def test_the_word_is_the_candidate_it_writes_or_else_its_likeliest_token() -> None:
    first, second = said([True, False, False, False], [0, 0])
    assert first == OwnWord("pound", -1.0, -2.0, True)
    assert second == OwnWord("Spanish", -0.25, -9.0, False)


def test_of_two_that_it_writes_the_one_that_leads_is_the_word() -> None:
    assert said([True, True, False, False], [1, 0])[0].text == "pound sterling"
    assert said([True, True, False, False], [0, 0])[0].text == "pound"
    # One that does not lead is a word of its own all the same.
    assert said([False, True, False, True], [0, 0])[0] == OwnWord(
        "pound sterling", -2.0, -3.0, True
    )
    assert said([False, True, False, True], [0, 0])[1] == OwnWord("French", -4.0, -5.0, True)
