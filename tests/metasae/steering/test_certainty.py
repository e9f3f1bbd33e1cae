"""How sure a model is, by hand."""

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metasae.steering.certainty import CLEAR, certainties, percent
from metasae.steering.own_words import OwnWord
from metasae.steering.questions import Answer, Question, Questions


def asked(*answers: tuple[str, str]) -> Question:
    """A question; of each answer whose it is and its text."""
    return Question("continent", "…", tuple(Answer((city,), text) for city, text in answers))


THREE = asked(("Tokyo", "Asia"), ("Paris", "Europe"), ("Cairo", "Africa"))


def nats(*probabilities: float) -> torch.Tensor:
    return torch.tensor(probabilities).log()


@pytest.mark.parametrize(
    ("probabilities", "verdict", "text"),
    [
        ((0.96, 0.02, 0.01), "sure", "the model is sure: Asia 96 %"),
        ((0.43, 0.41, 0.01), "near tie", "a near tie: Asia 43 %, Europe 41 %"),
        ((0.41, 0.43, 0.01), "near tie", "a near tie: Europe 43 %, Asia 41 %"),
        # By 0.44 nats, though more likely than not.
        ((0.51, 0.33, 0.01), "near tie", "a near tie: Asia 51 %, Europe 33 %"),
        # What isn't asked about may be likelier than the next candidate.
        ((0.15, 0.02, 0.001), "unsure", "not sure: Asia 15 %, next of the candidates Europe 2 %"),
        (
            (0.001, 0.3, 0.004),
            "unsure",
            "not sure: Europe 30 %, next of the candidates Africa under 1 %",
        ),
        ((0.999, 1e-9, 1e-9), "sure", "the model is sure: Asia over 99 %"),
    ],
)
def test_what_is_said(probabilities: tuple[float, ...], verdict: str, text: str) -> None:
    (one,) = certainties(Questions((THREE,)), nats(*probabilities), "Tokyo")
    assert (one.verdict, one.text) == (verdict, text)
    first, second = sorted(probabilities, reverse=True)[:2]
    assert one.probability == pytest.approx(first, rel=1e-4)
    assert one.rival_probability == pytest.approx(second, rel=1e-4)
    assert one.lead == pytest.approx(math.log(first / second), rel=1e-4)
    assert one.fact == "Asia" and one.note == ""
    assert json.loads(json.dumps(one.to_dict()))["verdict"] == verdict


def test_what_the_model_does_not_know_is_said_beside_it() -> None:
    questions = Questions((THREE, asked(("Tokyo", "yes"), ("Paris", "no"))))
    scores = nats(0.1, 0.6, 0.1, 0.5, 0.1)
    first, second = certainties(questions, scores, "Tokyo", {"continent": "South America"})
    assert first.note == (
        "The model does not know this fact: unedited it finds South America likelier than Asia."
    )
    assert (first.answer, first.fact, second.fact) == ("Europe", "Asia", "yes")
    # Of what has no facts nothing can be unknown.
    (one,) = certainties(Questions((THREE,)), nats(0.1, 0.6, 0.1), "", {"continent": "x"})
    assert one.note == "" and one.fact == ""


def test_what_the_model_itself_would_say_comes_before_the_candidates() -> None:
    scores = nats(0.02, 0.003, 0.001)
    own = OwnWord("Oceania", math.log(0.4), 0.0, False)
    (one,) = certainties(Questions((THREE,)), scores, "Tokyo", own=[own])
    assert one.text == (
        "the model itself says “Oceania…” 40 %; of the candidates Asia 2 %, Europe under 1 %"
    )
    assert (one.own, one.own_probability) == ("Oceania…", pytest.approx(0.4))
    # Also where it is a candidate that does not lead, but not where it is the one that does.
    (one,) = certainties(Questions((THREE,)), scores, own=[OwnWord("Africa", -1.0, 0.0, True)])
    assert one.text.startswith("the model itself says “Africa” 37 %")
    (one,) = certainties(Questions((THREE,)), scores, own=[OwnWord("Asia", -1.0, 0.0, True)])
    assert one.text == "not sure: Asia 2 %, next of the candidates Europe under 1 %"
    assert one.own == ""


def test_a_single_candidate_has_no_rival() -> None:
    (one,) = certainties(Questions((asked(("", "sushi")),)), nats(0.2))
    assert one.text == "not sure: sushi 20 %" and one.lead == math.inf
    assert one.to_dict()["lead"] is None


@given(st.floats(0, 1))
def test_a_percentage_is_never_nothing_or_certain(probability: float) -> None:
    text = percent(probability)
    if text in ("under 1 %", "over 99 %"):
        assert not 0.01 <= probability <= 0.99
    else:
        assert 1 <= int(text.removesuffix(" %")) <= 99
        assert int(text.removesuffix(" %")) == pytest.approx(100 * probability, abs=0.51)


def test_a_tie_ends_where_a_lead_is_clear() -> None:
    for lead, verdict in ((CLEAR - 0.01, "near tie"), (CLEAR + 0.01, "sure")):
        scores = torch.tensor([-0.1, -0.1 - lead, -9.0])
        (one,) = certainties(Questions((THREE,)), scores)
        assert one.verdict == verdict
