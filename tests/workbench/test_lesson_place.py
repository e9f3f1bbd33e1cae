"""Where in a walk one is, and what one press of a key leads to."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasae.lessons.registry import lesson, lessons
from workbench.lessons.place import Place

LATENT = lesson("latent")

places = st.builds(
    lambda walk, number, answered, presenting: Place(
        walk, 1, frozenset(one for one in answered if one <= walk.count), presenting
    ).at(number),
    st.sampled_from(lessons()),
    st.integers(-3, 9),
    st.frozensets(st.integers(1, 6)),
    st.booleans(),
)


def test_a_press_shows_the_answer_and_the_next_one_the_next_question() -> None:
    first = Place(LATENT)
    assert not first.open
    answered = first.onward()
    assert (answered.number, answered.open) == (1, True)
    second = answered.onward()
    assert (second.number, second.open, 1 in second.answered) == (2, False, True)


def test_the_next_question_comes_first_even_where_its_answer_was_seen() -> None:
    seen = Place(LATENT, 1, frozenset({1, 2}))
    assert seen.onward() == Place(LATENT, 2, frozenset({1}))


def test_both_ends_hold() -> None:
    assert Place(LATENT).back() == Place(LATENT)
    end = Place(LATENT, LATENT.count, frozenset({LATENT.count}))
    assert end.last and end.onward() == end


@given(places)
def test_back_is_the_way_onward_turned_round(place: Place) -> None:
    onward = place.onward()
    if onward != place:
        back = onward.back()
        assert (back.number, back.open) == (place.number, place.open)


def test_a_walk_of_presses_sees_every_question_and_answer_once() -> None:
    place, seen = Place(LATENT), list[Place]()
    while not seen or place != seen[-1]:
        seen.append(place)
        place = place.onward()
    assert [(one.number, one.open) for one in seen] == [
        (number, shown) for number in range(1, LATENT.count + 1) for shown in (False, True)
    ]


@pytest.mark.parametrize(
    ("place", "query"),
    [
        (Place(LATENT), {"lesson": "latent", "step": "1"}),
        (
            Place(LATENT, 3, frozenset({3, 1}), presenting=True),
            {"lesson": "latent", "step": "3", "answered": "1.3", "presenting": "1"},
        ),
    ],
)
def test_the_address_says_all_of_it(place: Place, query: dict[str, str]) -> None:
    assert place.to_query() == query


@given(places, st.booleans())
def test_an_answer_is_shown_and_hidden_again(place: Place, shown: bool) -> None:
    assert place.answering(shown).open is shown
    assert place.answering(True).answering(False) == replace(
        place, answered=place.answered - {place.number}
    )
