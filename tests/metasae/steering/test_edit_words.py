"""An edit in a few words."""

import pytest

from metasae.steering.edit_space import Piece
from metasae.steering.edit_words import edit_in_words
from metasae.steering.edits import NO_EDIT, Edit, EditOptions, LatentSwap, MetaLatentEdit

PIECES = (
    Piece(1, "source", 0.53, 0.0),
    Piece(5, "target", 0.0, 0.44),
    Piece(2, "source", 0.24, 0.0),
    Piece(6, "target", 0.0, 0.31),
)
TITLES = {1: "Japan, Japanese", 2: "yen, Nikkei", 5: "France, French", 6: "Europe"}


@pytest.mark.parametrize(
    "edit, words",
    [
        (NO_EDIT, "no edit"),
        (LatentSwap(options=EditOptions(position="all")), "latent swap; at every position"),
        (LatentSwap(options=EditOptions("hundredfold", keep_residual=True)), "latent swap"),
        (MetaLatentEdit(((1, 0.0), (5, 1.0))), "without “Japan, Japanese”, with “France, French”"),
        (MetaLatentEdit(((2, -0.5), (6, 0.5))), "with “Europe” ×0.5, “yen, Nikkei” ×−0.5"),
        (
            MetaLatentEdit(((99, 1.0),), options=EditOptions(keep_error=False)),
            "meta-latent 99 ×1; SAE error dropped",
        ),
        (
            MetaLatentEdit(
                ((1, 0.0), (5, 1.0)),
                options=EditOptions("everywhere", keep_residual=True, position="all"),
            ),
            "without “Japan, Japanese”; in every latent; residual kept; at every position",
        ),
    ],
)
def test_an_edit_in_words(edit: Edit, words: str) -> None:
    assert edit_in_words(edit, PIECES, TITLES.__getitem__) == words
