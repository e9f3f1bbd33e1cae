"""The first screen: what is open, the four steps, what is not known, and boxes named in words."""

from collections.abc import Callable
from dataclasses import replace
from math import log

import pytest
from streamlit.testing.v1 import AppTest

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lessons.first_steps import measured
from metasae.sources.presets import Opened
from metasae.steering.certainty import percent
from metasae.steering.edits import NO_EDIT
from metasae.steering.experiment import Experiment
from metasae.steering.link import edit_to_text
from tests.pages.opening import open_page as opened
from tests.pages.opening import query, until
from workbench import shared
from workbench.glossary import TERMS
from workbench.open_line import in_words

PAGES = (
    "steer", "enumerate", "latents", "meta_latents", "graph", "studies", "ravel", "train",
    "lessons",
)  # fmt: skip


@pytest.fixture(autouse=True)
def lab(on_small: Lab) -> Lab:
    return on_small


def read(app: AppTest) -> list[str]:
    assert not app.exception
    return [one.value.replace("\\", "") for one in app.markdown]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_what_is_open_and_what_its_words_mean(page: str, lab: Lab) -> None:
    words = read(opened(page))
    assert words.count(" · ".join(in_words(lab))) == 1
    (glossary,) = [text for text in words if text.startswith("**SAE**")]
    for term, meaning in TERMS.items():
        assert f"**{term}**: {meaning}" in glossary


def test_what_does_not_open_is_named_in_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(preset: Opened) -> None:
        raise UserError("There is no network.")

    monkeypatch.setattr(shared, "get_lab", refuse)
    lines = [one.value.replace("\\", "") for one in opened(preset="gpt2-small").markdown]
    assert "Meta-SAE workbench · gpt2-small is not open" in lines


def test_the_steps_are_edits_that_do_what_their_sentences_say(experiment: Experiment) -> None:
    found = measured(experiment)
    assert found.taken is not None and found.added is not None
    app = opened()
    names = [app.button(key=f"step-{number}").label for number in range(1, 5)]
    assert names[0] == "1 · Look" and names[3] == "4 · Let it write"
    assert "Japan" in names[1] and "French" in names[2]
    for number, change in ((2, found.taken), (3, found.added)):
        app.button(key=f"step-{number}").click().run()
        assert query(app)["edit"] == edit_to_text(change.edit)
        after = experiment.apply(change.edit).answers
        (row,) = after[after["answer"] == change.answer].to_dict("records")
        assert row["logprob"] == pytest.approx(log(change.after))
        told = [one for one in read(app) if "ick “" in one][number - 2]
        assert f"“{change.answer}”" in told and told.endswith(f"{_written(change.after)}.")
    app.button(key="step-1").click().run()
    assert "edit" not in query(app)


def _written(probability: float) -> str:
    return percent(probability).replace(" %", "\u00a0%")


def test_a_step_is_a_link_too(experiment: Experiment) -> None:
    found = measured(experiment)
    assert found.added is not None
    app = opened(v="1", source="Tokyo", target="Paris", edit=edit_to_text(found.added.edit))
    kinds = [app.button(key=f"step-{number}").proto.type for number in range(1, 5)]
    assert kinds == ["secondary", "secondary", "primary", "secondary"]


def test_the_last_step_writes_both_texts(experiment: Experiment) -> None:
    found = measured(experiment)
    assert found.added is not None
    app = opened()
    app.button(key="step-4").click().run()
    assert query(app)["edit"] == edit_to_text(found.added.edit)
    assert query(app)["write"].startswith("I moved to {city}")

    def written() -> list[str]:
        app.run()
        return [one for one in read(app) if one.startswith(":gray[I")]

    until(written, lambda: False)
    texts = written()
    prompt = "I moved to Tokyo last year. Here everyone speaks"
    for text, edit in zip(texts, (NO_EDIT, found.added.edit), strict=True):
        first = experiment.continuation(edit, prompt).split()[0]
        assert prompt in text and first in text
    app.button(key="undo").click().run()
    assert "edit" not in query(app) and "write" not in query(app)


