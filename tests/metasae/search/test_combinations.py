"""All combinations of a search, by hand."""

import pytest

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.search.combinations import Combinations
from metasae.steering.edits import NO_EDIT, EditOptions, MetaLatentEdit
from tests.builders import one_sentence
from tests.metasae.search.made_up import PIECES, made_up


def test_combinations_by_hand() -> None:
    found = Combinations.of(made_up())
    assert found.levels == ((1.0, 0.0), (0.0, 1.0), (1.0,), (1.0, 0.0))
    assert len(found) == 8
    # The first piece's choice turns fastest; the shared piece has none.
    assert found.strengths(range(8)).tolist() == [
        [1, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1],
        [1, 0, 1, 0], [0, 0, 1, 0], [1, 1, 1, 0], [0, 1, 1, 0],
    ]  # fmt: skip
    assert found.edit(0) == NO_EDIT
    assert found.edit(6).strengths == ((2, 1.0), (4, 0.0))


def test_a_grid_of_strengths_and_the_options_of_all() -> None:
    options = EditOptions(
        variant="hundredfold", keep_residual=True, keep_error=False, position="all"
    )
    found = Combinations.of(made_up(), options, (0.0, -1.0), (0.5, 1.0, 2.0))
    assert len(found) == 3 * 4 * 3
    edits = [found.edit(number) for number in range(len(found))]
    assert len(set(edits)) == len(edits)
    assert edits[0] == MetaLatentEdit(
        (),
        options=EditOptions(
            variant="hundredfold", keep_residual=True, keep_error=False, position="all"
        ),
    )
    assert {strength for edit in edits for meta, strength in edit.strengths if meta == 2} == {
        0.5, 1.0, 2.0,
    }  # fmt: skip
    for number, edit in enumerate(edits):
        row = found.strengths([number])[0].tolist()
        assert row == [edit.strength(piece.meta, piece.default) for piece in PIECES]


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_side_without_own_meta_latents_is_refused(side: str) -> None:
    experiment = made_up(pieces=tuple(piece for piece in PIECES if piece.side != side))
    with pytest.raises(UserError, match="has no meta-latents of its own"):
        Combinations.of(experiment)


def test_an_edit_in_every_latent_is_no_search(small_lab: Lab) -> None:
    pair = small_lab.experiment(small_lab.subject("Tokyo"), small_lab.subject("Paris"))
    with pytest.raises(UserError) as raised:
        Combinations.of(pair, EditOptions("everywhere"))
    assert "source's latents alone" in one_sentence(raised)
    assert EditOptions("everywhere", keep_residual=True).of_source == EditOptions(
        keep_residual=True
    )
    assert EditOptions("hundredfold").of_source == EditOptions("hundredfold")
