"""An edit as one vector: its mean change, added to every token, and how far off that is."""

import pytest
import torch

from metasae.errors import UserError
from metasae.exports.edited import Edited
from metasae.exports.one_vector import COEFFICIENTS, added, one_vector
from metasae.lab.lab import Lab
from metasae.steering.edits import EditOptions, LatentSwap, MetaLatentEdit
from metasae.steering.questions import Answer, Question
from tests import oracle
from tests.metasae.exports.making import edit_of, edited, pair
from tests.other_presets import OtherPreset


def everywhere(one: Edited, vector: torch.Tensor) -> torch.Tensor:
    """The oracle: whole TransformerLens passes with a vector added to every token."""
    model, scores = one.lab.model, []
    for question in one.experiment.questions:
        prompt = model.prompt_tokens(question.prompt)
        for answer in question.answers:
            said = model.encode(" " + answer.text)
            logits = oracle.full_pass(model, [*prompt, *said], lambda resid: resid + vector)
            after = logits.log_softmax(-1)[len(prompt) - 1 : -1]
            scores.append(after[torch.arange(len(said)), said].sum())
    return torch.stack(scores)


def test_nothing_added_changes_nothing(small_lab: Lab) -> None:
    one = edited(small_lab)
    same = added(one, torch.zeros(small_lab.model.d_model))
    assert torch.allclose(same, one.outcome.baseline, atol=1e-4)


@pytest.mark.parametrize("kind", ["added", "swap"])
def test_what_it_does_is_measured_by_whole_passes(small_lab: Lab, kind: str) -> None:
    one = edited(small_lab, kind)
    found = one_vector(one)
    assert torch.allclose(
        found.logprobs, everywhere(one, found.coefficient * found.vector), atol=1e-4
    )
    assert torch.equal(found.edited, one.outcome.logprobs)
    assert found.difference == pytest.approx(float((found.logprobs - found.edited).abs().max()))
    assert f"{found.difference:.2f} at most" in found.sentence


def test_the_closest_strength_is_taken(small_lab: Lab) -> None:
    one = edited(small_lab)
    found = one_vector(one)
    off = {
        times: float((everywhere(one, times * found.vector) - found.edited).abs().mean())
        for times in COEFFICIENTS
    }
    assert off[found.coefficient] == pytest.approx(min(off.values()), abs=1e-4)


def test_the_vector_is_the_mean_change_of_the_prompts(small_lab: Lab) -> None:
    one = edited(small_lab)
    changes = []
    for question in one.experiment.questions:
        tokens = torch.tensor([small_lab.model.prompt_tokens(question.prompt)])
        resid = small_lab.model.residual(tokens)[0]
        at = one.experiment.edit_position(question.prompt)
        change = one.experiment.compiled(one.edit).change(one.experiment.firing(resid))
        changes.append(change[at])
    assert torch.allclose(one_vector(one).vector, torch.stack(changes).mean(0), atol=1e-5)


def test_every_answer_is_in_the_table(small_lab: Lab) -> None:
    one = edited(small_lab)
    found = one_vector(one)
    table = found.table(one)
    assert list(table["answer"]) == list(one.outcome.answers["answer"])
    assert table["edit"].tolist() == one.outcome.logprobs.tolist()
    assert found.text(one).count("\n|") == len(table) + 2


@pytest.mark.parametrize(("kind", "why"), [("everywhere", "every latent"),
                                           ("without error", "error")])  # fmt: skip
def test_what_no_vector_can_stand_for_is_refused(small_lab: Lab, kind: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        one_vector(edited(small_lab, kind))


def test_an_edit_that_fires_nowhere_has_no_vector(small_lab: Lab) -> None:
    experiment = pair(small_lab)
    silent = next(
        latent for latent in range(small_lab.n_latents - 1, 0, -1)
        if not experiment.replaced(
            source=small_lab.subject(f"#{latent}")
        ).prepared(EditOptions(position="all")).firing.source.any()
    )  # fmt: skip
    source = small_lab.subject(f"#{silent}")
    alone = experiment.replaced(source=source)
    edit = edit_of(alone, "removed").with_options(position="all")
    assert isinstance(edit, MetaLatentEdit)
    with pytest.raises(UserError, match="nothing in its own prompts"):
        one_vector(Edited(small_lab, alone, edit))


@pytest.mark.slow
@pytest.mark.parametrize("other_preset", ["gpt2-small"], indirect=True)
def test_prompts_that_share_a_token_count_one_by_one(other_preset: OtherPreset) -> None:
    lab = other_preset.lab
    source, target = (lab.subject(name) for name in lab.city_names()[:2])
    name, answers = source.in_prompts, (Answer((), "here"),)
    prompts = (f"{name} is in", f"{name} has a", f"The old city of {name} is")
    questions = [Question(prompt, prompt, answers) for prompt in prompts]
    experiment = lab.experiment(source, target, questions)
    one = Edited(lab, experiment, LatentSwap())
    changes = []
    for question in experiment.questions:
        tokens = torch.tensor([lab.model.prompt_tokens(question.prompt)])
        resid = lab.model.residual(tokens)[0]
        change = experiment.compiled(one.edit).change(experiment.firing(resid))
        changes.append(change[experiment.edit_position(question.prompt)])
    rows = torch.stack(changes)
    # Else this shows nothing: the first two share all up to the name.
    assert torch.allclose(rows[0], rows[1], atol=1e-5)
    assert not torch.allclose(rows[0], rows[2], atol=1e-2)
    assert torch.allclose(one_vector(one).vector, rows.mean(0), atol=1e-5)