def test_latents_that_are_asked_a_persons_own_question_have_no_steps() -> None:
    app = opened(source="#8", ask="The tower stands in", answers="Paris, Rome")
    assert read(app)
    assert not [one for one in app.button if str(one.key).startswith("step-")]


def test_a_city_that_is_not_known_says_so_in_the_list_and_when_chosen(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    cairo = lab.records["Cairo"]
    doubtful = replace(cairo, known=cairo.known | {"currency": False})
    there = replace(lab, records=lab.records | {"Cairo": doubtful})
    monkeypatch.setattr(shared, "get_lab", lambda preset: there)
    monkeypatch.setattr(
        Lab, "misjudged", lambda self, name, wording: {"currency": "yen"} if name == "Cairo" else {}
    )
    app = opened()
    assert "Cairo (3 of 4 known)" in app.selectbox(key="pick-target").options
    assert "Lyon" in app.selectbox(key="pick-target").options
    assert not app.warning
    app.selectbox(key="pick-target").set_value("Cairo").run()
    assert not app.exception and query(app)["target"] == "Cairo"
    (said,) = [one.value.replace("\\", "") for one in app.warning]
    assert said.startswith("The unedited model does not know Cairo's currency (it finds “yen”")


@pytest.fixture
def unclear(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The source's pieces; of the strongest and the two weakest nobody knows what they are.

    The strongest is more than twice as active as those two.
    """
    own = [piece for piece in experiment.pieces if piece.side == "source"]
    assert own[0].on_source > 2 * own[-2].on_source
    metas = [piece.meta for piece in own]
    titles = shared.meta_titles

    def some_unclear(lab: Lab) -> Callable[[int], str]:
        title = titles(lab)
        return lambda meta: "blue, two (?)" if meta in (metas[0], *metas[-2:]) else title(meta)

    monkeypatch.setattr(shared, "meta_titles", some_unclear)
    return metas


def test_weak_unclear_pieces_are_folded(unclear: list[int]) -> None:
    app = opened()
    (fold,) = [one for one in app.expander if one.label.startswith("unclear")]
    assert fold.label == "unclear (2)"
    assert [box.key for box in fold.checkbox] == [f"box-{meta}" for meta in unclear[-2:]]
    boxes = [str(box.key) for box in app.checkbox]
    assert boxes[: len(unclear)] == [f"box-{meta}" for meta in unclear]
    assert app.session_state["unclear-source"] is False


def test_an_unclear_piece_that_is_changed_is_in_sight(unclear: list[int]) -> None:
    app = opened(v="1", source="Tokyo", target="Paris", edit=f"{unclear[-1]}_0")
    assert app.session_state["unclear-source"] is True
    # It does not close under the hand of who undoes it.
    app.checkbox(key=f"box-{unclear[-1]}").check().run()
    assert "edit" not in query(app) and app.session_state["unclear-source"] is True
    other = opened(v="1", source="Tokyo", target="Paris", edit=f"{unclear[0]}_0")
    assert other.session_state["unclear-source"] is False


def test_boxes_and_sliders_are_named_in_words(lab: Lab, experiment: Experiment) -> None:
    app = opened()
    app.toggle(key="strengths").set_value(True).run()
    for piece in experiment.pieces:
        name = app.checkbox(key=f"box-{piece.meta}").label
        assert name == f"{shared.meta_titles(lab)(piece.meta)} (meta-latent {piece.meta})"
        assert app.slider(key=f"strength-{piece.meta}").label == f"Strength of {name}"


def test_every_button_has_a_name() -> None:
    app = opened()
    assert [one.key for one in app.button if not one.label] == []
    named = {app.button(key=key).label for key in ("exchange", "undo", "redo", "pin")}
    assert named == {"Exchange", "Undo", "Redo", "Pin"}
