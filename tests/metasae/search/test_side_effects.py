"""What an edit changes elsewhere, against full passes."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metasae.lab.city_records import CityRecord
from metasae.lab.lab import Lab
from metasae.lm.names import name_position
from metasae.saes.decomposition import Decomposition
from metasae.search import side_effects as probing
from metasae.search.side_effects import (
    WITH_CITY,
    WITHOUT_CITY,
    OtherCities,
    SideEffectProbe,
    SideEffects,
    kl,
)
from metasae.steering.edits import (
    NO_EDIT,
    Edit,
    EditOptions,
    LatentSwap,
    MetaLatentEdit,
    edit_of_kind,
)
from metasae.steering.experiment import Experiment
from metasae.steering.questions import Subject
from metasae.text.prompts import CITY, NAME_CONTEXTS, QUESTIONS, fill
from tests import oracle
from tests.oracle import logits


def test_kl_by_hand() -> None:
    before = torch.tensor([[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]).log()
    after = torch.tensor([[0.25, 0.75], [0.5, 0.5], [0.5, 0.5]]).log().clamp(min=-50)
    by_hand = [0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75), 0.0, math.log(2)]
    assert kl(before.clamp(min=-50), after).tolist() == pytest.approx(by_hand, abs=1e-6)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=2, max_size=6))
def test_kl_is_no_distance_but_never_negative(logits: list[tuple[float, float]]) -> None:
    before, after = torch.tensor(logits).T
    found = kl(before[None], after[None])
    p, q = before.double().softmax(0), after.double().softmax(0)
    expected = float((p * (p / q).log()).sum())
    assert found.item() == pytest.approx(expected, abs=1e-5) and found.item() >= 0
    # What every logit gains alike changes nothing.
    assert kl(before[None], before[None] + 3).item() == pytest.approx(0, abs=1e-5)


def test_the_neutral_texts() -> None:
    assert len(WITH_CITY) == len(set(WITH_CITY)) >= 12
    assert len(WITHOUT_CITY) == len(set(WITHOUT_CITY)) >= 12
    for sentence in WITH_CITY:
        assert sentence.count(CITY) == 1
        assert len(sentence.split(CITY)[1].split()) >= 4  # something to predict after it
    assert not any(CITY in sentence for sentence in WITHOUT_CITY)
    assert not set(WITH_CITY) & {*NAME_CONTEXTS, *QUESTIONS.values()}


def slow_divergence(
    experiment: Experiment, sentences: list[str], edit: Edit, where: Callable[[str], oracle.Where]
) -> tuple[float, float]:
    """Mean and largest KL over the positions from the first changed one on, by full passes."""
    values: list[float] = []
    for sentence in sentences:
        tokens = experiment.model.prompt_tokens(sentence)
        before = logits(experiment, tokens)[1:].double().log_softmax(-1)
        after = logits(experiment, tokens, edit, where(sentence))[1:].double().log_softmax(-1)
        each = (before.exp() * (before - after)).sum(-1)
        changed = (each.abs() > 1e-9).nonzero()
        values += each[int(changed[0]) if len(changed) else 0 :].tolist()
    return float(np.mean(values)), max(values)


def close(found: probing.Divergence, expected: tuple[float, float]) -> None:
    assert (found.mean, found.largest) == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.long
def test_divergence_on_the_citys_name_is_that_of_full_passes(
    tokyo_paris: Experiment, lab: Lab
) -> None:
    experiment = tokyo_paris
    edit = LatentSwap()
    sentences = [fill(sentence, "Tokyo") for sentence in WITH_CITY]
    one = SideEffectProbe(lab, experiment).side_effects(edit)
    expected = slow_divergence(
        experiment,
        sentences,
        edit,
        lambda text: name_position(experiment.model, text, "Tokyo"),
    )
    assert expected[0] > 0.01
    close(one.with_city, expected)
    assert one.with_city.changed == one.with_city.sentences == len(WITH_CITY)
    # On text without the city there is nothing to edit.
    assert one.without_city.largest == one.without_city.changed == 0
    assert one.without_city.positions == sum(
        len(experiment.model.encode(sentence)) for sentence in WITHOUT_CITY
    )


def own_piece_gone(experiment: Experiment, **options: Any) -> Edit:
    piece = next(piece for piece in experiment.pieces if piece.side == "source")
    return edit_of_kind("meta", ((piece.meta, 0.0),), **options)


@pytest.mark.parametrize(
    "options",
    [{}, {"position": "all"}, {"position": "all", "keep_error": False}],
    ids=["last", "all", "all, error dropped"],
)
def test_what_leaks_is_that_of_full_passes(
    leaking: Experiment, small_lab: Lab, options: dict[str, Any]
) -> None:
    edit = own_piece_gone(leaking, **options)
    one = SideEffectProbe(small_lab, leaking).side_effects(edit)
    assert 2 <= one.leak.changed < one.leak.sentences and one.leak.mean > 0
    if edit.options.position == "all" and edit.options.keep_error:
        assert one.without_city == one.leak  # it acts where the latent fires anyway
        return
    close(one.leak, slow_divergence(leaking, list(WITHOUT_CITY), edit, lambda _: "fires"))
    if edit.options.position == "last":
        assert one.without_city.largest == 0
    else:
        close(one.without_city, slow_divergence(leaking, list(WITHOUT_CITY), edit, lambda _: "all"))
        assert one.without_city.mean > one.leak.mean
        assert one.without_city.changed == one.without_city.sentences


@pytest.mark.parametrize("position", ["last", "all"])
def test_an_edit_in_every_latent_is_measured_wherever_one_fires(
    leaking: Experiment, small_lab: Lab, position: Literal["last", "all"]
) -> None:
    everywhere = EditOptions("everywhere", keep_residual=True, position=position)
    weaker = tuple((one.meta, 0.5) for one in leaking.pieces if one.side != "target")
    edit = MetaLatentEdit(weaker, options=everywhere)
    one = SideEffectProbe(small_lab, leaking).side_effects(edit)
    sentences = list(WITHOUT_CITY)
    close(one.leak, slow_divergence(leaking, sentences, edit, lambda _: "all"))
    if position == "all":
        assert one.without_city == one.leak
    else:
        assert one.without_city.touched == one.without_city.changed == 0
    # More than the source's latents fire, and each place counts.
    compiled = leaking.compiled(edit).everywhere
    assert compiled is not None and len(compiled.latents) > 1
    model, places = leaking.model, []
    for sentence in sentences:
        resid = model.residual(torch.tensor([model.prompt_tokens(sentence)]))[0, 1:]
        massive = resid.norm(dim=1) > 4 * leaking.median_norm
        places += (compiled.change(resid).any(1) & ~massive).tolist()
    assert one.leak.touched == pytest.approx(np.mean(places)) and 0 < one.leak.touched < 1
    # Other latents fire where the source's don't.
    narrow = SideEffectProbe(small_lab, leaking).side_effects(own_piece_gone(leaking))
    assert one.leak.touched > narrow.leak.touched


def test_other_cities_under_an_edit_in_every_latent_lose_what_full_passes_lose(
    small_lab: Lab,
) -> None:
    paris = small_lab.experiment(small_lab.subject("Paris"), small_lab.subject("Cairo"))
    everywhere = EditOptions("everywhere", position="all")
    gone = tuple((one.meta, -2.0) for one in paris.pieces if one.side != "target")
    edit = MetaLatentEdit(gone, options=everywhere)
    found = SideEffectProbe(small_lab, paris).side_effects(edit)
    alone = SideEffectProbe(small_lab, paris).side_effects(MetaLatentEdit(gone))
    assert len(found.others) > len(alone.others)  # cities that share a meta-latent, no latent
    assert found.held < found.facts
    for city in found.others:
        expected = slow_facts(paris, small_lab, city.name, edit, "all")
        assert (city.known, city.lost) == expected and city.fired


def test_no_edit_has_no_side_effects(experiment: Experiment, small_lab: Lab) -> None:
    one = SideEffectProbe(small_lab, experiment).side_effects(NO_EDIT)
    for part in (one.with_city, one.without_city, one.leak):
        assert (part.mean, part.largest, part.changed) == (0, 0, 0)
    assert one.held == one.facts
    assert json.loads(json.dumps(one.to_dict()))["with_city"]["mean"] == 0


def quiet_city(lab: Lab) -> CityRecord:
    """A city all of whose facts the model knows, with another country than the others here."""
    used = ("Japan", "France", "Egypt")
    known = (r for r in lab.records.values() if all(r.known.values()) and r.country not in used)
    return next(known)


@pytest.fixture(scope="module")
def sharing(lab: Lab) -> Lab:
    """The records say that a quiet city has Tokyo's first latent, and that Tokyo is well known."""
    tokyo, quiet = lab.records["Tokyo"], quiet_city(lab)
    planted = replace(tokyo.chosen[0], activation=999.0)
    records = {
        "Tokyo": replace(tokyo, known=dict.fromkeys(QUESTIONS, True)),
        quiet.name: replace(quiet, latents=(planted,)),
    }
    return replace(lab, records=lab.records | records)


