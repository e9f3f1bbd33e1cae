"""What the pictures of stitching draw."""

from typing import Any

import pandas as pd

from metasae.studies import stitch_pictures as pictures


def drawn(chart: Any) -> pd.DataFrame:
    """The rows a picture is made of; that it is a valid one is checked on the way."""
    (rows,) = chart.to_dict()["datasets"].values()
    return pd.DataFrame(rows)


def test_the_histogram_counts_either_class() -> None:
    latents = pd.DataFrame(
        {"latent": range(5), "cosine": [0.31, 0.34, 0.36, 0.99, 0.31],
         "novel": [True, True, True, False, False]}
    )  # fmt: skip
    bars = drawn(pictures.cosines(latents)).set_index(["kind", "cosine"])["latents"].to_dict()
    assert bars == {("novel", 0.3): 2, ("novel", 0.35): 1,
                    ("reconstruction", 0.3): 1, ("reconstruction", 0.95): 1}  # fmt: skip


def test_the_roc_has_chance_beside_it() -> None:
    curve = pd.DataFrame({"misses_taken": [0.0, 0.5], "hits_taken": [0.0, 1.0]})
    lines = drawn(pictures.roc(curve)).groupby("by")["hits_taken"].apply(list).to_dict()
    assert lines == {"largest cosine": [0.0, 1.0], "chance": [0.0, 1.0]}


def test_the_way_has_its_control_where_there_is_one() -> None:
    path = pd.DataFrame(
        {"step": [0, 1], "unexplained": [0.5, 0.2], "l0": [4.0, 6.0], "nats": [3.0, 2.0],
         "random_unexplained": [0.5, 0.6], "random_l0": [4.0, 7.0]}
    )  # fmt: skip
    rows = drawn(pictures.way(path, 1))
    ends = rows[rows["step"] == 1].set_index(["what", "way"])["value"].to_dict()
    assert ends == {
        ("variance unexplained", "novel first"): 0.2, ("L0", "novel first"): 6.0,
        ("cross-entropy (nats a token)", "novel first"): 2.0,
        ("variance unexplained", "drawn latents"): 0.6, ("L0", "drawn latents"): 7.0,
    }  # fmt: skip
