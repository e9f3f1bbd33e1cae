"""Lineages of a few latents, put in order by hand."""

import pandas as pd

from metasae.studies.split_flow import heights, lineages, picture

CHILDREN = pd.DataFrame(
    [
        (2, 0, 4, 0, 0.9), (2, 0, 4, 1, 0.8), (2, 1, 4, 1, 0.75), (2, 1, 4, 2, 0.8),
        (4, 0, 8, 5, 0.8), (4, 0, 8, 6, 0.9), (4, 3, 8, 7, 0.9),
    ],
    columns=["width", "parent", "child_width", "child", "cosine"],
)  # fmt: skip
"""Latent 1 of width 4 is a child of both of width 2, and closer to the first; 3 comes from none."""


def test_each_latent_is_below_its_closest_parent() -> None:
    found = lineages(CHILDREN)
    latents = list(zip(found["width"], found["latent"], strict=True))
    assert latents == [(2, 0), (4, 0), (8, 6), (8, 5), (4, 1), (2, 1), (4, 2), (4, 3), (8, 7)]
    assert found["size"].tolist() == [5] * 5 + [2] * 4
    parents = found.set_index(["width", "latent"])["parent"]
    assert parents[4, 1] == 0 and pd.isna(parents[2, 0]) and pd.isna(parents[4, 3])
    assert found["root"].tolist() == [0] * 5 + [1] * 2 + [3] * 2


def test_a_latent_is_drawn_in_the_middle_of_its_children() -> None:
    found = lineages(CHILDREN)
    place = heights(found)
    at = dict(zip(zip(found["width"], found["latent"], strict=True), place, strict=True))
    # Last ones from the top: 8/6, 8/5, 4/1, 4/2, 8/7.
    assert at == {
        (8, 6): 0, (8, 5): 1, (4, 0): 0.5, (4, 1): 2, (2, 0): 1.25,
        (4, 2): 3, (2, 1): 3, (8, 7): 4, (4, 3): 4,
    }  # fmt: skip


def test_the_picture_tells_what_is_shared_and_what_is_added() -> None:
    found = lineages(CHILDREN).head(5)
    pieces = {(2, 0): [1, 2], (4, 0): [1, 3], (4, 1): [], (8, 5): [3], (8, 6): [1, 3, 4]}
    drawn = picture(found, pieces).to_dict()
    rows = {
        (row["width"], row["latent"]): row for rows in drawn["datasets"].values() for row in rows
    }
    assert rows["4", 0]["shared"] == "1" and rows["4", 0]["added"] == "3"
    assert rows["4", 0]["kept"] == 0.5 and rows["8", 6]["kept"] == 1.0
    assert rows["4", 1]["shared"] == rows["4", 1]["added"] == "none"
    lines = [layer for layer in drawn["layer"] if "x2" in layer["encoding"]]
    assert len(drawn["datasets"][lines[0]["data"]["name"]]) == 4  # all but the root
