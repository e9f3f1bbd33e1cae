"""The pages of measured figures are what the measured files make them."""

import json
import re
from pathlib import Path

import pytest

from docs.handbook import measured
from metasae.lab.preset_files import REPORT, folder_of
from metasae.sources.files import read_json
from metasae.sources.presets import EMBEDDED


@pytest.mark.parametrize("page", measured.PAGES)
def test_a_page_is_what_was_measured(page: str) -> None:
    if page == "speed.md" and not measured.RESULTS.exists():
        pytest.skip("no benchmark has left a record yet")
    made = measured.PAGES[page]()
    assert (measured.DOCS / page).read_text("utf-8") == made, "python -m docs.handbook.measured"


def test_the_last_run_of_a_benchmark_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, words, value in (
        ("2026-11-24-train-1", "", 1),
        ("2026-11-26-train-2", "", 2),
        ("2026-11-26-train-10", "", 3),
        ("2026-11-27-train-1", "--scaling", 4),
        ("2026-11-28-trainers-1", "", 5),
    ):
        record = {"words": words, "figures": {"x": value}}
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    assert measured._latest("train") == {"x": 3}
    assert measured._latest("train", "--scaling") == {"x": 4}


def test_a_changed_figure_changes_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    report = read_json(folder_of(EMBEDDED) / REPORT)
    report["meta_sae"]["fve"] = 0.123456
    report["names"]["cities"]["swap"]["moved"]["share"] = 0.76
    read = {folder_of(EMBEDDED) / REPORT: report}
    monkeypatch.setattr(measured, "read_json", lambda path: read.get(path) or read_json(path))
    page = measured.quality()
    assert "| 0.123 beside " in page
    (row,) = [one for one in page.splitlines() if one.startswith("| latent swap at all positions")]
    assert row.endswith("| – | 0.75 |") and ", 0.76 (" in row


def test_the_table_of_widths_by_hand() -> None:
    report = read_json(folder_of(EMBEDDED) / REPORT)
    rows = re.findall(r"^\| ([\d,]+) \| \d \| (.*) \|$", measured.quality(), flags=re.MULTILINE)
    assert [width for width, _ in rows] == [f"{one['width']:,}" for one in report["saes"]]
    sae = report["saes_by_source"]["wikipedia-en"][0]
    kept = report["saes_by_source"]["factbook"][0]["ce_recovered"]
    values = sae["fve"], sae["ce_recovered"], kept, sae["nearest_cosine"]
    assert rows[0][1] == "{:.3f} | {:.3f} | {:.3f} | {:.2f}".format(*values)
