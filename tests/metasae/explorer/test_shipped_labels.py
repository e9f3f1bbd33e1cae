"""What the shipped labels say, and what is found by them."""

import pytest
import torch

from metasae.errors import UserError
from metasae.explorer.explorer import META, Explorer, open_explorer
from metasae.explorer.labels import UNCLEAR
from metasae.lab.lab import Lab
from metasae.lm.logit_lens import token_direction, vocabulary_scores


@pytest.fixture(scope="module")
def explorer(lab: Lab) -> Explorer:
    return open_explorer(lab)


def test_a_word_finds_what_promotes_it(explorer: Explorer) -> None:
    model, W_dec = explorer.lab.model, explorer.lab.decomposition.sae.W_dec
    (token,) = model.encode(" Japan")
    scores = vocabulary_scores(model, W_dec[:512])[:, token]
    torch.testing.assert_close(
        W_dec[:512] @ token_direction(model, token), scores, rtol=1e-4, atol=1e-4
    )
    best = int((W_dec @ token_direction(model, token)).argmax())
    hits = explorer.find("18432", "japan").set_index("index")["why"]
    assert best in hits.index and "promotes it" in set(hits)


def test_what_is_unclear_says_so(explorer: Explorer) -> None:
    for kind in (META, "18432", "576"):
        table = explorer.table(kind)
        assert table is not None
        unclear = table[(table["label"] == UNCLEAR) & (table["words"] != "")]["index"].iloc[0]
        clear = table[table["label"] != UNCLEAR]["index"].iloc[0]
        assert explorer.label(kind, int(unclear)).endswith(" (?)")
        assert explorer.label(kind, int(clear)) == table.loc[clear, "label"]
        scored = explorer.scored(kind, int(clear))
        assert scored.f1 == pytest.approx(table.loc[clear, "f1"]) and not scored.too_few
        assert scored.f1 is not None and scored.f1 >= 0.5
        assert scored.to_dict() == {"label": scored.label, "f1": scored.f1, "told": scored.told}
        assert not scored.unclear and explorer.scored(kind, int(unclear)).unclear


def test_what_a_search_needs_is_said(explorer: Explorer) -> None:
    with pytest.raises(UserError, match="Type a number, a word, or a text"):
        explorer.find("18432", "  ")
