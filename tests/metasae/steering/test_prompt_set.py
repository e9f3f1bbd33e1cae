"""Questions asked of a small model, against whole passes of transformers."""

import pytest
import torch

from metasae.errors import UserError
from metasae.lm.language_model import LanguageModel
from metasae.steering.prompt_set import PromptSet
from metasae.steering.questions import Answer, Question
from metasae.text.cities import find_city
from metasae.text.prompts import QUESTIONS, fill
from tests.builders import one_sentence
from tests.oracle import answer_logprobs
from tests.small_models import TAUGHT

NATS = 1e-4


def question(prompt: str, *answers: str) -> Question:
    return Question("x", prompt, tuple(Answer((), answer) for answer in answers))


ASKED = (
    question("Tokyo is a city in the country of", "Japan", "France", "the United States"),
    question("The currency used in Tokyo is the", "yen"),
    question("Paris", "is a city in the country of France", "is", "a"),
    # An answer that begins another, and one prompt that begins another.
    question("Paris is a city", "in the country", "in the country of France"),
)


def test_the_baseline_is_a_full_pass(small_model: LanguageModel) -> None:
    prompts = PromptSet(small_model, ASKED)
    expected = torch.cat(
        [
            answer_logprobs(small_model, one.prompt, [answer.text for answer in one.answers])
            for one in ASKED
        ]
    )
    torch.testing.assert_close(prompts.baseline, expected, rtol=0, atol=NATS)
    assert expected.std() > 1


def test_the_next_tokens_are_those_of_a_full_pass(small_model: LanguageModel) -> None:
    prompts = PromptSet(small_model, ASKED)
    assert prompts.next_logprobs.shape == (len(ASKED), small_model.hf.config.vocab_size)
    for row, one in zip(prompts.next_logprobs, ASKED, strict=True):
        tokens = torch.tensor([small_model.prompt_tokens(one.prompt)])
        with torch.inference_mode():
            expected = small_model.hf(tokens, use_cache=False).logits[0, -1].log_softmax(-1)
        torch.testing.assert_close(row, expected, rtol=0, atol=NATS)


def test_one_question_is_answered_as_among_others(small_model: LanguageModel) -> None:
    together = PromptSet(small_model, ASKED)
    for one, scores in zip(ASKED, together.questions.split(together.baseline), strict=True):
        alone = PromptSet(small_model, [one]).baseline
        torch.testing.assert_close(alone, scores, rtol=0, atol=NATS)


@pytest.mark.parametrize("at", [None, (1, 4, 1, 2)])
def test_a_change_of_the_residual_stream_is_that_of_a_full_pass(
    small_model: LanguageModel, at: tuple[int, ...] | None
) -> None:
    draw = torch.Generator().manual_seed(1)
    push = 3 * torch.randn(2, small_model.d_model, generator=draw)
    prepared = PromptSet(small_model, ASKED).prepare(at)
    change = prepared.edited[None, :, None] * push[:, None]
    scores = prepared.changed(change)
    places: tuple[int | None, ...] = at or (None,) * len(ASKED)
    for row, one in enumerate(push):
        expected = []
        for asked, place in zip(ASKED, places, strict=True):

            def edit(
                resid: torch.Tensor, one: torch.Tensor = one, place: int | None = place
            ) -> torch.Tensor:
                out = resid.clone()
                out[slice(1, None) if place is None else place] += one
                return out

            texts = [answer.text for answer in asked.answers]
            expected.append(answer_logprobs(small_model, asked.prompt, texts, edit))
        torch.testing.assert_close(scores[row], torch.cat(expected), rtol=0, atol=NATS)
    assert (scores[0] - scores[1]).abs().max() > 0.1


def likeliest(model: LanguageModel, prompt: str, answer: str) -> list[bool]:
    """Whether each token of an answer is the likeliest after what is before it, by a whole pass."""
    before, tokens = model.prompt_tokens(prompt), model.encode(" " + answer)
    with torch.inference_mode():
        logits = model.hf(torch.tensor([[*before, *tokens]]), use_cache=False).logits[0]
    wanted = logits[len(before) - 1 : -1].argmax(-1).tolist()
    return [one == token for one, token in zip(wanted, tokens, strict=True)]


def test_an_answer_is_written_by_itself_when_each_of_its_tokens_is_the_likeliest(
    small_model: LanguageModel,
) -> None:
    # It was taught these cities' facts.
    asked = [
        question(fill(template, city), *(find_city(one).answers(name)[0] for one in TAUGHT))
        for city in ("Tokyo", "Alexandria")
        for name, template in QUESTIONS.items()
    ]
    expected = [
        likeliest(small_model, one.prompt, answer.text) for one in asked for answer in one.answers
    ]
    # Of several tokens each counts, wherever it stands.
    assert any(len(one) > 1 and all(one) for one in expected)
    assert any(one[0] and not all(one) for one in expected)
    assert any(one[-1] and not all(one) for one in expected)
    assert PromptSet(small_model, asked).greedy.tolist() == [all(one) for one in expected]


def test_where_an_edit_acts_and_what_is_whose(small_model: LanguageModel) -> None:
    at = (1, 4, 1, 2)
    prepared = PromptSet(small_model, ASKED).prepare(at)
    rows = [small_model.prompt_tokens(one.prompt) for one in ASKED]
    # The third and fourth prompts, edited at different places, share the start token alone.
    assert int(prepared.edited.sum()) == 4
    norms = prepared.resid.norm(dim=1)
    limit = float(norms[prepared.edited].sort().values[1:3].mean())
    touched = prepared.touched(limit / 4)
    assert torch.equal(touched, prepared.edited & (norms <= limit)) and int(touched.sum()) == 2
    for one, row, place, seen in zip(ASKED, rows, at, prepared.seen, strict=True):
        answers = {
            tuple(small_model.encode(" " + answer.text)[:-1][:count])
            for answer in one.answers
            for count in range(1, len(small_model.encode(" " + answer.text)))
        }
        # From the edited token on: the prompt's, and each beginning of an answer once.
        assert int(seen.sum()) == len(row) - place + len(answers)
    assert (prepared.seen.sum(0) == 1).all()
    assert prepared.count == sum(len(one.answers) for one in ASKED)


def test_a_prompt_of_one_token_can_be_asked(small_model: LanguageModel) -> None:
    assert len(small_model.prompt_tokens("a")) == 2
    (nats,) = PromptSet(small_model, [question("a", "b")]).baseline.tolist()
    assert nats == pytest.approx(answer_logprobs(small_model, "a", ["b"]).item(), abs=NATS)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (question("", "Japan"), "prompt is empty"),
        (question("Tokyo is in"), "has no answers"),
        (question("Tokyo is in", "Japan", ""), "tokenises to nothing"),
        (question("Tokyo is in", "  "), "tokenises to nothing"),
    ],
)
def test_what_cannot_be_asked(small_model: LanguageModel, asked: Question, said: str) -> None:
    with pytest.raises(UserError, match=said) as raised:
        PromptSet(small_model, [ASKED[0], asked])
    one_sentence(raised)
