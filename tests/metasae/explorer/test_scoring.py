"""What labels are scored on: never what they were made from; a run's of delphi on its own text."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from metasae.errors import UserError
from metasae.explorer import scoring
from metasae.explorer.copies import CopyFinder
from metasae.explorer.delphi_files import Run
from metasae.explorer.evidence import Context
from metasae.explorer.explorer import Explorer
from metasae.explorer.labels import UNCLEAR
from metasae.explorer.score_examples import Sampling
from metasae.explorer.scoring import drawn_latents, from_lab, from_run
from metasae.explorer.token_activations import TokenActivations
from metasae.text.windows import Windows
from tests.builders import one_sentence
from tests.metasae.explorer.scored_text import LENGTH, ROWS, firing, read

MADE_FROM = range(0, ROWS, 2)
"""Rows whose contexts latent 0's label was made from."""


def explorer(monkeypatch: pytest.MonkeyPatch, copied: bool = False) -> Explorer:
    """An explorer over the made-up text, latent 0's contexts every row's; of a text that is
    ``copied`` the rows come in pairs of the same tokens."""
    found = firing()
    tokens = found.tokens.copy()
    if copied:
        tokens[1::2] = tokens[::2]
    text = Windows(
        torch.from_numpy(tokens).int(), torch.full((ROWS,), LENGTH), torch.arange(ROWS),
        ("made up",) * ROWS, (False,) * ROWS,
    )  # fmt: skip
    row, position, _ = found.of(0)
    places = dict(zip(row.tolist(), position.tolist(), strict=True))
    if copied:
        places = {number: places[number - number % 2] for number in range(ROWS)}
    every = TokenActivations(
        tokens, np.full(ROWS, LENGTH), np.zeros(ROWS, int), np.arange(ROWS),
        np.array([places[number] for number in range(ROWS)]), 1 + np.arange(ROWS, dtype=np.float32),
    )  # fmt: skip
    contexts = tuple(Context(number, {places[number]: 1.0}, False) for number in range(ROWS))
    table = pd.DataFrame({"index": [0, 1, 2], "label": ["tokyo", UNCLEAR, "osaka"]})
    said = {
        0: SimpleNamespace(label="tokyo", unclear=False, too_few=False, written=None),
        1: SimpleNamespace(label="(?)", unclear=True, too_few=False, written=None),
    }
    provenance = SimpleNamespace(model="small", hook="here")
    model = SimpleNamespace(decode=read, name="small", hf=SimpleNamespace(
        config=SimpleNamespace(vocab_size=500)))  # fmt: skip
    lab = SimpleNamespace(model=model, median_norm=1.0, provenance=provenance)

    def some(model: Any, sae: Any, part: Windows, *_: Any) -> TokenActivations:
        # All windows are read.
        assert len(part.lengths) == ROWS
        return every

    monkeypatch.setattr(scoring, "activations_on", some)
    made: Any = SimpleNamespace(
        lab=lab,
        evidence=lambda width: SimpleNamespace(of=lambda latent: contexts),
        table=lambda kind: table,
        text=lambda width, progress: text,
        decomposition=lambda width: SimpleNamespace(sae=None),
        scored=lambda kind, index: said[index],
    )
    explorer: Explorer = made
    return explorer


def test_no_piece_is_one_the_label_was_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    material = from_lab(explorer(monkeypatch), 3, [0], 10**6)
    examples = material.examples(Sampling(20, 5))[0]
    strengths = {round(max(one.activations)) - 1 for one in examples.firing}
    assert len(strengths) == 20 and strengths.isdisjoint(MADE_FROM)
    assert material.labels == {0: "tokyo"} and material.others == {0: "tokyo", 2: "osaka"}


def test_no_piece_copies_one_the_label_was_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other row does: nothing is left."""
    made = explorer(monkeypatch, copied=True)
    finder = CopyFinder(made.text(3, None))  # type: ignore[arg-type]
    assert not finder.adds(set(finder.runs(0, 5)), 1, 5)
    with pytest.raises(UserError, match="enough pieces") as raised:
        from_lab(made, 3, [0], 10**6).examples(Sampling(20, 5))
    one_sentence(raised)


@pytest.mark.parametrize("latent", [1, -1, 3])
def test_a_latent_without_a_label_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, latent: int
) -> None:
    with pytest.raises(UserError) as raised:
        from_lab(explorer(monkeypatch), 3, [latent])
    one_sentence(raised)


def test_drawn_are_latents_whose_label_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    made = explorer(monkeypatch)
    assert drawn_latents(made, 3, 20) == [0, 2]
    assert len({drawn_latents(made, 3, 1, seed)[0] for seed in range(20)}) == 2
    monkeypatch.setattr(made, "table", lambda kind: None)
    with pytest.raises(UserError, match="describe") as raised:
        drawn_latents(made, 3, 20)
    one_sentence(raised)


def test_a_run_of_delphis_is_scored_on_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = Run(tmp_path, "layers.3")
    run.write_activations(firing(), 3, {})
    run.write_explanations({0: "tokyo", 1: "kyoto", 2: "osaka"})
    material = from_run(run, explorer(monkeypatch), None, 2)
    assert material.labels == {0: "tokyo", 1: "kyoto"} and len(material.others) == 3
    assert set(material.examples(Sampling(20, 5))) == {0, 1}
    with pytest.raises(UserError, match="no explanation of latent 9"):
        from_run(run, explorer(monkeypatch), [9], 2)
    large = explorer(monkeypatch)
    large.lab.model.hf.config.vocab_size = 3
    with pytest.raises(UserError, match="another model's") as raised:
        from_run(run, large, None, 2)
    one_sentence(raised)
