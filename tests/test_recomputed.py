"""The report's main figures, recomputed from the weights with SAELens and transformers alone.

Nothing of metasae computes here: it only says where the files are, and gives the text and the
names. What is recomputed on a part agrees with the report within that part's spread.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sae_lens import SAE
from torch import Tensor

from metasae.lab.lab import Lab
from metasae.lm.loading import load_model
from metasae.release.generalisation import drawn_cities
from metasae.sources.presets import EMBEDDED
from metasae.text.cities import load_cities
from metasae.text.kept_windows import text_of
from metasae.text.names import load_names
from metasae.text.overlap import clean_windows
from metasae.text.prompts import NAME_CONTEXTS

WINDOWS = 60
"""Held-out windows of Wikipedia that cross-entropy is recomputed on."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder() -> Path:
    assert EMBEDDED.weights is not None
    return EMBEDDED.weights


@pytest.fixture(scope="module")
def sae(folder: Path) -> Any:
    return SAE.load_from_disk(str(folder / f"sae-{EMBEDDED.width}")).eval()


class Enough(Exception):
    """What was to be read is read; the blocks above would change nothing of it."""


class Spliced:
    """transformers' model with its residual stream read or replaced before one block."""

    def __init__(self, hf: Any, layer: int) -> None:
        self.hf, self.layer = hf, layer
        self.only_read = False
        self.read: Tensor | None = None
        self.written: Tensor | None = None

    def _hook(self, _: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self.read = inputs[0]
        if self.only_read:
            raise Enough
        return inputs if self.written is None else (self.written, *inputs[1:])

    @torch.no_grad()
    def logits(self, tokens: Tensor, written: Tensor | None = None) -> Tensor:
        self.only_read, self.written = False, written
        with self._hooked():
            out: Tensor = self.hf(tokens).logits
        return out

    @contextmanager
    def _hooked(self) -> Iterator[None]:
        handle = self.hf.model.layers[self.layer].register_forward_pre_hook(self._hook)
        try:
            yield
        finally:
            handle.remove()

    @torch.no_grad()
    def residual(self, tokens: Tensor) -> Tensor:
        self.only_read, self.read = True, None
        with suppress(Enough), self._hooked():
            self.hf.model(tokens)
        assert self.read is not None
        return self.read


@pytest.fixture(scope="module")
def model(lab: Lab) -> Spliced:
    return Spliced(lab.model.hf, EMBEDDED.hook_layer)


def test_cross_entropy_recovered(lab: Lab, model: Spliced, sae: Any) -> None:
    windows = text_of(EMBEDDED, load_model(EMBEDDED))
    sources = np.array(windows.sources)[windows.document.numpy()]
    fit = clean_windows(windows).numpy() & (sources == "wikipedia-en")
    fit &= (windows.document.numpy() % 2 == 1) & (windows.lengths.numpy() > 8)
    some = np.random.default_rng(5).permutation(np.flatnonzero(fit))[:WINDOWS]
    median = float(lab.report["median_norm"])
    rows = []
    for index in some:
        tokens = windows.tokens[index, : windows.lengths[index]].long()[None]
        resid = model.residual(tokens)
        rows.append(resid[0, 1:])
    mean = torch.cat(rows)
    mean = mean[mean.norm(dim=1) < 4 * median].mean(0)
    nats = {"clean": 0.0, "spliced": 0.0, "ablated": 0.0}
    for index in some:
        tokens = windows.tokens[index, : windows.lengths[index]].long()[None]
        resid = model.residual(tokens)
        put = resid[0].norm(dim=1) < 4 * median
        put[0] = False
        spliced, ablated = resid.clone(), resid.clone()
        spliced[0, put] = sae.decode(sae.encode(resid[0, put]))
        ablated[0, put] = mean
        for name, written in (("clean", None), ("spliced", spliced), ("ablated", ablated)):
            logits = model.logits(tokens, written)[0, :-1]
            nats[name] += float(
                torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="sum")
            )
    recovered = (nats["ablated"] - nats["spliced"]) / (nats["ablated"] - nats["clean"])
    stated = lab.report["saes_by_source"]["wikipedia-en"][-1]["ce_recovered"]
    assert recovered == pytest.approx(stated, abs=0.015)


def test_variance_of_the_directions_explained(lab: Lab, folder: Path, sae: Any) -> None:
    meta = SAE.load_from_disk(str(folder / "meta-sae")).eval()
    rows = sae.W_dec.detach()
    with torch.no_grad():
        acts = meta.encode(rows)
        left = (rows - meta.decode(acts)).square().sum() / rows.square().sum()
    stated = lab.report["meta_sae"]
    assert 1 - float(left) == pytest.approx(stated["fve"], abs=2e-3)
    assert float((acts > 0).sum(1).float().mean()) == pytest.approx(stated["l0"], abs=0.02)


def active(model: Spliced, lab: Lab, sae: Any, names: list[str]) -> Tensor:
    """Mean activation of every latent on the last token of every name."""
    tokenizer, table = lab.model.tokenizer, torch.zeros(len(names), sae.W_dec.shape[0])
    median = float(lab.report["median_norm"])
    for row, name in enumerate(names):
        prompts = []
        for template in NAME_CONTEXTS:
            text = template.replace("{name}", name)
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            prompts.append([lab.model.start_token, *ids])
        # Padded behind: a causal model sees nothing of it.
        longest = max(map(len, prompts))
        padded = torch.tensor([[*one, *[0] * (longest - len(one))] for one in prompts])
        at = torch.tensor([len(one) - 1 for one in prompts])
        resid = model.residual(padded)[torch.arange(len(prompts)), at]
        usable = resid.norm(dim=1) < 4 * median
        if usable.any():
            with torch.no_grad():
                table[row] = sae.encode(resid[usable]).mean(0)
    return table


@pytest.mark.timeout(900)
def test_names_with_a_latent_of_their_own(lab: Lab, model: Spliced, sae: Any) -> None:
    """On some of the generalisation set's cities, told apart from some of the reference names."""
    outside = [city.name for city in drawn_cities()][::10]
    stated = lab.report["names"]["cities"]["own"]
    reference = [*(city.name for city in load_cities()), *load_names()]
    table = active(model, lab, sae, [*reference, *outside])
    total, mine = table[: len(reference)].sum(0), table[len(reference) :]
    floor = table[: len(reference)].amax(1).median() / 4
    own = ((mine / (total + mine).clamp(min=1e-9) > 0.5) & (mine >= floor)).any(1)
    # Fifty of the five hundred: within two standard deviations of their share.
    assert float(own.float().mean()) == pytest.approx(stated["share"], abs=0.14)
    assert float(floor) == pytest.approx(lab.report["names"]["floor"], rel=1e-3)
