"""Among the tables: the same edit with frozen attention patterns beside it."""

from dataclasses import replace

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.steering.edits import Edit
from metasae.steering.frozen import FrozenOutcome, with_frozen_attention
from metasae.steering.setting import Setting
from workbench import session, shared
from workbench.frame import failed
from workbench.steer import experiments
from workbench.steer.two_ways import two_ways
from workbench.text import escape


def frozen_attention(setting: Setting, edit: Edit) -> None:
    """The same edit with the attention patterns above the hook frozen, when it is asked for."""
    key = "frozen-attention"

    def switched(frozen: bool) -> None:
        session.change(replace(session.view(), frozen=frozen))

    st.toggle(
        "Beside it, with attention frozen",
        key=key,
        on_change=session.shows(key, lambda view: view.frozen, switched),
        help="Once more with every attention pattern above the hook as it is without the edit: the "
        "heads look where they looked before. What is left of the edit's effect goes through what "
        "they move, the rest through where they look.",
    )
    if not session.view().frozen:
        return
    try:
        found = _frozen(shared.get_lab(setting.preset), setting, edit)
    except UserError as error:
        failed(error)
        return
    st.markdown(escape(found.sentence))
    headings = {
        "answer": "Answer", "baseline": "Before", "live": "Live", "frozen": "Frozen",
        "difference": "Difference", "attribute": "Attribute",
    }  # fmt: skip
    two_ways(found.table, headings, key="frozen-table")


@shared.of_lab(most=32)
def _frozen(lab: Lab, setting: Setting, edit: Edit) -> FrozenOutcome:
    """See `frozen.with_frozen_attention`."""
    return with_frozen_attention(experiments.get_experiment(setting), edit)
