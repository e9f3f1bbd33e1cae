"""City by city: what an edit moved, as a matrix, and every single prompt with its answers."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.ravel.data import NAME
from metasae.ravel.moved import by_pair
from metasae.ravel.scores import ALL, NOTHING
from metasae.ravel.words import HALF
from metasae.sources.presets import Opened
from metasae.steering.edits import NO_EDIT, Edit
from metasae.steering.link import edit_from_text
from metasae.steering.nats import settled
from metasae.steering.setting import Setting
from metasae.studies.result_folder import StoredFinding
from metasae.studies.runs import Run
from workbench import session
from workbench.charts.ravel import BOTH, LEGEND, MOVED, NEITHER, PICKED, STAYED, matrix_chart
from workbench.frame import ink
from workbench.navigation import STEER, go_to_view
from workbench.picking import choose_point
from workbench.state import View
from workbench.text import escape

_WHOSE = {
    "source": "still {source}'s answer",
    "target": "now {target}'s answer",
    "other": "neither",
}


def cities(run: Run, found: StoredFinding) -> None:
    """A method and an attribute are chosen; then a pair, then a prompt."""
    triples = found.tables["triples"]
    method, attribute, seed = _choice(run, found, triples)
    edits = triples[
        (triples["method"] == method)
        & triples["edited"].isin([attribute, ALL])
        & (triples["seed"] == seed)
    ]
    done = pairs(edits, attribute)
    key = f"pair-{run.identity}"

    def picked(cell: Mapping[str, Any]) -> None:
        st.session_state[key] = _named(str(cell["source"]), str(cell["target"]))

    with st.container(horizontal=True, key="ravel-matrix"):
        choose_point(
            matrix_chart(done, ink()), f"matrix-{run.identity}-{method}-{attribute}-{seed}",
            PICKED, picked, width="content", alt_text=_counted(done, attribute),
        )  # fmt: skip
    st.caption(f"{LEGEND}. Click a cell for its prompts; empty cells were not asked.")
    names = [_named(str(one.source), str(one.target)) for one in done.itertuples()]
    if st.session_state.get(key) not in names:
        st.session_state[key] = names[0]
    pair = st.selectbox("Pair", names, key=key, width=320)
    row = done.iloc[names.index(pair)]
    own = edits[(edits["source"] == row["source"]) & (edits["target"] == row["target"])]
    before = triples[
        (triples["method"] == NOTHING)
        & (triples["seed"] == seed)
        & (triples["source"] == row["source"])
        & (triples["target"] == row["target"])
    ]
    _prompts(run, found, own, before)


def _choice(run: Run, found: StoredFinding, triples: pd.DataFrame) -> tuple[str, str, int]:
    """Which edits are looked at: method, attribute, seed."""
    methods = list(dict.fromkeys(triples["method"]))
    learned = found.figures["learned"]
    with st.container(horizontal=True):
        method = st.selectbox(
            "Method", methods, index=methods.index(learned) if learned in methods else 0,
            key=f"method-{run.identity}", width=220,
        )  # fmt: skip
        attribute = st.selectbox(
            "To move", found.figures["attributes"], key=f"attribute-{run.identity}", width=180
        )
        seeds = sorted(triples["seed"].unique().tolist())
        seed = seeds[0]
        if len(seeds) > 1:
            seed = st.selectbox("Seed", seeds, key=f"seed-{run.identity}", width=100)
    return str(method), str(attribute), int(seed)


def _named(source: str, target: str) -> str:
    return f"{source} → {target}"


def pairs(edits: pd.DataFrame, attribute: str, rule: str = "greedy") -> pd.DataFrame:
    """What one method's edits for an attribute did to each pair.

    Args:
        edits: triples of one method and seed.

    Returns:
        Columns source, target, did, moved, stayed; the last two as "2 of 3".
    """
    rows = []
    counts: list[Any] = by_pair(edits, attribute, rule).to_dict("records")
    for one in counts:
        moved = one["wanted"] > 0 and one["moved"] >= HALF * one["wanted"]
        stayed = one["stayed"] >= HALF * one["others"]
        did = (BOTH if stayed else MOVED) if moved else STAYED if stayed else NEITHER
        rows.append(
            {
                "source": one["source"], "target": one["target"], "did": did,
                "moved": f"{one['moved']} of {one['wanted']}",
                "stayed": f"{one['stayed']} of {one['others']}",
            }
        )  # fmt: skip
    return pd.DataFrame(rows, columns=["source", "target", "did", "moved", "stayed"])


def _counted(done: pd.DataFrame, attribute: str) -> str:
    """The matrix in a sentence."""
    counts = done["did"].value_counts()
    return f"Of {len(done)} pairs, for {attribute}: " + ", ".join(
        f"{counts[did]} {did}" for did in (BOTH, MOVED, STAYED, NEITHER) if did in counts
    )


def _prompts(run: Run, found: StoredFinding, own: pd.DataFrame, before: pd.DataFrame) -> None:
    """The prompts about one pair, one of them in full."""
    rows: list[Any] = own.to_dict("records")
    texts = [one["template"].replace(NAME, one["source"]) for one in rows]
    at = st.selectbox(
        "Prompt", range(len(texts)), format_func=texts.__getitem__,
        key=f"prompt-{run.identity}-{own['source'].iloc[0]}-{own['target'].iloc[0]}",
    )  # fmt: skip
    row: dict[str, Any] = rows[at]
    unedited = before[before["template"] == row["template"]]
    was: Any = unedited.iloc[0].to_dict() if len(unedited) else {}
    sides = ("source", "target")
    table = pd.DataFrame(
        [
            {
                "Answer": row[f"{side}_answer"],
                "Whose": row[side],
                "Before (nats)": _nats(was, side) if was else None,
                "After (nats)": _nats(row, side),
            }
            for side in sides
        ]
    )
    nats = st.column_config.NumberColumn(format="%.2f")
    st.dataframe(
        table, hide_index=True, width="content", key=f"answers-{run.identity}",
        column_config={"Before (nats)": nats, "After (nats)": nats},
    )  # fmt: skip
    if any(math.isnan(one[f"{side}_nats"]) for one in (row, was) if one for side in sides):
        st.caption(
            "Where the beginning of an answer told that it didn't come, the rest was not looked at "
            "and there is no log-probability."
        )
    whose = _WHOSE[row["greedy"]].format(source=row["source"], target=row["target"])
    st.caption(f"Log-probabilities of the whole answers. What the model says by itself: "
               f"{escape(whose)}.")  # fmt: skip
    st.button(
        "Open in Steer", key="ravel-steer", icon=":material/open_in_new:", on_click=open_in_steer,
        args=(found.made["preset"], row),
    )  # fmt: skip
    if not row["edit"]:
        st.caption("Steer can't make this edit: it opens the pair and the prompt unedited.")
    elif edit_from_text(row["edit"]).kind == "swap":
        st.caption(
            "Steer swaps what its table of cities says of the two; here they were looked up like "
            "any name, so its numbers can differ a little."
        )


def _nats(row: Mapping[str, Any], side: str) -> float | None:
    value = row[f"{side}_nats"]
    return None if math.isnan(value) else settled(value)


def steer_view(preset: str, row: Mapping[str, Any]) -> View:
    """The Steer page with a triple's pair, latents, prompt and edit.

    Args:
        preset: text form of what was open.
        row: of the triples.

    Raises:
        UserError: for a preset there is none of.
    """
    edit: Edit = edit_from_text(row["edit"]) if row["edit"] else NO_EDIT
    setting = Setting(
        preset=Opened.from_text(preset),
        source=row["source"],
        target=row["target"],
        source_latents=_latents(row["source_latents"]),
        target_latents=_latents(row["target_latents"]),
        prompt=row["template"].replace(NAME, row["source"]),
        answers=(row["source_answer"], row["target_answer"]),
    )
    return replace(session.view(), setting=setting, edit=edit, pinned=None)


def _latents(text: str) -> tuple[int, ...] | None:
    return tuple(map(int, text.split("."))) if text else None


def open_in_steer(preset: str, row: Mapping[str, Any]) -> None:
    """Open a triple on the Steer page (in a widget's callback)."""
    try:
        session.change(steer_view(preset, row))
    except UserError as error:
        session.notify(str(error))
        return
    go_to_view(STEER)
