"""Held-out text is scored window by window, with other residuals in place of its own."""

import pytest
import torch
from torch import Tensor

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import silent
from metasae.studies import held_out_text as module
from metasae.studies.held_out_text import HeldOutText
from metasae.text.document import Document
from metasae.text.windows import Windows, windows
from tests.small_models import TAUGHT


def text_of(lab: Lab, held_out: bool = True) -> Windows:
    """Ten documents, of which every second is for figures."""
    texts = [
        Document("a", f"{TAUGHT[n % len(TAUGHT)]} is a city . " * (3 + n), held_out)
        for n in range(10)
    ]
    return windows(lab.model, silent, texts)


@pytest.fixture
def text(small_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> HeldOutText:
    monkeypatch.setattr(module, "text_of", lambda *_: text_of(small_lab))
    return HeldOutText.of(small_lab, 100)


def full_pass(lab: Lab, text: HeldOutText) -> list[float]:
    """Cross-entropy of each window by the whole model, one window at a time."""
    made = []
    for one in text.batches:
        for tokens, length in zip(one.tokens, one.lengths.tolist(), strict=True):
            row = tokens[:length]
            resid = lab.model.residual(row[None])
            logprobs = lab.model.logits_above(resid)[0].log_softmax(-1)
            made.append(-float(logprobs[:-1].gather(1, row[1:, None]).sum()))
    return made


def test_windows_are_scored_like_the_whole_model_scores_them(
    small_lab: Lab, text: HeldOutText
) -> None:
    expected = full_pass(small_lab, text)
    assert text.nats().tolist() == pytest.approx(expected, rel=1e-4)
    assert text.nats(lambda rows: rows).tolist() == pytest.approx(expected, rel=1e-4)
    documents = text_of(small_lab)
    assert int(text.tokens.sum()) == int((documents.lengths - 1)[documents.document % 2 == 1].sum())


def test_what_takes_the_residuals_place_is_what_the_model_reads(text: HeldOutText) -> None:
    seen: list[Tensor] = []

    def away(rows: Tensor) -> Tensor:
        seen.append(rows)
        return torch.zeros_like(rows)

    assert not torch.allclose(text.nats(away), text.nats())
    assert torch.equal(torch.cat(seen), text.rows)
    assert torch.equal(text.nats(), text.nats())  # nothing of the text was changed


def test_text_of_which_nothing_is_held_out_is_refused(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "text_of", lambda *_: text_of(small_lab, held_out=False))
    with pytest.raises(UserError, match="held out"):
        HeldOutText.of(small_lab, 100)


def test_what_training_text_has_as_well_is_left_out(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Documents 1 and 3 are for figures; training text has the first of them too.
    names = TAUGHT[:4]
    said = [f"{name} is a city . " * 4 for name in (names[1], names[1], names[0], names[2])]
    known = [False, True, False, True]
    texts = [Document("a", text, held_out) for text, held_out in zip(said, known, strict=True)]
    made = windows(small_lab.model, silent, texts)
    monkeypatch.setattr(module, "text_of", lambda *_: made)
    tokens = [row for one in HeldOutText.of(small_lab, 100).batches for row in one.tokens.tolist()]
    kept = made.tokens[made.document == 3].tolist()
    assert all(row in [one[: len(row)] for one in kept] for row in tokens)
    assert len(tokens) == int((made.document == 3).sum()) > 0
