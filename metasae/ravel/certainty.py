"""Scores apart by how sure the unedited model is of what it is asked.

An answer that leads by a hair is lost to any change of the residual stream, whatever it means; of
those the model is sure of, what is lost says more.
"""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from metasae.ravel.scores import NOTHING, table

SURE = 0.5
"""Probability of the unedited model's answer from which on it is sure of it."""


def by_certainty(triples: pd.DataFrame, attributes: Sequence[str]) -> list[dict[str, Any]]:
    """Scores of every method on prompts whose answer the unedited model is sure of, and on others.

    Args:
        triples: see `scores.table`, with the column source_nats.

    Returns:
        A record for each method, rule, attribute and side: ``sure``, and the columns of
        `scores.table` that are of one side alone. None where nobody was asked without an edit.
    """
    unedited = triples[triples["method"] == NOTHING]
    key = ["seed", "source", "template"]
    nats = unedited.groupby(key)["source_nats"].first().rename("unedited_nats")
    joined = triples.join(nats, on=key)
    sure = joined["unedited_nats"] >= math.log(SURE)
    found: list[dict[str, Any]] = []
    for side in (True, False):
        some = triples[(sure == side) & joined["unedited_nats"].notna()]
        if len(some):
            rows = table(some, attributes).drop(columns="seeds").to_dict("records")
            found += [
                {"sure": side, **{str(name): one for name, one in row.items()}} for row in rows
            ]
    return found
