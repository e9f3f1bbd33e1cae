"""The Lessons page: question first, the answer when it is asked for, all of it in the address."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from metasae.lab.lab import Lab
from metasae.lessons.lesson import Found, Step
from metasae.lessons.registry import lesson, lessons
from tests.benches import bench
from tests.pages.opening import open_page, query, until
from workbench.lessons import asking


@pytest.fixture(autouse=True)
def lab(on_small: Lab) -> Lab:
    return on_small


def page(**asked: str) -> AppTest:
    app = open_page("lessons", **asked)
    assert not app.exception
    return app


def told(app: AppTest) -> str:
    assert not app.exception and not app.error
    parts = [*app.title, *app.header, *app.subheader, *app.markdown, *app.caption]
    return "\n".join(one.value.replace("\\", "") for one in parts)


def checked(app: AppTest) -> AppTest:
    """The page once its step is checked."""
    until(lambda: "there" in {one.key for one in app.run().button}, lambda: False)
    return app


def expected(lab: Lab, name: str, number: int) -> Found:
    return lesson(name).steps[number - 1].found(bench(lab))


def test_all_lessons_are_offered_with_what_one_learns() -> None:
    app = page()
    text = told(app)
    for one in lessons():
        assert f"{one.number} · {one.title}" in text and one.learnt in text
    assert "lesson" not in query(app)


def test_a_lesson_begins_with_a_question_and_hides_the_answer(lab: Lab) -> None:
    app = page()
    app.button(key="begin-pieces").click().run()
    app = checked(app)
    here = query(app)
    assert (here["lesson"], here["step"]) == ("pieces", "1") and "answered" not in here
    step, found = lesson("pieces").steps[0], expected(lab, "pieces", 1)
    assert step.question.format_map(bench(lab).words) in told(app)
    assert found.answer not in told(app)
    app.button(key="show").click().run()
    assert query(app)["answered"] == "1"
    assert found.answer in told(app) and found.more in told(app)
    assert "show" not in {one.key for one in app.button}


def test_after_the_last_step_comes_the_next_lesson() -> None:
    first, second, *_, last = lessons()
    app = page(lesson=first.name, step=str(first.count))
    on = app.button(key="move-arrow_forward")
    assert on.label == f"Next lesson: {second.title}"
    on.click().run()
    here = query(app)
    assert (here["lesson"], here["step"]) == (second.name, "1") and "answered" not in here
    assert app.button(key="move-arrow_forward").label == "Next"
    app = page(lesson=last.name, step=str(last.count))
    assert app.button(key="move-arrow_forward").disabled
    # Shown to a room, the last answer comes before.
    asked = {"lesson": first.name, "step": str(first.count), "presenting": "1"}
    assert page(**asked).button(key="move-arrow_forward").label == "Next"
    app = page(**asked, answered=str(first.count))
    app.button(key="move-arrow_forward").click().run()
    assert query(app)["lesson"] == second.name and query(app)["presenting"] == "1"


def test_what_is_not_shown_by_what_is_open_says_so(lab: Lab) -> None:
    """Nobody has collected where the small lab's latents fire."""
    found = expected(lab, "latent", 2)
    assert not found.holds
    app = checked(page(lesson="latent", step="2", answered="2"))
    assert "Not shown by what is open" in told(app) and found.answer in told(app)
    assert "✓ Shown by what is open" not in told(app)


