"""Steer's tab of latents and tokens, conditions, frozen attention and the list, on a small lab."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from metasae.errors import UserError
from metasae.explorer.lists import Entry, Listed
from metasae.explorer.token_table import read_text
from metasae.lab.lab import Lab
from metasae.steering.conditions import Condition
from metasae.steering.edits import EditOptions, LatentSwap
from metasae.steering.experiment import Experiment
from metasae.steering.frozen import with_frozen_attention
from metasae.steering.touched import touched_prompts
from tests.pages.opening import open_page as opened
from tests.pages.opening import query
from workbench import shared
from workbench.explore import typed
from workbench.steer import reading
from workbench.steer.results import TABLES


@pytest.fixture(autouse=True)
def lab(on_small: Lab) -> Lab:
    return on_small


def below(app: AppTest, tab: str, shown: str = "") -> AppTest:
    app.session_state["below"] = tab
    if shown:
        app.session_state["reading-shown"] = shown
    app.run()
    assert not app.exception
    return app


def html(app: AppTest) -> str:
    return "".join(str(one.proto.body) for one in app.get("html"))


# Tokens an edit touches.


def test_the_tokens_an_edit_touches_are_marked(experiment: Experiment) -> None:
    app = below(opened(edit="swap"), reading.TAB, "Tokens it touches")
    marks = html(app).count("<mark")
    prompts = touched_prompts(experiment, LatentSwap())
    assert marks == sum(one.size > 0 for prompt in prompts for one in prompt.tokens) == 4
    share = max(one.share for one in prompts[0].tokens)
    assert f"{share:.0%}" in html(app)
    # What stands in the tab is drawn where the tab is open alone.
    app = below(app, "Save and share")
    assert "<mark" not in html(app)
    app = below(opened(), reading.TAB, "Tokens it touches")
    assert "<mark" not in html(app)
    assert any("changes nothing" in one.value for one in app.caption)


# Conditions.


def test_a_condition_is_chosen_kept_in_the_link_and_said(experiment: Experiment) -> None:
    app = opened(edit="swap~all")
    app.text_input(key="option-after").set_value(" city ").run()
    assert query(app)["edit"] == "swap~all~after_city"
    app.toggle(key="option-including").set_value(True).run()
    app.number_input(key="option-above").set_value(0.5).run()
    assert query(app)["edit"] == "swap~all~above_0.5~from_city"
    edit = LatentSwap(
        options=EditOptions(position="all", when=Condition(0.5, "city", including=True))
    )
    expected = experiment.apply(edit).logprobs.tolist()
    found = app.dataframe[0].value["After (nats)"].tolist()
    assert found == pytest.approx(expected, abs=0.0051)
    said = "".join(one.value for one in app.caption)
    assert "only where it fires above 0\\.5" in said and "only from “city” on" in said
    app.button(key="undo").click().run()
    assert app.number_input(key="option-above").value is None
    app.text_input(key="option-after").set_value("").run()
    assert query(app)["edit"] == "swap~all"
    assert "option-including" not in [one.key for one in app.toggle]


def test_a_condition_that_never_holds_is_said() -> None:
    app = opened(edit="swap~after_lobster")
    assert not app.exception
    assert any("holds on no token" in one.value for one in app.caption)


def test_a_search_of_best_edits_keeps_to_the_condition(experiment: Experiment) -> None:
    app = opened(edit="after_lobster")
    app.toggle(key="best-edits").set_value(True).run()
    while app.get("progress"):
        app.run()
    assert any("moves an answer" in one.value for one in app.markdown)


# Any text.


def test_any_text_token_by_token(lab: Lab) -> None:
    app = below(opened(), reading.TAB, "Any text")
    app.text_input(key="read-text").set_value("Tokyo is big").run()
    assert query(app)["read"] == "Tokyo is big" and not app.exception
    table = next(one.value for one in app.dataframe if "expected next" in one.value)
    read = read_text(shared.get_explorer(lab), lab.n_latents, "Tokyo is big", 3)
    assert list(table["#"]) == list(read.tokens["position"])[1:]
    first = read.of(1).iloc[0]
    assert table["latent 1"][0].startswith(f"#{first['latent']} ")
    app.toggle(key="start-filter").set_value(True).run()
    assert query(app)["start"] == "shown"
    table = next(one.value for one in app.dataframe if "expected next" in one.value)
    assert list(table["#"]) == list(read.tokens["position"])


def test_a_link_with_a_text_opens_its_tab() -> None:
    app = opened(read="Tokyo is big")
    assert app.text_input(key="read-text").value == "Tokyo is big"
    assert not app.exception


def test_a_text_the_model_cannot_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise UserError("This is too long; type less.")

    monkeypatch.setattr(typed, "read_text", refused)
    app = opened(read="Tokyo")
    assert not app.exception
    assert [one.value.replace("\\", "") for one in app.error] == ["This is too long; type less."]


# Frozen attention.


def test_frozen_attention_stands_beside_live_when_asked_for(experiment: Experiment) -> None:
    app = opened(edit="swap")
    assert not any("Frozen" in one.value for one in app.dataframe)
    app.toggle(key="frozen-attention").set_value(True).run()
    assert query(app)["attention"] == "frozen" and not app.exception
    table = next(one.value for one in app.dataframe if "Frozen" in one.value)
    found = with_frozen_attention(experiment, LatentSwap())
    assert table["Frozen"].tolist() == pytest.approx(found.logprobs.tolist(), abs=0.0051)
    assert any(found.sentence == one.value.replace("\\", "") for one in app.markdown)
    app.session_state[TABLES] = False
    app.run()
    assert not any("Frozen" in one.value for one in app.dataframe)


# The list.


def test_edits_are_collected_named_opened_and_taken_out() -> None:
    app = below(opened(edit="swap"), "Save and share")
    app.session_state["collected"] = True
    app.button(key="collect-edit").click().run()
    swap = Entry.of({"v": "1", "source": "Tokyo", "target": "Paris", "edit": "swap"})
    assert Listed.from_text(query(app)["list"]).entries == (swap,)
    assert app.button(key="collect-edit").disabled
    app.text_input(key="list-name").set_value("Mine").run()
    assert Listed.from_text(query(app)["list"]) == Listed("Mine", (swap,))
    # Back to no edit, and from the list to the swap again.
    app.button(key="reset").click().run()
    assert "edit" not in query(app)
    app.button(key="entry-0").click().run()
    assert not app.exception and query(app)["edit"] == "swap"
    app = below(app, "Save and share")
    app.button(key="take-out-0").click().run()
    assert "list" not in query(app)


def test_a_list_comes_by_link(lab: Lab) -> None:
    listed = Listed("Theirs", (Entry.of({"latent": "3", "width": str(lab.n_latents)}),))
    app = below(opened(list=listed.to_text()), "Save and share")
    app.session_state["collected"] = True
    app.run()
    assert app.text_input(key="list-name").value == "Theirs"
    assert app.button(key="entry-0").label.startswith("latent #3")
    for text in ("x!y", "x!target=Paris&wording=loud", "x!target=Paris&v=7"):
        app = opened(list=text)
        assert not app.exception and app.error


@pytest.mark.parametrize(
    ("page", "place"),
    [
        ("latents", {"latent": "5"}), ("latents", {"q": "Tokyo"}),
        ("meta_latents", {}), ("meta_latents", {"meta": "3"}),
    ],
)  # fmt: skip
def test_a_list_stands_at_the_end_of_every_place(page: str, place: dict[str, str]) -> None:
    listed = Listed("Mine", (Entry.of({"meta": "3"}),))

    def lists(**more: str) -> list[str]:
        app = opened(page, v="1", **place, **more)
        assert not app.exception and not app.error
        return [one.label for one in app.expander if one.label == "Your list"]

    assert lists() == [] and lists(list=listed.to_text()) == ["Your list"]


def test_a_latents_page_collects_it_and_tries_a_text_on_it(lab: Lab) -> None:
    latent, width = lab.subject("Tokyo").latents[0], str(lab.n_latents)
    app = opened("latents", latent=str(latent), width=width, **{"try": "in Tokyo"})
    assert not app.exception
    assert html(app).count("<mark") >= 1 and any("It fires on" in one.value for one in app.caption)
    app.text_input(key=f"try-{width}-{latent}").set_value("is is").run()
    assert query(app)["try"] == "is is"
    app.button(key="collect-latent").click().run()
    assert not app.exception
    listed = Listed.from_text(query(app)["list"])
    assert listed.entries == (Entry.of({"latent": str(latent), "width": width}),)
    assert query(app)["try"] == "is is"
    assert json.loads(listed.to_json(lambda one: "x"))["entries"][0]["latent"] == str(latent)
