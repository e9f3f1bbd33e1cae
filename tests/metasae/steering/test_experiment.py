"""Every number of an experiment against full passes with the edit worked out anew."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.saes.decomposition import Decomposition
from metasae.steering.ablation import lost_without
from metasae.steering.edit_space import Piece
from metasae.steering.edits import NO_EDIT, Edit, EditOptions, LatentSwap, MetaLatentEdit
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import Outcome
from metasae.steering.prompt_set import PromptSet
from metasae.steering.questions import Answer, Question, Subject
from tests import oracle
from tests.builders import one_sentence

NATS = 1e-4

PAIRS = (pytest.param("tokyo_paris", marks=pytest.mark.long), "long_names")
"""Fixtures; who has no time asks the pair whose names have several tokens."""


def check(experiment: Experiment, edit: Edit) -> Outcome:
    """Score an edit and hold every answer against the oracle."""
    outcome = experiment.apply(edit)
    torch.testing.assert_close(
        outcome.logprobs, oracle.logprobs(experiment, edit), rtol=0, atol=NATS
    )
    return outcome


def own(experiment: Experiment, side: str) -> list[Piece]:
    return [piece for piece in experiment.pieces if piece.side == side]


def changed(experiment: Experiment, edit: Edit, least: float = 0.01) -> None:
    """The edit does something at all, so that an oracle of nothing would not do."""
    assert (experiment.apply(edit).logprobs - experiment.baseline).abs().max() > least


@pytest.fixture(scope="module")
def long_names(lab: Lab) -> Experiment:
    """Two cities with names of several tokens, as many latents on both sides as there are."""

    def first(*favourites: str) -> Subject:
        others = [name for name in lab.city_names() if len(lab.model.encode(" " + name)) > 1]
        for name in (*favourites, *others):
            record = lab.records[name]
            if len(lab.model.encode(" " + name)) > 1 and len(record.latents) > 2:
                return lab.subject(name, [ranked.latent for ranked in record.latents[:3]])
        raise AssertionError("no city with a name of several tokens has several latents")

    source, target = first("Rio de Janeiro"), first("Buenos Aires", "Los Angeles")
    experiment = lab.experiment(source, target)
    assert source.label != target.label and len(source.latents) > 1
    return experiment


# Scores.


@pytest.mark.long
def test_the_baseline_is_the_unedited_full_pass(
    tokyo_paris: Experiment, long_names: Experiment
) -> None:
    for experiment in (tokyo_paris, long_names):
        outcome = check(experiment, NO_EDIT)
        torch.testing.assert_close(outcome.logprobs, experiment.baseline, rtol=0, atol=0)
        check(experiment, MetaLatentEdit(options=EditOptions(position="all")))
        assert outcome.answers["change"].abs().max() == 0
        assert not any(outcome.moved.values())


@pytest.mark.real_model
@pytest.mark.parametrize("position", ["last", "all"])
@pytest.mark.parametrize("keep_error", [True, False])
@pytest.mark.parametrize("which", PAIRS)
def test_the_swap(
    which: str, position: Any, keep_error: bool, request: pytest.FixtureRequest
) -> None:
    experiment = request.getfixturevalue(which)
    edit = LatentSwap(options=EditOptions(keep_error=keep_error, position=position))
    check(experiment, edit)
    changed(experiment, edit, 0.5)


def meta_edits(experiment: Experiment) -> dict[str, Edit]:
    mine, theirs = own(experiment, "source"), own(experiment, "target")
    shared = own(experiment, "shared")
    remove = tuple((piece.meta, 0.0) for piece in mine)
    add = tuple((piece.meta, 1.0) for piece in theirs)
    odd = tuple((piece.meta, strength) for piece, strength in zip(
        (*mine, *theirs, *shared), (-1.5, 0.3, 2.0, -0.7, 1.3, 0.9, 1.7, -2.0), strict=False
    ))  # fmt: skip
    return {
        "remove one": MetaLatentEdit(remove[:1]),
        "remove all, keep the residual": MetaLatentEdit(
            remove, options=EditOptions(keep_residual=True)
        ),
        "add one": MetaLatentEdit(add[:1]),
        "remove all and add all": MetaLatentEdit(remove + add),
        "strengths": MetaLatentEdit(odd),
        "strengths, keep the residual": MetaLatentEdit(
            odd, options=EditOptions(keep_residual=True)
        ),
        "drop the error": MetaLatentEdit(
            remove[:1] + add[:1], options=EditOptions(keep_error=False)
        ),
        "drop the error alone": MetaLatentEdit(options=EditOptions(keep_error=False)),
        "everywhere": MetaLatentEdit(
            odd, options=EditOptions("everywhere", keep_residual=True, position="all")
        ),
        "everywhere, at the name": MetaLatentEdit(
            remove[:1] + add[:1], options=EditOptions("everywhere", keep_error=False)
        ),
        "all positions": MetaLatentEdit(remove + add[:1], options=EditOptions(position="all")),
        "all positions, everything else": MetaLatentEdit(
            odd, options=EditOptions(keep_residual=True, keep_error=False, position="all")
        ),
    }


@pytest.mark.real_model
@pytest.mark.parametrize(
    "name",
    [
        "remove one",
        "remove all, keep the residual",
        "add one",
        "remove all and add all",
        "strengths",
        "strengths, keep the residual",
        "drop the error",
        "drop the error alone",
        "everywhere",
        "everywhere, at the name",
        "all positions",
        "all positions, everything else",
    ],
)
@pytest.mark.parametrize("which", PAIRS)
def test_the_meta_latent_edit(which: str, name: str, request: pytest.FixtureRequest) -> None:
    experiment = request.getfixturevalue(which)
    edit = meta_edits(experiment)[name]
    check(experiment, edit)
    changed(experiment, edit)


def test_the_pair_has_pieces_of_every_kind(tokyo_paris: Experiment) -> None:
    assert own(tokyo_paris, "source") and own(tokyo_paris, "target")


@pytest.mark.parametrize("position", ["last", "all"])
def test_latents_by_number(lab: Lab, position: Any) -> None:
    tokyo, paris = lab.subject("Tokyo"), lab.subject("Paris")
    numbers = ", ".join(f"#{latent}" for latent in tokyo.latents)
    source, target = lab.subject(numbers), lab.subject(f"#{paris.latents[0]}")
    assert source.name is None
    questions = [
        Question("custom", "In the old town of Tokyo the people speak", answers("French", "Latin")),
        Question("custom 2", "Tokyo is the capital of", answers("Japan", "France")),
    ]
    experiment = lab.experiment(source, target, questions)
    check(experiment, LatentSwap(options=EditOptions(position=position)))
    changed(experiment, LatentSwap(options=EditOptions(position=position)))
    piece = own(experiment, "source")[0]
    check(experiment, MetaLatentEdit(((piece.meta, -1.0),), options=EditOptions(position=position)))


@pytest.mark.long
def test_latents_by_number_are_asked_about_what_they_fire_on(lab: Lab) -> None:
    """The city whose own they are, wherever the target lies."""
    for name in ("Tokyo", "Cairo", "Rome"):
        latent = lab.city_record(name).latents[0].latent
        for target in ("Paris", "Osaka"):
            source = lab.subject(f"#{latent}")
            outcome = lab.experiment(source, lab.subject(target)).apply(LatentSwap())
            assert all(name in question.prompt for question in outcome.questions)
            assert not any(target in question.prompt for question in outcome.questions)
            own = [answer for _, answer in outcome.questions.answers if name in answer.cities]
            assert [one.text for one in own] == list(lab.city_record(name).answers.values())
            assert outcome.asked_about == outcome.to_dict()["asked_about"] == name
            assert outcome.why_asked == (
                f"#{latent} is no city: asked about {name}, on whose name it is most active."
            )
    # Neither is a city's own: what they fire on is no city, though on some names they are active.
    both = lab.subject("#5, #31")
    assert any(one.latent in both.latents for r in lab.records.values() for one in r.latents)
    assert both.about == lab.latent_words(5)[0] not in lab.records
    experiment = lab.experiment(both, lab.subject("Paris"))
    check(experiment, LatentSwap(options=EditOptions(position="all")))
    assert experiment.apply(NO_EDIT).why_asked.startswith("#5, #31 are no city: asked about ")
    city = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris")).apply(NO_EDIT)
    assert city.why_asked == "" and city.to_dict()["asked_about"] == "Tokyo"


def test_a_latent_of_no_city_is_asked_about_its_word(lab: Lab) -> None:
    of_cities = {one.latent for record in lab.records.values() for one in record.latents}
    latent = next(one for one in lab.words if one not in of_cities)
    word = lab.latent_words(latent)[0]
    experiment = lab.experiment(lab.subject(f"#{latent}"), lab.subject("Paris"))
    outcome = check(experiment, LatentSwap())
    assert all(word in question.prompt for question in outcome.questions)
    assert outcome.why_asked == (
        f"#{latent} is no city: asked about “{word}”, the word it is most active on."
    )


def test_a_latent_that_fires_on_nothing_known_needs_a_question_of_ones_own(lab: Lab) -> None:
    of_cities = {one.latent for record in lab.records.values() for one in record.latents}
    silent = next(n for n in range(lab.n_latents) if n not in lab.words and n not in of_cities)
    source, paris = lab.subject(f"#{silent}"), lab.subject("Paris")
    with pytest.raises(UserError) as raised:
        lab.experiment(source, paris)
    text = one_sentence(raised)
    assert "fires on no name of the table" in text and "--prompt and --answers" in text
    questions = [Question("custom", "The tower stands in", answers("Paris", "Rome"))]
    outcome = lab.experiment(source, paris, questions).apply(LatentSwap())
    assert outcome.asked_about == outcome.why_asked == "" == outcome.to_dict()["asked_about"]


def test_no_question_is_about_the_target(lab: Lab) -> None:
    paris = lab.subject("Paris")
    with pytest.raises(UserError) as raised:
        lab.experiment(lab.subject(f"#{paris.latents[0]}"), paris)
    assert "most active on Paris, which is the target already" in one_sentence(raised)


def answers(*texts: str) -> tuple[Answer, ...]:
    return tuple(Answer((), text) for text in texts)


def test_a_typed_prompt_and_answers_of_several_tokens(lab: Lab) -> None:
    questions = [
        Question(
            "custom",
            "They flew from Paris to Tokyo, because Tokyo and Osaka lie in",
            answers("Japan", "the United Kingdom", "the United States", "Kyrgyzstan", "France"),
        ),
        Question("second", "Tokyo", answers("Tower", "is a large city")),
    ]
    tokens = [len(lab.model.encode(" " + one.text)) for one in questions[0].answers]
    assert max(tokens) > 2 and min(tokens) == 1
    experiment = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"), questions)
    # An edit at "last" acts on the last mention of the name.
    for edit in (
        NO_EDIT,
        LatentSwap(),
        LatentSwap(options=EditOptions(keep_error=False, position="all")),
    ):
        check(experiment, edit)
    piece = own(experiment, "source")[0]
    check(experiment, MetaLatentEdit(((piece.meta, 0.0),)))


def test_the_order_of_the_answers_changes_no_number(lab: Lab) -> None:
    texts = ("the United Kingdom", "Japan", "Kyrgyzstan", "France")
    scores = []
    for order in (texts, texts[::-1]):
        questions = [Question("custom", "Tokyo is a city in", answers(*order))]
        outcome = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"), questions).apply(
            LatentSwap()
        )
        scores.append(outcome.answers.set_index("answer")["logprob"].sort_index())
    assert (scores[0] - scores[1]).abs().max() < 1e-5


def test_two_edits_do_not_disturb_each_other(tokyo_paris: Experiment) -> None:
    experiment = tokyo_paris
    weights = experiment.decomposition.sae.W_dec.clone()
    edits = [NO_EDIT, LatentSwap(), *list(meta_edits(experiment).values())[:6]]
    alone = torch.stack([experiment.apply(edit).logprobs for edit in edits])
    backwards = torch.stack([experiment.apply(edit).logprobs for edit in edits[::-1]]).flip(0)
    torch.testing.assert_close(backwards, alone, rtol=0, atol=0)
    # Outcomes are values: scoring other edits since left the first ones as they were.
    first = experiment.apply(edits[1])
    kept = first.logprobs.clone()
    experiment.apply(edits[2])
    assert torch.equal(first.logprobs, kept)
    torch.testing.assert_close(
        experiment.apply(NO_EDIT).logprobs, experiment.baseline, rtol=0, atol=0
    )
    assert torch.equal(experiment.decomposition.sae.W_dec, weights)


def test_two_threads_do_not_disturb_each_other(tokyo_paris: Experiment) -> None:
    experiment, prompt = tokyo_paris, "Tokyo is a city in the country of"
    edit = meta_edits(experiment)["remove all and add all"]
    swapped = experiment.continuation(LatentSwap(options=EditOptions(position="all")), prompt, 8)
    expected = experiment.apply(edit).logprobs
    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(
            experiment.continuation, LatentSwap(options=EditOptions(position="all")), prompt, 8
        )
        scores = [pool.submit(experiment.apply, edit) for _ in range(12)]
        assert writing.result() == swapped
        for score in scores:
            assert torch.equal(score.result().logprobs, expected)


@pytest.mark.parametrize("position", ["last", "all"])
def test_massive_activations_are_left_alone(long_names: Experiment, position: Any) -> None:
    """With a median so small that half of the positions count as massive."""
    experiment = long_names
    tokens = torch.tensor([experiment.model.prompt_tokens(experiment.questions[0].prompt)])
    norms = experiment.model.residual(tokens)[0, 1:].norm(dim=1)
    small = Experiment(
        experiment.model, experiment.decomposition, experiment.source, experiment.target,
        experiment.questions,
        # Not the median itself: rounding would say on which side of it that position is.
        1.001 * float(norms.median()) / 4, experiment.provenance,
    )  # fmt: skip
    edit = LatentSwap(options=EditOptions(position=position))
    check(small, edit)
    assert (small.apply(edit).logprobs - experiment.apply(edit).logprobs).abs().max() > 0.01
    prompt = experiment.questions[0].prompt
    logits = oracle.logits(small, tokens[0].tolist(), edit, oracle.place(small, edit, prompt))
    expected = experiment.model.tokenizer.decode([int(logits[-1].argmax())])
    assert small.continuation(edit, prompt, 1) == expected


def test_setting_single_latents_to_zero(long_names: Experiment) -> None:
    experiment = long_names
    at = [experiment.edit_position(question.prompt) for question in experiment.questions]
    prompts = PromptSet(experiment.model, experiment.questions)
    lost = lost_without(
        prompts, experiment.decomposition.sae, experiment.source.latents, at, experiment.median_norm
    )
    for row, latent in enumerate(experiment.source.latents):
        alone = Subject(experiment.source.label, experiment.source.name, (latent,), (0.0,))
        nobody = Subject("nobody", None, (), ())
        single = Experiment(
            experiment.model, experiment.decomposition, alone, nobody, experiment.questions,
            experiment.median_norm,
            experiment.provenance,
        )  # fmt: skip
        torch.testing.assert_close(
            prompts.baseline - lost[row],
            oracle.logprobs(single, LatentSwap()),
            rtol=0,
            atol=NATS,
        )


# What is made of the numbers.


def test_the_table_by_hand(tokyo_paris: Experiment) -> None:
    outcome = tokyo_paris.apply(LatentSwap())
    table = outcome.answers
    assert list(table.columns) == [
        "attribute", "prompt", "city", "answer", "baseline", "logprob", "change", "best_before",
        "best_after", "says_before", "says_after",
    ]  # fmt: skip
    assert list(dict.fromkeys(table["attribute"])) == [
        "country", "language", "continent", "currency",
    ]  # fmt: skip
    assert table["logprob"].tolist() == pytest.approx(outcome.logprobs.tolist())
    assert table["baseline"].tolist() == pytest.approx(tokyo_paris.baseline.tolist())
    assert (table["change"] - (table["logprob"] - table["baseline"])).abs().max() < 1e-6
    for _, rows in table.groupby("attribute"):
        assert rows["best_before"].sum() == rows["best_after"].sum() == 1
        assert rows.loc[rows["best_after"], "logprob"].item() == rows["logprob"].max()
        assert rows.loc[rows["best_before"], "baseline"].item() == rows["baseline"].max()
        target = rows.loc[rows["best_after"], "city"].item().split(", ")
        before = rows.loc[rows["best_before"], "city"].item().split(", ")
        attribute = rows["attribute"].iloc[0]
        assert outcome.moved[attribute] == ("Paris" in target and "Paris" not in before)


def picks(outcome: Outcome, column: str) -> dict[str, str]:
    best = outcome.answers[outcome.answers[column]]
    return dict(zip(best["attribute"], best["answer"], strict=True))


def test_the_swap_makes_tokyo_paris(tokyo_paris: Experiment, lab: Lab) -> None:
    outcome = tokyo_paris.apply(LatentSwap())
    assert picks(outcome, "best_after") == lab.records["Paris"].answers
    assert outcome.sentence.startswith("Tokyo is now in France")
    assert "speaks French" in outcome.sentence


def test_the_sentence_says_what_stayed(tokyo_paris: Experiment) -> None:
    outcome = tokyo_paris.apply(NO_EDIT)
    assert picks(outcome, "best_before") == picks(outcome, "best_after")
    assert outcome.sentence.startswith("Tokyo is unchanged: it ")
    for answer in picks(outcome, "best_after").values():
        assert answer in outcome.sentence


@pytest.mark.long
def test_what_the_model_itself_says_is_what_full_passes_go_on_with(
    tokyo_paris: Experiment,
) -> None:
    """The whole answer, token by token, each the likeliest of the vocabulary."""
    experiment, edit = tokyo_paris, LatentSwap()
    outcome, model = experiment.apply(edit), experiment.model
    for column, words, made in (
        ("says_before", outcome.own_before, NO_EDIT), ("says_after", outcome.own_after, edit),
    ):  # fmt: skip
        for question, word in zip(experiment.questions, words, strict=True):
            prompt = model.prompt_tokens(question.prompt)
            where = oracle.place(experiment, made, question.prompt)
            rows = outcome.answers[outcome.answers["attribute"] == question.attribute]
            for answer, says in zip(rows["answer"], rows[column], strict=True):
                tokens = model.encode(" " + answer)
                after = oracle.logits(experiment, [*prompt, *tokens], made, where)[
                    len(prompt) - 1 :
                ]
                assert says == (after.argmax(-1)[:-1].tolist() == tokens)
            likeliest = model.decode(int(after[0].argmax())).strip()
            assert word.answer == rows[column].any()
            assert word.text == likeliest or word.text.startswith(likeliest)
            if not word.answer:
                unedited = oracle.logits(experiment, prompt)[-1].log_softmax(-1)
                assert word.logprob == pytest.approx(
                    float(after[0].log_softmax(-1).max()), abs=NATS
                )
                assert word.baseline == pytest.approx(float(unedited[after[0].argmax()]), abs=NATS)
    assert {word.answer for word in (*outcome.own_before, *outcome.own_after)} <= {True, False}


def test_the_questions_are_cut_around_what_is_edited(tokyo_paris: Experiment) -> None:
    outcome = tokyo_paris.apply(LatentSwap())
    asked = outcome.asked
    assert list(asked["attribute"]) == list(outcome.questions.attributes)
    assert set(asked["edited"]) == {"Tokyo"}
    assert (asked["before"] + asked["edited"] + asked["after"] == asked["prompt"]).all()
    assert asked["own"].tolist() == [word.text for word in outcome.own_after]
    everywhere = tokyo_paris.apply(LatentSwap(options=EditOptions(position="all"))).asked
    assert everywhere["before"].tolist() == everywhere["prompt"].tolist()
    assert set(everywhere["edited"]) == set(everywhere["after"]) == {""}


def test_two_edits_are_compared_answer_by_answer(tokyo_paris: Experiment) -> None:
    pinned, this = tokyo_paris.apply(NO_EDIT), tokyo_paris.apply(LatentSwap())
    table = this.against(pinned)
    assert list(table.columns) == [
        "attribute", "prompt", "city", "answer", "pinned", "logprob", "difference",
    ]  # fmt: skip
    assert table["pinned"].tolist() == pytest.approx(pinned.logprobs.tolist())
    assert table["logprob"].tolist() == pytest.approx(this.logprobs.tolist())
    # Against no edit the difference is the edit's change.
    assert table["difference"].tolist() == pytest.approx(this.answers["change"].tolist(), abs=1e-5)
    other = tokyo_paris.replaced(questions=tokyo_paris.questions[:2]).apply(NO_EDIT)
    with pytest.raises(ValueError, match="same questions"):
        this.against(other)


def test_the_likeliest_tokens(tokyo_paris: Experiment) -> None:
    experiment, edit = tokyo_paris, LatentSwap()
    top = experiment.apply(edit).top_tokens
    assert len(top) == 4 * 2 * 5
    for state, made in (("before", NO_EDIT), ("after", edit)):
        question = experiment.questions[1]
        tokens = experiment.model.prompt_tokens(question.prompt)
        where = oracle.place(experiment, made, question.prompt)
        expected = oracle.logits(experiment, tokens, made, where)[-1].log_softmax(-1).topk(5)
        rows = top[(top["state"] == state) & (top["attribute"] == question.attribute)]
        assert rows["rank"].tolist() == [1, 2, 3, 4, 5]
        assert rows["token"].tolist() == [
            experiment.model.decode(t) for t in expected.indices.tolist()
        ]
        assert rows["logprob"].tolist() == pytest.approx(expected.values.tolist(), abs=NATS)


def test_the_export_holds_the_numbers_and_what_they_came_from(tokyo_paris: Experiment) -> None:
    edit = meta_edits(tokyo_paris)["remove one"]
    outcome = tokyo_paris.apply(edit)
    values = outcome.to_dict()
    assert Edit.from_dict(values["edit"]) == edit
    flat = [one["logprob"] for entry in values["attributes"] for one in entry["answers"]]
    assert flat == pytest.approx(outcome.logprobs.tolist())
    assert values["source"] == {"label": "Tokyo", "latents": list(tokyo_paris.source.latents)}
    for key in ("units", "preset", "model", "hook", "sae", "meta_sae", "version"):
        assert values[key], key


# Continuations.


@pytest.mark.parametrize("position", ["last", "all"])
def test_a_greedy_continuation_is_the_oracles_token_by_token(
    tokyo_paris: Experiment, position: Any
) -> None:
    experiment, edit = tokyo_paris, LatentSwap(options=EditOptions(position=position))
    prompt = "Tokyo is a city in the country of"
    model = experiment.model
    tokens = model.prompt_tokens(prompt)
    where = oracle.place(experiment, edit, prompt)
    for _ in range(6):
        tokens.append(int(oracle.logits(experiment, tokens, edit, where)[-1].argmax()))
    expected = model.tokenizer.decode(tokens[-6:], skip_special_tokens=True)
    assert experiment.continuation(edit, prompt, 6) == expected
    assert experiment.continuation(None, prompt, 6) == model.generate(prompt, 6)
    assert experiment.continuation(edit, prompt, 6) != experiment.continuation(None, prompt, 6)


def test_a_continuation_without_an_edit_needs_no_name(tokyo_paris: Experiment) -> None:
    assert tokyo_paris.continuation(None, "Once upon a time", 2)
    assert tokyo_paris.continuation(NO_EDIT, "Once upon a time", 2)
    with pytest.raises(UserError) as raised:
        tokyo_paris.continuation(LatentSwap(), "Once upon a time", 2)
    assert "does not mention Tokyo" in one_sentence(raised)


# Bad input.


def asked(lab: Lab, prompt: str, *texts: str) -> Experiment:
    questions = [Question("custom", prompt, answers(*texts))]
    return lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"), questions)


@pytest.mark.parametrize(
    ("prompt", "texts", "said"),
    [
        ("", ("Japan",), "The prompt is empty"),
        ("Kyoto is a city in", ("Japan",), "does not mention Tokyo"),
        ("Tokyo is in", (), "has no answers"),
        ("Tokyo is in", ("",), "tokenises to nothing"),
        ("Tokyo is in", ("Japan", "  "), "tokenises to nothing"),
    ],
)
def test_a_question_that_cant_be_asked(
    lab: Lab, prompt: str, texts: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UserError) as raised:
        asked(lab, prompt, *texts).apply(NO_EDIT)
    assert said in one_sentence(raised)


def test_a_meta_latent_of_neither(tokyo_paris: Experiment) -> None:
    mine = {piece.meta for piece in tokyo_paris.pieces}
    other = next(meta for meta in range(1000) if meta not in mine)
    with pytest.raises(UserError) as raised:
        tokyo_paris.apply(MetaLatentEdit(((other, 0.0),)))
    assert f"Meta-latent {other} is active on neither" in one_sentence(raised)


def with_bias(experiment: Experiment, bias: float) -> Experiment:
    """The same with a meta-SAE whose every bias is this."""
    meta = experiment.decomposition.meta
    other = replace(meta, b_dec=torch.full_like(meta.b_dec, bias))
    return Experiment(
        experiment.model,
        Decomposition(experiment.decomposition.sae, other),
        experiment.source,
        experiment.target,
        experiment.questions,
        experiment.median_norm,
        experiment.provenance,
    )


def nothing_kept(experiment: Experiment) -> MetaLatentEdit:
    """The edit that removes every meta-latent the source has."""
    return MetaLatentEdit(tuple((p.meta, 0.0) for p in experiment.pieces if p.side != "target"))


def test_nothing_left_of_the_direction(tokyo_paris: Experiment) -> None:
    experiment = with_bias(tokyo_paris, 0.0)
    edit = nothing_kept(experiment)
    assert edit.strengths
    with pytest.raises(UserError, match="Nothing is left of latent") as raised:
        experiment.apply(edit)
    one_sentence(raised)


def test_a_bias_alone_is_left_of_the_direction(tokyo_paris: Experiment) -> None:
    experiment = with_bias(tokyo_paris, 0.01)
    edit = nothing_kept(experiment)
    assert edit.strengths
    check(experiment, edit)


# The same on the small lab, in no time.


@pytest.fixture(scope="module")
def small(small_lab: Lab) -> Experiment:
    """Two cities of the small lab, two latents each: their own and one of another city."""
    tokyo, paris, cairo, lyon = (
        small_lab.records[name].chosen[0].latent for name in ("Tokyo", "Paris", "Cairo", "Lyon")
    )
    source = small_lab.subject("Tokyo", [tokyo, cairo])
    return small_lab.experiment(source, small_lab.subject("Paris", [paris, lyon]))


def test_every_edit_of_the_small_lab_is_that_of_full_passes(small: Experiment) -> None:
    torch.testing.assert_close(check(small, NO_EDIT).logprobs, small.baseline, rtol=0, atol=0)
    for options in (EditOptions(), EditOptions(position="all")):
        for keep_error in (True, False):
            swap = LatentSwap(options=replace(options, keep_error=keep_error))
            check(small, swap)
            changed(small, swap)
    for edit in meta_edits(small).values():
        check(small, edit)
        changed(small, edit, 1e-3)


def test_changes_of_directions_are_scored_as_the_edits_are(small: Experiment) -> None:
    for options in (EditOptions(keep_error=False), EditOptions(keep_error=False, position="all")):
        edit = MetaLatentEdit(((own(small, "source")[0].meta, 0.0),), options=options)
        change = small.compiled(edit).from_source
        scores = small.prepared(options).logprobs(torch.stack([change, 0 * change]), True)
        for row, one in zip(scores, (edit, MetaLatentEdit(options=options)), strict=True):
            torch.testing.assert_close(row, small.apply(one).logprobs, rtol=0, atol=NATS)


def test_how_latents_fire_on_a_residual_by_hand(small: Experiment) -> None:
    sae = small.decomposition.sae
    resid = torch.randn(5, sae.d_in, generator=torch.Generator().manual_seed(0)) * 3
    firing, acts = small.firing(resid), sae.encode(resid)
    assert torch.equal(firing.source, acts[:, list(small.source.latents)])
    assert torch.equal(firing.swapped, acts[:, list(small.space.swapped.latents)])
    torch.testing.assert_close(firing.error, resid - acts @ sae.W_dec - sae.b_dec)
    assert firing.error.abs().max() > 0.1


def test_massive_activations_of_the_small_lab_are_left_alone(small: Experiment) -> None:
    prompt = small.questions[0].prompt
    tokens = small.model.prompt_tokens(prompt)
    norms = small.model.residual(torch.tensor([tokens]))[0, 1:].norm(dim=1)
    strict = Experiment(
        small.model, small.decomposition, small.source, small.target, small.questions,
        1.001 * float(norms.median()) / 4, small.provenance,
    )  # fmt: skip
    edit = LatentSwap(options=EditOptions(position="all"))
    check(strict, edit)
    assert (strict.apply(edit).logprobs - small.apply(edit).logprobs).abs().max() > 0.01
    # In what is written as well.
    for experiment in (strict, small):
        written = list(tokens)
        for _ in range(4):
            written.append(int(oracle.logits(experiment, written, edit)[-1].argmax()))
        expected = small.model.tokenizer.decode(written[-4:], skip_special_tokens=True)
        assert experiment.continuation(edit, prompt, 4) == expected


def test_what_the_small_lab_writes_is_the_oracles_token_by_token(small: Experiment) -> None:
    prompt, model = "Tokyo is a city in the country of", small.model
    edit = LatentSwap()
    where = oracle.place(small, edit, prompt)
    tokens = model.prompt_tokens(prompt)
    for _ in range(4):
        tokens.append(int(oracle.logits(small, tokens, edit, where)[-1].argmax()))
    expected = model.tokenizer.decode(tokens[-4:], skip_special_tokens=True)
    assert small.continuation(edit, prompt, 4) == expected
    unedited = model.generate(prompt, 4)
    assert small.continuation(None, prompt, 4) == small.continuation(NO_EDIT, prompt, 4) == unedited
    assert unedited != expected
    # By seed, above a temperature of 0.
    warm = [small.continuation(edit, prompt, 8, 5.0, seed) for seed in (0, 0, 1)]
    assert warm[0] == warm[1] != warm[2]


def test_latents_by_number_act_where_they_are_most_active(small_lab: Lab) -> None:
    tokyo = small_lab.subject("Tokyo")
    source = small_lab.subject(f"#{tokyo.latents[0]}")
    questions = [
        Question("custom", "In Paris and Tokyo the people speak", answers("French", "Japanese")),
        Question("custom 2", "Tokyo is a city", answers("in", "of the world")),
    ]
    experiment = small_lab.experiment(source, small_lab.subject("Paris"), questions)
    places = []
    for prompt in (one.prompt for one in questions):
        tokens = small_lab.model.prompt_tokens(prompt)
        acts = small_lab.decomposition.sae.encode(
            small_lab.model.residual(torch.tensor([tokens]))[0]
        )[:, tokyo.latents[0]]
        assert experiment.edit_position(prompt) == 1 + int(acts[1:].argmax())
        places.append(experiment.edit_position(prompt))
    assert len(set(places)) == 2
    check(experiment, LatentSwap())
    changed(experiment, LatentSwap())


def test_the_likeliest_next_tokens_are_those_of_full_passes(small: Experiment) -> None:
    edit = LatentSwap(options=EditOptions(position="all"))
    outcome = small.apply(edit)
    for state, tops in ((NO_EDIT, outcome.top_before), (edit, outcome.top_after)):
        for question, top in zip(small.questions, tops, strict=True):
            tokens = small.model.prompt_tokens(question.prompt)
            logprobs = oracle.logits(small, tokens, state)[-1].log_softmax(-1)
            best = logprobs.topk(5)
            assert [token for token, _ in top] == [
                small.model.decode(token) for token in best.indices.tolist()
            ]
            assert [value for _, value in top] == pytest.approx(best.values.tolist(), abs=NATS)


def test_parts_of_an_experiment_are_replaced(small: Experiment) -> None:
    other = small.replaced(questions=small.questions[:1])
    assert len(other.questions) == 1 and other.source is small.source
    torch.testing.assert_close(other.baseline, small.baseline[small.questions.slices[0]])
    turned = small.replaced(source=small.target, target=small.source)
    assert (turned.source, turned.target) == (small.target, small.source)
    assert turned.questions == small.questions and turned.median_norm == small.median_norm
    changed_weights = with_bias(small, 0.01).decomposition
    assert small.replaced(changed_weights).decomposition is changed_weights
    assert small.replaced().decomposition is small.decomposition


def test_what_the_small_lab_refuses(small: Experiment, small_lab: Lab) -> None:
    far = replace(small.source, latents=(small_lab.n_latents,), activations=(1.0,))
    swapped = replace(small.source, active=((small_lab.n_latents, 1.0),))
    for subject in (far, swapped):
        with pytest.raises(UserError):
            small.replaced(source=subject)
        with pytest.raises(UserError):
            small.replaced(target=subject)
    with pytest.raises(UserError, match="does not mention Tokyo"):
        small.continuation(LatentSwap(), "Once upon a time", 2)
    empty = with_bias(small, 0.0)
    with pytest.raises(UserError, match="Nothing is left of latent"):
        empty.apply(nothing_kept(empty))
    biased = with_bias(small, 0.01)
    check(biased, nothing_kept(biased))
