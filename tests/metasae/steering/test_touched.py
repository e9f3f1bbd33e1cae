"""Which tokens of the prompts an edit touches, against what full passes change."""

from typing import Any

import pytest
import torch

from metasae.lab.lab import Lab
from metasae.search.combinations import Combinations
from metasae.steering.conditions import Condition
from metasae.steering.edits import NO_EDIT, Edit, EditOptions, LatentSwap
from metasae.steering.experiment import Experiment
from metasae.steering.touched import TouchedPrompt, touched_prompts, touched_table
from tests import oracle


@pytest.fixture(scope="module")
def pair(small_lab: Lab) -> Experiment:
    return small_lab.experiment(small_lab.subject("Tokyo"), small_lab.subject("Paris"))


def written(experiment: Experiment, edit: Edit, prompt: TouchedPrompt) -> list[float]:
    """Length of what a full pass finds changed at the hook, token by token."""
    model = experiment.model
    tokens, seen = model.prompt_tokens(prompt.prompt), {}
    whole = oracle.full_pass

    def watching(model: Any, tokens: list[int], write: Any) -> torch.Tensor:
        def both(x: torch.Tensor) -> torch.Tensor:
            seen["change"] = (write(x) - x).norm(dim=-1)
            return write(x)

        return whole(model, tokens, both)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(oracle, "full_pass", watching)
        where = oracle.place(experiment, edit, prompt.prompt)
        oracle.logits(experiment, tokens, edit, where)
    return seen["change"][1:].tolist()


@pytest.mark.parametrize("position", ["last", "all"])
@pytest.mark.parametrize("when", [Condition(), Condition(0.2), Condition(after="in")], ids=repr)
def test_the_sizes_are_those_of_a_full_pass(
    pair: Experiment, position: Any, when: Condition
) -> None:
    options = EditOptions(position=position, when=when)
    number = len(Combinations.of(pair)) - 1
    for edit in (LatentSwap(options=options), Combinations.of(pair, options).edit(number)):
        for prompt in touched_prompts(pair, edit):
            assert "".join(one.text for one in prompt.tokens).strip() == prompt.prompt
            sizes = [one.size for one in prompt.tokens]
            assert sizes == pytest.approx(written(pair, edit, prompt), abs=1e-3)


def test_the_activation_stands_on_every_token_whatever_is_edited(pair: Experiment) -> None:
    sae, model = pair.decomposition.sae, pair.model
    for edit in (NO_EDIT, LatentSwap()):
        for prompt in touched_prompts(pair, edit):
            resid = model.residual(torch.tensor([model.prompt_tokens(prompt.prompt)]))[0]
            acts = sae.encode(resid)[1:, list(pair.source.latents)].amax(1)
            assert [one.activation for one in prompt.tokens] == pytest.approx(
                acts.tolist(), abs=1e-4
            )
            for one, row in zip(prompt.tokens, resid[1:], strict=True):
                assert one.share == pytest.approx(one.size / float(row.norm()), abs=1e-4)


def test_no_edit_touches_nothing_and_an_edit_at_the_name_one_token(pair: Experiment) -> None:
    assert not any(one.size for prompt in touched_prompts(pair, NO_EDIT) for one in prompt.tokens)
    for prompt in touched_prompts(pair, LatentSwap()):
        assert [one.text.strip() for one in prompt.tokens if one.size] == ["Tokyo"]
        assert prompt.marked.count("[") == 1 and "Tokyo[" in prompt.marked


def test_the_table_has_a_row_a_token(pair: Experiment) -> None:
    prompts = touched_prompts(pair, LatentSwap())
    table = touched_table(prompts)
    assert len(table) == sum(len(one.tokens) for one in prompts)
    first = table.iloc[0]
    assert first["position"] == 1 and first["token"] == prompts[0].tokens[0].text
