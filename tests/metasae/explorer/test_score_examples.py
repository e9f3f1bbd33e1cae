"""Which pieces are drawn, how they are marked, and what is left out."""

import numpy as np

from metasae.explorer.score_examples import PIECE, SILENT, Example, Sampling, examples_of
from metasae.explorer.token_activations import TokenActivations
from tests.metasae.explorer.scored_text import ROWS, firing, read


def test_as_many_of_each_quantile_and_as_many_silent() -> None:
    made = examples_of(firing(), 0, read, Sampling(pieces=20, quantiles=5))
    assert made is not None
    assert [one.distance for one in made.firing] == [float(q) for q in range(5) for _ in range(4)]
    # Latent 0 fires with strength 1 + row: the strongest fifth are the last twelve rows.
    least = [ROWS - 11, ROWS - 23, ROWS - 35, ROWS - 47, 1]
    for one in made.firing:
        low = least[int(one.distance)]
        assert low <= max(one.activations) < low + 12
        assert one.tokens[int(np.argmax(one.activations))] == " tokyo" and len(one.tokens) == PIECE
    assert len(made.silent) == 20 and len({one.text() for one in made.silent}) == 20
    assert all(" tokyo" not in one.tokens and max(one.activations) == 0 for one in made.silent)
    assert all(one.distance == SILENT for one in made.silent)
    assert examples_of(firing(), 0, read, Sampling(20, 5)) == made
    assert examples_of(firing(), 0, read, Sampling(20, 5, seed=1)) != made


def test_too_few_are_none() -> None:
    assert examples_of(firing(), 7, read, Sampling()) is None
    assert examples_of(firing(), 1, read, Sampling(quantiles=21, pieces=21)) is None
    assert examples_of(firing(), 1, read, Sampling(quantiles=20, pieces=20)) is not None


def test_what_may_not_be_taken_is_left_out_and_is_not_silent_either() -> None:
    made = examples_of(firing(), 0, read, Sampling(20, 5), lambda row, position: row >= ROWS // 2)
    assert made is not None
    assert min(max(one.activations) for one in made.firing) >= 1 + ROWS // 2
    assert all(" tokyo" not in one.tokens for one in made.silent)


def test_padding_and_the_start_token_are_no_text() -> None:
    tokens = np.arange(2 * 64).reshape(2, 64)
    found = TokenActivations(
        tokens, np.array([64, 36]), np.zeros(2, int), np.array([0, 1]), np.array([3, 5]),
        np.ones(2, np.float32), first=1,
    )  # fmt: skip
    made = examples_of(found, 0, str, Sampling(1, 1))
    assert made is not None
    # The second row's rest has four tokens: too short, so that one piece is silent.
    (silent,) = made.silent
    assert silent.tokens == tuple(map(str, range(32, 64)))
    (fires,) = made.firing
    assert fires.tokens[0] in ("1", "65") and len(fires.tokens) == PIECE - 1


def test_marks_stand_around_runs_of_tokens() -> None:
    one = Example((" a", " b", "\n", "c", " d"), (0.0, 1.0, 0.5, 0.2, 0.4), 0.0)
    assert one.strong == {1, 2, 4}
    assert one.text(one.strong) == "a<< b >>c<< d>>"
    assert one.text() == "a b c d"
