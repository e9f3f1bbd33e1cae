"""What moves together: the attribute an edit is for, by the attribute that is asked about."""

import pandas as pd
import streamlit as st

from metasae.ravel.moved import leak
from metasae.studies.result_folder import StoredFinding
from metasae.studies.runs import Run
from workbench.charts.ravel import leak_chart
from workbench.frame import ink


def what_moves(run: Run, found: StoredFinding, rule: str) -> None:
    """One method's matrix.

    Args:
        rule: how an answer is read.
    """
    leaks = leak(found.tables["triples"], found.figures["attributes"])
    leaks = leaks[leaks["rule"] == rule]
    methods = list(dict.fromkeys(leaks["method"]))
    if not methods:
        st.caption("No two names that were asked about differ in anything.")
        return
    learned = found.figures["learned"]
    method = st.selectbox(
        "Edits by", methods, index=methods.index(learned) if learned in methods else 0,
        key=f"leak-method-{run.identity}", width=260,
    )  # fmt: skip
    shown = leaks[leaks["method"] == method]
    st.altair_chart(
        leak_chart(shown, ink()), width="content", alt=in_words(shown),
        key=f"leak-{run.identity}-{method}-{rule}",
    )  # fmt: skip
    st.caption(
        "Share of the answers that became the other city's, where the two differ. An edit that "
        "moves one fact alone has a full diagonal and zeros elsewhere."
    )


def in_words(leaks: pd.DataFrame) -> str:
    """The matrix as a sentence a row."""
    return " ".join(
        f"Edits for {edited} move "
        + ", ".join(
            f"{asked} {moved:.0%}"
            for asked, moved in zip(rows["asked"], rows["moved"], strict=True)
        )
        + "."
        for edited, rows in leaks.groupby("edited", sort=False)
    )
