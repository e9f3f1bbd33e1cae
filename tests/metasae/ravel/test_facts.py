"""Which facts are right is what whole passes say, and only those remain."""

from pathlib import Path

import pytest
import torch

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import silent
from metasae.ravel.data import NAME, TRAIN, Entity, RavelData, Template
from metasae.ravel.facts import Known, Size, right, survey
from metasae.studies.parts import Parts
from tests.builders import never, one_sentence
from tests.oracle import answer_logprobs
from tests.ravel_data import HELD_OUT, small_data

TEMPLATE = Template("country", "The city of %s is in the country of", TRAIN)
ANSWERS = ("Egypt", "France", "Japan", "South Africa", "South Korea", "the United States")


def entity(name: str, country: str) -> Entity:
    return Entity(name, {"country": (country,)}, TRAIN)


@pytest.mark.parametrize("names", [("Tokyo", "Cairo", "Lima"), ("Lyon",)])
def test_both_rules_are_those_of_whole_passes(small_lab: Lab, names: tuple[str, ...]) -> None:
    model = small_lab.model
    for country in ANSWERS:
        asked = right(model, TEMPLATE, [entity(name, country) for name in names], ANSWERS)
        for row in asked.to_dict("records"):
            prompt = TEMPLATE.prompt(row["name"])
            nats = answer_logprobs(model, prompt, ANSWERS)
            assert row["choice"] == (ANSWERS[int(nats.argmax())] == country)
            tokens = [*model.prompt_tokens(prompt), *model.encode(f" {country}")]
            begin = len(model.prompt_tokens(prompt))
            with torch.inference_mode():
                tops = model.hf(torch.tensor([tokens])).logits[0, begin - 1 : -1].argmax(-1)
            assert row["greedy"] == (tops.tolist() == tokens[begin:])


def test_a_template_that_cannot_be_kept_is_not_read_to_the_end(small_lab: Lab) -> None:
    wrong = [entity("Tokyo", "Egypt"), entity("Lyon", "Egypt")]
    assert not right(small_lab.model, TEMPLATE, wrong, ANSWERS, least=0.5)["choice"].any()


def test_what_the_model_knows_remains(known: Known) -> None:
    assert {one.name for one in known.entities(held_out=True)} == set(HELD_OUT)
    assert known.data.attributes == ("country", "language", "continent", "currency")
    (cairo,) = (one for one in known.data.entities if one.name == "Cairo")
    templates = known.templates(cairo)
    assert [one.attribute for one in templates] == list(known.data.attributes)
    assert all(one.held_out for one in templates)
    names = known.counts["names"]
    assert isinstance(names, dict) and names["kept_held_out"] == len(HELD_OUT)
    assert known.counts["facts_asked"] == known.counts["right_by_both"] == 32


def unknown(data: RavelData) -> RavelData:
    """The data with an attribute that nobody could know, and a name with a wrong fact."""
    entities = tuple(
        Entity(
            one.name,
            {**one.values, "mayor": ("Nobody",)}
            | ({"country": ("Peru",)} if one.name == "Kyoto" else {}),
            one.split,
        )
        for one in data.entities
    )
    more = tuple(Template("mayor", f"The mayor of {NAME} is", split) for split in ("train", "val"))
    return RavelData(data.name, entities, (*data.templates, *more))


def test_what_the_model_does_not_know_is_left_out(small_lab: Lab) -> None:
    known = survey(small_lab.model, unknown(small_data()), Size(), Parts(), silent)
    assert "mayor" not in known.data.attributes
    assert len(known.left_out) == 1 and known.left_out[0].startswith("mayor is left out: ")
    assert "Kyoto" not in {one.name for one in known.data.entities}
    by_attribute = known.counts["by_attribute"]
    assert isinstance(by_attribute, dict)
    assert by_attribute["language"]["asked"] == by_attribute["country"]["asked"] - 1  # Kyoto


def test_so_many_names_are_kept_of_each_split(small_lab: Lab) -> None:
    size = Size(names=2, held_out=1)
    known = survey(small_lab.model, small_data(), size, Parts(), silent)
    assert [len(known.entities(held_out)) for held_out in (False, True)] == [2, 1]


def test_a_survey_goes_on_where_it_stopped(
    small_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = survey(small_lab.model, small_data(), Size(), Parts(tmp_path), silent)
    monkeypatch.setattr("metasae.ravel.facts.right", never("it is kept"))
    again = survey(small_lab.model, small_data(), Size(), Parts(tmp_path), silent)
    assert again.counts == first.counts


def test_nothing_left_is_said_in_a_sentence(small_lab: Lab) -> None:
    data = small_data()
    wrong = tuple(
        Entity(one.name, {name: ("Peru",) for name in one.values}, one.split)
        for one in data.entities
    )
    with pytest.raises(UserError) as raised:
        survey(small_lab.model, RavelData("wrong", wrong, data.templates), Size(), Parts(), silent)
    assert "wrong" in one_sentence(raised)
