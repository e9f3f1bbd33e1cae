"""What the pictures of feature splitting are drawn from."""

import pandas as pd
import pytest

from metasae.studies import split_pictures


def rows_of(chart: object) -> list[dict[str, object]]:
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]  # type: ignore[attr-defined]


def test_latents_by_their_number_of_meta_latents_are_shares_of_a_width() -> None:
    counts = pd.DataFrame({"width": [2, 2, 4], "meta_latents": [0, 1, 1], "latents": [1, 3, 5]})
    assert [row["share"] for row in rows_of(split_pictures.counts(counts))] == [0.25, 0.75, 1.0]


def test_meta_latents_are_counted_by_the_share_of_each_width() -> None:
    shares = pd.DataFrame(
        {"meta": [0, 0, 1, 1], "width": [2, 4, 2, 4], "share": [0.26, 0.74, 0.24, 0.76]}
    )
    found = {(row["width"], round(row["share"], 2)): row["meta_latents"]  # type: ignore[call-overload]
             for row in rows_of(split_pictures.shares(shares))}  # fmt: skip
    assert found == {(2, 0.25): 2, (4, 0.75): 2}


def test_a_control_that_is_not_known_is_left_out() -> None:
    known = {"value": 0.5, "low": 0.4, "high": 0.6}
    of = {"children": known, "a random remainder": known, "another family's remainder": None}
    found = rows_of(split_pictures.measures({"kept": of, "whole": of, "explained": of}))
    assert len(found) == 6 and found[0]["value"] == pytest.approx(0.5)
