"""What is open, in one quiet line that is in sight on every page."""

import streamlit as st

from metasae.lab.lab import Lab
from metasae.sources.presets import Opened
from workbench import glossary
from workbench.look import NAME
from workbench.text import coded, escape


def in_words(lab: Lab) -> tuple[str, ...]:
    """Product, model, layer, SAE and meta-SAE, a few words each."""
    mine = lab.preset.opened.meta_sae
    return (
        NAME,
        lab.provenance.model,
        f"before block {lab.preset.hook_layer} of {lab.model.n_layers}",
        f"SAE of {lab.n_latents:,} latents",
        f"meta-SAE of {lab.n_meta:,}" + (f" ({mine})" if mine else ""),
    )


def open_line(preset: Opened, lab: Lab | None) -> None:
    """Draw the line, the glossary at its end.

    Args:
        lab: None where the preset could not be opened.
    """
    words = (NAME, f"{preset} is not open") if lab is None else in_words(lab)
    exact = None
    if lab is not None:
        made_of = lab.provenance
        exact = (
            f"Model {coded(made_of.model)}, hook {coded(made_of.hook)}, SAE {coded(made_of.sae)}, "
            f"meta-SAE {coded(made_of.meta_sae)}. Open another one in the sidebar."
        )
    with st.container(
        key="open-line", horizontal=True, vertical_alignment="center", gap="small", wrap=False
    ):
        st.markdown(" · ".join(map(escape, words)), help=exact, width="stretch")
        glossary.glossary()
