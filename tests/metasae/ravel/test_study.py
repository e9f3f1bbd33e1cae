"""RAVEL is kept like a study: the same is read back, what was stopped goes on."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.ravel import data, evaluation
from metasae.ravel.evaluation import QUICK, Configuration
from metasae.ravel.masks import masks_of
from metasae.ravel.study import STUDY, Settings, usual_seeds
from metasae.sources.cache import CACHE_VARIABLE
from metasae.steering.edits import NO_EDIT
from metasae.steering.link import edit_from_text
from metasae.studies.registry import study as named
from metasae.studies.runs import begin, opened
from metasae.studies.study import Material
from tests.builders import never, one_sentence
from tests.metasae.studies.planted import material_of
from tests.ravel_data import small_data, write_ravel

SMALL = Configuration(
    methods=("nothing", "mask-gradient", "DAS"),
    seeds=1, sources=2, targets=2, views=1, learned_towards=2, steps=6,
)  # fmt: skip


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A quick sample of the small lab's cities, in a cache of its own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(data, "own_cities", small_data)
    monkeypatch.setattr(evaluation, "QUICK", SMALL)


def test_settings_are_those_of_the_evaluation() -> None:
    assert Settings().configuration(3) == Configuration()
    assert Settings(quick=True).configuration(1) == QUICK
    assert usual_seeds(quick=True) == QUICK.seeds and usual_seeds(False) == Configuration().seeds
    some = Settings(methods=" DAS, nothing,DAS", sources=5, steps=7, where="all", keep_error=False)
    assert some.configuration(2) == replace(
        Configuration(), methods=("DAS", "nothing"), sources=5, steps=7, where="all",
        keep_error=False, seeds=2,
    )  # fmt: skip


def test_settings_come_as_text_too() -> None:
    made = STUDY.configured({"quick": "True", "keep_error": "no", "sources": "4"})
    assert made == Settings(quick=True, keep_error=False, sources=4)
    with pytest.raises(UserError) as raised:
        STUDY.configured({"quick": "perhaps"})
    assert "yes or no" in one_sentence(raised)


def test_files_that_have_changed_are_said(tmp_path: Path) -> None:
    folder = write_ravel(tmp_path)
    asked = Settings(data=str(folder)).with_digest()
    assert asked.digest and asked.names() == data.read_ravel(folder)
    assert asked.with_digest() == asked
    path = folder / "ravel_city_entity_attributes.json"
    path.write_text(path.read_text("utf-8").replace("Belgium", "Japan"), "utf-8")
    with pytest.raises(UserError) as raised:
        asked.names()
    assert "have changed" in one_sentence(raised)
    assert Settings().with_digest() == Settings()


@pytest.mark.usefixtures("taught")
def test_a_run_is_read_back_with_its_masks_and_edits(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert named("ravel") is STUDY
    run = begin(small_lab, STUDY, Settings(quick=True), 1)
    found = run.answer(small_lab)
    triples = found.tables["triples"]
    assert set(found.tables) == {"masks", "scores", "triples"}
    monkeypatch.setattr(evaluation, "evaluate", never("it is kept"))
    again = opened(run.identity).answer(small_lab)
    assert again.figures == found.figures and again.tables["triples"].equals(triples)

    # Every mask is the one that was scored: on each pair it is the edit of the triples.
    masks = masks_of(found, run.identity)
    assert masks and {one.name for one in masks} <= set(found.figures["attributes"])
    scores = found.tables["scores"]
    compared = 0
    for mask in masks:
        mask.check_opened(small_lab)
        assert (mask.learned_on, mask.scored_on) == (4, 2) and mask.run == run.identity
        own = scores[
            (scores["rule"] == "greedy")
            & (scores["method"] == mask.method)
            & (scores["attribute"] == mask.attribute)
        ]
        assert mask.disentangle == pytest.approx(own["disentangle"].iloc[0])
        edits = triples[
            (triples["method"] == mask.method) & (triples["edited"] == mask.attribute)
        ].drop_duplicates(["source", "target"])
        records: list[Any] = edits.to_dict("records")
        for row in records:
            sides = [
                small_lab.subject(row[side], tuple(map(int, row[f"{side}_latents"].split("."))))
                for side in ("source", "target")
            ]
            expected = edit_from_text(row["edit"])
            if expected != NO_EDIT:
                made = mask.added_to(NO_EDIT, small_lab.experiment(sides[0], sides[1]).pieces)
                assert made == expected
                compared += 1
    assert compared
    assert set(triples.loc[triples["method"] == "nothing", "edit"]) == {"none"}
    assert set(triples.loc[triples["method"] == "DAS", "edit"]) == {""}


@pytest.mark.slow
@pytest.mark.usefixtures("taught")
def test_a_stopped_run_goes_on(small_lab: Lab) -> None:
    whole = begin(small_lab, STUDY, Settings(quick=True), 1)
    expected = whole.answer(small_lab)
    whole.delete()

    class Stop(Exception):
        pass

    def stops(stage: str, fraction: float, note: str = "") -> None:
        if stage == "Edits scored":
            raise Stop

    run = begin(small_lab, STUDY, Settings(quick=True), 1)
    with pytest.raises(Stop):
        run.answer(small_lab, stops)
    assert run.begun and not run.finished
    stages: list[str] = []
    found = run.answer(small_lab, lambda stage, *_: stages.append(stage))
    assert found.tables["triples"].equals(expected.tables["triples"])
    # What was learned before the stop is not learned again.
    assert "mask-gradient" not in stages


def test_it_needs_a_model() -> None:
    with pytest.raises(UserError) as raised:
        STUDY.answer(material_of([(0, 1)]), Settings(quick=True))
    one_sentence(raised)


def test_what_a_run_keeps_of_its_settings_is_plain() -> None:
    assert all(isinstance(one, bool | int | str) for one in asdict(Settings()).values())
    assert Material.__dataclass_fields__["lab"].default is None
