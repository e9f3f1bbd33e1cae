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
from metasae.explorer.explorer import META, PROMOTING, Explorer, label_report, open_explorer
from metasae.explorer.labels import UNCLEAR
from metasae.lab.lab import Lab
from metasae.lm.logit_lens import directions_promoting, token_direction, vocabulary_scores
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


def looked_through(explorer: Explorer, kind: str, typed: str, most: int) -> list[tuple[int, str]]:
    """Number and reason of all a search finds, every word of every latent looked at."""
    wanted, lab = " ".join(typed.split()).casefold(), explorer.lab
    found: list[tuple[int, str]] = []
    if kind == str(lab.n_latents):
        for record in lab.records.values():
            if wanted in record.name.casefold():
                found += [(one.latent, f"the city {record.name}") for one in record.chosen]
        for latent, words in lab.words.items():
            if wanted in [word.casefold() for word in words]:
                found.append((latent, "word it fires on"))
    directions = explorer.decomposition(int(kind)).sae.W_dec
    for latent in directions_promoting(lab.model, directions, wanted, PROMOTING):
        found.append((latent, "promotes it"))
    table = explorer.table(kind)
    assert table is not None
    begins = [
        text.casefold().startswith(wanted) or any(f"{c}{wanted}" in text.casefold() for c in " ,")
        for text in table["words"].fillna("")
    ]
    best = table[begins].sort_values("f1", ascending=False)["index"]
    found += [(latent, "label") for latent in best[:most]]
    first: dict[int, str] = {}
    for latent, why in found:
        first.setdefault(latent, why)
    return list(first.items())[:most]


def check_search(explorer: Explorer, kind: str, typed: str, most: int) -> None:
    hits = explorer.find(kind, typed, most)
    expected = looked_through(explorer, kind, typed, most)
    assert list(zip(hits["index"], hits["why"], strict=True)) == expected
    assert hits["label"].tolist() == [explorer.label(kind, latent) for latent, _ in expected]


@pytest.mark.parametrize("typed", ["tokyo", "JAPAN", "a", " new  york ", ","])
@pytest.mark.parametrize("kind", ["18432", "576"])
def test_a_search_finds_what_looking_through_all_words_finds(
    explorer: Explorer, kind: str, typed: str
) -> None:
    check_search(explorer, kind, typed, 50)


@settings(max_examples=25)
@given(
    st.sampled_from(["18432", "576"]), st.integers(0, 575), st.integers(0, 20), st.integers(1, 12),
    st.sampled_from(["", ","]), st.sampled_from([1, 50, 10**6]),
)  # fmt: skip
def test_of_a_part_of_any_label_too(
    explorer: Explorer, kind: str, latent: int, begin: int, length: int, before: str, most: int
) -> None:
    table = explorer.table(kind)
    assert table is not None
    part = str(table.at[latent, "words"])[begin : begin + length]
    if part.split():
        check_search(explorer, kind, before + part, most)


def test_a_word_begins_first_or_behind_a_space_or_a_comma(own: Explorer) -> None:
    table = own.table("576")
    assert table is not None
    words = ["Bonn, Ulm", "zwölf,ULM", "Ulm", "in Ulmer", "Kulm", "ul m", ""]
    rows = table.head(len(words)).assign(words=words, f1=[0.3, 0.2, float("nan"), 0.9, 1, 1, 1])
    own._labels["576"] = rows
    hits = own.find("576", "ulm")
    assert hits["index"][hits["why"] == "label"].tolist() == [3, 0, 1, 2]


def test_labels_that_are_made_meanwhile_are_searched(own: Explorer) -> None:
    alone = Explorer(own.lab, own.folder)
    assert "label" not in set(alone.find("1152", "par")["why"])
    assert own.shipped is not None
    shutil.copy(own.shipped / "labels-1152.parquet", own.folder)
    assert alone.find("1152", "par").equals(own.find("1152", "par"))
    assert "label" in set(alone.find("1152", "par")["why"])


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
