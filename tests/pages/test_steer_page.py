"""The Steer page through its states, on a lab without a model."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

from metasae.errors import UserError
from metasae.search.engine import Engine
from metasae.sources.presets import Opened
from tests.fakes import FakeLab
from workbench import shared
from workbench.state import View
from workbench.steer import experiments, extras
from workbench.steer.tables import json_file

APP = Path(__file__).parents[2] / "workbench" / "app.py"


@pytest.fixture(autouse=True)
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLab]:
    fake = FakeLab()
    monkeypatch.setattr(shared, "get_lab", lambda preset: fake)
    monkeypatch.setattr(Engine, "logprobs", made_up_logprobs)
    st.cache_resource.clear()
    st.cache_data.clear()
    yield fake
    st.cache_resource.clear()


def made_up_logprobs(engine: Engine, numbers: Iterable[int]) -> torch.Tensor:
    """The search's engine on a case without a model."""
    edits = [engine.combinations.edit(int(number)) for number in numbers]
    return engine.experiment.logprobs(edits)  # type: ignore[attr-defined]


def below(app: AppTest, tab: str) -> AppTest:
    """The page with one of the tabs below the edit open."""
    app.session_state["below"] = tab
    return app.run()


def opened(**query: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=30)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def answers(app: AppTest) -> pd.DataFrame:
    return app.dataframe[0].value


def sentence(app: AppTest) -> str:
    return app.header[0].value.replace("\\", "")


def query(app: AppTest) -> dict[str, str]:
    given = app.query_params.items()
    return {name: value if isinstance(value, str) else value[0] for name, value in given}


def errors(app: AppTest) -> list[str]:
    assert not app.exception
    return [error.value.replace("\\", "") for error in app.error]


def test_it_opens_on_tokyo_and_paris_unedited() -> None:
    app = opened()
    assert errors(app) == []
    assert [box.value for box in app.main.selectbox] == ["Tokyo", "Paris"]
    boxes = {box.key: box.value for box in app.checkbox}
    assert boxes == {f"box-{n}": n in (1, 2, 3, 4) for n in range(1, 8)}
    assert (answers(app)["Change (nats)"] == 0).all()
    assert sentence(app).startswith("Tokyo is unchanged")
    assert query(app) == {"v": "1", "source": "Tokyo", "target": "Paris"}


def test_a_toggle_changes_the_numbers_the_sentence_and_the_link() -> None:
    app = opened()
    before = answers(app)["After (nats)"]
    app.checkbox(key="box-1").uncheck().run()
    app.checkbox(key="box-5").check().run()
    assert errors(app) == []
    assert not answers(app)["After (nats)"].equals(before)
    assert "is now in France and speaks French" in sentence(app)
    assert "now" in set(answers(app)["Model's pick"])
    assert query(app)["edit"] == "1_0~5_1"


def test_two_toggles_before_the_first_is_drawn_both_count() -> None:
    app = opened()
    app.checkbox(key="box-1").uncheck()
    app.checkbox(key="box-5").check()
    app.run()
    assert query(app)["edit"] == "1_0~5_1"


def test_latent_swap_then_a_box() -> None:
    app = opened()
    app.button(key="swap").click().run()
    assert "France, speaks French, lies in Europe" in sentence(app)
    assert query(app)["edit"] == "swap"
    assert not app.checkbox(key="box-1").value and app.checkbox(key="box-5").value
    app.checkbox(key="box-2").check().run()
    assert query(app)["edit"] == "1_0~3_0~5_1~6_1~7_1"


def test_undo_redo_reset() -> None:
    app = opened()
    app.checkbox(key="box-1").uncheck().run()
    app.button(key="swap").click().run()
    app.button(key="undo").click().run()
    assert query(app)["edit"] == "1_0"
    assert not app.checkbox(key="box-1").value
    app.button(key="redo").click().run()
    assert query(app)["edit"] == "swap"
    app.button(key="reset").click().run()
    assert "edit" not in query(app)
    assert app.button(key="reset").disabled and app.button(key="redo").disabled


def test_undo_goes_back_across_cities() -> None:
    app = opened(edit="swap")
    app.selectbox(key="pick-target").set_value("Cairo").run()
    assert query(app) == {"v": "1", "source": "Tokyo", "target": "Cairo", "edit": "swap"}
    app.button(key="undo").click().run()
    assert query(app) == {"v": "1", "source": "Tokyo", "target": "Paris", "edit": "swap"}
    assert app.selectbox(key="pick-target").value == "Paris"


