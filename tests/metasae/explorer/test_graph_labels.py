"""Labels of a graph's picture: by hand, and that none lies on another at any enlargement."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metasae.explorer.graph_labels import NEVER, ZOOMS, placed

SIZE = (400.0, 400.0)


def place(*at: tuple[float, float], texts: list[str], order: list[int] | None = None):  # type: ignore[no-untyped-def]
    count = len(at)
    return placed(
        np.array(at), texts, [10.0] * count, [5.0] * count, order or list(range(count)), SIZE
    )


def test_one_that_stands_alone_is_below_its_node() -> None:
    (one,) = place((0.5, 0.5), texts=["alone"])
    # Radius 5, a gap of 3, and half a line of 10 × 1.15.
    assert (one.zoom, one.dx) == (1.0, 0.0) and one.dy == pytest.approx(13.75)


def test_what_stands_below_sends_a_label_above() -> None:
    upper, lower = place((0.5, 0.5), (0.5, 0.53), texts=["upper", "lower"])
    assert upper.dy == pytest.approx(-13.75) and lower.dy == pytest.approx(13.75)
    assert upper.zoom == lower.zoom == 1.0


def test_the_one_that_matters_more_is_placed_first() -> None:
    # Side by side, 4 pixels apart, under and above a third: two labels find room above and below.
    at = ((0.5, 0.5), (0.51, 0.5), (0.49, 0.5))
    texts = ["a long label"] * 3
    for order in itertools.permutations(range(3)):
        found = place(*at, texts=texts, order=list(order))
        zooms = [found[node].zoom for node in order]
        assert zooms[0] == 1.0 and zooms == sorted(zooms)


def test_two_in_one_place_never_both_find_room() -> None:
    found = place(*[(0.5, 0.5)] * 6, texts=["label"] * 6)
    assert [one.zoom for one in found][:1] != [NEVER] or all(one.zoom == NEVER for one in found)
    assert found[-1].zoom == NEVER


def test_no_label_crosses_the_edge() -> None:
    # 20 letters of a font of 10 are 112 wide; 40 pixels are between the node and the edge.
    (near,) = place((0.1, 0.5), texts=["x" * 20])
    assert near.zoom == 1.0 and near.dx == pytest.approx(5 + 3 + 56) and near.dy == 0
    # No room to its right either: it appears as the picture is enlarged.
    (long,) = place((0.1, 0.5), texts=["x" * 80])
    assert long.zoom == ZOOMS[1]
    # At the lower edge it stands above.
    (low,) = place((0.5, 0.99), texts=["low"])
    assert low.dy == pytest.approx(-13.75)


def test_an_empty_label_takes_no_room() -> None:
    first, second = place((0.5, 0.5), (0.9, 0.9), texts=["", "there"])
    assert first.zoom == NEVER and second.zoom == 1.0


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(2, 25))
def test_no_label_lies_on_another_where_it_appears(seed: int, count: int) -> None:
    draw = np.random.default_rng(seed)
    at = draw.random((count, 2))
    texts = ["x" * int(length) for length in draw.integers(1, 20, count)]
    fonts, radii = draw.choice([10.0, 12.0], count), draw.choice([7.0, 11.0], count)
    found = placed(at, texts, fonts.tolist(), radii.tolist(), list(range(count)), SIZE)
    half = np.array([(0.28 * len(text) * font, 0.575 * font)
                     for text, font in zip(texts, fonts, strict=True)])  # fmt: skip
    for number, one in enumerate(found):
        if one.zoom == NEVER:
            continue
        assert one.zoom in ZOOMS
        middle = one.zoom * at * np.array(SIZE) + np.array([(o.dx, o.dy) for o in found])
        marks = one.zoom * at * np.array(SIZE)
        for other in range(count):
            if other == number:
                continue
            apart = np.abs(middle[number] - marks[other]) >= half[number] + radii[other] - 1e-6
            assert apart.any()
            if other < number and found[other].zoom <= one.zoom:
                apart = np.abs(middle[number] - middle[other]) >= half[number] + half[other] - 1e-6
                assert apart.any()
