"""Latents, Meta-latents and Graph through their states, on the real default and its evidence."""

import json
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from metasae.explorer import graph
from metasae.explorer.corrections import Corrections
from metasae.explorer.explorer import META, Explorer, open_explorer
from metasae.explorer.latent_page import LatentPage
from metasae.lab.lab import Lab
from metasae.sources.cache import cache_dir
from metasae.text.windows import Windows
from tests.pages.opening import open_page
from workbench import shared
from workbench.charts.ink import LIGHT
from workbench.explore.contexts import WRITTEN, behind

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def found(lab: Lab) -> Explorer:
    """The shipped evidence."""
    return open_explorer(lab)


@pytest.fixture(autouse=True)
def opened(lab: Lab, found: Explorer, monkeypatch: pytest.MonkeyPatch) -> Explorer:
    """The real default and its evidence, without the text it is about."""
    monkeypatch.setattr(shared, "get_lab", lambda preset: lab)
    monkeypatch.setattr(shared, "get_explorer", lambda lab: found)
    monkeypatch.setattr(shared, "get_text", lambda explorer, width: None)
    found.__dict__.pop("corrections", None)
    return found


@pytest.fixture(scope="module")
def text(found: Explorer) -> Windows | None:
    """The shipped evidence's text; fetched and cut into tokens where that isn't done yet."""
    return found.text()