def test_what_could_not_be_asked_says_nothing_of_the_claim_and_is_asked_anew(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Step.found
    failed: list[Step] = []

    def found(one: Step, *words: Any) -> Found:
        if one.title == lesson("latent").steps[0].title and not failed:
            failed.append(one)
            return Found(False, "Not now.", "The text is gone.", asked=False)
        return ask(one, *words)

    monkeypatch.setattr(Step, "found", found)
    app = page(lesson="latent", step="1", answered="1")
    until(lambda: "Not now." in told(app) or app.run() is None, lambda: False)
    assert "The text is gone." in told(app) and "hown by what is open" not in told(app)
    app = checked(app)
    assert expected(lab, "latent", 1).answer in told(app)


@pytest.mark.parametrize("name", [one.name for one in lessons()])
def test_every_step_of_a_walk_is_drawn(name: str, lab: Lab) -> None:
    walk = lesson(name)
    app = page(lesson=name)
    for number, step in enumerate(walk.steps, 1):
        assert query(app)["step"] == str(number)
        assert step.title in told(app)
        app.button(key="show").click().run()
        found = expected(lab, name, number)
        until(lambda app=app, found=found: found.answer in told(app.run()), lambda: False)  # type: ignore[misc]
        if number < walk.count:
            app.button(key="move-arrow_forward").click().run()
    assert query(app)["answered"] == ".".join(str(n) for n in range(1, walk.count + 1))
    assert app.button(key="move-arrow_forward").disabled is (walk == lessons()[-1])


def test_progress_is_in_the_link() -> None:
    app = page(lesson="fact", step="3", answered="1.2")
    assert query(app)["answered"] == "1.2" and query(app)["step"] == "3"
    ticked = [app.button(key=f"walk-{number}").proto.icon for number in range(1, 6)]
    assert [bool(one) for one in ticked] == [True, True, False, False, False]
    app.button(key="walk-1").click().run()
    assert query(app)["step"] == "1" and query(app)["answered"] == "1.2"


@pytest.mark.parametrize(
    ("asked", "step"),
    [
        ({"step": "99"}, "5"), ({"step": "-1"}, "1"), ({"step": "two"}, "1"),
        ({"answered": "7.x.-2.3"}, "1"), ({"step": "²"}, "1"),
    ],
)  # fmt: skip
def test_a_damaged_link_leads_to_the_nearest_step(asked: dict[str, Any], step: str) -> None:
    app = page(lesson="latent", **asked)
    assert query(app)["step"] == step
    assert query(app).get("answered", "") == ("3" if "answered" in asked else "")


def test_a_lesson_there_is_not_is_said() -> None:
    app = page(lesson="nothing")
    assert [one.value for one in app.error]
    assert "There is no lesson nothing" in app.error[0].value.replace("\\", "")
    assert "begin-latent" in {one.key for one in app.button}


def test_a_pair_of_ones_own_is_taught_with(lab: Lab) -> None:
    app = page(lesson="latent", v="1", source="Paris", target="Cairo", answered="1")
    found = lesson("latent").steps[0].found(bench(lab, "Paris", "Cairo"))
    until(lambda: found.answer in told(app.run()), lambda: False)
    assert query(app)["source"] == "Paris" and query(app)["target"] == "Cairo"


def test_a_pair_that_can_not_be_asked_is_one_sentence() -> None:
    app = page(lesson="latent", v="1", source="Paris", target="Paris")
    assert "choose two different ones" in app.error[0].value


def test_a_step_opens_where_it_is_in_the_workbench(lab: Lab) -> None:
    app = checked(page(lesson="pieces", step="1"))
    app.button(key="there").click().run()
    assert not app.exception
    assert query(app)["latent"] == str(bench(lab).latent) and "lesson" not in query(app)


def test_a_step_with_an_edit_opens_on_steer_with_it(lab: Lab) -> None:
    found = expected(lab, "fact", 2)
    assert found.place is not None
    app = checked(page(lesson="fact", step="2"))
    app.button(key="there").click().run()
    assert not app.exception
    assert query(app)["edit"] == found.place.query["edit"] != "none"


def test_steer_leads_to_its_lesson() -> None:
    app = open_page("steer")
    app.button(key="as-lesson").click().run()
    assert query(app)["lesson"] == "fact"
    assert lesson("fact").title in told(app)


def test_presenting_has_what_a_key_press_does_as_buttons() -> None:
    app = checked(page(lesson="latent", presenting="1"))
    assert {"move-close", "move-arrow_forward"} <= {one.key for one in app.button}
    assert "walk-1" not in {one.key for one in app.button}
    app.button(key="move-arrow_forward").click().run()
    assert query(app)["answered"] == "1" and query(app)["step"] == "1"
    app.button(key="move-arrow_forward").click().run()
    assert query(app)["step"] == "2" and query(app)["presenting"] == "1"
    app.button(key="move-close").click().run()
    assert "presenting" not in query(app) and query(app)["step"] == "2"


def test_the_next_step_is_begun_while_one_looks_at_this(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    work = asking.found.work

    def noted(*asked: Any) -> Any:
        begun.append(asked[-1])
        return work(*asked)

    monkeypatch.setattr(asking.found, "work", noted)
    page(lesson="latent", step="2")
    assert 3 in begun
    begun.clear()
    page(lesson="latent", step="5")
    assert set(begun) <= {5}
