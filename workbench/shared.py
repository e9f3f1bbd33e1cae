"""What is open, shared by all sessions: the lab, its explorer, its texts, meta-latents' names."""

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.explorer.explorer import META, Explorer, open_explorer
from metasae.lab.lab import Lab, open_lab
from metasae.saes.decomposition import Decomposition
from metasae.sources.presets import Opened
from metasae.sources.user_presets import preset_of
from metasae.text.windows import Windows
from workbench.background import Work, kept
from workbench.text import escape


@kept(max_entries=2)
def _lab(preset: Opened) -> Work[Lab]:
    wanted = preset_of(preset)
    return Work(lambda progress: open_lab(wanted, progress), "Opening the model")


def get_lab(preset: Opened) -> Lab:
    """The opened preset; draws the progress of its first opening.

    Raises:
        UserError: when it can't be opened; the next call tries again.
    """
    return _lab(preset)


@st.cache_resource(max_entries=4, show_spinner=False)
def _opened_explorer(preset: Opened, meta_sae: str) -> Explorer:
    return open_explorer(get_lab(preset))


def get_explorer(lab: Lab) -> Explorer:
    """What is known of a lab's latents."""
    return _opened_explorer(lab.preset.opened, lab.provenance.meta_sae)


@kept(max_entries=24)
def _width(preset: Opened, meta_sae: str, width: int, _explorer: Explorer) -> Work[Decomposition]:
    return Work(lambda progress: _explorer.decomposition(width, progress), "Opening the SAE")


def open_width(explorer: Explorer, width: int) -> Decomposition:
    """The SAE of a width, taken apart; draws the progress of its first opening.

    Raises:
        UserError: when it can't be opened; the next call tries again.
    """
    lab = explorer.lab
    return _width(lab.preset.opened, lab.provenance.meta_sae, width, explorer)


def meta_title(lab: Lab, meta: int) -> str:
    """What a meta-latent is called on every page: its label, or what its latents fire on."""
    try:
        return get_explorer(lab).label(META, meta)
    except UserError:  # a damaged file of labels, which the explorer's pages tell of
        return lab.meta_card(meta).title


@kept(max_entries=12)
def _text(preset: Opened, width: int, _explorer: Explorer) -> Work[Windows | None]:
    return Work(lambda progress: _explorer.text(width, progress), "Reading the text")


def get_text(explorer: Explorer, width: int) -> Windows | None:
    """The text a width's evidence is about; None where another one is here.

    The first time it is fetched and cut into tokens, with its progress drawn.
    """
    try:
        return _text(explorer.lab.preset.opened, width, explorer)
    except UserError as error:
        st.error(escape(str(error)))
        return None


@st.cache_data(max_entries=4, show_spinner="Reading the meta-latents …")
def _meta_table(preset: Opened, meta_sae: str, corrected: str, _explorer: Explorer) -> pd.DataFrame:
    lab = _explorer.lab
    table = _explorer.table(META)
    kind = str(lab.n_latents)
    rows = []
    for meta in range(lab.n_meta):
        strongest = lab.decomposition.latents_of(meta)
        top = list(strongest.items())[:3]
        rows.append(
            {
                "meta-latent": meta,
                "called": _explorer.label(META, meta),
                "label's F1": None if table is None else float(table["f1"].iloc[meta]),
                "active on": len(strongest) / lab.n_latents,
                "strongest": top[0][1] if top else 0.0,
                "strongest latents": " · ".join(_explorer.label(kind, latent) for latent, _ in top),
            }
        )
    return pd.DataFrame(rows).sort_values("active on", ascending=False, ignore_index=True)


def meta_table(explorer: Explorer) -> pd.DataFrame:
    """All meta-latents with their labels, the commonest first."""
    lab = explorer.lab
    corrected = explorer.corrections.to_json()
    table: pd.DataFrame = _meta_table(
        lab.preset.opened, lab.provenance.meta_sae, corrected, explorer
    )
    return table
