"""The picture has every method and attribute of one rule."""

import pandas as pd

from metasae.ravel.picture import picture


def test_every_method_and_attribute_is_drawn() -> None:
    rows = [
        {
            "rule": rule, "method": method, "attribute": attribute, "cause": 0.5, "isolate": 1.0,
            "disentangle": 0.75, "low": 0.7, "high": 0.8,
        }
        for rule in ("greedy", "choice")
        for method in ("nothing", "mask")
        for attribute in ("Country", "all")
    ]  # fmt: skip
    drawn = picture(pd.DataFrame(rows)).to_dict()
    (values,) = drawn["datasets"].values()
    assert {(row["method"], row["attribute"]) for row in values} == {
        (method, attribute) for method in ("nothing", "mask") for attribute in ("Country", "all")
    }
    assert {row["rule"] for row in values} == {"greedy"}
