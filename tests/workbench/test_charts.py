"""Charts and tables as functions of an outcome."""

import json
import math
from dataclasses import replace
from io import StringIO
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
from metasae.steering.setting import Setting
from metasae.text.prompts import WORDINGS
from tests.builders import one_sentence
from tests.drawn import text_places
from workbench.charts import answers
from workbench.charts.answers import LOWEST, answers_spec, question_text, whose
from workbench.charts.combinations import leads_chart
from workbench.charts.ink import DARK, LIGHT, Ink
from workbench.state import View
from workbench.steer.results import bystander
from workbench.steer.tables import (
    answers_table,
    csv_file,
    difference_table,
    json_file,
    tokens_table,
    view_from_json,
)

ANSWERS = pd.DataFrame(
    [
        ("country", "p", "Tokyo", "Japan", -0.1, -5.0, -4.9, True, False, True, False),
        ("country", "p", "Paris, Rome", "France", -9.0, -0.2, 8.8, False, True, False, False),
        ("country", "p", "Cairo", "Egypt", -7.0, -20.0, -13.0, False, False, False, False),
        ("custom", "q", "", "*x*", -0.001, -0.002, -0.001, True, True, True, True),
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
        "says_before",
        "says_after",
    ],
)

ASKED = pd.DataFrame(
    [
        ("country", "Tokyo is in", "", "Tokyo", " is in", "Spain", False, -8.0, -0.1),
        ("custom", "q", "q", "", "", "*x*", True, -1.0, -1.0),
    ],
    columns=[
        "attribute",
        "prompt",
        "before",
        "edited",
        "after",
        "own",
        "own_answer",
        "own_baseline",
        "own_logprob",
    ],
)


def outcome(lab: Lab, edit: Edit = NO_EDIT) -> Outcome:
    return lab.experiment(lab.subject("Tokyo"), lab.subject("Paris")).apply(edit)


