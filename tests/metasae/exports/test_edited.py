"""An edit to be taken elsewhere: what it holds, and what it refuses."""

import pytest
import torch

from metasae.errors import UserError
from metasae.exports.edited import Edited
from metasae.lab.lab import Lab
from metasae.lm.halves import MASSIVE
from metasae.steering.conditions import Condition
from metasae.steering.edits import NO_EDIT
from tests.metasae.exports.making import KINDS, edit_of, edited, pair


def test_an_edit_that_changes_nothing_is_refused(small_lab: Lab) -> None:
    with pytest.raises(UserError, match="changes nothing"):
        Edited(small_lab, pair(small_lab), NO_EDIT)


@pytest.mark.parametrize("kind", KINDS)
def test_the_tensors_make_the_change(small_lab: Lab, kind: str) -> None:
    """On a whole prompt the tensors give what the compiled edit gives."""
    one = edited(small_lab, kind)
    tokens = torch.tensor([small_lab.model.prompt_tokens(one.experiment.questions[0].prompt)])
    resid = small_lab.model.residual(tokens)[0]
    wanted = one.experiment.compiled(one.edit).change(one.experiment.firing(resid))
    made = one.tensors()
    latents = made.pop("latents")
    held = {name: tensor.float() for name, tensor in made.items()}
    pre = (resid - held["b_dec"]) @ held["W_enc"] + held["b_enc"]
    acts = torch.where(pre > held["threshold"], pre.relu(), 0.0)
    change = acts[:, latents] @ held["step"] + held["constant"]
    if "W_dec" in held:
        change = change - (resid - acts @ held["W_dec"] - held["b_dec"])
    assert wanted.any() and torch.allclose(change, wanted, atol=1e-4)


def test_what_is_said_beside_them(small_lab: Lab) -> None:
    one = edited(small_lab)
    about = one.about()
    assert about["name"] == "Tokyo" and about["position"] == "last"
    assert about["largest_norm"] == MASSIVE * small_lab.median_norm
    assert about["model"] == {"name": small_lab.model.name, "repo": None, "revision": None}
    assert about["weights_sha256"]["sae"] == small_lab.weights.sae
    found = [answer for question in about["questions"] for answer in question["answers"]]
    assert [answer["logprob"] for answer in found] == one.outcome.logprobs.tolist()
    prompts = [question["prompt"] for question in about["questions"]]
    assert [question["at"] for question in about["questions"]] == [
        one.experiment.edit_position(prompt) for prompt in prompts
    ]
    at_all = edited(small_lab, "swap at all").about()
    assert [question["at"] for question in at_all["questions"]] == [None] * len(prompts)


def test_a_readme_says_what_it_did_and_came_from(small_lab: Lab) -> None:
    one = edited(small_lab)
    text = one.headed("More.")
    assert one.outcome.sentence in text and text.endswith("\n\nMore.\n")
    assert small_lab.provenance.sae in text and small_lab.provenance.meta_sae in text


def test_names_of_files_hold_no_slashes(small_lab: Lab) -> None:
    assert edited(small_lab).name == "Tokyo-Paris"
    experiment = pair(small_lab).replaced(source=small_lab.subject("#3, #4"))
    one = Edited(small_lab, experiment, edited(small_lab, "swap").edit)
    assert one.name == "latent3_latent4-Paris"


def test_a_condition_is_refused_in_its_own_words(small_lab: Lab) -> None:
    when = Condition(above=2.0, after="capital")
    edit = edit_of(pair(small_lab), "added").with_options(when=when)
    with pytest.raises(
        UserError, match="made only where it fires above 2 and only after “capital”"
    ):
        Edited(small_lab, pair(small_lab), edit)
