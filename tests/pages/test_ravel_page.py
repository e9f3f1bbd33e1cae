"""The RAVEL page on the small lab, and its masks on Steer."""

import json
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from metasae.lab.lab import Lab
from metasae.ravel import data, evaluation, masks
from metasae.ravel.evaluation import Configuration
from metasae.ravel.masks import Mask
from metasae.ravel.study import STUDY, Settings
from metasae.ravel.words import RULE, learned_edits
from metasae.steering.edits import MetaLatentEdit
from metasae.steering.experiment import Experiment
from metasae.steering.link import edit_from_text
from metasae.steering.nats import settled
from metasae.studies.registry import study
from metasae.studies.runs import Run, all_runs, begin
from tests.pages.opening import open_page, query, until
from tests.ravel_data import small_data, write_ravel
from workbench.ravel.cities import steer_view
from workbench.shared import meta_titles
from workbench.studies import jobs
from workbench.studies.result import headline

pytestmark = pytest.mark.usefixtures("on_small", "taught")


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick sample of the small lab's cities."""
    quick = Configuration(
        methods=("nothing", "latent-swap", "mask-gradient", "DAS"),
        seeds=1, sources=2, targets=2, views=1, learned_towards=2, steps=6,
    )  # fmt: skip
    monkeypatch.setattr(data, "own_cities", small_data)
    monkeypatch.setattr(evaluation, "QUICK", quick)


def ravel_page(**link: str) -> AppTest:
    app = open_page("ravel", **link)
    assert not app.exception
    return app


def said(app: AppTest) -> list[str]:
    """All that is written, without the marks that keep it from being Markdown."""
    written = [*app.main.markdown, *app.main.subheader, *app.main.caption, *app.info, *app.error]
    return [one.value.replace("\\", "") for one in written]


def finished(lab: Lab) -> Run:
    run = begin(lab, STUDY, Settings(quick=True), 1)
    run.answer(lab)
    return run


def test_a_quick_run_is_asked_shown_and_linked(on_small: Lab) -> None:
    app = ravel_page()
    assert any("doing nothing scores 0.50" in one for one in said(app))
    app.button(key="run-ravel").click().run()
    (run,) = all_runs()
    until(lambda: (work := jobs.work_of(run)) is None or work.done)
    app.run()
    assert not app.exception and not app.error
    found = run.result()
    assert query(app)["run"] == run.identity and "study" not in query(app)
    texts = said(app)
    assert {one for one in headline(found.verdict) if one} <= set(texts)
    facts = found.figures["facts"]
    assert any(f"{facts['facts_asked']} facts" in one and "by itself" in one for one in texts)
    (table,) = [one.value for one in app.dataframe if "Isolate" in one.value]
    nothing = table[table["Method"] == "nothing"].iloc[0]
    assert (nothing["Disentangle"], nothing["Cause"], nothing["Isolate"]) == (
        "0.50",
        "0.00",
        "1.00",
    )
    assert set(table["Method"]) == {"nothing", "latent-swap", "mask-gradient", "DAS"}
    # By attribute, and by the other rule.
    app.selectbox(key=f"rule-{run.identity}").set_value("choice").run()
    assert not app.exception
    code = [one.value for one in app.main.code]
    assert any(one.startswith("python -m metasae study ravel") for one in code)
    # The same is not worked out again, and a link shows it at once.
    app.button(key="run-ravel").click().run()
    assert any("asked before" in one for one in said(app)) and len(all_runs()) == 1
    assert headline(found.verdict)[0] in said(ravel_page(run=run.identity))


def test_any_triple_is_shown_and_opened_in_steer(on_small: Lab) -> None:
    run = finished(on_small)
    app = ravel_page(run=run.identity)
    triples = run.result().tables["triples"]
    app.selectbox(key=f"method-{run.identity}").set_value("latent-swap").run()
    app.selectbox(key=f"attribute-{run.identity}").set_value("language").run()
    pair = app.selectbox(key=f"pair-{run.identity}").options[1]
    app.selectbox(key=f"pair-{run.identity}").set_value(pair).run()
    source, target = pair.split(" → ")
    own = triples[(triples["source"] == source) & (triples["target"] == target)]
    swap, before = (own[own["method"] == name] for name in ("latent-swap", "nothing"))
    key = f"prompt-{run.identity}-{source}-{target}"
    prompts = app.selectbox(key=key)
    assert prompts.options == [one.replace("%s", source) for one in swap["template"]]
    prompts.set_value(1).run()
    row, was = swap.iloc[1], before[before["template"] == swap.iloc[1]["template"]].iloc[0]
    (answers,) = [one.value for one in app.dataframe if "Whose" in one.value]
    assert answers["Answer"].tolist() == [row["source_answer"], row["target_answer"]]
    for column, told in (("After (nats)", row), ("Before (nats)", was)):
        expected = [settled(told["source_nats"]), settled(told["target_nats"])]
        assert answers[column].tolist() == expected
    app.button(key="ravel-steer").click().run()
    assert not app.exception and not app.error
    link = query(app)
    assert (link["source"], link["target"], link["edit"]) == (source, target, "swap")
    assert link["ask"] == row["template"].replace("%s", source)


