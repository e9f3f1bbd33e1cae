"""Cite this: link, hashes, prompts, BibTeX and Python of an outcome; its picture as a file."""

import textwrap
from dataclasses import asdict
from urllib.parse import urlencode

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lab.weights import weights_of
from metasae.steering.citation import Citation
from metasae.steering.edit_words import edit_in_words
from metasae.steering.link import WORKBENCH
from metasae.steering.outcome import Outcome
from metasae.steering.provenance import Weights
from metasae.version import RELEASED
from workbench import shared
from workbench.background import Work
from workbench.charts.answers import answers_spec
from workbench.charts.ink import LIGHT
from workbench.charts.svg import side_by_side
from workbench.files import download
from workbench.frame import failed
from workbench.state import View
from workbench.steer import experiments
from workbench.text import escape

_CODE = 420
"""Pixels of a page's longest code; all of it is in the file below it."""

_BOLD, _LINE = 70, 96
"""Characters of a line above a chart, in its title's size and in that below."""


@shared.work_of_lab(most=1)
def _weights(lab: Lab) -> Work[Weights]:
    """The hashes of what is open, once for all sessions: no tick waits for them."""
    return Work(lambda progress: weights_of(lab.preset, progress), "Hashing the weights")


def cite(lab: Lab, outcome: Outcome, link: str, name: str) -> None:
    """All that a reader needs to get the same numbers.

    Args:
        link: see `permalink`.
        name: how files about it are called, without their ending.
    """
    st.subheader("Cite this", anchor=False)
    st.caption("What a reader needs to find this view again and to get the same numbers.")
    try:
        weights = _weights.shown(lab)
    except UserError as error:
        failed(error)
        return
    if weights is None:
        return
    citation = Citation(outcome, weights, link)
    st.markdown("Link to this view:")
    st.code(citation.link, language=None, wrap_lines=True)
    st.markdown("What it was computed with (SHA-256 of the weights, as `sha256sum` prints it):")
    st.code(_hashes(citation), language=None, wrap_lines=True)
    st.markdown("What the model was asked:")
    st.markdown(
        "\n".join(
            f"- {escape(attribute.capitalize())}: “{escape(prompt)} …”"
            for attribute, prompt in citation.prompts.items()
        )
    )
    st.markdown("BibTeX, of this software and of the post whose method it is:")
    st.code(citation.bibtex, language="latex", wrap_lines=True)
    st.markdown(
        "Python that opens the same weights, checks their hashes, makes the edit, prints the whole "
        "table, and fails where a number is off by 0.001 nats or more:"
    )
    st.code(citation.snippet, language="python", wrap_lines=True, height=_CODE)
    download("Python", lambda: citation.snippet, f"{name}.py", "text/x-python", "snippet")


def permalink(view: View) -> str:
    """The address that leads to a view on the Steer page."""
    here = st.context.url or WORKBENCH  # which nobody knows before a browser has said so
    return f"{here.rstrip('/')}/?{urlencode(view.to_query())}"


def _hashes(citation: Citation) -> str:
    made, weights = citation.outcome.provenance, citation.weights
    rows = (
        ("model", made.model, weights.model),
        ("SAE", made.sae.rpartition("@")[0], weights.sae),
        ("meta-SAE", made.meta_sae.rpartition("@")[0], weights.meta_sae),
    )
    lines = [f"{what}: {called}\n  {digest}" for what, called, digest in rows]
    return "\n".join([*lines, f"metasae {made.version} of {RELEASED}, hook {made.hook}"])


def picture(lab: Lab, view: View, link: str) -> str:
    """The view's chart as SVG, a pinned edit's beside it."""
    setting, _ = experiments.answerable(view.setting)
    edits = [view.edit] if view.pinned is None else [view.edit, view.pinned]
    outcomes = [experiments.get_outcome(setting, edit) for edit in edits]
    made = outcomes[0].provenance
    names = ["This edit", "Pinned edit"] if len(outcomes) > 1 else ["Edit"]
    return side_by_side(
        [_titled(lab, one, name, view.percent) for one, name in zip(outcomes, names, strict=True)],
        asdict(made) | {"link": link},
        [
            "Hollow: before the edit. Filled: after it. Blue: the source's answer. Orange: the "
            "target's.",
            f"{made.model}, {made.hook}, {made.sae}, {made.meta_sae}; metasae {made.version}",
        ],
    )


def _titled(
    lab: Lab, outcome: Outcome, name: str, percent: bool
) -> tuple[dict[str, object], list[str], list[str]]:
    """An outcome's chart, with what the edit did above it and what the edit is below that."""
    spec = answers_spec(
        outcome.answers, outcome.asked, outcome.source.in_prompts, outcome.target.label, LIGHT,
        percent,
    )  # fmt: skip
    words = edit_in_words(outcome.edit, outcome.pieces, shared.meta_titles(lab))
    return (
        spec,
        textwrap.wrap(outcome.sentence, _BOLD),
        textwrap.wrap(f"{name}: {words}", _LINE),
    )
