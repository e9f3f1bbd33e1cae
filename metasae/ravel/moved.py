"""What edits moved: pair by pair, and which attributes' answers move together."""

from collections.abc import Sequence

import pandas as pd

from metasae.ravel.scores import RULES


def by_pair(edits: pd.DataFrame, attribute: str, rule: str = "greedy") -> pd.DataFrame:
    """What edits for an attribute did to each pair, in numbers of prompts.

    Args:
        edits: triples of one method, seed and edited attribute; see `scores.table`.

    Returns:
        Columns source, target, moved (answers about the attribute that are the target's now) of
        wanted (those that differ between the two), stayed (other answers that are still the
        source's) of others.
    """
    about = edits["asked"] == attribute
    wanted = about & edits["differs"]
    counts = edits[["source", "target"]].assign(
        moved=wanted & (edits[rule] == "target"),
        wanted=wanted,
        stayed=~about & (edits[rule] == "source"),
        others=~about,
    )
    return counts.groupby(["source", "target"], sort=False).sum().astype(int).reset_index()


def leak(triples: pd.DataFrame, attributes: Sequence[str]) -> pd.DataFrame:
    """Which answers become the target's, by the attribute an edit is for and the one asked about.

    Only prompts of pairs whose answers differ are counted: where both have the same answer, nothing
    can be seen to move.

    Args:
        triples: see `scores.table`.
        attributes: those asked about.

    Returns:
        Columns rule, method, edited (an attribute, or `scores.ALL`), asked, moved (the share whose
        answer is the target's), stayed (the share whose answer is still the source's), prompts; a
        row where at least one was asked.
    """
    differing = triples[triples["differs"]]
    orders = [
        [*dict.fromkeys(triples["method"])],
        [*attributes, *dict.fromkeys(triples["edited"])],
        [*attributes],
    ]
    by = ["method", "edited", "asked"]
    tables = []
    for rule in RULES:
        counts = (
            differing[by]
            .assign(
                moved=differing[rule] == "target",
                stayed=differing[rule] == "source",
                prompts=1,
            )
            .groupby(by)
            .agg({"moved": "mean", "stayed": "mean", "prompts": "sum"})
            .reset_index()
        )
        places = [
            counts[name].map({one: at for at, one in reversed([*enumerate(order)])})
            for name, order in zip(by, orders, strict=True)
        ]
        in_order = pd.concat(places, axis=1).dropna().sort_values(by).index
        tables.append(counts.loc[in_order].assign(rule=rule))
    return pd.concat(tables, ignore_index=True)[["rule", *by, "moved", "stayed", "prompts"]]
