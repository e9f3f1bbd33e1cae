"""Describing some widths, one after the other, and what is written of each."""

from dataclasses import replace
from pathlib import Path

import pytest

from metasae.errors import UserError
from metasae.explorer.describing import describe, relabel
from metasae.explorer.explorer import META, REPORT, Explorer
from metasae.lab.lab import open_lab
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.files import read_json, write_json
from metasae.sources.versions import LABELS
from tests.small_release import Built

pytestmark = pytest.mark.slow


def test_labels_of_other_widths_and_of_another_meta_sae_stay_theirs(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = open_lab(built.release.preset)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    text, out = tmp_path / "text.txt", tmp_path / "out"
    names = [city.name for city in built.release.cities]
    text.write_text("\n\n".join(f"{name} is a city; people like {name}." for name in names * 4))
    told = describe(lab, out, [64, 16], [text])
    first = read_json(out / REPORT)
    assert {"16", "64", META} < set(told)
    assert first == LABELS.stamp | {n: told[n] for n in told if n != "evidence"}
    # Every sentence comes again and again: of all widths and the meta-latents copies are left out.
    assert all(told[kind]["copies"] > 0 for kind in ("16", "64"))
    assert all({"f1_one_word_mean", "beats_one_word"} <= set(told[kind]) for kind in ("64", META))
    # The same SAEs with another meta-SAE, whose own meta-latents nobody has described.
    other = replace(lab, provenance=replace(lab.provenance, meta_sae="mine@123"))
    told = describe(other, out, [16], [text])
    assert set(told) == {"sae", "meta_sae", "16", "evidence"}
    written = read_json(out / REPORT)
    assert written == first | {"meta_sae": "mine@123", "16": told["16"]}
    assert Explorer(other, out).table(META) is None
    assert Explorer(other, out).label(META, lab.n_meta - 1)
    table = Explorer(lab, out).table(META)
    assert table is not None and len(table) == lab.n_meta
    # Evidence of an earlier version, in which contexts repeat each other, is labelled no more.
    facts = read_json(out / "facts-16.json")
    assert facts.pop("copies") == told["16"]["copies"]
    write_json(out / "facts-16.json", facts)
    assert Explorer(lab, out).evidence(16) is not None
    with pytest.raises(UserError, match="leave out --labels-only to collect it anew"):
        relabel(lab, out, [16])