def test_source_and_target_are_exchanged() -> None:
    app = opened(edit="1_0")
    app.button(key="exchange").click().run()
    assert errors(app) == []
    assert query(app) == {"v": "1", "source": "Paris", "target": "Tokyo"}


def test_strengths_on_demand() -> None:
    app = opened()
    assert len(app.slider) == 0
    app.toggle(key="strengths").set_value(True).run()
    app.slider(key="strength-5").set_value(-0.5).run()
    assert query(app)["edit"] == "5_-0.5"
    assert app.checkbox(key="box-5").value
    assert "×−0.5" in app.checkbox(key="box-5").label


def test_options() -> None:
    app = opened(edit="1_0")
    app.toggle(key="option-keep_residual").set_value(True).run()
    app.toggle(key="option-keep_error").set_value(False).run()
    app.radio(key="option-position").set_value("all").run()
    assert query(app)["edit"] == "1_0~residual~noerror~all"


def test_best_edits_are_one_click_away() -> None:
    app = opened()
    app.toggle(key="best-edits").set_value(True).run()
    pills = app.pills(key="best-pick")
    assert "everything" in pills.options and "currency only" in pills.options
    pills.select("currency only").run()
    assert errors(app) == []
    picks = answers(app).set_index("Answer")["Model's pick"]
    assert picks["euro"] == "now" and picks["Japan"] == "still"


def test_a_pinned_edit_stands_beside_the_next() -> None:
    app = opened(edit="1_0~5_1")
    app.button(key="pin").click().run()
    app.button(key="swap").click().run()
    assert query(app)["pin"] == "1_0~5_1" and query(app)["edit"] == "swap"
    assert len(app.header) == 2
    app.button(key="pin").click().run()
    assert "pin" not in query(app) and len(app.header) == 1


def test_free_writing_before_and_after() -> None:
    app = opened(edit="swap")
    app.main.button[[b.label for b in app.main.button].index("Write both")].click().run()
    shown = " ".join(markdown.value for markdown in app.markdown)
    assert "and so on" in shown and r"\*bold\*" in shown
    assert query(app)["write"].startswith("I moved to {city}")


def test_own_question_is_scored_with_the_others() -> None:
    app = below(opened(), "Ask your own question")
    asked, typed = app.main.text_input[-2], app.main.text_input[-1]
    asked.set_value("In {city} people eat")
    typed.set_value("sushi, cheese")
    app.main.button[[b.label for b in app.main.button].index("Ask")].click().run()
    assert errors(app) == []
    assert list(answers(app)["Answer"][-2:]) == ["sushi", "cheese"]
    assert query(app)["ask"] == "In {city} people eat"
    assert query(app)["answers"] == "sushi,cheese"


def test_a_question_without_the_city_is_one_sentence_and_the_rest_stands() -> None:
    app = opened(ask="People eat", answers="sushi")
    assert errors(app) == ['The prompt "People eat" does not mention Tokyo.']
    assert len(answers(app)) == 12


def test_chosen_latents_are_in_the_link() -> None:
    app = below(opened(), "Latents used")
    key = "latents-source"
    app.multiselect(key=key).set_value([*app.multiselect(key=key).value, 3501]).run()
    assert errors(app) == []
    assert query(app)["source_latents"].endswith(".3501")


def test_latents_by_number() -> None:
    app = opened(source="#12,#45")
    assert errors(app) == []
    assert app.selectbox(key="pick-source").value == "#12,#45"
    said = [caption.value.replace("\\", "") for caption in app.caption]
    assert (
        "#12,#45 are no city: asked about Tokyo, on whose name one of them is most active." in said
    )
    assert "Japan" in set(answers(app)["Answer"])


def test_latents_of_no_name_are_asked_ones_own_question_only(
    lab: FakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeLab, "latent_words", lambda self, latent: ())
    (error,) = errors(opened(source="#12"))
    assert error.replace("\\", "").startswith("#12 fires on no name of the table")
    app = opened(source="#12", ask="The tower stands in", answers="Paris, Rome")
    assert errors(app) == [] and list(answers(app)["Answer"]) == ["Paris", "Rome"]
    assert not any("asked about" in caption.value for caption in app.caption)


