"""The Train page through its states, on small SAEs made here."""

from dataclasses import replace
from pathlib import Path

import pytest
import sae_lens
import torch
from streamlit.testing.v1 import AppTest

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.sources import cache
from metasae.sources.presets import EMBEDDED, Preset
from metasae.training.meta_sae import RECIPE
from metasae.training.unfinished import TrainingRequest
from tests.pages.opening import open_page, until
from workbench import shared
from workbench.train import shelf, trainings

WIDTHS = (60, 400)


@pytest.fixture(autouse=True)
def trainable(small_default: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Preset:
    """What is open: SAEs of two widths, made here."""
    draw = torch.Generator().manual_seed(0)
    for width in WIDTHS:
        rows = torch.nn.functional.normalize(torch.randn(width, 12, generator=draw))
        sae = SparseAutoencoder(rows.T, torch.zeros(width), rows, torch.zeros(12), k=2)
        formats.save(sae, tmp_path / f"sae-{width}")
    preset = replace(EMBEDDED, weights=tmp_path, widths=WIDTHS)
    open_instead(small_default, preset, monkeypatch)
    return preset


def open_instead(lab: Lab, preset: Preset, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = replace(lab, preset=preset)
    monkeypatch.setattr(shared, "get_lab", lambda preset: opened)


def folder(name: str) -> Path:
    return cache.meta_sae(EMBEDDED.name, name)


def train_page(**query: str) -> AppTest:
    app = open_page("train", **query)
    assert not app.exception
    return app


def with_steps(app: AppTest, steps: int) -> AppTest:
    app.number_input(key="train-batch-400").set_value(64)
    return app.number_input(key="train-steps").set_value(steps).run()


def ended(app: AppTest) -> AppTest:
    until(lambda: all(one.work.done for one in trainings.trainings().values()))
    app.run()
    assert not app.exception
    return app


def test_it_says_what_training_costs_before_it_starts() -> None:
    app = train_page()
    assert app.number_input(key="train-width-400").value == 400 // 21
    assert any("Takes about" in one.value and "2 trainings" in one.value for one in app.markdown)
    assert not app.error


def test_a_training_ends_in_a_report_and_can_be_used_at_once() -> None:
    app = with_steps(train_page(), 12)
    app.main.text_input[-1].set_value("first").run()
    app.button(key="train-start").click().run()
    ended(app)
    assert {metric.label for metric in app.metric} >= {"Variance explained", "L0", "Dead"}
    made = trainings.trainings()[folder("first")].work.result()
    assert app.metric[0].value == f"{made['quality']['fve']:.3f}"
    assert (
        sae_lens.SAE.load_from_disk(str(cache.meta_saes(EMBEDDED.name) / "first")).cfg.d_sae == 19
    )
    app.button(key="use-first").click().run()
    assert not app.exception
    assert app.query_params["preset"] in ("smollm2-135m+first", ["smollm2-135m+first"])
    # Whoever comes after a restart finds it on the shelf.
    trainings.trainings().clear()
    app = train_page()
    assert any(one.label == "first" for one in app.main.expander)
    app.main.text_input[-1].set_value("first").run()
    assert any("exists already" in one.value for one in app.info)


def test_the_shipped_meta_sae_can_be_opened_again(
    small_default: Lab, trainable: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_instead(small_default, replace(trainable, meta_sae="first"), monkeypatch)
    app = train_page(preset="smollm2-135m+first")
    assert app.info[0].value == "Open now: your meta-SAE “first”."
    assert app.selectbox(key="preset").value == "smollm2-135m"
    app.button(key="use-shipped").click().run()
    assert not app.exception
    assert "preset" not in app.query_params


def test_what_can_be_used_at_once(trainable: Preset) -> None:
    preset = trainable
    own = [preset.sae(width) for width in preset.widths]
    widest = preset.sae(preset.width)
    for sources, fits in (
        ([widest], True), (own, True), (own[:1], False), ([*own, "another"], False), ([], False),
    ):  # fmt: skip
        assert preset.is_taken_apart_by(sources) == fits


def test_a_cancelled_training_goes_on_where_it_was() -> None:
    app = with_steps(train_page(), 4000)
    app.main.text_input[-1].set_value("long").run()
    app.button(key="train-start").click().run()
    training = trainings.trainings()[folder("long")]
    until(lambda: training.moments, lambda: training.work.done)
    training.cancel()
    ended(app)
    # A person stopped it: that is said, and not as an error.
    assert any("stopped at step" in one.value for one in app.info) and not app.error
    assert (cache.meta_saes(EMBEDDED.name) / "long.meta-sae.checkpoint").exists()
    stopped_at = training.moments[-1].step
    app.button(key="again-long").click().run()
    again = trainings.trainings()[folder("long")]
    until(lambda: len(again.moments) > len(training.moments), lambda: again.work.done)
    assert again.moments[len(training.moments)].step > stopped_at
    again.cancel()
    ended(app)
    # The server ends here; the next one finds what was asked for and how far it came.
    trainings.trainings().clear()
    app = train_page()
    assert any("Stopped before its end (19 meta-latents" in one.value for one in app.markdown)
    app.main.text_input[-1].set_value("long").run()
    assert any("exists already" in one.value for one in app.info)
    app.button(key="resume-long").click().run()
    third = trainings.trainings()[folder("long")]
    until(lambda: third.moments, lambda: third.work.done)
    assert third.moments[0].step > again.moments[len(training.moments)].step
    third.cancel()
    ended(app)
    trainings.trainings().clear()
    app = train_page()
    (what,) = [one.value for one in app.markdown if "can't be brought back" in one.value]
    assert "“long” so far" in what
    app.button(key="forget-long").click().run()
    assert not list(cache.meta_saes(EMBEDDED.name).glob("*"))
    assert not any("Stopped before its end" in one.value for one in app.markdown)


def test_directions_that_are_gone_are_said_when_a_training_is_to_go_on(tmp_path: Path) -> None:
    config = replace(RECIPE, width=8, k=1, batch=32)
    TrainingRequest(
        cache.meta_saes(EMBEDDED.name) / "gone", (str(tmp_path / "nowhere"),), config, ()
    ).write()
    (cache.meta_saes(EMBEDDED.name) / "odd.order.json").write_text("[]")
    app = train_page()
    app.button(key="resume-gone").click().run()
    assert not app.exception
    assert any("no file or folder" in one.value for one in app.error)


def test_another_sae_is_taken_apart_but_not_offered_for_steering() -> None:
    app = train_page()
    app.selectbox(key="train-what").set_value("60 latents, SmolLM2-135M-Instruct").run()
    assert any("k is 4, more than the 2" in one.value for one in app.error)
    app.number_input(key="train-k").set_value(1)
    app.number_input(key="train-steps").set_value(3).run()
    app.main.text_input[-1].set_value("small").run()
    app.button(key="train-start").click().run()
    ended(app)
    assert any("another SAE" in one.value for one in app.caption)
    assert not [one for one in app.main.button if one.key == "use-small"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [("nowhere", "no file or folder"), ("nobody:1", "knows no release"), ("<b>*x*</b>", "no file")],
)
def test_what_cant_be_opened_is_said(typed: str, said: str) -> None:
    app = train_page()
    app.selectbox(key="train-what").set_value("something of my own …").run()
    assert not app.error
    app.text_input(key="train-own").set_value(typed).run()
    assert not app.exception
    assert any(said in one.value for one in app.error)
    assert not [one for one in app.main.button if one.key == "train-start"]


def test_a_bad_name_and_a_bad_k_are_said() -> None:
    app = train_page()
    app.main.text_input[-1].set_value("../up").run()
    assert any("letters, digits" in one.value for one in app.error)
    app.main.text_input[-1].set_value("fine").run()
    app.number_input(key="train-k").set_value(40).run()
    assert any("k is 40, more than the 19" in one.value for one in app.error)


def test_a_meta_sae_is_deleted_once_that_is_said_again() -> None:
    app = with_steps(train_page(), 3)
    for name in ("first", "second"):
        app.main.text_input[-1].set_value(name).run()
        app.button(key="train-start").click().run()
        ended(app)
    # One stands among those that ended here, the other on the shelf.
    app.button(key="close-second").click().run()
    assert [one.label for one in app.main.expander] == ["second"]
    for name in ("second", "first"):
        assert folder(name).is_dir()
        assert any(f"meta-SAE “{name}” with its report" in one.value for one in app.markdown)
        app.button(key=f"delete-{name}").click().run()
        assert not app.exception and not app.error and not folder(name).exists()
    assert trainings.trainings() == {} and not app.main.expander
    assert not list(cache.meta_saes(EMBEDDED.name).glob("*"))


def test_the_one_that_is_open_cant_be_deleted(
    small_default: Lab, trainable: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = with_steps(train_page(), 3)
    app.main.text_input[-1].set_value("first").run()
    app.button(key="train-start").click().run()
    ended(app)
    trainings.trainings().clear()
    open_instead(small_default, replace(trainable, meta_sae="first"), monkeypatch)
    app = train_page(preset="smollm2-135m+first")
    assert not [one for one in app.button if one.key == "delete-first"]
    assert any("can't be deleted" in one.value for one in app.caption)
    assert folder("first").is_dir()


def test_one_that_cant_be_deleted_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    app = with_steps(train_page(), 3)
    app.main.text_input[-1].set_value("first").run()
    app.button(key="train-start").click().run()
    ended(app)

    def refuse(place: Path) -> None:
        raise UserError(f"{place.name} can't be deleted (Permission denied).")

    monkeypatch.setattr(shelf, "remove", refuse)
    app.button(key="delete-first").click().run()
    assert not app.exception
    assert [one.value.replace("\\", "") for one in app.error] == [
        "first can't be deleted (Permission denied)."
    ]
    # It stands there still, and can be tried again.
    assert [one for one in app.button if one.key == "delete-first"]


def test_a_report_that_cant_be_read_is_said_without_a_librarys_words() -> None:
    report = folder("broken") / formats.REPORT
    report.parent.mkdir(parents=True)
    report.write_text("{")
    app = train_page()
    (said,) = [one.value for one in app.error]
    assert "damaged or gone" in said and "Error" not in said
    app.button(key="delete-broken").click().run()
    assert not app.error and not folder("broken").exists()