@pytest.fixture
def with_text(text: Windows | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text as well."""
    assert text is not None
    monkeypatch.setattr(shared, "get_text", lambda explorer, width: text)


def shown(page: str, **query: str) -> AppTest:
    app = open_page(page, **query)
    assert not app.exception
    return app


def pages_html(app: AppTest) -> str:
    return "".join(str(one.proto.body) for one in app.get("html"))


def opening_latents(found: Explorer) -> list[int]:
    """The best latents of the pair the workbench opens on."""
    records = [found.lab.city_record(name) for name in found.lab.opening]
    assert all(one.has_own_latent for one in records)
    return [one.latents[0].latent for one in records]


@pytest.mark.usefixtures("with_text")
def test_latents_opens_on_the_opening_pairs_source_with_its_evidence(found: Explorer) -> None:
    app = shown("latents")
    latent, (source, _) = opening_latents(found)[0], found.lab.opening
    assert app.query_params["latent"] == str(latent)
    assert any(f"Latent {latent} of 18,432" in one.value for one in app.caption)
    assert latent in [one.latent for one in found.lab.city_record(source).latents]
    assert "<mark" in pages_html(app) and found.label("18432", latent) in pages_html(app)
    headings = [one.value for one in app.main.subheader]
    assert headings == [
        "Made of", "Related latents", "Where it fires", "What adding it does", "Logit lens",
    ]  # fmt: skip
    assert not app.error


@pytest.mark.usefixtures("with_text")
def test_related_latents_are_one_tabbed_table(found: Explorer) -> None:
    latent = opening_latents(found)[0]
    page = LatentPage(found, 18432, latent)
    assert page.smaller is not None
    app = shown("latents", latent=str(latent))
    count = len(page.smaller.pursuit.table)
    assert [one.label for one in app.tabs] == [
        "Closest of 18,432", "Closest of 2,304", f"Best {count}-latent approximation",
    ]  # fmt: skip
    tables = [tab.dataframe[0].value["latent"].tolist() for tab in app.tabs]
    assert tables == [
        page.nearest["latent"].tolist(),
        page.smaller.nearest["latent"].tolist(),
        page.smaller.pursuit.table["latent"].tolist(),
    ]
    app = shown("latents", latent="17", width="576")
    assert [one.label for one in app.tabs] == ["Closest of 576"]


@pytest.mark.usefixtures("with_text")
@pytest.mark.parametrize("page", ["latents", "meta_latents"])
def test_what_was_written_for_training_is_tagged_and_can_be_left_out(
    page: str, found: Explorer, text: Windows
) -> None:
    latent = opening_latents(found)[0]
    decomposition = found.lab.decomposition
    # Of its meta-latents one whose strongest latent fires on such sentences.
    meta = next(
        meta
        for meta in decomposition.pieces(latent)
        for strongest in list(decomposition.latents_of(meta))[:1]
        if any(one.written for one in LatentPage(found, 18432, strongest).snippets(text)[:3])
    )
    app = shown(page, **({"latent": str(latent)} if page == "latents" else {"meta": str(meta)}))
    every = pages_html(app)
    # As the text itself says of the same contexts.
    if page == "latents":
        shown_here = LatentPage(found, 18432, latent).snippets(text)
        assert every.count(WRITTEN) == sum(one.written for one in shown_here) > 0
    assert every.count(WRITTEN) > 0 and "real" not in app.query_params
    app.toggle(key="real-text").set_value(True).run()
    assert not app.exception and app.query_params["real"] == "1"
    assert WRITTEN not in pages_html(app)
    said = " ".join(one.value for one in [*app.caption, *app.info])
    assert (
        "contexts left out: written for training" in said or "Switch “Real text only” off" in said
    )
    # It stays on wherever one goes on, and its link says so.
    if page == "latents":
        app.button(key="dice").click().run()
    else:
        app.selectbox(key="meta-width-18432").set_value(576).run()
    assert app.query_params["real"] == "1" and not app.exception
    app = shown("latents", latent=str(latent), real="1")
    assert app.toggle(key="real-text").value is True and WRITTEN not in pages_html(app)
    app.toggle(key="real-text").set_value(False).run()
    assert "real" not in app.query_params and WRITTEN in pages_html(app)


def test_a_link_leads_to_a_latent_of_any_width() -> None:
    app = shown("latents", latent="17", width="576")
    assert any("Latent 17 of 576" in one.value for one in app.caption)
    assert not app.error and not [one for one in app.button if one.key == "to-steer"]


def matched(app: AppTest) -> pd.DataFrame:
    """The one list that a search shows."""
    (table,) = [one.value for one in app.dataframe]
    return table


def test_a_search_is_one_list_in_the_pages_place(found: Explorer) -> None:
    app = shown("latents", q="Tokyo")
    tokyo = found.lab.city_record("Tokyo").latents[0].latent
    table = matched(app).set_index("latent")
    assert "the city Tokyo" in str(table.loc[tokyo, "why"])
    last = found.lab.model.decode(found.lab.model.prompt_tokens("Tokyo")[-1])
    assert f"fires on “{last}”" in str(table.loc[tokyo, "why"])
    # Nothing is open yet, and the link says so.
    assert not app.header and "latent" not in app.query_params
    assert [one.value for one in app.main.subheader] == ["Matching labels and latents"]
    # A link that names both opens the latent, from which a button leads back to the list.
    app = shown("latents", q="Tokyo", latent=str(tokyo))
    assert any(f"Latent {tokyo} of 18,432" in one.value for one in app.caption)
    app.button(key="to-matches").click().run()
    assert not app.exception and "latent" not in app.query_params
    assert matched(app)["latent"].tolist() == table.index.tolist()


def test_a_searchs_text_is_read_once(found: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = list[str]()
    firing_on = Explorer.firing_on

    def noted(self: Explorer, width: int, typed: str) -> pd.DataFrame:
        texts.append(typed)
        return firing_on(self, width, typed)

    monkeypatch.setattr(Explorer, "firing_on", noted)
    app = shown("latents", q="Nobody knew where the kettle was")
    assert not matched(app).empty and texts == ["Nobody knew where the kettle was"]


def test_a_typed_sentence_comes_back_token_by_token(found: Explorer) -> None:
    typed = "She flew to Tokyo"
    app = shown("latents", q=typed)
    firing = found.firing_on(18432, typed)
    tokens = [one for one in app.button if str(one.key).startswith("token-")]
    assert [one.label for one in tokens] == ["She", "flew", "to", "Tokyo"]
    strongest = firing.loc[firing.groupby("position")["activation"].idxmax()]
    for button, (_, row) in zip(tokens, strongest.iterrows(), strict=True):
        assert f"{row['activation']:.1f} on #{row['latent']}" in button.help.replace("\\", "")
    # Each is as deep in colour as its strongest latent.
    style = pages_html(app)
    top = strongest["activation"].max()
    for position, activation in zip(strongest["position"], strongest["activation"], strict=True):
        assert (
            f".st-key-token-{position} button{{background:{behind(activation / top, LIGHT)}}}"
            in (style)
        )
    # A token that is chosen shows its own latents alone, and is in the link.
    last = int(firing["position"].max())
    app.button(key=f"token-{last}").click().run()
    assert not app.exception and app.query_params["token"] == str(last)
    here = firing[firing["position"] == last]
    assert matched(app)["latent"].tolist() == here["latent"].tolist()
    assert any("fire on “Tokyo”" in one.value for one in app.main.subheader)
    app = shown("latents", q=typed, token=str(last))
    assert matched(app)["latent"].tolist() == here["latent"].tolist()
    # Chosen again, it gives way to the whole list; one the text hasn't got is as none.
    app.button(key=f"token-{last}").click().run()
    assert "token" not in app.query_params and len(matched(app)) > len(here)
    app = shown("latents", q=typed, token="99")
    assert not app.exception and len(matched(app)) > len(here)


def test_a_text_that_is_typed_leaves_the_latent_for_the_list() -> None:
    app = shown("latents", latent="321")
    app.main.text_input[0].set_value(" a  small\tdog ").run()
    assert not app.exception and not app.header
    assert app.query_params["q"] == "a small dog" and "latent" not in app.query_params


def test_nonsense_is_said_to_be_close_to_nothing() -> None:
    app = shown("latents", q="asdfghjk")
    assert not app.exception and not app.error
    said = " ".join(one.value for one in [*app.caption, *app.info, *app.markdown])
    assert "did you mean" not in said and "Riyadh" not in said


def test_a_number_that_is_typed_is_gone_to() -> None:
    app = shown("latents")
    app.main.text_input[0].set_value("#123").run()
    assert not app.exception and app.query_params["latent"] == "123"


@pytest.mark.parametrize(
    ("page", "query", "text"),
    [
        ("latents", {"latent": "18432"}, "There is no latent 18432"),
        ("latents", {"width": "7"}, "There is no SAE of 7 latents"),
        ("meta_latents", {"meta": "5000"}, "There is no meta-latent 5000"),
        ("meta_latents", {"meta": "<b>"}, "There is no meta-latent"),
        ("graph", {"latent": "99999"}, "There is no latent 99999"),
        ("graph", {"latent": "x; drop"}, "names no latents"),
    ],
)
def test_a_bad_link_is_said_and_a_page_is_shown(
    page: str, query: dict[str, str], text: str
) -> None:
    app = shown(page, **query)
    assert len(app.error) == 1 and text in app.error[0].value.replace("\\", "")


def test_a_latent_is_sent_to_steer() -> None:
    app = shown("latents", latent="321")
    app.button(key="to-steer").click().run()
    assert not app.exception
    assert app.query_params["source"] == "#321"


def test_a_label_is_corrected_kept_and_shared(found: Explorer) -> None:
    app = shown("latents", latent="321")
    app.text_input(key="label-18432-321").set_value("my <b>own</b> words")
    app.button(key="keep-18432-321").click().run()
    assert not app.exception
    assert found.label("18432", 321) == "my <b>own</b> words"
    assert app.header[0].value == r"my \<b\>own\<\/b\> words"
    kept = json.loads(next(cache_dir().glob("labels/*.json")).read_text())
    assert kept["labels"] == {"18432": {"321": "my <b>own</b> words"}}
    assert found.find("18432", "own")["index"].tolist()[0] == 321


@pytest.mark.parametrize("of_neuronpedia", [False, True])
def test_a_file_of_labels_is_taken_in(found: Explorer, of_neuronpedia: bool) -> None:
    made = found.lab.provenance
    labels = {"18432": {"321": "from a file", "322": "another"}}
    content = Corrections(made.sae, made.meta_sae, labels).to_json()
    if of_neuronpedia:
        explained = [{"index": n, "description": text} for n, text in labels["18432"].items()]
        content = json.dumps(explained)
    app = shown("latents", latent="321")
    assert not [one for one in app.button if one.key == "take-18432-321"]
    (upload,) = [one for one in app.file_uploader if one.key == "import-18432-321"]
    upload.upload("labels.json", content.encode(), "application/json").run()
    app.button(key="take-18432-321").click().run()
    assert not app.exception and not app.error
    assert app.header[0].value == "from a file"
    assert found.label("18432", 322) == "another"


def test_a_file_that_holds_no_labels_is_one_sentence(found: Explorer) -> None:
    before = found.label("18432", 321)
    app = shown("latents", latent="321")
    (upload,) = [one for one in app.file_uploader if one.key == "import-18432-321"]
    upload.upload("labels.json", b'{"a": 1}', "application/json").run()
    app.button(key="take-18432-321").click().run()
    assert not app.exception and len(app.error) == 1
    assert found.label("18432", 321) == before


def test_the_list_of_meta_latents_is_filtered(found: Explorer) -> None:
    app = shown("meta_latents")
    (table,) = [one.value for one in app.dataframe]
    assert len(table) == found.lab.n_meta
    assert table["active on"].is_monotonic_decreasing
    app.text_input(key="meta-filter").set_value("japan").run()
    (table,) = [one.value for one in app.dataframe]
    assert 0 < len(table) < 60


@pytest.mark.usefixtures("with_text")
def test_a_meta_latent_shows_its_latents(found: Explorer) -> None:
    tokyo = found.lab.city_record("Tokyo").latents[0].latent
    meta = next(iter(found.lab.decomposition.pieces(tokyo)))
    app = shown("meta_latents", meta=str(meta))
    assert app.header[0].value.replace("\\", "") == found.label(META, meta)
    of = app.dataframe[0].value
    strongest = list(found.lab.decomposition.latents_of(meta).items())[:3]
    assert of["latent"].tolist()[:3] == [latent for latent, _ in strongest]
    assert "<mark" in pages_html(app)


def test_a_meta_latent_shows_the_latents_of_any_width(found: Explorer) -> None:
    meta = int(found.decomposition(576).activations.col_indices()[0])
    app = shown("meta_latents", meta=str(meta), width="576")
    strongest = list(found.decomposition(576).latents_of(meta))[:3]
    assert app.dataframe[0].value["latent"].tolist()[:3] == strongest
    assert any("of 576 latents" in one.value for one in app.caption)
    app.selectbox(key="meta-width-576").set_value(1152).run()
    assert not app.exception and app.query_params["width"] == "1152"
    assert any("of 1,152 latents" in one.value for one in app.caption)


def test_the_graph_opens_on_two_cities_and_says_what_they_share(found: Explorer) -> None:
    app = shown("graph")
    latents = opening_latents(found)
    assert app.query_params["latent"] == ",".join(map(str, latents))
    table = app.dataframe[0].value
    assert set(latents) <= set(table.loc[table["kind"] == "latent", "index"])
    assert any("Only in" in one.value for one in app.markdown)
    app.main.text_input[0].set_value("Rome, #5").run()
    rome = found.lab.city_record("Rome").latents[0].latent
    assert app.query_params["latent"] == f"{rome},5"
    app.main.text_input[0].set_value("1.5").run()
    assert '"1.5" is no latent' in app.error[0].value.replace("\\", "")


@pytest.mark.parametrize("name", ["Ulm", "Einstein", "hamster"])
def test_the_graph_starts_from_any_name(found: Explorer, name: str) -> None:
    app = shown("graph")
    app.main.text_input[0].set_value(f"{name}, #5").run()
    assert not app.exception and not app.error
    subject = found.lab.subject(name)
    assert app.query_params["latent"] == f"{subject.latents[0]},5"
    said = [one.value.replace("\\", "") for one in app.info]
    assert [" ".join(subject.remarks)] == said if subject.remarks else said == []


@pytest.mark.parametrize("name", ["Ulm", "Einstein", "hamster"])
def test_a_searched_name_has_its_latents_listed_first(found: Explorer, name: str) -> None:
    app = shown("latents", q=name)
    record = found.lab.names.record(name)
    table = matched(app).head(len(record.latents))
    assert table["latent"].tolist() == [one.latent for one in record.latents]
    own = [why.startswith("the name's own") for why in table["why"]]
    assert own == [one.own for one in record.latents]
    said = found.lab.names.sharing(record)
    assert bool(said) == any("no latent of its own" in one.value for one in app.caption)


def test_a_text_too_long_to_be_a_name_is_searched_all_the_same() -> None:
    app = shown("latents", q="She flew to Tokyo " * 6)
    assert not app.error
    assert not matched(app)["why"].str.contains("the name", regex=False).any()


def test_the_graphs_sliders_are_in_the_link() -> None:
    app = shown("graph", latent="229", depth="2", top="3", least="0.25")
    assert [one.value for one in app.slider][:3] == [2, 3, 0.25]
    app.slider(key="graph-top").set_value(4).run()
    assert not app.exception and app.query_params["top"] == "4" == str(app.slider[1].value)
    app.slider(key="graph-top").set_value(5).run()
    assert "top" not in app.query_params
    # An address that was changed (one step back) is followed.
    app.query_params["top"] = "7"
    app.run()
    assert app.slider(key="graph-top").value == 7
    app = shown("graph", latent="229", depth="9", top="x", least="-1")
    assert [one.value for one in app.slider][:3] == [1, 5, 0.0]


def test_a_graph_has_at_most_what_can_be_read(found: Explorer) -> None:
    first, second = opening_latents(found)
    app = shown("graph", latent=f"{first},{second}", depth="2", top="12")
    assert not app.exception and not app.error
    made = graph.around(found.lab.decomposition, [first, second], 2, 12)
    assert len(made) > graph.READABLE
    table = app.dataframe[0].value
    assert len(table) == graph.READABLE and {first, second} <= set(table["index"])
    (said,) = [one.value for one in app.info]
    assert said == graph.left_out(made, graph.readable(made))
    # What fits is shown whole, without a word.
    app = shown("graph", latent=str(first), top="1")
    assert not app.info and len(app.dataframe[0].value) < graph.READABLE


def test_the_graphs_colours_are_explained(found: Explorer) -> None:
    app = shown("graph")
    legend = pages_html(app)
    for word in ("meta-latent", "latent", "where it starts", "group 1: "):
        assert f">{word}" in legend


def test_the_filter_is_in_the_link() -> None:
    app = shown("meta_latents", filter="japan")
    assert 0 < len(app.dataframe[0].value) < 60
    app.text_input(key="meta-filter").set_value("").run()
    assert "filter" not in app.query_params


def test_damaged_labels_are_one_sentence_and_steer_goes_on(
    found: Explorer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bad = tmp_path / "evidence"
    bad.mkdir()
    (bad / "labels-meta.parquet").write_bytes(b"PAR1 no more")
    (bad / "labels.json").write_text(
        json.dumps({"meta": {"meta_sae": found.lab.provenance.meta_sae}})
    )
    broken = Explorer(found.lab, bad)
    monkeypatch.setattr(shared, "get_explorer", lambda lab: broken)
    for page in ("latents", "meta_latents", "graph"):
        app = shown(page, latent="229")
        assert len(app.error) == 1 and "is damaged" in app.error[0].value
    app = open_page()
    assert not app.exception and not app.error and "Bangkok is unchanged" in app.header[0].value


def test_the_whole_graph_is_counted() -> None:
    app = shown("graph")
    app.button(key="count-whole").click().run()
    assert not app.exception
    table = app.dataframe[-1].value.set_index("figure")["value"]
    assert table["latents"] == 18432 and table["edges"] > 0


def test_without_evidence_it_says_how_to_make_it(
    found: Explorer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare = Explorer(found.lab, tmp_path)
    monkeypatch.setattr(shared, "get_explorer", lambda lab: bare)
    app = shown("latents")
    assert any("python -m metasae describe" in one.value for one in app.info)
    app = shown("meta_latents")
    assert len(app.dataframe[0].value) == found.lab.n_meta


def test_scores_by_a_language_model_stand_beside_the_label(
    found: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    latent = opening_latents(found)[0]
    rows = [
        {"latent": latent, "label": "a *city*", "kind": kind, "value": 0.9, "low": 0.8,
         "high": 0.95, "count": 40, "control": control, "chance": chance}
        for kind, control, chance in (("detection", 0.525, 0.5), ("intruder", None, 0.2))
    ]  # fmt: skip
    told = "tiny", pd.DataFrame(rows)
    monkeypatch.setattr(
        Explorer, "label_scores", lambda _, kind, index: told if index == latent else None
    )
    app = shown("latents", latent=str(latent))
    (table,) = (one.value for one in app.table if "Right" in one.value)
    assert table["Right"].tolist() == ["0.90 (0.80 to 0.95)"] * 2
    assert table["Another latent's label"].tolist() == ["0.53", ""]
    assert table["By chance"].tolist() == ["0.50", "0.20"]
    assert any("80 answers by tiny about “a \\*city\\*”" in one.value for one in app.caption)
    other = shown("latents", latent=str(latent + 1))
    assert not any("Right" in one.value for one in other.table)
