"""A link to the Steer page, written by the library."""

import pytest

from metasae.sources.presets import EMBEDDED, Opened
from metasae.steering.edits import NO_EDIT, EditOptions, LatentSwap, MetaLatentEdit
from metasae.steering.link import LinkError, edit_from_text, edit_to_text, steer_query


def test_what_stands_at_its_default_is_left_out() -> None:
    query = steer_query(EMBEDDED.opened, "Tokyo", "Paris")
    assert query == {"v": "1", "source": "Tokyo", "target": "Paris"}


def test_everything_else_is_said() -> None:
    query = steer_query(
        Opened("gpt2-small", "mine"), "Tokyo", "#12,#45", source_latents=(3, 1),
        edit=MetaLatentEdit(((12, 0.0), (40, 1.5)), options=EditOptions(position="all")),
        wording="post", prompt="In {city} people eat", answers=("sushi", "fish & chips"),
    )  # fmt: skip
    assert query == {
        "v": "1", "source": "Tokyo", "target": "#12,#45", "preset": "gpt2-small+mine",
        "source_latents": "3.1", "edit": "12_0~40_1.5~all", "wording": "post",
        "ask": "In {city} people eat", "answers": "sushi,fish & chips",
    }  # fmt: skip


@pytest.mark.parametrize(
    "edit",
    [
        NO_EDIT,
        LatentSwap(),
        MetaLatentEdit(((7, -0.5),), options=EditOptions("hundredfold")),
        MetaLatentEdit(((7, -0.5),), options=EditOptions("everywhere")),
    ],
)
def test_an_edit_survives_its_word(edit: MetaLatentEdit | LatentSwap) -> None:
    assert edit_from_text(edit_to_text(edit)) == edit


def test_an_edit_in_every_latent_has_a_word_of_its_own() -> None:
    options = EditOptions("everywhere", keep_residual=True, position="all")
    edit = MetaLatentEdit(((12, 0.0),), options=options)
    assert edit_to_text(edit) == "everywhere~12_0~residual~all"


def test_another_word_is_refused_in_a_sentence() -> None:
    with pytest.raises(LinkError, match='"drop table" can\'t be read as its "edit"'):
        edit_from_text("drop table")
