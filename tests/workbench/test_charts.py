"""Charts and tables as functions of an outcome."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.sources import cache
from metasae.sources.presets import EMBEDDED, Opened
from metasae.steering.edits import NO_EDIT, Edit, EditOptions, LatentSwap, MetaLatentEdit
from metasae.steering.outcome import Outcome
from metasae.text.prompts import WORDINGS
from tests.builders import one_sentence
from workbench.charts import answers
from workbench.charts.answers import LOWEST, answers_spec, whose
from workbench.charts.ink import DARK, LIGHT, Ink
from workbench.state import Setting, View
from workbench.steer.tables import answers_table, csv_file, json_file, tokens_table, view_from_json

ANSWERS = pd.DataFrame(
    [
        ("country", "p", "Tokyo", "Japan", -0.1, -5.0, -4.9, True, False),
        ("country", "p", "Paris, Rome", "France", -9.0, -0.2, 8.8, False, True),
        ("country", "p", "Cairo", "Egypt", -7.0, -20.0, -13.0, False, False),
        ("custom", "q", "", "*x*", -1.0, -1.0, 0.0, True, True),
    ],
    columns=[
        "attribute",
        "prompt",
        "city",
        "answer",
        "baseline",
        "logprob",
        "change",
        "best_before",
        "best_after",
    ],
)


def outcome(lab: Lab, edit: Edit = NO_EDIT) -> Outcome:
    return lab.experiment(lab.subject("Tokyo"), lab.subject("Paris")).apply(edit)


def rows(spec: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(spec["data"]["values"])


def test_the_chart_has_a_line_for_each_heading_and_answer() -> None:
    data = rows(answers_spec(ANSWERS, "Tokyo", "Paris"))
    assert list(data["line"]) == [
        "00h|country",
        "01a|Japan",
        "02p|France",
        "03a|Egypt",
        "04h|yours",
        "05p|*x*",
    ]
    assert list(data["heading"].dropna()) == ["Japan → France", "still *x*"]
    assert list(data["role"]) == ["target", "source", "target", "other", "other", "other"]


def test_what_falls_off_the_scale_is_drawn_at_its_end_and_says_its_number() -> None:
    data = rows(answers_spec(ANSWERS, "Tokyo", "Paris")).set_index("answer")
    assert data.loc["Egypt", "to"] == LOWEST
    assert data.loc["Egypt", "shape"] == "below the scale"
    assert data.loc["Egypt", "number"] == "−20.00"
    assert data.loc["France", "shape"] == "model's pick"


def test_the_scale_is_the_same_for_every_edit(small_default: Lab) -> None:
    def domains(edit: Edit) -> set[str]:
        spec = answers_spec(outcome(small_default, edit).answers, "Tokyo", "Paris")
        scales = [layer["encoding"]["x"]["scale"] for layer in spec["layer"]]
        return {json.dumps(scale["domain"]) for scale in scales}

    assert domains(NO_EDIT) == domains(LatentSwap())
    assert len(domains(NO_EDIT)) == 1


@pytest.mark.parametrize("ink", [LIGHT, DARK])
def test_the_fast_way_draws_the_same_chart(small_default: Lab, ink: Ink) -> None:
    for edit in (NO_EDIT, LatentSwap()):
        given = outcome(small_default, edit).answers, "Tokyo", "Paris", ink
        drawn = answers._drawn(answers._rows(*given[:3]), ink)
        assert answers_spec(*given) == drawn.to_dict()


def test_both_themes_give_a_valid_chart(small_default: Lab) -> None:
    for ink in (LIGHT, DARK):
        spec = answers_spec(outcome(small_default, LatentSwap()).answers, "Tokyo", "Paris", ink)
        assert "nats" in json.dumps(spec)


@pytest.mark.parametrize(
    "cities, expected",
    [("Tokyo", "source"), ("Paris, Rome", "target"), ("Tokyo, Paris", "other"), ("", "other")],
)
def test_whose(cities: str, expected: str) -> None:
    assert whose(cities, "Tokyo", "Paris") == expected


@pytest.mark.parametrize(
    "cities, expected",
    [
        ("Washington, D.C.", "source"),
        ("Rome, Washington, D.C.", "source"),
        ("New York", "other"),
        ("York, Rome", "target"),
        ("York, Washington, D.C.", "other"),
    ],
)
def test_a_name_may_have_commas_and_be_part_of_another(cities: str, expected: str) -> None:
    assert whose(cities, "Washington, D.C.", "York") == expected


def test_the_table_says_the_pick_in_words() -> None:
    table = answers_table(ANSWERS)
    assert list(table["Model's pick"]) == ["no longer", "now", "", "still"]
    assert list(table["Attribute"]) == ["Country"] * 3 + ["Your question"]
    assert list(table["Whose"]) == ["Tokyo", "Paris, Rome", "Cairo", "typed"]


def test_tokens_stand_before_and_after_side_by_side(small_default: Lab) -> None:
    odd = [(" the", -0.5), (" a", -1.5), (" $x_1$", -2.5), (" *", -3.5), (" \n", -4.5)]
    made = outcome(small_default)
    tops = [odd for _ in made.questions]
    table = tokens_table(replace(made, top_before=tops, top_after=tops).top_tokens)
    assert list(table.columns) == ["Attribute", "Rank", "Before", "After"]
    assert list(table["Attribute"].unique()) == ["Country", "Language", "Continent", "Currency"]
    assert list(table["Rank"][:5]) == [1, 2, 3, 4, 5]
    assert table["Before"][0] == "␣the  −0.50"
    assert table["After"][4] == "␣⏎  −4.50"


def test_a_file_gives_back_the_view(small_default: Lab) -> None:
    view = View(edit=MetaLatentEdit(((1, 0.0), (33, 0.5))), pinned=LatentSwap())
    text = json_file(outcome(small_default, view.edit), view)
    assert view_from_json(text.encode(), small_default.provenance).view == view


def test_a_file_of_the_command_line_loads_too(small_default: Lab) -> None:
    result = outcome(small_default, LatentSwap())
    view = view_from_json(json.dumps(result.to_dict()).encode(), small_default.provenance).view
    assert view.edit == LatentSwap()
    assert view.setting == Setting(
        source_latents=result.source.latents,
        target_latents=result.target.latents,
    )


HUNDREDFOLD = MetaLatentEdit(((1, 0.0), (33, 0.5)), options=EditOptions(variant="hundredfold"))


@pytest.mark.parametrize("wording", list(WORDINGS))
def test_a_file_opens_in_the_words_it_was_asked_in(small_default: Lab, wording: str) -> None:
    lab = small_default
    source, target = lab.subject("Tokyo"), lab.subject("Paris")
    asked = lab.questions(source, target, templates=WORDINGS[wording])
    facts = lab.experiment(source, target, asked).apply(NO_EDIT).to_dict()
    assert view_from_json(json.dumps(facts).encode(), lab.provenance).view.setting.wording == (
        wording
    )
    # Also one from before wordings could be chosen, which says nothing of it in its view.
    facts |= {"view": View().to_query()}
    del facts["asked_about"]
    assert view_from_json(json.dumps(facts).encode(), lab.provenance).view.setting.wording == (
        wording
    )


def made_in(lab: Lab, preset: str, edit: Edit) -> Outcome:
    """An outcome of another preset, with weights of its own."""
    there = replace(
        lab.provenance, preset=preset, model="another", sae="other", meta_sae="mine@0123"
    )
    return replace(outcome(lab, edit), provenance=there)


@pytest.mark.parametrize("edit", [NO_EDIT, LatentSwap(), HUNDREDFOLD])
@pytest.mark.parametrize("of_the_workbench", [True, False])
def test_a_file_brings_its_preset_back(
    small_default: Lab,
    edit: Edit,
    of_the_workbench: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    (cache.meta_saes(EMBEDDED.name) / "mine").mkdir(parents=True)
    for preset in (Opened("gpt2-small"), Opened(EMBEDDED.name, "mine")):
        result = made_in(small_default, str(preset), edit)
        view = View(Setting(preset=preset), edit)
        text = json.dumps(result.to_dict())
        if of_the_workbench:
            text = json_file(result, view)
        # Whatever is open: the same preset, the built-in one, a third.
        for here in (
            result.provenance,
            small_default.provenance,
            made_in(small_default, "third", edit).provenance,
        ):
            back = view_from_json(text.encode(), here).view
            assert back.setting.preset == preset and back.edit == edit
            assert not of_the_workbench or back == view


def test_a_file_of_the_open_preset_brings_it_back_from_another(small_default: Lab) -> None:
    text = json.dumps(outcome(small_default, HUNDREDFOLD).to_dict())
    here = made_in(small_default, "gpt2-small", NO_EDIT).provenance
    assert view_from_json(text.encode(), here).view.setting.preset == EMBEDDED.opened


@pytest.mark.parametrize(
    ("preset", "text"),
    [
        ("nowhere", 'the preset "nowhere", which isn\'t there'),
        ("/nowhere/x.json", 'the preset "/nowhere/x.json", which isn\'t there'),
        ("~nouser/x.json", 'the preset "~nouser/x.json", which isn\'t there'),
        (f"{EMBEDDED.name}+gone", 'whose meta-SAE "gone" isn\'t there'),
    ],
)
def test_a_file_of_a_preset_that_is_not_there_says_so(
    small_default: Lab, preset: str, text: str
) -> None:
    result = made_in(small_default, preset, NO_EDIT)
    for file in (
        json.dumps(result.to_dict()),
        json_file(result, View(Setting(Opened.from_text(preset)))),
    ):
        with pytest.raises(UserError) as raised:
            view_from_json(file.encode(), small_default.provenance)
        assert text in one_sentence(raised)


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b"3", b'{"view": {}}', b'{"model": 1, "view": 2}']
)
def test_a_file_of_something_else_is_one_sentence(small_default: Lab, content: bytes) -> None:
    with pytest.raises(UserError, match="not one that the workbench wrote"):
        view_from_json(content, small_default.provenance)


@pytest.mark.parametrize("name", ["model", "sae", "meta_sae"])
def test_a_file_of_another_model_is_one_sentence(small_default: Lab, name: str) -> None:
    facts = json.loads(json_file(outcome(small_default), View())) | {name: "another"}
    with pytest.raises(UserError, match=r"was made with the .* another"):
        view_from_json(json.dumps(facts).encode(), small_default.provenance)


def test_the_csv_says_what_it_is_of(small_default: Lab) -> None:
    from io import StringIO

    view = View(edit=LatentSwap())
    table = pd.read_csv(StringIO(csv_file(outcome(small_default, view.edit), view)))
    assert len(table) == 12
    assert set(table["edit"]) == {"swap"}
    assert set(table["units"]) == {"nats"}
    assert set(table["sae"]) == {small_default.provenance.sae}
    assert {"prompt", "answer", "baseline", "logprob", "source", "target"} <= set(table.columns)
