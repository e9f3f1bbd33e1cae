"""Cite this, and the picture as a file: what stands on "Save and share"."""

import json
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest
from streamlit.testing.v1 import AppTest

from metasae.errors import UserError
from metasae.lab import weights
from metasae.lab.lab import Lab
from metasae.steering.citation import Citation
from metasae.steering.edits import LatentSwap, MetaLatentEdit
from metasae.steering.link import edit_to_text
from metasae.steering.nats import nats
from metasae.steering.provenance import Weights
from metasae.steering.setting import Setting
from tests.pages.opening import open_page, until
from workbench.state import View
from workbench.steer import citing

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def lab(on_small: Lab) -> Lab:
    return on_small


@pytest.fixture
def one_out(lab: Lab) -> MetaLatentEdit:
    """The source's strongest own meta-latent out."""
    experiment = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"))
    own = next(piece for piece in experiment.pieces if piece.side == "source")
    return MetaLatentEdit(((own.meta, 0.0),))


def sharing(**query: str) -> AppTest:
    app = open_page(**query)
    app.session_state["below"] = "Save and share"
    app.run()
    until(lambda: app.run() and any("sha256" in one.value for one in app.markdown))
    assert not app.exception and not app.error
    return app


def test_all_a_citation_needs_stands_there(lab: Lab) -> None:
    app = sharing(source="Tokyo", target="Paris", edit="swap", v="1")
    outcome = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris")).apply(LatentSwap())
    (link,) = [one.value for one in app.code if one.value.startswith("http")]
    asked = {name: one for name, (one,) in parse_qs(urlsplit(link).query).items()}
    assert View.from_query(asked) == View(Setting(), LatentSwap())
    citation = Citation(outcome, lab.weights, link)
    values = [one.value for one in app.code]
    assert citation.bibtex in values and citation.snippet.rstrip() in values
    (hashes,) = [one for one in values if one.startswith("model:")]
    for digest in asdict(lab.weights).values():
        assert digest in hashes
    said = "\n".join(one.value for one in app.markdown).replace("\\", "")
    for prompt in citation.prompts.values():
        assert f"“{prompt} …”" in said


def test_the_weights_are_hashed_once_and_not_at_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[object] = []

    def counted(*given: Any) -> Weights:
        hashed.append(given)
        return weights.weights_of(*given)

    monkeypatch.setattr(citing, "weights_of", counted)
    open_page().checkbox[0].uncheck().run()
    assert hashed == []
    app = sharing()
    app.checkbox[0].uncheck().run()
    assert not app.exception and len(hashed) == 1


def test_weights_that_are_gone_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise UserError("The weights that are open are gone from the disk; open them again.")

    monkeypatch.setattr(citing, "weights_of", gone)
    app = open_page()
    app.session_state["below"] = "Save and share"
    until(lambda: app.run() and app.error)
    assert not app.exception and len(app.error) == 1
    assert "gone from the disk" in app.error[0].value


def texts(picture: str) -> list[str]:
    # A line of several is an element below.
    lines = ElementTree.fromstring(picture).iter(f"{SVG}text")
    return [" ".join(part for part in one.itertext()) for one in lines]


def test_the_picture_shows_the_numbers_and_what_they_came_from(
    lab: Lab, one_out: MetaLatentEdit
) -> None:
    view = View(edit=one_out)
    picture = citing.picture(lab, view, "http://here/?v=1")
    outcome = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris")).apply(one_out)
    shown = texts(picture)
    for number in outcome.answers["logprob"]:
        assert nats(number) in shown
    assert outcome.sentence in " ".join(shown)
    note = ElementTree.fromstring(picture).find(f"{SVG}desc")
    assert note is not None
    assert json.loads(note.text or "") == asdict(outcome.provenance) | {"link": "http://here/?v=1"}


def test_a_pinned_edit_is_in_the_picture(lab: Lab, one_out: MetaLatentEdit) -> None:
    alone = texts(citing.picture(lab, View(edit=one_out), ""))
    both = texts(citing.picture(lab, View(edit=one_out, pinned=LatentSwap()), ""))
    swapped = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris")).apply(LatentSwap())
    assert swapped.sentence in " ".join(both) and swapped.sentence not in " ".join(alone)
    assert any(one.startswith("Pinned edit: latent swap") for one in both)
    assert len(both) > 1.8 * len(alone)


def test_a_question_that_cant_be_asked_is_not_in_the_picture(
    lab: Lab, one_out: MetaLatentEdit
) -> None:
    view = View(edit=one_out)
    asking = replace(view, setting=replace(view.setting, prompt="People eat", answers=("sushi",)))
    assert citing.picture(lab, asking, "") == citing.picture(lab, view, "")


def test_the_link_leads_to_the_view(one_out: MetaLatentEdit) -> None:
    view = View(edit=one_out, pinned=LatentSwap())
    link = citing.permalink(view)
    assert link.startswith("http://localhost:8501/?v=1&source=Tokyo&target=Paris")
    query = {name: one for name, (one,) in parse_qs(urlsplit(link).query).items()}
    assert query["edit"] == edit_to_text(one_out) and View.from_query(query) == view
