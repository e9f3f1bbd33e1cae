"""Firing over a text is what the SAE says of every token."""

import pytest
import torch

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lm.halves import usable
from metasae.progress import silent
from metasae.studies import firing as module
from metasae.studies.study import Material
from metasae.text.document import Document
from metasae.text.windows import windows
from tests import small_lab as planted
from tests.builders import one_sentence, random_sae, unit_rows
from tests.small_models import TAUGHT


@pytest.mark.parametrize("held_out", [False, True])
def test_each_token_has_the_latents_of_the_sae(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch, held_out: bool
) -> None:
    half = len(TAUGHT) // 2
    texts = [
        Document("a", f"{name} is a city . {name} is a city", number < half)
        for number, name in enumerate(TAUGHT)
    ]
    text = windows(small_lab.model, silent, texts)
    monkeypatch.setattr(module, "text_of", lambda *_: text)
    monkeypatch.setattr(module, "fast_dtype", lambda: torch.float32)
    found = module.firing(small_lab, 10**6, held_out)
    resid = small_lab.model.residual(text.tokens.long())
    expected = []
    kept = [text.held_out[one] is held_out for one in text.document.tolist()]
    for row, length, read in zip(resid, text.lengths.tolist(), kept, strict=True):
        usable = row[1:length]
        usable = usable[usable.norm(dim=-1) <= 4 * small_lab.median_norm]
        if read:
            expected.append(small_lab.decomposition.sae.encode(usable) > 0)
    # Windows come in a drawn order, so tokens are compared as a multiset of what fires on them.
    ours = sorted(map(tuple, found.toarray().astype(int).tolist()))
    theirs = sorted(map(tuple, torch.cat(expected).int().tolist()))
    assert ours == theirs and any(map(any, ours))


def test_held_out_text_is_read_without_copies_of_the_trainings(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = "Tokyo is a city . Tokyo is a city ."
    texts = [Document("a", copied, False), Document("b", copied, True)]
    text = windows(small_lab.model, silent, texts)
    monkeypatch.setattr(module, "text_of", lambda *_: text)
    with pytest.raises(UserError) as raised:
        module.firing(small_lab, 10, True)
    one_sentence(raised)


def test_reading_stops_when_there_is_enough(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = windows(small_lab.model, silent, [Document("a", "Tokyo is a city . " * 2000, False)])
    monkeypatch.setattr(module, "text_of", lambda *_: text)
    assert 100 <= module.firing(small_lab, 100).shape[0] < int(text.lengths.sum()) / 2


def test_a_labs_material_opens_its_smaller_saes(small_lab: Lab) -> None:
    material = Material.of(small_lab)
    assert material.smaller_widths == (planted.NARROW,)
    assert material.smaller(planted.NARROW).width == planted.NARROW
    assert material.decompositions == (small_lab.decomposition,)


@pytest.mark.parametrize("k", [None, 3])
def test_activations_are_those_of_the_sae(k: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 7)
    sae, rows = random_sae(6, 12, k=k), 3 * unit_rows(1, 20, 6)
    told: list[float] = []
    found = module.activations(sae, rows, lambda stage, share, more: told.append(share))
    assert torch.allclose(torch.from_numpy(found.toarray()), sae.encode(rows), atol=1e-6)
    assert found.nnz == int((sae.encode(rows) > 0).sum()) > 0
    assert told == [0.35, 0.7, 1.0]


def test_of_unseen_text_what_training_text_has_as_well_is_left_out(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [f"{TAUGHT[n]} is a city . " * 4 for n in (0, 0, 1)]
    known = (False, True, True)
    texts = [Document("a", text, new) for text, new in zip(said, known, strict=True)]
    text = windows(small_lab.model, silent, texts)
    monkeypatch.setattr(module, "text_of", lambda *_: text)
    monkeypatch.setattr(module, "fast_dtype", lambda: torch.float32)
    read = module.firing(small_lab, 10**6, True).shape[0]
    last = (text.document == 2).nonzero()[:, 0]
    resid = small_lab.model.residual(text.tokens[last].long())
    put = usable(resid, text.lengths[last], small_lab.median_norm)
    assert read == int(put.sum()) > 0
