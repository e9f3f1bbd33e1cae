"""The Steer page through its states, on a small real lab."""

import functools
import json
import math
import threading
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from metasae.errors import UserError
from metasae.lab.any_name import AnyName
from metasae.lab.city_records import NameRecord
from metasae.lab.lab import Lab
from metasae.progress import Progress
from metasae.search import exhaustive
from metasae.search.combinations import Combinations
from metasae.search.exhaustive import search
from metasae.search.side_effects import SideEffectProbe
from metasae.sources.presets import Opened
from metasae.steering.certainty import certainties
from metasae.steering.edits import Edit, EditOptions, LatentSwap, MetaLatentEdit
from metasae.steering.experiment import Experiment
from metasae.steering.link import edit_to_text
from metasae.steering.outcome import Outcome
from metasae.steering.own_words import OwnWord
from metasae.text.prompts import WORDINGS
from tests.pages.opening import open_page as opened
from tests.pages.opening import query, until
from workbench import shared
from workbench.state import View
from workbench.steer import experiments, extras
from workbench.steer.results import TABLES
from workbench.steer.tables import json_file


@pytest.fixture(autouse=True)
def lab(on_small: Lab) -> Lab:
    return on_small


@dataclass(frozen=True)
class Own:
    """The two strongest meta-latents of the source's and the target's own."""

    source: tuple[int, int]
    target: tuple[int, int]

    @property
    def exchange(self) -> MetaLatentEdit:
        """The strongest of the source's out, the strongest of the target's in."""
        return MetaLatentEdit(((self.source[0], 0.0), (self.target[0], 1.0)))


@pytest.fixture
def own(experiment: Experiment) -> Own:
    source, target = (
        [piece.meta for piece in experiment.pieces if piece.side == side]
        for side in ("source", "target")
    )
    return Own((source[0], source[1]), (target[0], target[1]))


def below(app: AppTest, tab: str) -> AppTest:
    """The page with one of the tabs below the edit open."""
    app.session_state["below"] = tab
    return app.run()


def answers(app: AppTest) -> pd.DataFrame:
    return app.dataframe[0].value


def after(app: AppTest) -> list[float]:
    values: list[float] = answers(app)["After (nats)"].tolist()
    return values


def near(expected: list[float]) -> Any:
    """What a table of two decimals may make of some numbers: it has no −0.00."""
    return pytest.approx(expected, rel=1e-6, abs=0.0051)


def sentence(app: AppTest) -> str:
    return app.header[0].value.replace("\\", "")


def errors(app: AppTest) -> list[str]:
    assert not app.exception
    return [error.value.replace("\\", "") for error in app.error]


def test_it_opens_on_tokyo_and_paris_unedited(experiment: Experiment) -> None:
    app = opened()
    assert errors(app) == []
    assert [box.value for box in app.main.selectbox] == ["Tokyo", "Paris", "default"]
    boxes = {box.key: box.value for box in app.checkbox}
    assert boxes == {f"box-{one.meta}": one.side != "target" for one in experiment.pieces}
    assert len(boxes) > 6
    assert (answers(app)["Change (nats)"] == 0).all()
    assert sentence(app).startswith("Tokyo is unchanged")
    assert query(app) == {"v": "1", "source": "Tokyo", "target": "Paris"}


def test_a_piece_goes_from_every_latent_and_what_else_that_changes_is_said(
    lab: Lab, experiment: Experiment, own: Own
) -> None:
    app = opened()
    app.checkbox(key=f"box-{own.source[0]}").uncheck().run()
    app.checkbox(key=f"box-{own.target[0]}").check().run()
    assert not app.main.radio(key="every-latent").value
    app.main.radio(key="every-latent").set_value(True).run()
    assert errors(app) == []
    options = EditOptions("everywhere", keep_residual=True, position="all")
    edit = MetaLatentEdit(own.exchange.strengths, options=options)
    outcome = experiment.apply(edit)
    assert after(app) == near(outcome.logprobs.tolist())
    narrow = experiment.apply(own.exchange.with_options(keep_residual=True, position="all"))
    assert (outcome.logprobs - narrow.logprobs).abs().max() > 0.01
    assert Edit.from_dict(edit.to_dict()) == View.from_query(query(app)).edit == edit
    # What is added takes no part, and that is said.
    said = " ".join(one.value for one in [*app.warning, *app.info, *app.caption, *app.markdown])
    assert "own can't be added to latents that lack them" in said.replace("\\", "")
    expected = SideEffectProbe(lab, experiment).side_effects(edit).sentences
    until(lambda: "Text about no place" in " ".join(m.value for m in app.run().markdown))
    shown = " ".join(one.value for one in app.markdown).replace("\\", "")
    for sentence_of in expected:
        assert sentence_of in shown
    # Back again: the source's latents alone, and as it was.
    app.main.radio(key="every-latent").set_value(False).run()
    assert after(app) == near(experiment.apply(own.exchange).logprobs.tolist())
    assert "What else this edit changes" not in " ".join(one.value for one in app.markdown)