@pytest.mark.parametrize("method", ["nothing", "mask-gradient"])
def test_steer_computes_what_the_triple_says(on_small: Lab, method: str) -> None:
    """The link's pair, latents, prompt and edit give the log-probabilities of the triple."""
    from workbench.steer import experiments

    triples = finished(on_small).result().tables["triples"]
    row: Any = triples[triples["method"] == method].iloc[-1].to_dict()
    view = steer_view(on_small.provenance.preset, row)
    outcome = experiments.get_outcome(view.setting, view.edit)
    answers = [
        float(nats)
        for (question, _), nats in zip(outcome.questions.answers, outcome.logprobs, strict=True)
        if question.prompt == view.setting.prompt and question.attribute == "custom"
    ]
    assert answers == pytest.approx([row["source_nats"], row["target_nats"]], abs=1e-3)


def test_a_method_steer_does_not_have_opens_the_pair_unedited(on_small: Lab) -> None:
    run = finished(on_small)
    app = ravel_page(run=run.identity)
    app.selectbox(key=f"method-{run.identity}").set_value("DAS").run()
    assert any("can't make this edit" in one for one in said(app))
    app.button(key="ravel-steer").click().run()
    assert not app.exception and "edit" not in query(app)


def test_learned_edits_are_told_in_words_and_lead_to_steer(on_small: Lab) -> None:
    run = finished(on_small)
    tables = run.result().tables
    learned = learned_edits(tables["masks"], tables["triples"])
    assert learned.telling and len(learned.masks) == len(tables["masks"]) > 1
    app = ravel_page(run=run.identity)
    texts = said(app)
    for one in learned.telling:
        assert f"{one.text} ({one.method})" in texts
    assert f"Those that tell most, by {RULE}." in texts
    assert learned.masks[0].text(meta_titles(on_small)) in texts
    app.selectbox(key=f"mask-{run.identity}").set_value(1).run()
    assert learned.masks[1].text(meta_titles(on_small)) in said(app)
    first = learned.telling[0]
    app.button(key="telling-0").click().run()
    assert not app.exception and not app.error
    link = query(app)
    assert (link["source"], link["target"]) == (first.source, first.target)
    assert (link["ask"], link["edit"]) == (first.prompt, first.triple["edit"])


def test_scores_are_shown_apart_by_how_sure_the_model_is(on_small: Lab) -> None:
    run = finished(on_small)
    app = ravel_page(run=run.identity)
    (table,) = [one.value for one in app.dataframe if "On training names" in one.value]
    rows = table.set_index("Method")
    assert list(rows.index) == list(evaluation.QUICK.methods)
    assert rows.loc["nothing", "On training names"] == "0.50"
    (swap,) = [
        one["disentangle"]
        for one in run.result().figures["on_training_names"]
        if (one["method"], one["rule"], one["attribute"]) == ("latent-swap", "greedy", "all")
    ]
    assert rows.loc["latent-swap", "On training names"] == f"{swap:.2f}"


def test_what_moves_together_is_shown_for_any_method(on_small: Lab) -> None:
    run = finished(on_small)
    app = ravel_page(run=run.identity)
    assert app.selectbox(key=f"leak-method-{run.identity}").value == "mask-gradient"
    app.selectbox(key=f"leak-method-{run.identity}").set_value("latent-swap").run()
    assert not app.exception
    assert any("full diagonal" in one for one in said(app))