@pytest.fixture(scope="module")
def borrowed(lab: Lab) -> Experiment:
    """Paris edited towards Cairo by Tokyo's latents: Tokyo has everything to lose."""
    latents = tuple(one.latent for one in lab.records["Tokyo"].chosen)
    return lab.experiment(lab.subject("Paris", latents), lab.subject("Cairo"))


def slow_logprob(
    experiment: Experiment, prompt: str, answer: str, edit: Edit, where: oracle.Where
) -> float:
    tokens, rest = experiment.model.prompt_tokens(prompt), experiment.model.encode(" " + answer)
    after = logits(experiment, [*tokens, *rest[:-1]], edit, where)
    found = after[len(tokens) - 1 :].log_softmax(-1)
    return float(found[torch.arange(len(rest)), torch.tensor(rest)].sum())


def slow_facts(
    experiment: Experiment, lab: Lab, name: str, edit: Edit, where: oracle.Where = "fires"
) -> tuple[int, tuple[str, ...]]:
    """How many facts of a city the unedited model knows, and which it loses, by full passes."""
    known, lost = 0, []
    for question in lab.questions(Subject(name, name, (), ()), experiment.target, "Paris"):
        whose = [answer.cities[0] for answer in question.answers]
        assert whose[0] == name and set(whose[1:]) <= {"Cairo", "Paris"}
        was, now = (
            [
                slow_logprob(experiment, question.prompt, answer.text, one, where)
                for answer in question.answers
            ]
            for one in (NO_EDIT, edit)
        )
        if len(whose) > 1 and max(was) == was[0]:
            known += 1
            lost += [question.attribute] * (max(now) != now[0])
    return known, tuple(lost)