def test_a_swap_ends_where_every_latent_is_edited() -> None:
    app = opened(edit="swap")
    app.main.radio(key="every-latent").set_value(True).run()
    assert errors(app) == []
    assert View.from_query(query(app)).edit.kind == "everywhere"
    assert "latent swap is off" in " ".join(
        one.value for one in [*app.info, *app.warning, *app.success, *app.markdown]
    )


def test_best_edits_stay_those_of_the_sources_latents() -> None:
    app = opened(edit="everywhere~residual~all")
    app.main.toggle(key="best-edits").set_value(True).run()
    assert errors(app) == []


def test_tables_are_drawn_when_they_are_looked_at() -> None:
    app = opened()
    assert len(app.dataframe) == 2
    app.session_state[TABLES] = False
    assert len(app.run().dataframe) == 0


def test_a_toggle_changes_the_numbers_the_sentence_and_the_link(
    experiment: Experiment, own: Own
) -> None:
    app = opened()
    app.checkbox(key=f"box-{own.source[0]}").uncheck().run()
    app.checkbox(key=f"box-{own.target[0]}").check().run()
    assert errors(app) == []
    outcome = experiment.apply(own.exchange)
    assert after(app) == near(outcome.logprobs.tolist())
    assert sentence(app) == outcome.sentences[0]
    assert "is now in France" in sentence(app)
    assert "now" in set(answers(app)["Leads the candidates"])
    assert query(app)["edit"] == edit_to_text(own.exchange)


def test_two_toggles_before_the_first_is_drawn_both_count(own: Own) -> None:
    app = opened()
    app.checkbox(key=f"box-{own.source[0]}").uncheck()
    app.checkbox(key=f"box-{own.target[0]}").check()
    app.run()
    assert query(app)["edit"] == edit_to_text(own.exchange)


def test_latent_swap_then_a_box(experiment: Experiment, own: Own) -> None:
    app = opened()
    app.button(key="swap").click().run()
    assert "France, speaks French, lies in Europe" in sentence(app)
    assert query(app)["edit"] == "swap"
    kept, gone = own.source
    assert not app.checkbox(key=f"box-{gone}").value
    assert app.checkbox(key=f"box-{own.target[0]}").value
    app.checkbox(key=f"box-{kept}").check().run()
    strengths = {
        piece.meta: 1 - piece.default
        for piece in experiment.pieces
        if piece.side != "shared" and piece.meta != kept
    }
    assert query(app)["edit"] == edit_to_text(MetaLatentEdit(tuple(sorted(strengths.items()))))


def test_undo_redo_reset(own: Own) -> None:
    app = opened()
    app.checkbox(key=f"box-{own.source[0]}").uncheck().run()
    app.button(key="swap").click().run()
    app.button(key="undo").click().run()
    assert query(app)["edit"] == f"{own.source[0]}_0"
    assert not app.checkbox(key=f"box-{own.source[0]}").value
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


def test_source_and_target_are_exchanged(own: Own) -> None:
    app = opened(edit=f"{own.source[0]}_0")
    app.button(key="exchange").click().run()
    assert errors(app) == []
    assert query(app) == {"v": "1", "source": "Paris", "target": "Tokyo"}


