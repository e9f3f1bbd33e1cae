"""The page of measured figures is what the measured files make it."""

import re

import pytest

from handbook import quality
from metasae.lab.preset_files import REPORT, folder_of
from metasae.sources.files import read_json
from metasae.sources.presets import EMBEDDED


def test_the_page_is_what_was_measured() -> None:
    assert quality.PAGE.read_text("utf-8") == quality.page(), "python -m handbook.quality"


def test_a_changed_figure_changes_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    report = read_json(folder_of(EMBEDDED) / REPORT)
    report["meta_sae"]["fve"] = 0.123456
    report["names"]["cities"]["swap"]["moved"]["share"] = 0.76
    read = {folder_of(EMBEDDED) / REPORT: report}
    monkeypatch.setattr(quality, "read_json", lambda path: read.get(path) or read_json(path))
    page = quality.page()
    assert "| 0.123 beside " in page
    (row,) = [one for one in page.splitlines() if one.startswith("| latent swap at all positions")]
    assert row.endswith("| – | 0.75 |") and ", 0.76 (" in row


def test_the_table_of_widths_by_hand() -> None:
    report = read_json(folder_of(EMBEDDED) / REPORT)
    rows = re.findall(r"^\| ([\d,]+) \| \d \| (.*) \|$", quality.page(), flags=re.MULTILINE)
    assert [width for width, _ in rows] == [f"{one['width']:,}" for one in report["saes"]]
    sae = report["saes_by_source"]["wikipedia-en"][0]
    kept = report["saes_by_source"]["factbook"][0]["ce_recovered"]
    values = sae["fve"], sae["ce_recovered"], kept, sae["nearest_cosine"]
    assert rows[0][1] == "{:.3f} | {:.3f} | {:.3f} | {:.2f}".format(*values)
