"""Which evidence, labels and text the explorer reads: the user's own first, else the shipped."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metasae.errors import UserError
from metasae.explorer import evidence
from metasae.explorer import explorer as explorer_module
from metasae.explorer.explorer import META, Explorer, label_report, open_explorer
from metasae.explorer.labels import UNCLEAR
from metasae.lab.lab import Lab
from metasae.lm.logit_lens import token_direction, vocabulary_scores
from metasae.sources.files import write_json
from metasae.sources.versions import NewerError
from metasae.text import kept_windows
from tests.builders import one_sentence


@pytest.fixture(scope="module")
def explorer(lab: Lab) -> Explorer:
    """The real one."""
    return open_explorer(lab)


@pytest.fixture
def own(lab: Lab, tmp_path: Path) -> Explorer:
    """Somebody who has collected the narrowest SAE's evidence only."""
    shipped = evidence.shipped_evidence(lab.preset)
    for path in shipped.glob("*-576.*"):
        shutil.copy(path, tmp_path / path.name)
    return Explorer(lab, tmp_path, shipped)


def test_what_one_has_not_made_is_the_shipped(own: Explorer) -> None:
    for width in own.widths:
        assert own.evidence(width) is not None and own.table(str(width)) is not None
    assert own.table(META) is not None
    alone = Explorer(own.lab, own.folder)
    assert alone.evidence(576) is not None and alone.evidence(18432) is None
    assert alone.table(META) is None


def test_labels_of_another_meta_sae_are_passed_over(own: Explorer) -> None:
    shipped = evidence.shipped_evidence(own.lab.preset)
    shutil.copy(shipped / "labels-meta.parquet", own.folder)
    mine = own.lab.provenance.meta_sae
    others: list[Any] = [
        {"meta_sae": "another", META: {}},
        # Another's labels, beside a width that was labelled later with this one open.
        {"meta_sae": mine, META: {"meta_sae": "another"}},
        {"meta_sae": mine},
        [],
    ]
    for report in others:
        (own.folder / "labels.json").write_text(json.dumps(report))
        assert Explorer(own.lab, own.folder).table(META) is None
        assert Explorer(own.lab, own.folder, own.shipped).table(META) is not None
    for report in ({"meta_sae": mine, META: {}}, {"meta_sae": "x", META: {"meta_sae": mine}}):
        (own.folder / "labels.json").write_text(json.dumps(report))
        assert Explorer(own.lab, own.folder).table(META) is not None


def test_labels_of_a_newer_version_are_said(tmp_path: Path) -> None:
    assert label_report(tmp_path) == {}
    write_json(tmp_path / "labels.json", {"sae": "s", "format": 2})
    with pytest.raises(NewerError) as raised:
        label_report(tmp_path)
    one_sentence(raised)