def test_strengths_on_demand(own: Own) -> None:
    app = opened()
    assert len(app.slider) == 0
    app.toggle(key="strengths").set_value(True).run()
    meta = own.target[0]
    app.slider(key=f"strength-{meta}").set_value(-0.5).run()
    assert query(app)["edit"] == f"{meta}_-0.5"
    assert app.checkbox(key=f"box-{meta}").value
    assert "×−0.5" in app.checkbox(key=f"box-{meta}").label


def test_options(own: Own) -> None:
    app = opened(edit=f"{own.source[0]}_0")
    app.toggle(key="option-keep_residual").set_value(True).run()
    app.toggle(key="option-keep_error").set_value(False).run()
    app.radio(key="option-position").set_value("all").run()
    assert query(app)["edit"] == f"{own.source[0]}_0~residual~noerror~all"


def test_best_edits_are_one_click_away(lab: Lab) -> None:
    app = opened(source="Paris", target="Tokyo")
    app.toggle(key="best-edits").set_value(True).run()
    until(lambda: app.run() and any(one.key == "best-pick" for one in app.pills))
    pills = app.pills(key="best-pick")
    best = [
        one
        for one in search(lab.experiment(lab.subject("Paris"), lab.subject("Tokyo")))
        if any(one.pattern.values())
    ]
    assert len(pills.options) == len(best) > 2 and "everything" in pills.options
    for label, one in zip(pills.options, best, strict=True):
        pills = app.pills(key="best-pick")
        pills.select(label).run()
        assert errors(app) == []
        assert query(app)["edit"] == edit_to_text(one.edit)
        assert one.sentence.startswith(sentence(app))
        picks = set(answers(app).query("`Leads the candidates` == 'now'")["Attribute"].str.lower())
        assert picks == {name for name, moved in one.pattern.items() if moved}
        words = {name for name in one.pattern if name in label}
        assert words == (set() if label == "everything" else picks)


