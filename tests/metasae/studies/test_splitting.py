"""Splits that are known, and directions made at a cosine."""

import pytest
import torch

from metasae.errors import UserError
from metasae.progress import silent
from metasae.studies.splitting import Configuration, at_cosine, children, run
from tests.builders import one_sentence, unit_rows
from tests.metasae.studies.planted import material_of, sums_of

SMALL = ((0,), (1,), (2, 3))
LARGE = ((0, 4), (0, 5), (1,), (2, 3, 6), (2, 3, 7), (6, 7))
"""The first and third latent split in two, with cosines √½ and √⅔; the second stays."""


def test_children_are_the_close_ones() -> None:
    found = children(sums_of(SMALL), sums_of(LARGE), 0.7)
    pairs = list(zip(found["parent"], found["child"], strict=True))
    assert pairs == [(0, 0), (0, 1), (1, 2), (2, 3), (2, 4)]
    assert found["cosine"].tolist() == pytest.approx([0.5**0.5, 0.5**0.5, 1, *2 * [(2 / 3) ** 0.5]])


def test_what_children_keep_and_add_is_told() -> None:
    finding = run(material_of(LARGE, SMALL), Configuration(), silent)
    table = finding.tables["children"].set_index("child")
    assert table["shared"].to_dict() == {0: [0], 1: [0], 3: [2, 3], 4: [2, 3]}
    assert table["added"].to_dict() == {0: [4], 1: [5], 3: [6], 4: [7]}
    assert table["kept"].all()
    families = finding.tables["families"]
    assert dict(zip(families["parent"], families["children"], strict=True)) == {0: 2, 2: 2}
    assert finding.figures["kept"]["value"] == 1.0


def test_meta_latents_a_latent_are_counted_by_width() -> None:
    finding = run(material_of(LARGE, SMALL), Configuration(), silent)
    assert finding.figures["meta_latents_a_latent"] == {
        "3": pytest.approx(4 / 3), "6": pytest.approx(13 / 6)
    }  # fmt: skip
    shares = finding.tables["shares"]
    assert shares.groupby("meta")["share"].sum().to_numpy() == pytest.approx(1.0)
    # Meta-latent 4 is in latents of the larger SAE alone.
    assert shares[(shares["meta"] == 4) & (shares["width"] == 3)]["share"].item() == 0.0


def test_random_directions_have_the_cosine_they_are_given() -> None:
    draw = torch.Generator().manual_seed(1)
    directions, cosine = 3 * unit_rows(0, 20, 8), torch.linspace(0.1, 1.0, 20)
    made = at_cosine(directions, cosine, draw)
    assert made.norm(dim=1).tolist() == pytest.approx([1.0] * 20, abs=1e-5)
    found = torch.cosine_similarity(made, directions).tolist()
    assert found == pytest.approx(cosine.tolist(), abs=1e-5)


def test_no_split_is_said() -> None:
    with pytest.raises(UserError) as raised:
        run(material_of(((4,), (5,), (6,)), ((0,), (1,))), Configuration(), silent)
    one_sentence(raised)


def test_one_width_alone_is_refused() -> None:
    with pytest.raises(UserError) as raised:
        run(material_of(LARGE), Configuration(), silent)
    one_sentence(raised)


@pytest.mark.parametrize("wrong", [{"threshold": 1.0}, {"fewest": 1}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError) as raised:
        Configuration(**wrong)  # type: ignore[arg-type]
    one_sentence(raised)
