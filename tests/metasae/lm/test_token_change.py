"""What adding a direction changes, against hooked passes."""

import gc
import weakref
from pathlib import Path

import pandas as pd
import torch

from metasae.lab.lab import Lab
from metasae.lm.language_model import LanguageModel
from metasae.lm.token_change import NEUTRAL, token_change
from tests import small_models


def test_the_change_is_that_of_a_hooked_pass(lab: Lab) -> None:
    model = lab.model
    tokyo = lab.city_record("Tokyo").latents[0]
    direction = lab.decomposition.sae.W_dec[tokyo.latent]
    raised, lowered = token_change(model, direction, tokyo.activation)
    expected = torch.zeros(model.hf.config.vocab_size)
    for prompt in NEUTRAL:
        tokens = torch.tensor([model.prompt_tokens(prompt)])

        def write(resid: torch.Tensor, start: int) -> torch.Tensor:
            out = resid.clone()
            out[0, -1] += tokyo.activation * direction
            return out

        with torch.inference_mode():
            before = model.hf(tokens, use_cache=False).logits[0, -1].log_softmax(-1)
            with model.edited(write):
                after = model.hf(tokens, use_cache=False).logits[0, -1].log_softmax(-1)
        expected += (after - before) / len(NEUTRAL)
    both: list[pd.DataFrame] = [raised, lowered]
    for table in both:
        for token, nats in zip(table["token"], table["nats"], strict=True):
            ids = [n for n in model.encode(token) if model.decode(n) == token]
            assert ids and min(abs(float(expected[n]) - nats) for n in ids) < 1e-3
    assert raised["nats"].min() > 0 > lowered["nats"].max()


def test_a_model_that_is_dropped_is_not_kept(tmp_path: Path) -> None:
    words = small_models.tokenizer("<s>")
    model = LanguageModel(small_models.llama(tmp_path), words, "small", 2, 0)
    raised, lowered = token_change(model, torch.ones(model.d_model), 3.0)
    assert len(raised) and len(lowered)
    kept = weakref.ref(model)
    del model
    gc.collect()
    assert kept() is None
