"""A typed text token by token, against whole passes and by hand."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

from metasae.errors import UserError
from metasae.explorer.explorer import Explorer
from metasae.explorer.token_table import fires_in_words, latent_on, read_text
from metasae.lab.lab import Lab
from metasae.lm.halves import not_massive
from tests.builders import one_sentence

TEXT = "Tokyo is in the country of Japan"


@pytest.fixture
def explorer(small_lab: Lab, tmp_path: Path) -> Explorer:
    return Explorer(small_lab, tmp_path)


def counted(explorer: Explorer, density: dict[int, float]) -> None:
    """Have an evidence that knows of latents' densities; 0.001 for the others."""
    known: Any = SimpleNamespace(density=lambda latent: density.get(latent, 0.001))
    explorer._evidence[explorer.lab.n_latents] = known


def acts(lab: Lab, text: str) -> torch.Tensor:
    tokens = torch.tensor([lab.model.prompt_tokens(text)])
    return lab.decomposition.sae.encode(lab.model.residual(tokens)[0])


def test_log_probabilities_are_a_whole_passs(explorer: Explorer) -> None:
    model = explorer.lab.model
    ids = model.prompt_tokens(TEXT)
    with torch.inference_mode():
        expected = model.hf(torch.tensor([ids])).logits[0].log_softmax(-1)
    tokens = read_text(explorer, explorer.lab.n_latents, TEXT).tokens
    assert len(tokens) == len(ids) and math.isnan(tokens["logprob"][0])
    for place in range(1, len(ids)):
        assert tokens["logprob"][place] == pytest.approx(
            float(expected[place - 1, ids[place]]), abs=1e-4
        )
        assert tokens["next_logprob"][place] == pytest.approx(
            float(expected[place].max()), abs=1e-4
        )
        assert tokens["next"][place] == model.decode(int(expected[place].argmax()))


def test_the_strongest_latents_of_every_token(explorer: Explorer) -> None:
    lab = explorer.lab
    found, expected = read_text(explorer, lab.n_latents, TEXT, most=2), acts(lab, TEXT)
    assert set(found.latents["position"]) <= set(range(1, len(expected)))
    some = False
    for place in range(1, len(expected)):
        strong = expected[place].topk(2)
        here = found.of(place)
        wanted = [
            (latent, value)
            for latent, value in zip(strong.indices.tolist(), strong.values.tolist(), strict=True)
            if value > 0
        ]
        assert list(here["latent"]) == [latent for latent, _ in wanted]
        assert list(here["activation"]) == pytest.approx([value for _, value in wanted], abs=1e-4)
        some = some or len(wanted) == 2
    assert some and found.latents["density"].isna().all() and found.left_out == 0


def test_dense_latents_are_left_out_before_the_strongest_are_taken(explorer: Explorer) -> None:
    lab, width = explorer.lab, explorer.lab.n_latents
    whole = read_text(explorer, width, TEXT, most=1)
    strongest = int(whole.of(1)["latent"].iloc[0])
    counted(explorer, {strongest: 0.2})
    thinned = read_text(explorer, width, TEXT, most=1, densest=0.1)
    assert strongest not in set(thinned.latents["latent"])
    fires = int((acts(lab, TEXT)[1:, strongest] > 0).sum())
    assert thinned.left_out == fires > 0
    second = acts(lab, TEXT)[1].topk(2)
    assert list(thinned.of(1)["latent"]) == second.indices.tolist()[1:] * (second.values[1] > 0)
    assert set(thinned.latents["density"]) == {0.001}
    # At the very density it stays.
    assert read_text(explorer, width, TEXT, most=1, densest=0.2).left_out == 0


def test_the_start_token_only_where_it_is_asked_for(explorer: Explorer) -> None:
    width = explorer.lab.n_latents
    assert read_text(explorer, width, TEXT).of(0).empty
    with_start = read_text(explorer, width, TEXT, most=width, start=True).of(0)
    resid = explorer.lab.model.residual(torch.tensor([explorer.lab.model.prompt_tokens(TEXT)]))[0]
    assert not_massive(resid[0].norm(), explorer.lab.median_norm)
    assert len(with_start) == int((acts(explorer.lab, TEXT)[0] > 0).sum()) > 0


def test_rows_are_tokens_with_their_latents(explorer: Explorer) -> None:
    counted(explorer, {})
    read = read_text(explorer, explorer.lab.n_latents, TEXT, most=2, start=True)
    rows = read.rows(start=True)
    assert [row["position"] for row in rows] == list(range(len(read.tokens)))
    assert read.rows() == rows[1:]
    assert [row["token"] for row in rows] == list(read.tokens["token"])
    for row in rows:
        here = read.of(row["position"])
        assert [one["latent"] for one in row["latents"]] == list(here["latent"])
        assert [one["activation"] for one in row["latents"]] == list(here["activation"])
    assert rows[0]["latents"]


def test_on_how_much_of_a_text_a_latent_fires_in_words() -> None:
    table = pd.DataFrame(
        {"token": ["We", " saw", " Tokyo", "!"], "activation": [0.0, 2.04, 7.96, math.nan]}
    )
    assert fires_in_words(table) == ("It fires on 2 of 4 tokens, most strongly (8.0) on “Tokyo”.")
    assert fires_in_words(table, str.upper).endswith("on “ TOKYO”.")
    assert fires_in_words(table[[False, False, False, True]]) == "It is silent on all of it."


def test_one_latent_on_every_token(explorer: Explorer) -> None:
    lab, expected = explorer.lab, acts(explorer.lab, TEXT)
    tokyo = lab.subject("Tokyo").latents[0]
    table = latent_on(explorer, lab.n_latents, tokyo, TEXT)
    assert list(table["position"]) == list(range(1, len(expected)))
    assert "".join(table["token"]).strip() == TEXT
    assert table["activation"].tolist() == pytest.approx(expected[1:, tokyo].tolist(), abs=1e-4)
    assert table["activation"].iloc[0] > 0


def test_no_latent_is_read_on_a_massive_activation(small_lab: Lab, tmp_path: Path) -> None:
    faint = Explorer(replace(small_lab, median_norm=1e-6), tmp_path)
    assert latent_on(faint, small_lab.n_latents, 0, TEXT)["activation"].isna().all()


def test_what_cannot_be_read_is_said(explorer: Explorer) -> None:
    width = explorer.lab.n_latents
    for read in (
        lambda: read_text(explorer, width, ""),
        lambda: read_text(explorer, width + 1, TEXT),
        lambda: read_text(explorer, width, TEXT, densest=0.1),
        lambda: latent_on(explorer, width, 0, ""),
        lambda: latent_on(explorer, width, width, TEXT),
    ):
        with pytest.raises(UserError) as raised:
            read()
        one_sentence(raised)
