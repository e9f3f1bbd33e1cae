"""Edits as hypothesis draws them."""

from hypothesis import strategies as st

from metasae.steering.conditions import Condition
from metasae.steering.edits import KINDS, Edit, edit_of_kind

STRENGTHS = st.floats(-2.0, 2.0, allow_nan=False)

HUNDREDTHS = st.integers(-200, 200).map(lambda cents: cents / 100)
"""Strengths as the page's sliders set them and as a link keeps them."""


CONDITIONS = st.builds(
    Condition,
    above=st.none() | st.integers(0, 5000).map(lambda cents: cents / 100),
    after=st.text(st.characters(codec="utf-8"), max_size=12),
    including=st.booleans(),
)


def edits(strengths: st.SearchStrategy[float] = STRENGTHS) -> st.SearchStrategy[Edit]:
    """Edits of every kind, of up to six meta-latents."""
    return st.builds(
        edit_of_kind,
        kind=st.sampled_from(KINDS),
        strengths=st.dictionaries(st.integers(0, 10**6), strengths, max_size=6).map(
            lambda chosen: tuple(chosen.items())
        ),
        keep_residual=st.booleans(),
        keep_error=st.booleans(),
        position=st.sampled_from(["last", "all"]),
        when=st.just(Condition()) | CONDITIONS,
    )
