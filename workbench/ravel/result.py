"""What RAVEL found: scores, what the model knew, what moves, cities, prompts, masks."""

import json
from typing import Any

import pandas as pd
import streamlit as st

from metasae.lab.lab import Lab
from metasae.ravel.certainty import SURE
from metasae.ravel.picture import picture
from metasae.ravel.random_base import in_words
from metasae.ravel.scores import ALL, RULES
from metasae.studies.result_folder import StoredFinding
from metasae.studies.runs import Run
from metasae.studies.study import Study
from workbench.charts.studies import on_screen
from workbench.frame import ink
from workbench.ravel.cities import cities
from workbench.ravel.leak import what_moves
from workbench.ravel.masks import learned_masks
from workbench.studies.result import result as whole
from workbench.text import escape

_RULES = {
    "greedy": "what the model says, of all words",
    "choice": "the likeliest of the attribute's answers",
}
"""How an answer is read."""


def result(lab: Lab, study: Study, run: Run, found: StoredFinding) -> None:
    """The whole result."""
    whole(lab, study, run, found, body)


def body(lab: Lab, run: Run, found: StoredFinding) -> None:
    """What stands between the verdict and the files."""
    rule = _scores(run, found)
    _known(found)
    st.subheader("What moves together", anchor=False)
    what_moves(run, found, rule)
    st.subheader("City by city", anchor=False)
    cities(run, found)
    st.subheader("Learned edits in words", anchor=False)
    learned_masks(lab, run, found)


def _scores(run: Run, found: StoredFinding) -> str:
    """Methods × attributes, with intervals; how an answer is read."""
    attributes = [ALL, *found.figures["attributes"]]
    with st.container(horizontal=True):
        about = st.segmented_control(
            "Attribute", attributes, default=ALL, required=True, key=f"about-{run.identity}"
        )
        rule = st.selectbox(
            "An answer counts by", RULES, format_func=_RULES.__getitem__, width=320,
            key=f"rule-{run.identity}",
        )  # fmt: skip
    table = pd.DataFrame(found.figures["methods"])
    table = table[table["rule"] == rule]
    shown = table[table["attribute"] == about]
    (chart,) = on_screen(json.loads(picture(shown, rule).to_json()), ink())
    st.vega_lite_chart(
        chart, width="stretch", key=f"scores-{run.identity}-{about}-{rule}",
        alt=f"Disentangle of every method, on {about}: {found.verdict}",
    )  # fmt: skip
    st.caption("The dashed line is doing nothing. An interval holds the middle 95 % over cities.")
    words = found.figures["about"]
    st.dataframe(
        pd.DataFrame([_row(one, words) for one in shown.to_dict("records")]),
        hide_index=True, height="content", key=f"methods-{run.identity}",
    )  # fmt: skip
    for sentence in in_words(found.figures):
        st.caption(sentence)
    apart = _apart(found, str(about), str(rule))
    if len(apart):
        with st.expander("Where the model is sure, and on names the edits were learned from"):
            st.dataframe(apart, hide_index=True, height="content", key=f"apart-{run.identity}")
            st.caption(
                "Disentangle. An answer that leads by a hair is lost to almost any edit; what "
                "scores badly on training names too was not to be learned from them."
            )
    with st.expander("Every attribute"):
        st.dataframe(
            _by_attribute(table, attributes), hide_index=True, height="content",
            key=f"attributes-{run.identity}",
        )  # fmt: skip
    return str(rule)


def _by_attribute(scores: pd.DataFrame, attributes: list[str]) -> pd.DataFrame:
    """Disentangle of every method on every attribute, with its interval in a cell."""
    cells = scores.assign(
        cell=[
            f"{_share(one['disentangle'])} ({_share(one['low'])} to {_share(one['high'])})"
            for one in scores.to_dict("records")
        ]
    )
    wide = cells.pivot(index="method", columns="attribute", values="cell")
    order = list(dict.fromkeys(scores["method"]))
    return wide.loc[order, attributes].rename_axis("Method").reset_index()


def _apart(found: StoredFinding, about: str, rule: str) -> pd.DataFrame:
    """Disentangle by how sure the unedited model is, and on training names; nothing of runs that
    were made before either was worked out."""
    sides = {
        f"Model at least {SURE:.0%} sure": ("by_certainty", {"sure": True}),
        "Less sure": ("by_certainty", {"sure": False}),
        "On training names": ("on_training_names", {}),
    }
    made: dict[str, dict[str, str]] = {}
    for column, (figure, also) in sides.items():
        for row in found.figures.get(figure, []):
            if {"attribute": about, "rule": rule, **also}.items() <= row.items():
                made.setdefault(row["method"], {})[column] = _share(row["disentangle"])
    return pd.DataFrame([{"Method": name, **cells} for name, cells in made.items()])


def _share(value: float | None) -> str:
    """A share as it is read; there is none where nothing was asked."""
    return "–" if value is None or pd.isna(value) else f"{value:.2f}"


def _row(score: dict[str, Any], words: dict[str, str]) -> dict[str, str]:
    made = {
        "Method": score["method"],
        "Disentangle": _share(score["disentangle"]),
        "95 %": f"{_share(score['low'])} to {_share(score['high'])}",
        "Cause": _share(score["cause"]),
        "Isolate": _share(score["isolate"]),
    }
    if "more" in score:
        between = f"{_share(score['more_low'])} to {_share(score['more_high'])}"
        made["Learned mask scores more by"] = f"{_share(score['more'])} ({between})"
    return made | {"Which is": words.get(score["method"], "")}


def _known(found: StoredFinding) -> None:
    """How many facts the unedited model knew, and by which rule."""
    facts = found.figures["facts"]
    names, templates = facts["names"], facts["templates"]
    st.markdown(
        f"**{facts['facts_asked']:,} facts** were asked of the unedited model: it says "
        f"{facts['right_greedily']:,} by itself, of all words; picks {facts['right_by_choice']:,} "
        f"among the attribute's answers; both {facts['right_by_both']:,}. Only those are scored. "
        f"Kept are {names['kept_training']} names to learn from, {names['kept_held_out']} others "
        f"to score on, and {templates['kept']} of {templates['tried']} prompts that were tried."
    )
    with st.expander("What the model knew, by attribute"):
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "Attribute": name, "Asked": one["asked"],
                        "Says it by itself": f"{one['right_greedily']:.0%}",
                        "Picks it": f"{one['right_by_choice']:.0%}",
                        "Both": f"{one['right_by_both']:.0%}",
                    }
                    for name, one in facts["by_attribute"].items()
                ]
            ),
            hide_index=True, height="content", width="content", key="facts",
        )  # fmt: skip
        for one in facts["kept_templates"]:
            held = "learned with" if one["split"] == "train" else "scored with"
            st.caption(f"{escape(one['attribute'])}, {held}: {escape(one['text'])}")
