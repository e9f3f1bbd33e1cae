"""What is searched beside the cities, as widgets and in the link."""

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from metasae.search.spec import Spec
from metasae.search.variants import WIDE
from metasae.steering.edit_words import options_in_words
from metasae.steering.edits import Edit
from metasae.steering.setting import Setting
from metasae.text.prompts import QUESTIONS
from workbench import edit_options
from workbench.text import escape
from workbench.wording import wording_picker

GRIDS = {
    "whole": ((0.0,), (1.0,)),
    "halves": ((0.0, 0.5), (0.5, 1.0)),
    "wide": WIDE,
}
"""Strengths that are tried beside the default: for the source's own pieces, for the target's."""

_GRID_NAMES = {
    "whole": "on and off",
    "halves": "on, off and half",
    "wide": "on, off, reversed (−1) and doubled (2)",
}

_MEANINGS = {False: "it leads the candidates", True: "the model itself would say it"}
"""What counts as moved (`metasae.steering.verdict`), as it is chosen."""

_ITSELF = "itself"

_ATTRIBUTES, _GRID, _STRICT = "search-attributes", "search-strengths", "search-strict"


def read_choice() -> None:
    """What is searched beside the cities, from the address at first; kept across visits to other
    pages and tabs."""
    if _ATTRIBUTES not in st.session_state:
        asked = from_query(st.query_params)
        for key, value in zip((_ATTRIBUTES, _GRID), asked, strict=True):
            st.session_state[key] = value
        st.session_state[_STRICT] = strict_from_query(st.query_params)
    for key in (_ATTRIBUTES, _GRID, _STRICT):
        st.session_state[key] = st.session_state[key]


def choose(setting: Setting, edit: Edit) -> Spec:
    """Widgets for what is searched beside the cities.

    Returns:
        The search without its cities.
    """
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.multiselect("Questions", list(QUESTIONS), key=_ATTRIBUTES, width=460)
        wording_picker()
        st.selectbox(
            "Strengths of a meta-latent",
            list(GRIDS),
            format_func=_GRID_NAMES.__getitem__,
            key=_GRID,
            width=300,
        )
        st.selectbox(
            "Count a trait as moved when",
            list(_MEANINGS),
            format_func=_MEANINGS.__getitem__,
            key=_STRICT,
            width=300,
            help="“It leads the candidates”: of the two cities' answers and a third one's, the "
            "target's is the likeliest now. “The model itself would say it”: of all words there "
            "are, it is the one the model would write; a trait stays only where the model would "
            "write what it would have, unedited.",
        )
        with st.popover("Options", icon=":material/tune:"):
            edit_options.edit_options(edit)
    options = edit.options.of_source
    if unusual := options_in_words(options):
        st.caption(escape(f"Every edit that is tried: {'; '.join(unusual)}."))
    removed, added = GRIDS[st.session_state[_GRID]]
    return Spec(
        preset=setting.preset,
        source="",
        target="",
        attributes=tuple(st.session_state[_ATTRIBUTES]) or tuple(QUESTIONS),
        options=options,
        removed=removed,
        added=added,
        wording=setting.wording,
        strict=st.session_state[_STRICT],
    )


def about(template: Spec, setting: Setting) -> Spec:
    """The search of a setting's cities.

    Raises:
        UserError: for cities no search can be made of.
    """
    return replace(
        template,
        source=setting.source,
        target=setting.target,
        source_latents=setting.source_latents,
        target_latents=setting.target_latents,
    )


def to_query(spec: Spec) -> dict[str, str]:
    """What the link says beside the view; defaults are left out."""
    query = {}
    if spec.attributes != tuple(QUESTIONS):
        query["attributes"] = ".".join(spec.attributes)
    grid = next(name for name, levels in GRIDS.items() if levels == (spec.removed, spec.added))
    if grid != "whole":
        query["strengths"] = grid
    if spec.strict:
        query["moved"] = _ITSELF
    return query


def from_query(query: Mapping[str, str]) -> tuple[list[str], str]:
    """Attributes and strengths of a link; the default where it has none or a wrong one."""
    named = str(query.get("attributes", "")).split(".")
    attributes = [attribute for attribute in QUESTIONS if attribute in named]
    grid = str(query.get("strengths", "whole"))
    return attributes or list(QUESTIONS), grid if grid in GRIDS else "whole"


def strict_from_query(query: Mapping[str, str]) -> bool:
    """Whether a link asks for what the model itself would say."""
    return str(query.get("moved", "")) == _ITSELF
