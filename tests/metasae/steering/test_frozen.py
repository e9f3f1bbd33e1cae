"""Frozen attention patterns, against whole TransformerLens passes with the patterns written in."""

import pytest
import torch
from torch import Tensor

from metasae.lab.lab import Lab
from metasae.search.combinations import Combinations
from metasae.steering.edits import NO_EDIT, Edit, EditOptions, LatentSwap
from metasae.steering.experiment import Experiment
from metasae.steering.frozen import with_frozen_attention
from tests import oracle
from tests.other_presets import OtherPreset, experiment_with_own_pieces

NATS = 2e-4


def frozen(experiment: Experiment, edit: Edit) -> Tensor:
    """Log-probability of every answer, each a whole pass with the unedited pass's patterns."""
    model = experiment.model
    bridge = oracle.bridge(model)
    upper = {f"blocks.{n}.attn.hook_pattern" for n in range(model.hook_layer, model.n_layers)}
    scores = []
    for question in experiment.questions:
        prompt = model.prompt_tokens(question.prompt)
        where = oracle.place(experiment, edit, question.prompt)
        for answer in question.answers:
            tokens = model.encode(" " + answer.text)
            whole = [*prompt, *tokens]
            with torch.inference_mode():
                _, cache = bridge.run_with_cache(
                    torch.tensor([whole]), names_filter=lambda name: name in upper
                )
            assert set(cache) == upper
            with bridge.hooks(
                fwd_hooks=[(name, lambda _, hook, kept=cache[name]: kept) for name in upper]
            ):
                logits = oracle.logits(experiment, whole, edit, where)
            steps = logits.double().log_softmax(-1)[len(prompt) - 1 : -1]
            scores.append(steps[torch.arange(len(tokens)), tokens].sum())
    return torch.stack(scores).float()


def check(experiment: Experiment, edit: Edit) -> float:
    """Hold an edit against the oracle; how far frozen patterns are from live ones at most."""
    found = with_frozen_attention(experiment, edit)
    torch.testing.assert_close(found.logprobs, frozen(experiment, edit), rtol=0, atol=NATS)
    torch.testing.assert_close(found.live.logprobs, experiment.apply(edit).logprobs)
    assert found.table["difference"].tolist() == pytest.approx(
        (found.logprobs - found.live.logprobs).tolist(), abs=1e-6
    )
    values = found.to_dict()
    assert values["sentence"] == found.sentence and values["moved"] == list(found.moved)
    assert [one["frozen"] for one in values["answers"]] == found.logprobs.tolist()
    assert [one["live"] for one in values["answers"]] == found.live.logprobs.tolist()
    return float((found.logprobs - found.live.logprobs).abs().max())


@pytest.mark.slow
def test_frozen_patterns_are_the_full_pass_with_them_written_in(small_lab: Lab) -> None:
    pair = small_lab.experiment(small_lab.subject("Tokyo"), small_lab.subject("Paris"))
    far = []
    for position in ("last", "all"):
        options = EditOptions(position=position)
        far.append(check(pair, LatentSwap(options=options)))
        combinations = Combinations.of(pair, options)
        far.append(check(pair, combinations.edit(len(combinations) - 1)))
    assert max(far) > 0.01  # live patterns are others


def test_other_families(other_preset: OtherPreset) -> None:
    with other_preset.in_place():
        experiment = experiment_with_own_pieces(other_preset.lab)
        check(experiment, LatentSwap())
        before = oracle.logprobs(experiment, NO_EDIT)
        check(experiment, LatentSwap(options=EditOptions(position="all")))
        # The model is as it was, its attention too.
        torch.testing.assert_close(oracle.logprobs(experiment, NO_EDIT), before)
        assert experiment.model.hf.config._attn_implementation != "patterns_of_first_row"


@pytest.mark.long
def test_the_real_pair(tokyo_paris: Experiment) -> None:
    check(tokyo_paris, LatentSwap())


def test_no_edit_is_the_baseline_either_way(small_lab: Lab) -> None:
    pair = small_lab.experiment(small_lab.subject("Tokyo"), small_lab.subject("Paris"))
    found = with_frozen_attention(pair, NO_EDIT)
    assert torch.equal(found.logprobs, pair.baseline) and not found.moved
    assert "No answer moves" in found.sentence


@pytest.mark.parametrize(
    "live, kept, said",
    [
        (("a", "b"), ("a",), ("1 of the 2", "Not any more: b.")),
        (("a",), ("a", "b"), ("1 of the 1", "With frozen ones alone: b.")),
        ((), ("b",), ("no answer moves", "With frozen ones alone: b.")),
    ],
)
def test_what_still_moves_is_said(
    small_lab: Lab,
    live: tuple[str, ...],
    kept: tuple[str, ...],
    said: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = small_lab.experiment(small_lab.subject("Tokyo"), small_lab.subject("Paris"))
    found = with_frozen_attention(pair, NO_EDIT)
    moved = {name: name in live for name in "ab"}
    monkeypatch.setitem(vars(found.live), "moved", moved)
    object.__setattr__(found, "moved", kept)
    for part in said:
        assert part in found.sentence
