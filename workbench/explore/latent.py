"""One latent: what it is made of, what is related, where it fires, what it does."""

import streamlit as st

from metasae.errors import UserError
from metasae.explorer.explorer import META, Explorer
from metasae.explorer.latent_page import LatentPage
from metasae.lab.lab import Lab
from workbench import collected, session, shared
from workbench.charts.latents import (
    PICKED,
    bars_in_words,
    density_chart,
    histogram,
    pieces_chart,
)
from workbench.explore.contexts import contexts, real_text_switch
from workbench.explore.label import heading
from workbench.explore.related import related
from workbench.explore.tokens import token_list
from workbench.explore.typed import try_text
from workbench.frame import failed, ink
from workbench.navigation import GRAPH, METAS, STEER, go, go_to_view
from workbench.picking import choose, choose_point
from workbench.text import escape

_SHOWN = 10
"""Contexts on a page at first."""


def latent(explorer: Explorer, width: int, number: int) -> None:
    """A latent: what it is called, what it is made of, where it fires, what it does."""
    kind, lab = str(width), explorer.lab
    shared.open_width(explorer, width)
    known = explorer.evidence(width) is not None, explorer.table(kind) is not None
    page = _page(lab, width, number, (explorer.corrections.to_json(), *known))
    with heading(explorer, kind, number, f"Latent {number} of {width:,}"):
        if width == lab.n_latents:

            def sent() -> None:
                session.change_setting(source=f"#{number}")
                go_to_view(STEER)

            st.button("Open on Steer", icon=":material/tune:", key="to-steer", on_click=sent)
            st.button(
                "Show its graph", icon=":material/hub:", key="to-graph",
                on_click=lambda: go(GRAPH, latent=number),
            )  # fmt: skip
        collected.add(collected.latent(lab, number, width), "latent")
        if name := lab.preset.neuronpedia:
            sae = name.replace("{width}", kind)
            st.link_button("On Neuronpedia", f"https://www.neuronpedia.org/{sae}/{number}")
    left, right = st.columns([1, 1], gap="large")
    with left:
        _pieces(page)
    with right:
        related(page)
    st.subheader("Where it fires", anchor=False)
    try_text(explorer, width, number)
    _evidence(page)
    left, right = st.columns([1, 1], gap="large")
    with left:
        _adding(page)
    with right:
        _logit_lens(page)
    collected.below(lab)


@shared.of_lab(most=8)
def _page(lab: Lab, width: int, latent: int, known: tuple[object, ...]) -> LatentPage:
    """The parts of a latent's page, computed once.

    Args:
        known: of the latents: when it changes, so do the parts.
    """
    return LatentPage(shared.get_explorer(lab), width, latent)


def _pieces(page: LatentPage) -> None:
    """The decomposition as bars that lead to their meta-latents, what is left out included."""
    st.subheader("Made of", anchor=False)
    if page.pieces.empty:
        st.info("No meta-latent is active on this latent's direction.")
        return
    table = page.pieces.assign(
        name=[page.explorer.named(META, meta) for meta in page.pieces["meta"]]
    )
    choose_point(
        pieces_chart(table, page.unexplained, ink()),
        "pieces-chart",
        PICKED,
        lambda row: go(METAS, meta=int(row["number"])),
        alt_text=f"Made of {bars_in_words(table['name'], table['activation'])}",
    )
    st.caption(
        f"The meta-latents its direction is put together from; {page.unexplained:.0%} of its "
        "squared length is in none of them. Click a bar to open its meta-latent."
    )
    with st.expander("The same as a table"):
        choose(
            page.pieces.rename(columns={"meta": "meta-latent"}),
            "pieces",
            lambda row: go(METAS, meta=int(row["meta-latent"])),
            {"activation": st.column_config.NumberColumn(format="%.2f")},
        )


def _evidence(page: LatentPage) -> None:
    """Where the latent fires: contexts, how often, how strongly."""
    explorer, evidence = page.explorer, page.evidence
    if evidence is None:
        st.info(
            "Nobody has collected where these latents fire. In a terminal: python -m metasae "
            f"describe --preset {escape(str(explorer.lab.preset.opened))} --width {page.width}"
        )
        return
    total = int(evidence.counts[page.latent].sum())
    if total == 0:
        st.info(f"It is silent on all of the {evidence.tokens:,} tokens that were read.")
        return
    left, right = st.columns([6, 5], gap="large")
    with left:
        _contexts(page)
    with right:
        own = evidence.density(page.latent)
        st.markdown("**How often**")
        rarer = float((evidence.counts.sum(1) < total).mean())
        often = (
            f"It fires on {total:,} of {evidence.tokens:,} tokens ({own:.3%}), more often than "
            f"{rarer:.0%} of this SAE's latents."
        )
        st.altair_chart(density_chart(evidence.densities, own, ink()), alt=often)
        st.caption(often)
        st.markdown("**How strongly**")
        bands = evidence.histogram(page.latent)
        most = bands.iloc[int(bands["tokens"].to_numpy().argmax())]
        strongly = (
            f"Most often with an activation from {most['from']:.1f} to {most['to']:.1f}: on "
            f"{int(most['tokens']):,} tokens."
        )
        st.altair_chart(histogram(bands, ink()), alt=strongly)
        st.caption(strongly)


def _contexts(page: LatentPage) -> None:
    """The contexts it fires in, where the text they are from is here."""
    explorer = page.explorer
    try:
        text = shared.get_text(explorer, page.width)
    except UserError as error:
        failed(error)
        return
    if text is None:
        st.info(
            "The text on this machine is another than the evidence is about, so no contexts can be "
            "shown. In a terminal: python -m metasae describe --preset "
            f"{escape(str(explorer.lab.preset.opened))} --width {page.width}"
        )
        return
    real = real_text_switch()
    shown = page.snippets(text)
    top = max(one.strength for one in page.contexts)
    contexts([one for one in shown if not one.drawn], top, real, _SHOWN)
    if drawn := [one for one in shown if one.drawn]:
        with st.expander(f"{len(drawn)} where it fires more weakly, drawn at random"):
            contexts(drawn, top, real)


def _adding(page: LatentPage) -> None:
    """What really changes when its direction is added."""
    st.subheader("What adding it does", anchor=False)
    raised, lowered = page.token_change
    st.markdown(
        f"Added to neutral prompts with its largest activation ({page.strength:.1f}), it changes "
        "how likely the model finds the next word, in nats:"
    )
    st.markdown(f"likelier: {token_list(raised, 'nats')}  \nless likely: "
                f"{token_list(lowered, 'nats')}")  # fmt: skip


def _logit_lens(page: LatentPage) -> None:
    """Where its direction points, without a run of the model."""
    st.subheader("Logit lens", anchor=False)
    promoted, suppressed = page.vocabulary_ends
    st.markdown(
        "Without running the layers above, the words its direction points to: a rough guess at "
        "what it is for."
    )
    st.markdown(f"towards: {token_list(promoted)}  \naway from: {token_list(suppressed)}")