@pytest.mark.parametrize(
    "link, said",
    [
        ({"source": "Tokio"}, 'There is no city "Tokio"'),
        ({"source": "Paris"}, "Source and target are both Paris"),
        ({"source": "#99999999"}, "There is no latent 99999999"),
        ({"source_latents": "40000"}, "There is no latent 40000"),
        ({"edit": "700_0"}, "Meta-latent 700 is active on neither"),
        ({"edit": "1_7"}, "The strength of meta-latent 1 is 7"),
        ({"edit": "drop table"}, "The link is damaged"),
        ({"v": "9"}, 'This link is of version "9"'),
    ],
)
def test_a_bad_link_is_one_sentence_and_the_pickers_stay(link: dict[str, str], said: str) -> None:
    app = opened(**link)
    (error,) = errors(app)
    assert error.startswith(said) and error.endswith((".", "?"))
    assert len(app.main.selectbox) == 2


def test_from_an_unknown_city_the_picker_leads_on() -> None:
    app = opened(source="Tokio")
    app.selectbox(key="pick-source").set_value("Rome").run()
    assert errors(app) == []
    assert query(app)["source"] == "Rome"


def downloaded(app: AppTest) -> dict[str, object]:
    view = View.from_query(query(app))
    loaded: dict[str, object] = json.loads(
        json_file(experiments.get_outcome(view.setting, view.edit), view)
    )
    return loaded


def test_a_downloaded_file_loads_back() -> None:
    content = downloaded(opened(edit="1_0~5_1", pin="swap"))
    app = below(opened(), "Save and share")
    app.file_uploader[0].upload("a.json", json.dumps(content).encode(), "application/json").run()
    assert errors(app) == []
    assert query(app)["edit"] == "1_0~5_1" and query(app)["pin"] == "swap"


def test_a_file_of_another_preset_opens_that_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, other = [], FakeLab()
    other.provenance = replace(FakeLab.provenance, preset="gpt2-small", meta_sae="theirs@1")

    def get_lab(preset: Opened) -> FakeLab:
        asked.append(preset)
        return other if preset == Opened("gpt2-small") else FakeLab()

    content = downloaded(opened(edit="swap"))
    content |= {"preset": "gpt2-small", "meta_sae": "theirs@1"}
    content["view"] = content["view"] | {"preset": "gpt2-small"}  # type: ignore[operator]
    monkeypatch.setattr(shared, "get_lab", get_lab)
    for sae, said in (
        (FakeLab.provenance.sae, []),
        (
            "other@2",
            [
                "This file was made with the SAE other@2, and the workbench has "
                f"{FakeLab.provenance.sae} open: its numbers may be others."
            ],
        ),
    ):
        app = opened()
        app.session_state["below"] = "Save and share"
        app.run()
        asked.clear()
        file = json.dumps(content | {"sae": sae}).encode()
        app.file_uploader[0].upload("a.json", file, "application/json").run()
        assert query(app)["preset"] == "gpt2-small" and query(app)["edit"] == "swap"
        assert Opened("gpt2-small") in asked
        assert [one.replace("\\", "") for one in errors(app)] == said
        assert errors(app.run()) == []


def test_a_file_of_another_model_changes_nothing_and_says_so() -> None:
    content = downloaded(opened(edit="swap")) | {"model": "gpt2-small"}
    app = below(opened(), "Save and share")
    app.file_uploader[0].upload("a.json", json.dumps(content).encode(), "application/json").run()
    assert errors(app) == [
        "This file was made with the model gpt2-small, and the workbench has "
        "SmolLM2-135M-Instruct open; open that one first."
    ]
    assert "edit" not in query(app)


def test_a_model_that_does_not_open_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(preset: Opened) -> None:
        raise UserError("The wheel could not be downloaded; connect to the network once.")

    monkeypatch.setattr(shared, "get_lab", refuse)
    app = opened()
    assert errors(app) == ["The wheel could not be downloaded; connect to the network once."]
    monkeypatch.setattr(shared, "get_lab", lambda preset: FakeLab())
    (again,) = app.main.button
    again.click().run()
    assert errors(app) == [] and len(answers(app)) == 12


def test_tokens_in_labels_are_not_markdown() -> None:
    app = opened()
    assert r"\:red\[token\]" in app.checkbox(key="box-1").help
    assert r"\$5\_000\$" in app.checkbox(key="box-1").label


def test_a_tick_draws_no_tab_but_the_open_one(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    for name in ("free_writing", "own_question", "latents", "files", "about"):
        monkeypatch.setattr(extras, name, lambda *_, name=name: drawn.append(name))
    app = opened()
    assert set(drawn) == {"free_writing"}
    below(app, "What is this?")
    drawn.clear()
    app.checkbox[0].uncheck().run()
    assert errors(app) == [] and set(drawn) == {"about"}
