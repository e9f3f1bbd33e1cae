"""What adding a direction changes, against hooked passes."""

import pandas as pd
import torch

from metasae.lab.lab import Lab
from metasae.lm.token_change import NEUTRAL, token_change


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