def rows(spec: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(spec["data"]["values"])


def records(percent: bool = False) -> list[dict[str, Any]]:
    values: list[dict[str, Any]] = answers_spec(ANSWERS, ASKED, "Tokyo", "Paris", percent=percent)[
        "data"
    ]["values"]
    return values


def drawn(percent: bool = False) -> pd.DataFrame:
    return rows(answers_spec(ANSWERS, ASKED, "Tokyo", "Paris", percent=percent))


def test_the_chart_has_a_line_for_each_question_answer_and_word_of_the_models_own() -> None:
    data = drawn()
    assert list(data["line"]) == [
        "000h|[Tokyo] is in ▁▁▁",
        "001a|Japan",
        "002p|France",
        "003a|Egypt",
        "004o|“Spain…”",
        "005h|q ▁▁▁",
        "006q|*x*",
    ]
    assert list(data["role"].dropna()) == ["source", "target", "other", "model", "other"]
    # What the model itself would say has the diamond, whatever leads the candidates.
    shapes = dict(zip(data["answer"], data["shape"], strict=True))
    assert shapes["“Spain…”"] == shapes["*x*"] == "model" and shapes["France"] == "answer"


def test_an_answer_that_the_model_would_say_and_that_does_not_lead_is_marked() -> None:
    says = ANSWERS.assign(says_after=[True, False, False, True])
    asked = ASKED.assign(own=["Japan", "*x*"], own_answer=True)
    data = rows(answers_spec(says, asked, "Tokyo", "Paris"))
    assert list(data["line"])[1:3] == ["001s|Japan", "002p|France"]
    assert not any("o|" in line for line in data["line"])


def test_what_falls_off_the_scale_is_drawn_at_its_end_and_says_its_number() -> None:
    data = drawn().set_index("answer")
    assert data.loc["Egypt", "to"] == LOWEST
    assert data.loc["Egypt", "shape"] == "below the scale"
    assert data.loc["Egypt", "number"] == "−20.00"
    # Nothing is below nothing: in percent it lies on the scale.
    (egypt,) = (one for one in records(percent=True) if one.get("answer") == "Egypt")
    assert egypt["shape"] == "answer" and 0 < egypt["to"] < 1e-6


def test_numbers_are_in_nats_or_percent_and_never_a_negative_nothing() -> None:
    assert list(drawn()["number"].dropna()) == ["−5.00", "−0.20", "−20.00", "−0.10", "0.00"]
    shares = list(drawn(percent=True)["number"].dropna())
    assert shares == ["0.7 %", "82 %", "<0.1 %", "90 %", ">99 %"]
    last = drawn().iloc[-1]
    assert last["change"] == "0.00 nats" and last["is"] == "0.00 nats (>99 %)"
    assert drawn().set_index("answer").loc["France", "change"] == "+8.80 nats"
    france = drawn(percent=True).set_index("answer").loc["France"]
    assert france["to"] == pytest.approx(100 * math.exp(-0.2))


def test_a_long_question_is_shown_by_its_end() -> None:
    text = question_text("word " * 40, "Tokyo", " is in")
    assert len(text) <= 58 and text.startswith("…") and text.endswith("[Tokyo] is in ▁▁▁")
    assert question_text("Here is ", "", "") == "Here is ▁▁▁"


def given(lab: Lab, edit: Edit) -> tuple[pd.DataFrame, pd.DataFrame, str, str]:
    made = outcome(lab, edit)
    return made.answers, made.asked, "Tokyo", "Paris"


def test_the_scale_is_the_same_for_every_edit(small_default: Lab) -> None:
    def domains(edit: Edit, percent: bool) -> set[str]:
        spec = answers_spec(*given(small_default, edit), percent=percent)
        scales = [layer["encoding"]["x"].get("scale") for layer in spec["layer"]]
        return {json.dumps(scale["domain"]) for scale in scales if scale}

    for percent in (False, True):
        assert domains(NO_EDIT, percent) == domains(LatentSwap(), percent)
        assert len(domains(NO_EDIT, percent)) == 1


@pytest.mark.parametrize("percent", [False, True])
@pytest.mark.parametrize("ink", [LIGHT, DARK])
def test_the_fast_way_draws_the_same_chart(small_default: Lab, ink: Ink, percent: bool) -> None:
    for edit in (NO_EDIT, LatentSwap()):
        those = given(small_default, edit)
        chart = answers._drawn(answers._rows(*those, percent), ink, percent)
        assert answers_spec(*those, ink, percent) == chart.to_dict()


def test_both_themes_give_a_valid_chart(small_default: Lab) -> None:
    for ink in (LIGHT, DARK):
        spec = answers_spec(*given(small_default, LatentSwap()), ink)
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


def test_the_table_says_what_leads_and_what_the_model_says_in_words() -> None:
    table = answers_table(ANSWERS)
    assert list(table["Leads the candidates"]) == ["no longer", "now", "", "still"]
    assert list(table["The model itself says it"]) == ["no longer", "", "", "still"]
    assert list(table["Attribute"]) == ["Country"] * 3 + ["Your question"]
    assert list(table["Whose"]) == ["Tokyo", "Paris, Rome", "Cairo", "typed"]
    assert list(table["After"]) == ["0.7 %", "82 %", "<0.1 %", ">99 %"]
    # What two decimals show as nothing is nothing, without a sign.
    assert f"{table['Change (nats)'].iloc[-1]:+.2f}" == "+0.00"
    # What corrects the headline stands where a phone shows it.
    assert list(table.columns)[:4] == [
        "Attribute", "Answer", "Leads the candidates", "The model itself says it",
    ]  # fmt: skip


def test_a_pinned_edits_difference_is_a_row_an_answer(small_default: Lab) -> None:
    pinned, this = outcome(small_default), outcome(small_default, LatentSwap())
    table = difference_table(this.against(pinned))
    assert list(table["Answer"]) == list(this.answers["answer"])
    change = table["This (nats)"] - table["Pinned (nats)"]
    assert table["Difference (nats)"].tolist() == pytest.approx(change.tolist(), abs=0.02)
    assert table["Difference (nats)"].abs().max() > 1


def test_files_hold_the_pinned_edit_and_the_difference(small_default: Lab) -> None:
    view = View(edit=LatentSwap(), pinned=NO_EDIT)
    this, pinned = outcome(small_default, view.edit), outcome(small_default)
    table = pd.read_csv(StringIO(csv_file(this, view, pinned)))
    assert set(table["pinned_edit"]) == {"none"}
    assert table["pinned_logprob"].tolist() == pytest.approx(pinned.logprobs.tolist(), abs=1e-6)
    assert table["difference"].tolist() == pytest.approx(table["change"].tolist(), abs=1e-5)
    values = json.loads(json_file(this, view, pinned))
    assert Edit.from_dict(values["pinned"]["edit"]) == NO_EDIT
    assert values["pinned"]["sentence"] == pinned.sentence
    found = [one["difference"] for one in values["pinned"]["differences"]]
    assert found == pytest.approx(this.answers["change"].tolist(), abs=1e-5)
    assert view_from_json(json.dumps(values).encode(), small_default.provenance).view == view
    assert "pinned_logprob" not in csv_file(this, view)
    assert "pinned" not in json.loads(json_file(this, view))


def test_tokens_stand_before_and_after_side_by_side(small_default: Lab) -> None:
    odd = [(" the", -0.5), (" a", -1.5), (" $x_1$", -2.5), (" *", -3.5), (" \n", -4.5)]
    made = outcome(small_default)
    tops = [odd for _ in made.questions]
    table = tokens_table(replace(made, top_before=tops, top_after=tops).top_tokens)
    assert list(table.columns) == ["Attribute", "Rank", "Before", "After"]
    assert list(table["Attribute"].unique()) == ["Country", "Language", "Continent", "Currency"]
    assert list(table["Rank"][:5]) == [1, 2, 3, 4, 5]
    assert table["Before"][0] == "␣the  −0.50  (61 %)"
    assert table["After"][4] == "␣⏎  −4.50  (1 %)"


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
    view = View(edit=LatentSwap())
    table = pd.read_csv(StringIO(csv_file(outcome(small_default, view.edit), view)))
    assert len(table) == 12
    assert set(table["edit"]) == {"swap"}
    assert set(table["units"]) == {"nats"}
    assert set(table["sae"]) == {small_default.provenance.sae}
    assert {"prompt", "answer", "baseline", "logprob", "source", "target"} <= set(table.columns)


def test_a_name_like_a_formula_is_a_text_in_the_csv(small_default: Lab) -> None:
    view = View(Setting(target="=1+1"))
    table = pd.read_csv(StringIO(csv_file(outcome(small_default), view)))
    assert set(table["target"]) == {"'=1+1"}
    assert table["change"].dtype == float


def test_a_third_answer_is_explained(small_default: Lab) -> None:
    text = bystander(outcome(small_default))
    others = [one.text for _, one in outcome(small_default).questions.answers
              if one.cities == ("Cairo",)]  # fmt: skip
    assert others and all(one in text for one in others)
    assert "are the answers of Cairo, a third choice" in text
    pair = small_default.subject("Cairo"), small_default.subject("Paris")
    assert bystander(small_default.experiment(*pair).apply(NO_EDIT)) == ""


def combinations(counts: dict[str, int]) -> pd.DataFrame:
    moves = [name for name, count in counts.items() for _ in range(count)]
    return pd.DataFrame(
        {
            "lead a": -0.001, "lead b": range(len(moves)), "moves": moves, "margin": 0.5,
            "combination": range(len(moves)),
        }
    )  # fmt: skip


def test_rare_points_are_all_there_and_lie_on_top() -> None:
    table = combinations({"rare": 3, "nothing": 6000, "some": 900})
    chart: Any = leads_chart(table, "a", "b", "Tokyo", "Paris")
    points = chart.layer[-1].data
    assert list(dict.fromkeys(points["moves"])) == ["nothing", "some", "rare"]
    counts = points["moves"].value_counts()
    assert counts["rare"] == 3 and counts["some"] == 900 and counts.sum() == 4000
    assert set(points["across"]) == {"0.00"}


def legend_places(width: int) -> dict[str, float]:
    table = combinations({"country, language, continent and currency": 2, "nothing": 2})
    spec = leads_chart(table, "a", "b", "Tokyo", "Paris").to_dict() | {"width": width}
    return text_places(spec, list(table["moves"]))


def test_a_legend_stands_in_one_column_where_two_would_be_cut_off() -> None:
    narrow, wide = legend_places(300), legend_places(900)
    assert len(narrow) == len(wide) == 2
    assert len(set(narrow.values())) == 1 and len(set(wide.values())) == 2
