"""Meta-latents: the list of all, and one with the latents it is most active on."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.explorer.evidence import snippet
from metasae.explorer.explorer import META, Explorer
from workbench import shared
from workbench.charts.latents import spread_chart
from workbench.explore.contexts import snippets_html
from workbench.explore.label import heading
from workbench.frame import failed, ink
from workbench.navigation import LATENTS, go, keep_link, move
from workbench.picking import choose
from workbench.text import escape, visible


def meta_list(explorer: Explorer, width: int) -> None:
    """All meta-latents: filter, sort, choose; one is opened with the latents of a width's SAE."""
    lab = explorer.lab
    table = shared.meta_table(explorer)
    st.session_state.setdefault("meta-filter", st.query_params.get("filter", "")[:100])
    typed = st.text_input(
        "Filter",
        placeholder="A word of a label or of a latent, or a number",
        key="meta-filter",
        max_chars=100,
    )
    keep_link(filter=typed or None)
    wanted = " ".join(typed.split()).casefold()
    if wanted:
        number = wanted.removeprefix("#")
        hit = table["called"].str.casefold().str.contains(wanted, regex=False)
        hit |= table["strongest latents"].str.casefold().str.contains(wanted, regex=False)
        if number.isdecimal():
            hit |= table["meta-latent"] == int(number)
        table = table[hit]
    st.caption(
        f"{len(table):,} of {lab.n_meta:,} meta-latents. Click a heading to sort, a row to open it."
    )
    choose(
        table, "metas", lambda row: _go(int(row["meta-latent"]), width),
        {
            "active on": st.column_config.NumberColumn(
                format="percent", help="Share of all latents it is active on"
            ),
            "label's F1": st.column_config.NumberColumn(
                format="%.2f", help="How well it tells the latents it wasn't made from"
            ),
            "one word's F1": st.column_config.NumberColumn(
                format="%.2f", help="The same for the commonest word of its latents alone"
            ),
            "strongest": st.column_config.NumberColumn(format="%.2f"),
        },
        height=420,
    )  # fmt: skip


def _go(meta: int, width: int) -> None:
    # All that the page will say: what it adds to the address is one more step back for the reader.
    move(meta=meta, width=width)


def meta_latent(explorer: Explorer, meta: int, width: int) -> None:
    """One meta-latent: the latents of an SAE it is most active on, with their evidence."""
    lab, decomposition = explorer.lab, shared.open_width(explorer, width)
    heading(explorer, META, meta, f"Meta-latent {meta} of {lab.n_meta:,}")
    strongest = decomposition.latents_of(meta)
    kind = str(width)
    left, right = st.columns([5, 6], gap="large")
    with left:
        st.subheader("Most active on", anchor=False)
        key = f"meta-width-{width}"
        st.selectbox(
            "Latents of",
            explorer.widths,
            explorer.widths.index(width),
            format_func=lambda one: f"the SAE of {one:,} latents",
            key=key,
            on_change=lambda: _go(meta, st.session_state[key]),
        )
        top = list(strongest.items())[:30]
        table = pd.DataFrame(
            {
                "latent": [latent for latent, _ in top],
                "called": [explorer.label(kind, latent) for latent, _ in top],
                "activation": [value for _, value in top],
            }
        )
        choose(
            table, "of", lambda row: go(LATENTS, latent=int(row["latent"]), width=width),
            {"activation": st.column_config.NumberColumn(format="%.2f")}, height=420,
        )  # fmt: skip
        st.caption(
            f"Active on {len(strongest):,} of {width:,} latents ({len(strongest) / width:.2%})."
        )
        if top:
            share = decomposition.unexplained([latent for latent, _ in top])
            st.caption(
                f"Of the squared length of these {len(top)} directions {share:.0%} is in no "
                "meta-latent."
            )
    with right:
        st.subheader("How strongly", anchor=False)
        if strongest:
            values = pd.DataFrame({"activation": list(strongest.values())})
            st.altair_chart(spread_chart(values, ink()))
        card = lab.meta_card(meta)
        tokens = ", ".join(f"**{escape(visible(token))}**" for token in card.promoted)
        st.markdown(f"Its direction points to {tokens or 'nothing'}.")
        _meta_evidence(explorer, width, [latent for latent, _ in top[:5]])


def _meta_evidence(explorer: Explorer, width: int, latents: Sequence[int]) -> None:
    evidence = explorer.evidence(width)
    if evidence is None:
        return
    try:
        text = shared.get_text(explorer, width)
    except UserError as error:
        failed(error)
        return
    if text is None:
        return
    st.subheader("Where those latents fire", anchor=False)
    kind = str(width)
    for latent in latents:
        contexts = evidence.of(latent)[:3]
        if contexts:
            st.markdown(f"**{escape(explorer.named(kind, latent))}**")
            shown = [snippet(explorer.lab.model, text, one) for one in contexts]
            st.html(snippets_html(shown, contexts[0].strength))
