"""Meta-latents: the list of all, and one with the latents it is most active on."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.explorer.evidence import snippet
from metasae.explorer.explorer import META, Explorer
from workbench import collected, shared
from workbench.charts.latents import PICKED, bars_in_words, latents_chart, spread_chart
from workbench.explore.contexts import contexts, real_text_switch
from workbench.explore.label import heading
from workbench.files import download_table
from workbench.frame import failed, ink
from workbench.navigation import LATENTS, go, keep_link, move
from workbench.picking import choose, choose_point
from workbench.text import escape, visible

_BARS, _TABLE = 10, 30
"""Latents of a meta-latent that are drawn, and that are listed."""

_SHOWN, _CONTEXTS = 5, 3
"""Latents whose contexts are shown, and contexts of each."""


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
    download_table(table, "meta-latents", "metas-csv")


def _go(meta: int, width: int) -> None:
    # All that the page will say: what it adds to the address is one more step back for the reader.
    move(meta=meta, width=width)


def meta_latent(explorer: Explorer, meta: int, width: int) -> None:
    """One meta-latent: the latents of an SAE it is most active on, with their evidence."""
    lab, decomposition = explorer.lab, shared.open_width(explorer, width)
    with heading(explorer, META, meta, f"Meta-latent {meta} of {lab.n_meta:,}"):
        collected.add(collected.meta_latent(lab, meta), "meta")
    strongest = decomposition.latents_of(meta)
    left, right = st.columns([1, 1], gap="large")
    with left:
        st.subheader("Part of", anchor=False)
        key = f"meta-width-{width}"
        st.selectbox(
            "Latents of",
            explorer.widths,
            explorer.widths.index(width),
            format_func=lambda one: f"the SAE of {one:,} latents",
            key=key,
            on_change=lambda: _go(meta, st.session_state[key]),
        )
        _part_of(explorer, width, strongest)
    with right:
        st.subheader("How strongly", anchor=False)
        st.caption(
            f"It is active on {len(strongest):,} of {width:,} latents "
            f"({len(strongest) / width:.2%})."
        )
        if strongest:
            values = pd.DataFrame({"activation": list(strongest.values())})
            spread = (
                f"On half of those, with less than {values['activation'].median():.2f}; at most "
                f"{values['activation'].max():.2f}."
            )
            st.altair_chart(spread_chart(values, ink()), alt=spread)
            top = list(strongest)[:_TABLE]
            share = decomposition.unexplained(top)
            st.caption(
                f"{spread} Of the squared length of the strongest {len(top)}, {share:.0%} is in no "
                "meta-latent."
            )
    _meta_evidence(explorer, width, list(strongest)[:_SHOWN])
    st.subheader("Logit lens", anchor=False)
    tokens = ", ".join(f"**{escape(visible(token))}**" for token in lab.meta_card(meta).promoted)
    st.markdown(
        "Without running the layers above, the words its direction points to: "
        f"{tokens or 'nothing'}."
    )


def _part_of(explorer: Explorer, width: int, strongest: Mapping[int, float]) -> None:
    """The latents it is most active on, as bars that lead to them."""
    if not strongest:
        st.info("It is active on no latent of this SAE.")
        return
    kind, top = str(width), list(strongest.items())[:_TABLE]
    table = pd.DataFrame(
        {
            "latent": [latent for latent, _ in top],
            "called": [explorer.label(kind, latent) for latent, _ in top],
            "activation": [value for _, value in top],
        }
    )
    bars = table.head(_BARS)
    bars = bars.assign(name=[explorer.named(kind, latent) for latent in bars["latent"]])

    def opened(latent: float) -> None:
        go(LATENTS, latent=int(latent), width=width)

    choose_point(
        latents_chart(bars, ink()), f"of-chart-{width}", PICKED, lambda row: opened(row["number"]),
        alt_text=f"Most active on {bars_in_words(bars['name'], bars['activation'])}",
    )  # fmt: skip
    st.caption("The latents it is most active on. Click a bar to open its latent.")
    with st.expander(f"The strongest {len(table)} as a table"):
        choose(
            table, "of", lambda row: opened(row["latent"]),
            {"activation": st.column_config.NumberColumn(format="%.2f")}, height=420,
        )  # fmt: skip


def _meta_evidence(explorer: Explorer, width: int, latents: Sequence[int]) -> None:
    """Where the latents fire that it is most active on."""
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
    real, kind = real_text_switch(), str(width)
    for latent in latents:
        if kept := evidence.of(latent):
            st.markdown(f"**{escape(explorer.named(kind, latent))}**")
            shown = [snippet(explorer.lab.model, text, one) for one in kept if not one.drawn]
            contexts(shown, kept[0].strength, real, _CONTEXTS)
