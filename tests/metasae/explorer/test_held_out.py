"""Held-out contexts: F1 by hand, and what a label stands against."""

import numpy as np
import pytest
import torch

from metasae.explorer import held_out
from metasae.explorer.held_out import HeldOut
from metasae.saes import neighbours
from tests.metasae.explorer.test_labels import bag


def test_f1_is_counted_by_hand() -> None:
    mine = [bag("tokyo"), bag("tokyo"), bag("kyoto")]
    others = [bag("tokyo"), bag("paris"), bag("rome")]
    # Two of three found, one of three others taken for it: 2·2 / (2·2 + 1 + 1).
    assert held_out.f1(("tokyo",), mine, others) == pytest.approx(2 / 3)
    assert held_out.f1(("nothing",), mine, others) == 0


def test_words_that_hold_everywhere_say_little() -> None:
    contexts = [[bag("the", f"word{n}") for _ in range(10)] for n in range(30)]
    held = HeldOut(contexts, neighbours.siblings(torch.eye(30), 5))
    # Five of its own against five of its siblings and up to twenty of any others.
    assert len(held.others(3)) == pytest.approx(5 * (1 + held_out.FAR), abs=3)
    value, told = held.score(("the",), 3)
    assert value == pytest.approx(2 / (2 + 1 + held_out.FAR), abs=0.05) and not told
    assert held.score(("word3",), 3) == (1.0, True)
    assert held.score(("word4",), 3)[0] == 0.0
    # Drawn anew for every latent, and the same every time.
    assert held.others(3) == held.others(3) != held.others(4)


def test_a_word_shared_with_the_siblings_alone_still_says_something() -> None:
    contexts = [[bag("of")] * 10 for _ in range(6)] + [[bag(f"word{n}")] * 10 for n in range(200)]
    near = np.array(
        [[other for other in range(6) if other != n] for n in range(6)] + [[0] * 5] * 200
    )
    value, told = HeldOut(contexts, near).score(("of",), 0)
    assert 0.55 < value <= 2 / 3 and not told
