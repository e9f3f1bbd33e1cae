"""A latent's page on a small release: its parts are what the functions they are made of give."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metasae.errors import UserError
from metasae.explorer.evidence import Evidence
from metasae.explorer.explorer import META, Explorer
from metasae.explorer.latent_page import SHARE_OF_NORM, LatentPage
from metasae.lab.lab import open_lab
from metasae.lm.logit_lens import vocabulary_ends
from metasae.lm.token_change import token_change
from metasae.saes.neighbours import nearest
from metasae.saes.pursuit import pursuit
from tests.builders import one_sentence
from tests.small_release import Built

pytestmark = pytest.mark.slow

LATENT = 5


@pytest.fixture(scope="module")
def explorer(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Explorer:
    """Of three widths, without evidence or labels."""
    return Explorer(open_lab(built.release.preset), tmp_path_factory.mktemp("none"))


@pytest.fixture
def seen(built: Built, tmp_path: Path) -> Explorer:
    """With evidence of the widest SAE: the latent fires in two windows, strongest in the second."""
    made = Explorer(open_lab(built.release.preset), tmp_path)
    contexts = pd.DataFrame(
        [(LATENT, 0, 7, 3, 4.5), (LATENT, 0, 7, 4, 6.5), (LATENT, 1, 2, 1, 2.5)],
        columns=["latent", "context", "window", "position", "activation"],
    )
    counts = np.zeros((64, 4), dtype=np.int64)
    counts[LATENT] = [1, 2, 0, 7]
    made._evidence[64] = Evidence(contexts, counts, 200, made.lab.median_norm, "text")
    return made


def test_the_parts_are_those_of_the_functions(explorer: Explorer) -> None:
    lab, page = explorer.lab, LatentPage(explorer, 64, LATENT)
    rows = lab.decomposition.sae.W_dec
    assert page.kind == "64" and page.decomposition is lab.decomposition
    assert (page.direction == rows[LATENT]).all()
    pieces = lab.decomposition.pieces(LATENT)
    assert dict(zip(page.pieces["meta"], page.pieces["activation"], strict=True)) == pieces
    assert list(page.pieces["called"]) == [explorer.label(META, meta) for meta in pieces]
    assert page.unexplained == lab.decomposition.unexplained([LATENT])
    others = nearest(rows, rows[LATENT], without=LATENT)
    pd.testing.assert_frame_equal(page.nearest[["latent", "cosine"]], others)
    assert LATENT not in set(page.nearest["latent"])
    assert list(page.nearest["called"]) == [explorer.label("64", one) for one in others["latent"]]
    for mine, theirs in zip(
        page.vocabulary_ends, vocabulary_ends(lab.model, rows[LATENT]), strict=True
    ):
        pd.testing.assert_frame_equal(mine, theirs)
    # Nobody has seen it firing: it is added as strongly as a tenth of a usual residual.
    assert page.evidence is None and page.contexts == ()
    assert page.strength == SHARE_OF_NORM * lab.median_norm
    for mine, theirs in zip(
        page.token_change, token_change(lab.model, rows[LATENT], page.strength), strict=True
    ):
        pd.testing.assert_frame_equal(mine, theirs)


def test_what_a_smaller_sae_has_in_its_place(explorer: Explorer) -> None:
    page = LatentPage(explorer, 64, LATENT)
    direction = page.direction
    # An eighth of 64 is 8; the closest there is, is 16.
    assert page.smaller_width == 16 and page.smaller is not None
    rows = explorer.decomposition(16).sae.W_dec
    assert page.smaller.width == 16
    pd.testing.assert_frame_equal(
        page.smaller.nearest[["latent", "cosine"]], nearest(rows, direction)
    )
    chased = pursuit(rows, direction, len(page.pieces))
    pd.testing.assert_frame_equal(
        page.smaller.pursuit.table[["latent", "weight"]], chased.table, rtol=1e-4
    )
    assert page.smaller.pursuit.explained == pytest.approx(chased.explained)
    smallest = LatentPage(explorer, 16, LATENT)
    assert smallest.smaller_width is None and smallest.smaller is None
    assert smallest.decomposition.sae.width == 16


def test_evidence_says_how_strongly_it_fires(seen: Explorer) -> None:
    page = LatentPage(seen, 64, LATENT)
    assert [one.window for one in page.contexts] == [7, 2]
    assert page.contexts[0].activations == {3: 4.5, 4: 6.5}
    assert page.strength == 6.5
    expected = token_change(seen.lab.model, page.direction, 6.5)
    for mine, theirs in zip(page.token_change, expected, strict=True):
        pd.testing.assert_frame_equal(mine, theirs)
    assert page.to_dict()["density"] == pytest.approx(10 / 200)
    # Another latent of the same SAE never fires.
    assert LatentPage(seen, 64, LATENT + 1).contexts == ()


KEYS = ["latent", "width", "label", "f1", "f1_one_word", "told", "meta_latents", "unexplained",
        "nearest", "promoted", "suppressed"]  # fmt: skip


def test_as_values(explorer: Explorer, seen: Explorer) -> None:
    page = LatentPage(explorer, 64, LATENT)
    values: dict[str, Any] = json.loads(json.dumps(page.to_dict(), allow_nan=False))
    assert list(values) == [*KEYS, "smaller"]
    assert (values["latent"], values["width"], values["f1"]) == (LATENT, 64, None)
    assert values["label"] == explorer.label("64", LATENT)
    assert [one["id"] for one in values["meta_latents"]] == list(page.pieces["meta"])
    assert set(values["meta_latents"][0]) == {
        "id",
        "activation",
        "label",
        "f1",
        "f1_one_word",
        "told",
    }
    assert set(values["nearest"][0]) == {"latent", "cosine"}
    promoted, suppressed = page.vocabulary_ends
    assert values["promoted"] == list(promoted["token"])
    assert values["suppressed"] == list(suppressed["token"])
    assert list(values["smaller"]) == ["width", "nearest", "pursuit", "pursuit_explained"]
    assert set(values["smaller"]["pursuit"][0]) == {"latent", "weight"}
    assert list(LatentPage(explorer, 16, LATENT).to_dict()) == KEYS
    assert list(LatentPage(seen, 64, LATENT).to_dict()) == [*KEYS, "smaller", "density"]


@pytest.mark.parametrize(("width", "latent"), [(64, 64), (64, -1), (16, 16), (17, 0)])
def test_what_is_not_there_is_refused(explorer: Explorer, width: int, latent: int) -> None:
    with pytest.raises(UserError) as raised:
        LatentPage(explorer, width, latent)
    one_sentence(raised)
