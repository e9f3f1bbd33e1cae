"""Among the tables: the same edit with frozen attention patterns beside it."""

from dataclasses import replace

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.steering.edits import Edit
from metasae.steering.frozen import FrozenOutcome, with_frozen_attention
from metasae.steering.nats import settled
from metasae.steering.setting import Setting
from workbench import session, shared
from workbench.frame import failed
from workbench.steer import experiments
from workbench.steer.tables import title
from workbench.text import escape

_NATS = st.column_config.NumberColumn(format="%.2f", width="small")

_CHANGE = st.column_config.NumberColumn(format="%+.2f", width="small")


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
    table = found.table
    st.dataframe(
        pd.DataFrame(
            {
                "Answer": table["answer"],
                "Before": table["baseline"].map(settled),
                "Live": table["live"].map(settled),
                "Frozen": table["frozen"].map(settled),
                "Difference": table["difference"].map(settled),
                "Attribute": table["attribute"].map(title),
            }
        ),
        hide_index=True,
        height="content",
        key="frozen-table",
        column_config=dict.fromkeys(("Before", "Live", "Frozen"), _NATS) | {"Difference": _CHANGE},
    )


@shared.of_lab(most=32)
def _frozen(lab: Lab, setting: Setting, edit: Edit) -> FrozenOutcome:
    """See `frozen.with_frozen_attention`."""
    return with_frozen_attention(experiments.get_experiment(setting), edit)
