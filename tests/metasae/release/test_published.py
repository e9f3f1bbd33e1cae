"""Which figures are published of a preset's SAEs."""

from dataclasses import replace

import pytest

from metasae.release.published import published
from metasae.sources.presets import EMBEDDED, GEMMA, GPT2


def test_the_posts_saes_are_in_saelens_table() -> None:
    every = [published(GPT2, width) for width in GPT2.widths]
    figures = [(one.l0, one.explained) for one in every if one is not None]
    assert figures[0] == (36.0, 0.61) and figures[6] == (40.0, 0.81) and len(figures) == 8
    assert all(one is not None and "SAELens" in one.source for one in every)


def test_of_gemma_scope_the_l0_alone() -> None:
    one = published(GEMMA, 65536)
    assert one is not None and (one.l0, one.explained) == (60.0, None)


def test_ours_are_the_reports_and_a_persons_nobodys() -> None:
    one = published(EMBEDDED, 18432)
    assert one is not None and one.explained == pytest.approx(0.7223, abs=1e-3)
    assert published(replace(GPT2, saes=("/x",) * 8), 768) is None