def test_a_tick_is_answered_while_the_best_edits_are_looked_for(
    own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, asked = threading.Event(), []

    def slow(experiment: Experiment, combinations: Combinations, progress: Progress) -> object:
        asked.append(combinations.options)
        progress("Searching edits", 0.25, "")
        assert go_on.wait(60)
        progress("Searching edits", 0.5, "")
        return search(experiment, combinations)

    monkeypatch.setattr(exhaustive, "search", slow)
    app = opened()
    app.toggle(key="best-edits").set_value(True).run()
    app.checkbox(key=f"box-{own.source[0]}").uncheck().run()
    assert errors(app) == [] and not app.pills
    assert query(app)["edit"] == f"{own.source[0]}_0"
    assert (answers(app)["Change (nats)"] != 0).any()
    # Other options are another search; the first one is let go and the second can be cancelled.
    app.toggle(key="option-keep_error").set_value(False).run()
    assert [one.keep_error for one in asked] == [True, False]
    (cancel,) = [one for one in app.button if one.label == "Cancel"]
    cancel.click().run()
    assert errors(app) == [] and any("cancelled" in one.value for one in app.caption)
    go_on.set()
    app.run()
    assert not app.pills and len(asked) == 2
    (again,) = [one for one in app.button if one.label == "Start again"]
    again.click().run()
    until(lambda: app.run() and app.pills)
    assert errors(app) == [] and app.pills(key="best-pick").options


def test_a_hundredfold_takes_a_swap_back_and_says_why(own: Own) -> None:
    app = opened(edit="swap~all")
    app.toggle(key="option-hundredfold").set_value(True).run()
    assert errors(app) == [] and query(app)["edit"] == "hundredfold~all"
    (why,) = [one.value for one in app.info]
    assert why.replace("\\", "").startswith("The latent swap is off: it exchanges whole latents")
    app.checkbox(key=f"box-{own.source[0]}").uncheck().run()
    assert query(app)["edit"] == f"hundredfold~{own.source[0]}_0~all" and not app.info
    app.toggle(key="option-hundredfold").set_value(False).run()
    assert query(app)["edit"] == f"{own.source[0]}_0~all" and not app.info


def test_a_pinned_edit_stands_beside_the_next(own: Own) -> None:
    text = edit_to_text(own.exchange)
    app = opened(edit=text)
    app.button(key="pin").click().run()
    app.button(key="swap").click().run()
    assert query(app)["pin"] == text and query(app)["edit"] == "swap"
    assert len(app.header) == 2
    app.button(key="pin").click().run()
    assert "pin" not in query(app) and len(app.header) == 1


def test_the_difference_to_a_pinned_edit_is_on_screen(experiment: Experiment, own: Own) -> None:
    app = opened(edit="swap", pin=edit_to_text(own.exchange))
    assert errors(app) == []
    swapped, pinned = experiment.apply(LatentSwap()), experiment.apply(own.exchange)
    table = app.dataframe[0].value
    assert table["Pinned (nats)"].tolist() == near(pinned.logprobs.tolist())
    assert table["Difference (nats)"].tolist() == near(
        (swapped.logprobs - pinned.logprobs).tolist()
    )


def test_percent_is_in_the_link_and_leads_back(own: Own) -> None:
    app = opened(edit="swap")
    assert "units" not in query(app)
    app.segmented_control(key="units").set_value("percent").run()
    assert errors(app) == [] and query(app)["units"] == "percent"
    again = opened(**query(app))
    assert again.segmented_control(key="units").value == "percent"
    app.segmented_control(key="units").set_value("nats").run()
    assert "units" not in query(app)


def test_where_only_candidates_lead_the_page_says_what_the_model_would_say(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that itself goes on with something else than any candidate."""
    real: Any = vars(Outcome)["own_after"].func

    def elsewhere(self: Outcome) -> tuple[OwnWord, ...]:
        _, *others = real(self)
        return OwnWord("Spain", math.log(0.79), -9.0, False), *others

    own_after = functools.cached_property(elsewhere)
    own_after.__set_name__(Outcome, "own_after")
    monkeypatch.setattr(Outcome, "own_after", own_after)
    app = opened(edit="swap")
    outcome = experiment.apply(LatentSwap())
    assert "France" not in sentence(app)
    corrected = "France now leads; the model itself would say “Spain…” (79 %)."
    assert corrected in said(app) and outcome.sentence.endswith(corrected)


def write_both(app: AppTest) -> list[str]:
    """What stands in the two columns."""
    app.main.button[[b.label for b in app.main.button].index("Write both")].click().run()

    def written() -> list[str]:
        return [one.value for one in app.markdown if one.value.startswith(":gray[")]

    until(lambda: app.run() and written())
    assert errors(app) == []
    return written()


def test_free_writing_before_and_after(experiment: Experiment) -> None:
    app = opened(edit="swap")
    before, after = write_both(app)
    prompt = "I moved to Tokyo last year. Here everyone speaks"
    for shown, edit in ((before, None), (after, LatentSwap())):
        written = experiment.continuation(edit, prompt)
        assert extras._lines(written) in shown and prompt in shown.replace("\\", "")
    assert before != after
    assert query(app)["write"].startswith("I moved to {city}")


def test_what_the_model_writes_is_not_markdown(monkeypatch: pytest.MonkeyPatch) -> None:
    def nasty(self: Experiment, edit: Edit | None, *_: object) -> str:
        return " and so on" if edit is None else " et cetera *bold* $1$"

    monkeypatch.setattr(Experiment, "continuation", nasty)
    before, after = write_both(opened(edit="swap"))
    assert "and so on" in before and r"\*bold\*" in after


def test_what_was_written_stays_readable_while_the_next_is_written(
    own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, words = threading.Event(), iter([" one", " two", " three"])
    go_on.set()

    def slow(self: Experiment, edit: Edit | None, *given: object) -> str:
        assert go_on.wait(60)
        return next(words)

    monkeypatch.setattr(Experiment, "continuation", slow)
    app = opened(edit="swap")
    before, after = write_both(app)
    assert " one" in before.replace("&nbsp;", " ") and "two" in after
    go_on.clear()
    app.checkbox(key=f"box-{own.source[0]}").check().run()
    app.main.button[[b.label for b in app.main.button].index("Write both")].click().run()
    assert errors(app) == [] and any("Written before:" in one.value for one in app.caption)
    assert [one.value for one in app.markdown if one.value.startswith(":gray[")] == [before, after]
    assert any(one.label == "Cancel" for one in app.button)
    go_on.set()
    until(lambda: app.run() and any("three" in one.value for one in app.markdown))
    assert not any("Written before:" in one.value for one in app.caption)


def test_a_prompt_without_the_name_is_one_sentence() -> None:
    app = opened(edit="swap", write="Once upon a time")
    app.main.button[[b.label for b in app.main.button].index("Write both")].click().run()
    until(lambda: app.run() and app.error)
    (said,) = errors(app)
    assert "does not mention Tokyo" in said


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
    assert errors(app) == [
        'The prompt "People eat" does not mention Tokyo; write the name where the edit should act.'
    ]
    assert len(answers(app)) == 12


def test_what_is_wrong_with_a_typed_question_is_said_below_it() -> None:
    app = below(opened(), "Ask your own question")
    app.main.text_input[-2].set_value("People eat")
    app.main.text_input[-1].set_value("sushi")
    app.main.button[[b.label for b in app.main.button].index("Ask")].click().run()
    (wrong,) = errors(app)
    assert "does not mention Tokyo" in wrong
    # Not at the top of the page, which is out of sight from there: after what was typed.
    drawn = [one.type for one in app.main if one.type in ("text_input", "error")]
    assert drawn[-1] == "error"
    assert "ask" not in query(app) and len(answers(app)) == 12


def test_what_is_this_claims_no_latent_of_its_own_for_every_city() -> None:
    app = below(opened(), "What is this?")
    assert "A city has a latent of its own" not in said(app)
    assert "where one has none, a line above the boxes says which latent is taken" in said(app)


def test_chosen_latents_are_in_the_link() -> None:
    app = below(opened(), "Latents used")
    key = "latents-source"
    own = app.multiselect(key=key).value
    listed = [int(one[1:]) for one in app.multiselect(key=key).options]
    other = next(one for one in listed if one not in own)
    app.multiselect(key=key).set_value([*own, other]).run()
    assert errors(app) == []
    assert query(app)["source_latents"] == ".".join(map(str, sorted((*own, other))))


def test_latents_by_number() -> None:
    app = opened(source="#7,#40")
    assert errors(app) == []
    assert app.selectbox(key="pick-source").value == "#7,#40"
    why = "#7, #40 are no city: asked about Tokyo, on whose name one of them is most active."
    assert f"**{why}**" in said(app)
    # It is said once, and one click leads to a question of one's own.
    assert why not in remarks(app)
    app.button(key="ask-else").click().run()
    assert app.session_state["below"] == "Ask your own question"
    assert [one.label for one in app.main.text_input[-2:]] == [
        "Prompt", "Answers, with commas between them",
    ]  # fmt: skip
    assert "Japan" in set(answers(app)["Answer"])


def test_latents_of_no_name_are_asked_ones_own_question_only(lab: Lab) -> None:
    assert lab.latent_words(8) == ()
    (error,) = errors(opened(source="#8"))
    assert error.replace("\\", "").startswith("#8 fires on no name of the table")
    app = opened(source="#8", ask="The tower stands in", answers="Paris, Rome")
    assert errors(app) == [] and list(answers(app)["Answer"]) == ["Paris", "Rome"]
    assert not any("asked about" in caption.value for caption in app.caption)


@pytest.mark.parametrize(
    "link, said",
    [
        ({"source": " "}, "There is no name"),
        ({"source": "very " * 60 + "long"}, '"very very'),
        ({"source": "Paris"}, "Source and target are both Paris"),
        ({"source": "#99999999"}, "There is no latent 99999999"),
        ({"source_latents": "40000"}, "There is no latent 40000"),
        ({"edit": "700_0"}, "There is no meta-latent 700"),
        ({"edit": "20_0"}, "Meta-latent 20 is active on neither"),
        ({"edit": "1_7"}, "The strength of meta-latent 1 is 7"),
        ({"edit": "drop table"}, "The link is damaged"),
        ({"v": "9"}, 'This link is of version "9"'),
    ],
)
def test_a_bad_link_is_one_sentence_and_the_pickers_stay(link: dict[str, str], said: str) -> None:
    app = opened(**link)
    (error,) = errors(app)
    assert error.startswith(said) and error.endswith((".", "?"))
    assert len([box for box in app.main.selectbox if str(box.key).startswith("pick-")]) == 2


def remarks(app: AppTest) -> list[str]:
    return [caption.value.replace("\\", "") for caption in app.caption]


def test_any_name_is_typed_and_what_has_to_be_said_stands_there(lab: Lab) -> None:
    app = opened()
    picker = app.selectbox(key="pick-source")
    picker.options.append(" Old  Tokyo")  # as the browser does with what is typed
    picker.set_value(" Old  Tokyo").run()
    assert errors(app) == []
    assert query(app)["source"] == "Old Tokyo" == app.selectbox(key="pick-source").value
    bare = "No facts are known for Old Tokyo: the answers that stand for it are the model's own."
    assert bare in remarks(app)
    own = lab.experiment(lab.subject("Old Tokyo"), lab.subject("Paris"))
    assert after(app) == near(own.baseline.tolist())
    app.button(key="swap").click().run()
    assert errors(app) == [] and "Old Tokyo" not in sentence(app).replace("about Old Tokyo", "")
    table = below(app, "Latents used").dataframe[-2].value
    assert table["Effect (nats)"].isna().all() and table["Own"].any()


def test_a_name_near_a_city_asks_whether_it_is_meant() -> None:
    app = opened(source="Tokio", source_latents="0")
    assert errors(app) == []
    assert 'For "Tokio", did you mean Tokyo?' in remarks(app)


def test_a_name_without_a_latent_of_its_own_says_what_it_shares(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokyo = lab.records["Tokyo"]
    best = replace(tokyo.latents[0], own=False, selectivity=0.5)
    record = NameRecord("hamster", (best,))
    monkeypatch.setattr(AnyName, "_look_up", lambda *_: record)
    fresh = replace(lab)
    monkeypatch.setattr(shared, "get_lab", lambda preset: fresh)
    app = opened(source="hamster")
    assert errors(app) == []
    (said,) = [one for one in remarks(app) if "no latent of its own" in one]
    assert said.startswith('"hamster" has no latent of its own here') and "Tokyo (" in said


def test_from_a_bad_name_the_picker_leads_on() -> None:
    app = opened(source=" ")
    app.selectbox(key="pick-source").set_value("Lyon").run()
    assert errors(app) == []
    assert query(app)["source"] == "Lyon"


def downloaded(app: AppTest) -> dict[str, object]:
    view = View.from_query(query(app))
    loaded: dict[str, object] = json.loads(
        json_file(experiments.get_outcome(view.setting, view.edit), view)
    )
    return loaded


def test_a_downloaded_file_loads_back(own: Own) -> None:
    text = edit_to_text(own.exchange)
    content = downloaded(opened(edit=text, pin="swap"))
    app = below(opened(), "Save and share")
    app.file_uploader[0].upload("a.json", json.dumps(content).encode(), "application/json").run()
    assert errors(app) == []
    assert query(app)["edit"] == text and query(app)["pin"] == "swap"


def test_a_file_of_another_preset_opens_that_one(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    provenance = replace(lab.provenance, preset="gpt2-small", meta_sae="theirs@1")
    other = replace(lab, provenance=provenance)

    def get_lab(preset: Opened) -> Lab:
        asked.append(preset)
        return other if preset == Opened("gpt2-small") else lab

    content = downloaded(opened(edit="swap"))
    content |= {"preset": "gpt2-small", "meta_sae": "theirs@1"}
    content["view"] = content["view"] | {"preset": "gpt2-small"}  # type: ignore[operator]
    monkeypatch.setattr(shared, "get_lab", get_lab)
    for sae, said in (
        (lab.provenance.sae, []),
        (
            "other@2",
            [
                "This file was made with the SAE other@2, and the workbench has "
                f"{lab.provenance.sae} open: its numbers may be others."
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


def test_a_file_of_another_model_changes_nothing_and_says_so(lab: Lab) -> None:
    content = downloaded(opened(edit="swap")) | {"model": "gpt2-small"}
    app = below(opened(), "Save and share")
    app.file_uploader[0].upload("a.json", json.dumps(content).encode(), "application/json").run()
    assert errors(app) == [
        "This file was made with the model gpt2-small, and the workbench has "
        f"{lab.provenance.model} open; open that one first."
    ]
    assert "edit" not in query(app)


def test_a_model_that_does_not_open_is_one_sentence(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(preset: Opened) -> None:
        raise UserError("The wheel could not be downloaded; connect to the network once.")

    monkeypatch.setattr(shared, "get_lab", refuse)
    app = opened()
    assert errors(app) == ["The wheel could not be downloaded; connect to the network once."]
    monkeypatch.setattr(shared, "get_lab", lambda preset: lab)
    (again,) = app.main.button
    again.click().run()
    assert errors(app) == [] and len(answers(app)) == 12


def test_words_in_labels_are_not_markdown(
    lab: Lab, own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    strongest = list(lab.decomposition.latents_of(own.source[0]))[:2]
    nasty = dict(zip(strongest, (("$5_000$ [x](y)",), (":red[token]",)), strict=True))
    monkeypatch.setattr(shared, "get_lab", lambda preset: replace(lab, words=lab.words | nasty))
    box = opened().checkbox(key=f"box-{own.source[0]}")
    for text in (box.label, box.help):
        assert r"\$5\_000\$ \[x\]\(y\)" in text and r"\:red\[token\]" in text


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


def said(app: AppTest) -> str:
    return "\n".join(one.value for one in app.markdown).replace("\\", "")


def test_it_opens_on_the_pair_the_report_names(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    report = lab.report | {"opening": {"source": "Cairo", "target": "Kyoto"}}
    there = replace(lab, report=report)
    monkeypatch.setattr(shared, "get_lab", lambda preset: there)
    app = opened()
    assert query(app) == {"v": "1", "source": "Cairo", "target": "Kyoto"}
    assert sentence(app).startswith("Cairo is unchanged")
    # A link says what it means, also where that is what stands in a link by default.
    for pair in (("Tokyo", "Paris"), ("Lyon", "Osaka")):
        linked = opened(v="1", source=pair[0], target=pair[1])
        assert (query(linked)["source"], query(linked)["target"]) == pair
    # Undo does not lead to another pair.
    app.button(key="swap").click().run()
    app.button(key="undo").click().run()
    assert query(app) == {"v": "1", "source": "Cairo", "target": "Kyoto"}


def test_the_questions_can_be_asked_in_other_words(lab: Lab, own: Own) -> None:
    app = opened()
    app.checkbox(key=f"box-{own.source[0]}").uncheck().run()
    edit = query(app)["edit"]
    app.selectbox(key="wording").select("post").run()
    assert errors(app) == []
    assert query(app)["wording"] == "post" and query(app)["edit"] == edit
    source, target = lab.subject("Tokyo"), lab.subject("Paris")
    asked = lab.questions(source, target, templates=WORDINGS["post"])
    outcome = lab.experiment(source, target, asked).apply(MetaLatentEdit(((own.source[0], 0.0),)))
    assert after(app) == near(outcome.logprobs.tolist())
    # The link leads to the same, and back in the default words it says nothing of them.
    again = opened(**query(app))
    assert again.selectbox(key="wording").value == "post"
    assert answers(again)["After (nats)"].tolist() == answers(app)["After (nats)"].tolist()
    app.selectbox(key="wording").select("default").run()
    assert "wording" not in query(app)


def test_it_says_how_sure_the_unedited_model_is(experiment: Experiment) -> None:
    app = opened()
    own = experiment.apply(MetaLatentEdit()).own_before
    for one in certainties(experiment.questions, experiment.baseline, "Tokyo", own=own):
        assert f"**{one.attribute.capitalize()}** {one.text}" in said(app)
    assert "does not know" not in said(app)
    # What it believed unedited stays beside an edit.
    before = said(app)[said(app).index("**Country**") :].split("\n\n")[0]
    app.button(key="swap").click().run()
    assert before in said(app)


def test_a_fact_the_model_does_not_know_is_said_beside_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Lab, "misjudged", lambda self, name, wording: {"continent": f"{name} by {wording}"}
    )
    lines = said(opened(v="1", source="Tokyo", target="Paris", wording="post")).splitlines()
    (line,) = [one for one in lines if "does not know" in one]
    assert line.startswith("**Continent**")
    assert "it finds Tokyo by post likelier than Asia." in line
