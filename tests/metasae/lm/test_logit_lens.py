"""What a direction promotes, by the logit lens."""

from typing import Any

import torch

from metasae.lab.lab import Lab
from metasae.lm.logit_lens import vocabulary_ends


def test_a_direction_promotes_what_its_logits_say(lab: Lab) -> None:
    model = lab.model
    word = model.encode(" Japan")[0]
    direction = model.hf.lm_head.weight[word] / model.hf.model.norm.weight.clamp(min=0.1)
    promoted, suppressed = vocabulary_ends(model, direction)
    assert " Japan" in promoted["token"].tolist()
    assert promoted["score"].is_monotonic_decreasing
    assert suppressed["score"].max() < 0 < promoted["score"].min()


def test_promoted_tokens_are_the_logit_lens(lab: Lab) -> None:
    meta = next(iter(lab.decomposition.pieces(lab.subject("Tokyo").latents[0])))
    direction = lab.decomposition.meta.W_dec[meta]
    hf: Any = lab.model.hf
    with torch.inference_mode():
        scores = (direction * hf.model.norm.weight) @ hf.lm_head.weight.T
    best = [lab.model.decode(token).strip() for token in scores.topk(36).indices.tolist()]
    readable = [word for word in best if word and "\ufffd" not in word]
    # The same word with another capital or space counts once.
    once = {word.casefold(): word for word in reversed(readable)}
    expected = [word for word in dict.fromkeys(readable) if word in once.values()][:6]
    assert list(lab.meta_card(meta).promoted) == expected