def test_a_run_of_another_page_is_said_to_be_there(on_small: Lab) -> None:
    run = begin(on_small, study("max-cosine"), study("max-cosine").configuration(), 1)
    app = ravel_page(run=run.identity)
    assert any("on the page Studies" in one.value for one in app.error)
    assert "run" not in query(app) and app.button(key="run-ravel").label == "Run"
    run = begin(on_small, STUDY, Settings(quick=True), 1)
    app = open_page("studies", run=run.identity)
    assert any("on the page RAVEL" in one.value for one in app.error)
    assert not app.exception and "run" not in query(app)


def test_a_folder_is_read_from_this_machine(
    on_small: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ravel")
    app = ravel_page()
    app.text_input(key="ravel-data-").set_value(str(folder)).run()
    app.button(key="run-ravel").click().run()
    (error,) = [one.value.replace("\\", "") for one in app.error]
    assert "ravel_city_entity_attributes.json" in error and all_runs() == []
    write_ravel(folder)
    app.button(key="run-ravel").click().run()
    (run,) = all_runs()
    assert run.asked.configuration["data"] == str(folder.resolve())
    assert run.asked.configuration["digest"]
    until(lambda: (work := jobs.work_of(run)) is None or work.done)
    assert not app.run().exception


def mask_of(lab: Lab, name: str, pieces: tuple[int, ...]) -> Mask:
    return Mask(
        name=name, attribute="country", method="mask-gradient", pieces=pieces,
        keep_residual=False, keep_error=True, position="last", meta_sae=lab.weights.meta_sae,
        made=lab.provenance, run="0" * 12, data="taught cities", learned_on=4, scored_on=3,
        disentangle=0.6,
    )  # fmt: skip


def with_masks(lab: Lab) -> AppTest:
    """Steer with the menu of masks open."""
    app = open_page(source="Tokyo", target="Paris")
    app.session_state["masks-open"] = True
    app.run()
    assert not app.exception
    return app


def test_a_runs_mask_is_saved_and_ticks_pieces_on_steer(on_small: Lab) -> None:
    run = finished(on_small)
    app = ravel_page(run=run.identity)
    (name,) = [one for one in app.text_input if one.label == "Save it as"]
    name.set_value("make it French").run()
    app.button(key="save-mask").click().run()
    assert any("Saved as “make it French”" in one for one in said(app))
    (kept,) = masks.saved()
    assert kept.name == "make it French" and kept.run == run.identity
    assert with_masks(on_small).button(key="mask-make it French").label == "make it French"


def test_masks_are_ticked_chained_and_linked(on_small: Lab, experiment: Experiment) -> None:
    own = [one for one in experiment.pieces if one.side != "shared"]
    first, rest = (tuple(one.meta for one in some) for some in (own[:1], own[1:]))
    mask_of(on_small, "first", first).save()
    mask_of(on_small, "rest", rest).save()
    replace(mask_of(on_small, "foreign", first), meta_sae="0" * 64).save()
    app = with_masks(on_small)
    assert any("Disentangle 0.60 on 3 held-out names" in one for one in said(app))
    assert app.button(key="mask-foreign").disabled
    assert any("is of the meta-SAE" in one for one in said(app))
    app.button(key="mask-first").click().run()
    assert edit_from_text(query(app)["edit"]) == MetaLatentEdit(
        ((own[0].meta, 1.0 - own[0].default),)
    )
    app.button(key="mask-rest").click().run()
    both = MetaLatentEdit(tuple((one.meta, 1.0 - one.default) for one in own))
    assert edit_from_text(query(app)["edit"]) == both
    box = app.checkbox(key=f"box-{own[0].meta}")
    assert box.value is (own[0].side == "target")
    # One step back, and the link is an edit like any other.
    app.button(key="undo").click().run()
    assert edit_from_text(query(app)["edit"]) != both
    app.button(key="mask-delete-rest").click().run()
    assert {one.name for one in masks.saved()} == {"first", "foreign"}


def test_a_masks_file_is_taken_in_or_refused(on_small: Lab) -> None:
    app = with_masks(on_small)
    assert any("None is saved here yet" in one for one in said(app))
    mask = mask_of(on_small, "brought", (1, 2))
    text = json.dumps(mask.to_dict()).encode()
    app.file_uploader(key="mask-upload").upload("m.json", text, "application/json").run()
    assert not app.exception and masks.saved() == (mask,)
    app = with_masks(on_small)
    app.file_uploader(key="mask-upload").upload("bad.json", b"{", "application/json").run()
    assert any("bad.json holds no mask" in one.replace("\\", "") for one in said(app))
