"""Edits of many targets at once give what whole passes give, and their gradients are right."""

import pytest
import torch

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lm.names import name_position
from metasae.ravel.data import Template
from metasae.ravel.engine import Asked, last_token_residuals
from metasae.ravel.facts import Known
from metasae.ravel.portraits import Portrait
from tests.oracle import answer_logprobs
from tests.ravel_data import ANSWERS


def asked(lab: Lab, known: Known, people: dict[str, Portrait], name: str, **more: object) -> Asked:
    one = people[name]
    return Asked(lab, one, known.templates(one.entity), ANSWERS, **more)  # type: ignore[arg-type]


def draws(count: int, one: Asked) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    return 3 * torch.randn(count, *one.place.rows.shape, generator=draw)


def test_answers_are_those_of_whole_passes(
    small_lab: Lab, known: Known, people: dict[str, Portrait]
) -> None:
    one = asked(small_lab, known, people, "Tokyo")
    changes = draws(3, one)
    answered = one.changed(changes)
    parts = one.questions.split(answered.logprobs)
    for number, (question, nats) in enumerate(zip(one.questions, parts, strict=True)):
        at = name_position(small_lab.model, question.prompt, "Tokyo")
        place = int(one._own_place[number])
        for row, change in enumerate(changes):

            def write(
                resid: torch.Tensor, at: int = at, off: torch.Tensor = change[place]
            ) -> torch.Tensor:
                out = resid.clone()
                out[at] += off
                return out

            texts = [answer.text for answer in question.answers]
            expected = answer_logprobs(small_lab.model, question.prompt, texts, write)
            torch.testing.assert_close(nats[row], expected, atol=2e-4, rtol=1e-4)


def test_no_change_says_what_the_model_says(
    small_lab: Lab, known: Known, people: dict[str, Portrait]
) -> None:
    one = asked(small_lab, known, people, "Cairo")
    answered = one.changed(torch.zeros(1, *one.place.rows.shape))
    says = one.questions.split(answered.says[0])
    for question, said in zip(one.questions, says, strict=True):
        right = people["Cairo"].entity.values[question.attribute]
        texts = [answer.text for answer in question.answers]
        assert [text for text, yes in zip(texts, said.tolist(), strict=True) if yes] == list(right)


def test_everywhere_is_every_token_but_the_start(
    small_lab: Lab, known: Known, people: dict[str, Portrait]
) -> None:
    one = asked(small_lab, known, people, "Tokyo", where="all")
    off = torch.randn(one.place.rows.shape[1], generator=torch.Generator().manual_seed(2))
    nats = one.questions.split(one.changed(off.expand(1, *one.place.rows.shape)).logprobs)
    limit = 4 * small_lab.median_norm

    def write(resid: torch.Tensor) -> torch.Tensor:
        touched = resid.norm(dim=1) <= limit
        touched[0] = False
        return resid + off * touched[:, None]

    for question, row in zip(one.questions, nats, strict=True):
        texts = [answer.text for answer in question.answers]
        expected = answer_logprobs(small_lab.model, question.prompt, texts, write)
        torch.testing.assert_close(row[0], expected, atol=2e-4, rtol=1e-4)
    with pytest.raises(UserError, match="last token"):
        _ = one.pair(people["Cairo"]).on_target


def test_gradients_are_those_of_the_answers(
    small_lab: Lab, known: Known, people: dict[str, Portrait]
) -> None:
    one = asked(small_lab, known, people, "Lyon")
    changes = draws(2, one).requires_grad_(True)
    nats = one.differentiable(changes)
    with torch.no_grad():
        torch.testing.assert_close(nats, one.changed(changes).logprobs, atol=2e-4, rtol=1e-4)
    nats[1, 0].backward()
    assert changes.grad is not None
    assert not changes.grad[0].any() and changes.grad[1].any()
    step = 1e-2 * changes.grad[1] / changes.grad[1].norm()
    with torch.no_grad():
        ends = [one.changed((changes[1] + sign * step)[None]).logprobs[0, 0] for sign in (1, -1)]
    expected = 2e-2 * changes.grad[1].norm()
    torch.testing.assert_close(ends[0] - ends[1], expected, rtol=0.05, atol=1e-3)


def test_the_targets_residual_is_that_of_the_same_prompt(
    small_lab: Lab, known: Known, people: dict[str, Portrait]
) -> None:
    model = small_lab.model
    one = asked(small_lab, known, people, "Tokyo")
    rows = one.pair(people["Cairo"]).on_target
    for number, template in enumerate(one.templates):
        prompt = template.prompt("Cairo")
        resid = model.residual(torch.tensor([model.prompt_tokens(prompt)]))[0]
        expected = resid[name_position(model, prompt, "Cairo")]
        torch.testing.assert_close(rows[one._own_place[number]], expected)
    own = last_token_residuals(model, one.templates, "Tokyo")
    torch.testing.assert_close(one.place.rows[one._own_place], own)


def test_a_name_of_which_nothing_is_read_is_refused(small_lab: Lab) -> None:
    with pytest.raises(UserError, match="reads nothing"):
        last_token_residuals(small_lab.model, [Template("country", "%s is", "train")], "")


def several(lab: Lab, one: Asked) -> list[bool]:
    """Which answers have several tokens."""
    return [
        len(lab.model.encode(question.gap + answer.text)) > 1
        for question, answer in one.questions.answers
    ]


LONGER = {name: (*some, "Tokyo in Japan", "Paris of all") for name, some in ANSWERS.items()}
"""Answers of several tokens besides, which random edits often make likely."""


def two_sides(one: Asked, count: int) -> torch.Tensor:
    """Of each edit two sides of a few answers about each attribute, other ones from edit to edit;
    some answers are of both."""
    draw = torch.Generator().manual_seed(3)
    return torch.rand(2, count, len(one.questions.answers), generator=draw) < 0.25


@pytest.mark.parametrize("where", ["last", "all"])
@pytest.mark.parametrize("name", ["Tokyo", "Cairo"])
def test_what_became_of_answers_is_what_all_of_them_tell(
    small_lab: Lab, known: Known, people: dict[str, Portrait], name: str, where: str
) -> None:
    who = people[name]
    one = Asked(small_lab, who, known.templates(who.entity), LONGER, where)  # type: ignore[arg-type]
    assert any(several(small_lab, one))
    changes = draws(120, one) * torch.linspace(0, 2, 120)[:, None, None]
    sides = two_sides(one, len(changes))
    whole, quick = one.changed(changes), one.judged(changes, sides)
    longer, nats = torch.tensor(several(small_lab, one)), whole.logprobs
    for number, part in enumerate(one.questions.slices):
        lead = torch.zeros_like(whole.says[:, part])
        lead.scatter_(1, nats[:, part].argmax(1, keepdim=True), True)
        for found, each in ((quick.leads, lead), (quick.says, whole.says[:, part])):
            expected = sides[..., part] & each
            assert torch.equal(found[..., number], expected.any(2))
    # Both rules were asked of answers of one token and of several.
    for some in (longer, ~longer):
        assert where == "all" or (whole.says & sides.any(0))[:, some].any()
    worked_out = ~quick.nats.isnan()
    found = quick.nats[worked_out]
    torch.testing.assert_close(found, whole.logprobs[worked_out], atol=2e-4, rtol=1e-4)
    if where == "last":
        assert not worked_out.all()  # something was spared
