"""What stands beside a latent: its neighbours here and in a smaller SAE, and its approximation."""

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.explorer.latent_page import InSmallerSAE, LatentPage
from workbench import shared
from workbench.frame import failed
from workbench.navigation import go
from workbench.picking import choose


def related(page: LatentPage) -> None:
    """One table with a tab for each way a latent can be close."""
    st.subheader("Related latents", anchor=False)
    smaller = _smaller(page)
    names = [f"Closest of {page.width:,}"]
    if smaller is not None:
        count = len(smaller.pursuit.table)
        names += [f"Closest of {smaller.width:,}", f"Best {count}-latent approximation"]
    tabs = st.tabs(names)
    with tabs[0]:
        _table(page.nearest, "near", page.width, "cosine")
        st.caption(
            "Latents of the same SAE that point nearly the same way. A cosine of 1 is the same "
            "direction, 0 has nothing in common."
        )
    if smaller is None:
        return
    with tabs[1]:
        _table(smaller.nearest, "small", smaller.width, "cosine")
        st.caption(
            f"In an SAE of only {smaller.width:,} latents, what stands in its place: often a "
            "broader thing that this latent is one case of."
        )
    with tabs[2]:
        _table(smaller.pursuit.table, "pursuit", smaller.width, "weight")
        explained = smaller.pursuit.explained[-1] if smaller.pursuit.explained else 0.0
        st.caption(
            f"The latents of the smaller SAE that, added up, come closest to it, as many as it has "
            f"meta-latents: they explain {explained:.0%} of its squared length, its meta-latents "
            f"{1 - page.unexplained:.0%}. (Orthogonal matching pursuit.)"
        )


def _smaller(page: LatentPage) -> InSmallerSAE | None:
    """What a smaller SAE has; None where there is none, or it can't be opened, which is said."""
    if page.smaller_width is None:
        return None
    try:
        shared.open_width(page.explorer, page.smaller_width)
        return page.smaller
    except UserError as error:
        failed(error)
        return None


def _table(table: pd.DataFrame, key: str, width: int, number: str) -> None:
    choose(
        table[["latent", "called", number]].rename(columns={"called": "label"}),
        key,
        lambda row: go(latent=int(row["latent"]), width=width),
        {number: st.column_config.NumberColumn(format="%.2f")},
    )