@pytest.mark.long
def test_facts_of_cities_that_share_latents_are_those_of_full_passes(
    borrowed: Experiment, lab: Lab, sharing: Lab
) -> None:
    edit, quiet = LatentSwap(), quiet_city(lab).name
    surroundings = SideEffectProbe(sharing, borrowed)
    found = surroundings.side_effects(edit)
    silent, tokyo = found.others[:2]  # the most active first
    assert (silent.name, silent.activation, silent.fired) == (quiet, 999.0, False)
    assert (silent.known, silent.lost) == slow_facts(borrowed, lab, quiet, edit)
    assert silent.known and not silent.lost  # no latent fires there, so nothing is edited
    chosen = lab.records["Tokyo"].chosen
    assert (tokyo.name, tokyo.fired) == ("Tokyo", True)
    assert tokyo.activation == pytest.approx(sum(one.activation for one in chosen))
    assert (tokyo.known, tokyo.lost) == slow_facts(borrowed, lab, "Tokyo", edit)
    assert tokyo.known == len(QUESTIONS) and tokyo.lost
    assert found.facts == sum(city.known for city in found.others)
    assert found.held == found.facts - sum(len(city.lost) for city in found.others)
    unedited = surroundings.side_effects(NO_EDIT)
    assert unedited.held == unedited.facts == found.facts


