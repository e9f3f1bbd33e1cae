"""What an edit did, in words: nothing is said that the model itself would not say."""

from dataclasses import dataclass
from math import log

import pytest

from metasae.steering.own_words import OwnWord
from metasae.steering.questions import CUSTOM, Answer, Question, Subject
from metasae.steering.sentences import listed, told

TOKYO = Subject("Tokyo", "Tokyo", (1,), (1.0,))
HAMSTER = Subject("hamster", "hamster", (1,), (1.0,), facts=False)
LATENTS = Subject("#7, #40", None, (7, 40), (1.0, 1.0), about="Tokyo")

CANDIDATES = {
    "country": ("Japan", "France", "Egypt"),
    "language": ("Japanese", "French", "Arabic"),
    "continent": ("Asia", "Europe", "Africa"),
    "currency": ("yen", "euro", "pound"),
}


@dataclass(frozen=True)
class Case:
    """One question: which candidates lead, and what the model itself would say.

    Attributes:
        own: unedited and edited; None: the candidate that leads.
    """

    attribute: str
    led: int
    leads: int
    own: tuple[str | None, str | None] = (None, None)
    share: float = 0.79

    @property
    def question(self) -> Question:
        texts = CANDIDATES.get(self.attribute, ("sushi", "cheese"))
        return Question(self.attribute, "…", tuple(Answer((), text) for text in texts))

    def word(self, edited: bool) -> OwnWord:
        own = self.own[edited]
        leader = self.question.answers[self.leads if edited else self.led].text
        answer = own is None or own in [one.text for one in self.question.answers]
        return OwnWord(own or leader, log(self.share), 0.0, answer)


def sentences(source: Subject, *cases: Case) -> tuple[str, ...]:
    return told(
        source,
        [one.question for one in cases],
        ([one.led for one in cases], [one.leads for one in cases]),
        ([one.word(False) for one in cases], [one.word(True) for one in cases]),
    )


STAYS = Case("country", 0, 0), Case("continent", 0, 0), Case("currency", 0, 0)


def test_what_the_model_itself_says_is_said_plainly() -> None:
    assert sentences(TOKYO, Case("country", 0, 1), Case("language", 0, 1), *STAYS[1:]) == (
        "Tokyo is now in France and speaks French; it stays in Asia and still pays with the yen.",
    )
    assert sentences(TOKYO, Case("language", 0, 1)) == ("Tokyo now speaks French.",)
    assert sentences(TOKYO, Case("language", 0, 0), *STAYS) == (
        "Tokyo is unchanged: it speaks Japanese, is in Japan, lies in Asia and pays with the yen.",
    )


def test_what_leads_the_candidates_alone_is_not_said_to_be_so() -> None:
    french = Case("language", 0, 1, ("Japanese", "Spanish"))
    assert sentences(TOKYO, french) == (
        "Of Japanese, French and Arabic, French now leads; the model itself would say “Spanish…” "
        "(79 %).",
    )
    assert sentences(TOKYO, Case("country", 0, 0, (None, "Spain"), 0.25), french, *STAYS[1:]) == (
        "Tokyo stays in Asia and still pays with the yen.",
        "Of Japanese, French and Arabic, French now leads; the model itself would say “Spanish…” "
        "(79 %).",
        "Of Japan, France and Egypt, Japan still leads; the model itself would say “Spain…” "
        "(25 %).",
    )


def test_what_led_before_and_is_only_now_said_is_not_called_moved() -> None:
    """Japanese led before, but the model would have said Mandarin."""
    assert sentences(TOKYO, Case("language", 0, 0, ("Mandarin", None)), STAYS[0]) == (
        "Tokyo stays in Japan.",
        "That Tokyo speaks Japanese the model itself says now, and not unedited.",
    )


def test_what_moved_comes_first() -> None:
    stays = Case("country", 0, 0, (None, "Spain"))
    moves = Case("language", 0, 1, (None, "Spanish"))
    first, second = sentences(TOKYO, stays, moves)
    assert "French now leads" in first and "Japan still leads" in second


def test_another_word_of_the_models_own_is_a_change_though_the_same_leads() -> None:
    was, now = sentences(TOKYO, STAYS[0], Case("language", 0, 0, ("Mandarin", "Spanish")))
    assert was == "Tokyo stays in Japan."
    assert now.startswith("Of Japanese, French and Arabic, Japanese still leads; ")
    # Without any change there is no "still" and no "now".
    was, now = sentences(TOKYO, STAYS[0], Case("language", 0, 0, ("Mandarin", "Mandarin")))
    assert was == "Tokyo is unchanged: it is in Japan."
    assert now.startswith("Of Japanese, French and Arabic, Japanese leads; ")
    assert sentences(TOKYO, Case("language", 0, 0, ("Mandarin",) * 2))[0] == "Tokyo is unchanged."


def test_a_candidate_that_the_model_would_say_and_that_does_not_lead_is_named() -> None:
    (one,) = sentences(TOKYO, Case("language", 0, 1, (None, "Arabic"), 0.001))
    assert one.endswith("French now leads; the model itself would say “Arabic” (under 1 %).")


def test_a_name_without_facts_is_nowhere() -> None:
    """What the model answers is no fact about it."""
    assert sentences(HAMSTER, Case("language", 0, 0), *STAYS) == (
        "Nothing changes: asked about hamster, the model answers Japanese, Japan, Asia and yen.",
    )
    assert sentences(HAMSTER, Case("language", 0, 1), *STAYS[:2]) == (
        "Asked about hamster, the model now answers French; it still answers Japan and Asia.",
    )
    assert sentences(HAMSTER, Case("language", 0, 0, (None, "Spanish")), STAYS[0]) == (
        "Asked about hamster, the model still answers Japan.",
        "Of Japanese, French and Arabic, Japanese still leads; the model itself would say "
        "“Spanish…” (79 %).",
    )


def test_latents_are_no_city() -> None:
    assert sentences(LATENTS, Case("country", 0, 1)) == (
        "Asked about Tokyo, the model now answers France.",
    )


def test_ones_own_question_is_answered() -> None:
    mine = Case(CUSTOM, 0, 1)
    assert sentences(TOKYO, STAYS[0], mine) == (
        "Tokyo stays in Japan.", "To your question, the model now answers cheese.",
    )  # fmt: skip
    assert sentences(LATENTS, Case(CUSTOM, 0, 0)) == ("To your question, the model answers sushi.",)


@pytest.mark.parametrize("count", [1, 4, 5])
def test_few_candidates_are_named_and_many_counted(count: int) -> None:
    answers = tuple(Answer((), f"a{n}") for n in range(count))
    word = OwnWord("rice", log(0.5), 0.0, False)
    asked = [Question(CUSTOM, "…", answers)]
    (one,) = told(TOKYO, asked, ([0], [0]), ([word], [word]))[1:]
    itself = "he model itself would say “rice…” (50 %)"
    assert (
        one
        == {
            1: f"T{itself}, not a0.",
            4: f"Of a0, a1, a2 and a3, a0 leads; t{itself}.",
            5: f"Of the 5 candidates, a0 leads; t{itself}.",
        }[count]
    )


def test_words_are_listed() -> None:
    assert listed(["a"]) == "a" and listed(["a", "b"]) == "a and b"
    assert listed(["a", "b", "c"]) == "a, b and c"