def test_what_is_not_there_is_looked_for_once_until_it_is_written(
    own: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(evidence.shipped_evidence(own.lab.preset) / "labels-meta.parquet", own.folder)
    asked: list[Path] = []

    def told(folder: Path) -> dict[str, Any]:
        asked.append(folder)
        return label_report(folder)

    monkeypatch.setattr(explorer_module, "label_report", told)
    alone = Explorer(own.lab, own.folder)
    assert {bool(alone.label(META, meta)) for meta in range(20)} == {True} and len(asked) == 1
    write_json(own.folder / "labels.json", {META: {"meta_sae": own.lab.provenance.meta_sae}})
    assert alone.table(META) is not None and len(asked) == 2


def test_each_width_has_the_text_it_is_about(
    own: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def text(number: int) -> Any:
        return SimpleNamespace(tokens=torch.full((2, 3), number))

    mine, usual = text(1), text(2)
    asked: list[object] = []

    def text_of(preset: object, *_: object) -> Any:
        asked.append(preset)
        return usual

    monkeypatch.setattr(kept_windows, "own_text", lambda preset: mine)
    monkeypatch.setattr(kept_windows, "text_of", text_of)
    about = {576: mine, 1152: usual, 2304: text(3)}
    for width, one in about.items():
        own._evidence[width] = SimpleNamespace(text=kept_windows.fingerprint(one))  # type: ignore[assignment]
    assert own.text(576) is mine and not asked
    assert own.text(1152) is usual and asked
    assert own.text(2304) is None


TYPED = st.text() | st.text("()[]{}\\\\|^$.*+?#&~- 日本、東京“”’–🙂é", max_size=8)


@settings(max_examples=60)
@given(TYPED, st.sampled_from(["18432", "576"]))
@example("日本、東京", "18432")
@example("“quotes”", "18432")
@example("a–b", "18432")
@example("🙂", "18432")
@example("(", "576")
@example("c++", "576")
def test_any_text_is_a_search(explorer: Explorer, typed: str, kind: str) -> None:
    if not typed.split():
        with pytest.raises(UserError, match="Type a number, a word, or a text"):
            explorer.find(kind, typed)
    else:
        hits = explorer.find(kind, typed)
        assert len(hits) <= 50 and hits["index"].is_unique
    if len(explorer.lab.model.prompt_tokens(typed)) < 2:
        # Of a control character this model's tokenizer leaves nothing.
        with pytest.raises(UserError, match="The model reads nothing in this text"):
            explorer.firing_on(576, typed)
    else:
        firing = explorer.firing_on(576, typed)
        assert set(firing["latent"]) <= set(range(576)) and (firing["activation"] > 0).all()


def test_a_search_is_for_the_letters_themselves(explorer: Explorer) -> None:
    kind = str(explorer.lab.n_latents)
    table = explorer.table(kind)
    assert table is not None
    hits = explorer.find(kind, "par", most=10**6)
    said = hits["index"][hits["why"] == "label"]
    words = table.loc[said]["words"].str.casefold()
    assert len(said) and all(" par" in f" {one}".replace(",", " ") for one in words)
    for pattern in ("p.r", "par|new", "^par"):
        assert "label" not in set(explorer.find(kind, pattern, most=10**6)["why"])


@settings(max_examples=20)
@given(st.text(), st.sampled_from([chr(0xD800), chr(0xDCFF), chr(0xDFFF)]), st.text())
def test_bytes_that_are_no_text_are_one_sentence(
    explorer: Explorer, before: str, broken: str, after: str
) -> None:
    for ask in (lambda typed: explorer.find("576", typed), lambda t: explorer.firing_on(576, t)):
        with pytest.raises(UserError) as raised:
            ask(before + broken + after)
        assert "no characters" in one_sentence(raised)


def test_a_word_finds_what_promotes_it(explorer: Explorer) -> None:
    model, W_dec = explorer.lab.model, explorer.lab.decomposition.sae.W_dec
    (token,) = model.encode(" Japan")
    scores = vocabulary_scores(model, W_dec[:512])[:, token]
    torch.testing.assert_close(
        W_dec[:512] @ token_direction(model, token), scores, rtol=1e-4, atol=1e-4
    )
    best = int((W_dec @ token_direction(model, token)).argmax())
    hits = explorer.find("18432", "japan").set_index("index")["why"]
    assert best in hits.index and "promotes it" in set(hits)


def test_what_is_unclear_says_so(explorer: Explorer) -> None:
    for kind in (META, "18432", "576"):
        table = explorer.table(kind)
        assert table is not None
        unclear = table[(table["label"] == UNCLEAR) & (table["words"] != "")]["index"].iloc[0]
        clear = table[table["label"] != UNCLEAR]["index"].iloc[0]
        assert explorer.label(kind, int(unclear)).endswith(" (?)")
        assert explorer.label(kind, int(clear)) == table.loc[clear, "label"]
        scored = explorer.scored(kind, int(clear))
        assert scored.f1 == pytest.approx(table.loc[clear, "f1"]) and not scored.too_few
        assert scored.f1 is not None and scored.f1 >= 0.5
        assert scored.told is not None and scored.written is None
        assert not scored.unclear and explorer.scored(kind, int(unclear)).unclear


def test_what_a_search_needs_is_said(explorer: Explorer) -> None:
    with pytest.raises(UserError, match="Type a number, a word, or a text"):
        explorer.find("18432", "  ")