def test_running_only_the_changed_rows_is_running_all(borrowed: Experiment, sharing: Lab) -> None:
    text = SideEffectProbe(sharing, borrowed)._with_city
    compiled = borrowed.compiled(LatentSwap())
    where = text.usable.clone()
    where[::3] = False
    changed, found = text.edited(compiled, where)
    assert 0 < int(changed.any(1).sum()) < len(changed) and not changed[0].any()
    resid = text.prefilled.resid
    change = compiled.change(text.firing).view(resid.shape) * where[..., None]
    expected = text.prefilled.finish(resid + change)
    real = text.prefilled.real
    torch.testing.assert_close(found[real], expected[real], rtol=1e-4, atol=1e-3)


def test_a_source_nobody_shares_latents_with_has_no_others(small_lab: Lab) -> None:
    held = {one.latent for record in small_lab.records.values() for one in record.latents}
    free = next(latent for latent in range(small_lab.n_latents) if latent not in held)
    lab = replace(small_lab, words=small_lab.words | {free: ("Tokyo",)})
    alone = lab.experiment(lab.subject(f"#{free}"), lab.subject("Paris"))
    one = SideEffectProbe(lab, alone).side_effects(LatentSwap())
    assert isinstance(one, SideEffects) and one.others == () and one.facts == 0


# The same on the small lab, in no time.


@pytest.mark.parametrize("position", ["last", "all"])
def test_divergence_about_the_city_is_that_of_full_passes(small_lab: Lab, position: str) -> None:
    tokyo = small_lab.experiment(small_lab.subject("Tokyo"), small_lab.subject("Paris"))
    edit = edit_of_kind("swap", position=position)
    one = SideEffectProbe(small_lab, tokyo).side_effects(edit)
    sentences = [fill(sentence, "Tokyo") for sentence in WITH_CITY]

    def where(text: str) -> oracle.Where:
        return "all" if position == "all" else name_position(tokyo.model, text, "Tokyo")

    expected = slow_divergence(tokyo, sentences, edit, where)
    assert expected[0] > 0.01
    close(one.with_city, expected)
    assert one.with_city.changed == one.with_city.sentences == len(WITH_CITY)
    first = [where(text) if position == "last" else 1 for text in sentences]
    assert one.with_city.positions == sum(
        len(tokyo.model.prompt_tokens(text)) - int(place)
        for text, place in zip(sentences, first, strict=True)
    )
    if position == "last":
        assert one.without_city.largest == one.without_city.changed == 0
        assert one.without_city.positions == sum(
            len(tokyo.model.encode(sentence)) for sentence in WITHOUT_CITY
        )


def test_what_other_cities_of_the_small_lab_lose_is_what_full_passes_lose(small_lab: Lab) -> None:
    tokyo = small_lab.records["Tokyo"].chosen[0]
    borrowed = small_lab.experiment(
        small_lab.subject("Paris", [tokyo.latent]), small_lab.subject("Cairo")
    )
    # Its latent stands in two other records, too: as by far the strongest, and at nothing.
    planted = {
        "Lyon": replace(small_lab.records["Lyon"], latents=(replace(tokyo, activation=999.0),)),
        "Osaka": replace(small_lab.records["Osaka"], latents=(replace(tokyo, activation=0.0),)),
        "Tokyo": replace(
            small_lab.records["Tokyo"],
            known=small_lab.records["Tokyo"].known | {"language": False},
        ),
    }
    others = {
        name: replace(record, latents=())
        for name, record in small_lab.records.items()
        if name not in planted
    }
    lab = replace(small_lab, records=small_lab.records | others | planted)
    probe = SideEffectProbe(lab, borrowed)
    found = probe.side_effects(LatentSwap())
    assert [one.name for one in found.others] == ["Lyon", "Tokyo"]
    first, losing = found.others
    assert (first.activation, losing.activation) == (999.0, tokyo.activation)
    assert first.fired and losing.fired
    assert (first.known, first.lost) == slow_facts(borrowed, lab, "Lyon", LatentSwap())
    known, lost = slow_facts(borrowed, lab, "Tokyo", LatentSwap())
    # What its record says is not known is not asked.
    assert losing.lost == tuple(one for one in lost if one != "language") != ()
    assert losing.known == known - 1
    assert found.facts == first.known + known - 1
    assert found.held == found.facts - len(first.lost) - len(losing.lost)
    unedited = probe.side_effects(NO_EDIT)
    assert unedited.held == unedited.facts == found.facts
    assert unedited.others[1].fired and found.to_dict()["held"] == found.held
    # Where its threshold is out of reach it fires nowhere, and nothing is lost.
    sae = small_lab.decomposition.sae
    assert sae.threshold is not None
    above = replace(sae, threshold=sae.threshold + 1e6)
    silent = borrowed.replaced(Decomposition(above, small_lab.decomposition.meta))
    still = SideEffectProbe(lab, silent).side_effects(LatentSwap())
    assert [(one.known, one.fired, one.lost) for one in still.others] == [
        (first.known, False, ()), (losing.known, False, ()),
    ]  # fmt: skip


