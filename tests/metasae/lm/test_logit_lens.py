"""What a direction promotes, by the logit lens."""

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