def test_latents_by_number_have_a_bystander_of_their_own(small_lab: Lab) -> None:
    latent = small_lab.records["Tokyo"].chosen[0].latent
    by_number = small_lab.experiment(small_lab.subject(f"#{latent}"), small_lab.subject("Paris"))
    facts = OtherCities(small_lab, by_number, by_number.source.latents).facts
    mine = [question for name, question in facts if name == "Tokyo"]
    assert [question.attribute for question in mine] == list(QUESTIONS)
    for question in mine:
        assert question.answers[0].cities[0] == "Tokyo"
        assert {city for answer in question.answers for city in answer.cities} == {
            "Tokyo", "Paris", "Cairo",
        }  # fmt: skip


def test_the_eight_most_active_others_are_looked_at(small_lab: Lab) -> None:
    tokyo = small_lab.records["Tokyo"]
    # Two of a city's latents are the source's; of equally active ones the first by name.
    strength = dict(zip("abcdefghijk", (1, 9, 3, 3, 8, 7, 6, 5, 4, 3, 3), strict=True))
    records = {
        name: replace(
            tokyo, name=name,
            latents=tuple(replace(tokyo.chosen[0], activation=one / 2) for _ in range(2)),
        )
        for name, one in (strength | {"Tokyo": 99}).items()
    }  # fmt: skip
    lab = replace(small_lab, records=records)
    experiment = small_lab.experiment(small_lab.subject("Tokyo"), small_lab.subject("Paris"))
    sharing = OtherCities(lab, experiment, experiment.source.latents).sharing
    assert list(sharing.items()) == [
        ("b", 9), ("e", 8), ("f", 7), ("g", 6), ("h", 5), ("i", 4), ("c", 3), ("d", 3),
    ]  # fmt: skip


def test_what_is_massive_in_the_text_is_left_alone(small_lab: Lab) -> None:
    tokyo = small_lab.experiment(small_lab.subject("Tokyo"), small_lab.subject("Paris"))
    probe = SideEffectProbe(small_lab, tokyo)
    norms = probe._with_city.prefilled.resid.norm(dim=-1)
    real = probe._with_city.prefilled.real
    assert torch.equal(probe._with_city.usable, real & (norms <= 4 * tokyo.median_norm))
    strict = Experiment(
        tokyo.model, tokyo.decomposition, tokyo.source, tokyo.target, tokyo.questions,
        1.001 * float(norms[real].median()) / 4, tokyo.provenance,
    )  # fmt: skip
    some = SideEffectProbe(small_lab, strict)
    assert 0 < int(some._with_city.usable.sum()) < int(real.sum())
    edit = edit_of_kind("swap", position="all")
    sentences = [fill(sentence, "Tokyo") for sentence in WITH_CITY]
    close(
        some.side_effects(edit).with_city,
        slow_divergence(strict, sentences, edit, lambda _: "all"),
    )
    # On the name alone, where it is massive and where it is not.
    at = [name_position(tokyo.model, text, "Tokyo") - 1 for text in sentences]
    named = norms[torch.arange(len(at)), at]
    for limit, edited in ((0.99 * float(named.min()), 0), (1.01 * float(named.max()), len(at))):
        strict = Experiment(
            tokyo.model, tokyo.decomposition, tokyo.source, tokyo.target, tokyo.questions,
            limit / 4, tokyo.provenance,
        )  # fmt: skip
        assert int(SideEffectProbe(small_lab, strict)._on_name.sum()) == edited
