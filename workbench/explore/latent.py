"""One latent: what it is made of, where it fires, what it does, what stands beside it."""

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.explorer.explorer import META, Explorer
from metasae.explorer.latent_page import LatentPage
from metasae.lab.lab import Lab
from workbench import session, shared
from workbench.charts.latents import histogram, pieces_chart
from workbench.explore.contexts import snippets_html
from workbench.explore.label import heading
from workbench.explore.place import Place
from workbench.frame import failed, ink
from workbench.navigation import GRAPH, METAS, STEER, go, go_to_view
from workbench.picking import choose
from workbench.text import escape, visible

_SHOWN = 10
"""Contexts on a page at first."""


def latent(explorer: Explorer, at: Place) -> None:
    """A latent: what it is called, what it is made of, where it fires, what it does."""
    kind, lab = str(at.width), explorer.lab
    shared.open_width(explorer, at.width)
    known = explorer.evidence(at.width) is not None, explorer.table(kind) is not None
    page = _page(lab, at.width, at.latent, (explorer.corrections.to_json(), *known))
    with heading(explorer, kind, at.latent, f"Latent {at.latent} of {at.width:,}"):
        if at.width == lab.n_latents:

            def sent() -> None:
                session.change_setting(source=f"#{at.latent}")
                go_to_view(STEER)

            st.button("Send to Steer", icon=":material/tune:", key="to-steer", on_click=sent)
            st.button(
                "Show its graph", icon=":material/hub:", key="to-graph",
                on_click=lambda: go(GRAPH, latent=at.latent),
            )  # fmt: skip
        if name := lab.preset.neuronpedia:
            sae = name.replace("{width}", str(at.width))
            st.link_button("On Neuronpedia", f"https://www.neuronpedia.org/{sae}/{at.latent}")
    left, right = st.columns([6, 5], gap="large")
    with left:
        _pieces(page)
        _evidence(page)
    with right:
        _does(page)
        _beside(page)


@shared.of_lab(most=8)
def _page(lab: Lab, width: int, latent: int, known: tuple[object, ...]) -> LatentPage:
    """The parts of a latent's page, computed once.

    Args:
        known: of the latents: when it changes, so do the parts.
    """
    return LatentPage(shared.get_explorer(lab), width, latent)


def _pieces(page: LatentPage) -> None:
    """The decomposition as a picture, what is left out of it included."""
    st.subheader("Made of", anchor=False)
    if page.pieces.empty:
        st.info("No meta-latent is active on this latent's direction.")
        return
    table = page.pieces.assign(
        name=[page.explorer.named(META, meta) for meta in page.pieces["meta"]]
    )
    st.altair_chart(pieces_chart(table, page.unexplained, ink()))
    st.caption(
        f"Meta-latents active on its decoder direction. {page.unexplained:.0%} of the direction's "
        "squared length is in none of them."
    )
    choose(
        page.pieces.rename(columns={"meta": "meta-latent"}),
        "pieces",
        lambda row: go(METAS, meta=int(row["meta-latent"])),
        {"activation": st.column_config.NumberColumn(format="%.2f")},
    )


def _beside(page: LatentPage) -> None:
    """The method's table: nearest latents here and in a smaller SAE, and matching pursuit."""
    st.subheader("Beside it", anchor=False)
    two = st.column_config.NumberColumn(format="%.2f")
    st.markdown("**Closest latents in this SAE**")
    choose(
        page.nearest, "near", lambda row: go(latent=int(row["latent"]), width=page.width),
        {"cosine": two},
    )  # fmt: skip
    if page.smaller_width is None:
        return
    try:
        shared.open_width(page.explorer, page.smaller_width)
        smaller = page.smaller
    except UserError as error:
        failed(error)
        return
    assert smaller is not None

    def there(row: pd.Series) -> None:
        go(latent=int(row["latent"]), width=smaller.width)

    st.markdown(f"**Closest among {smaller.width:,} latents**")
    choose(smaller.nearest, "small", there, {"cosine": two})
    count = max(1, len(page.pieces))
    explained = smaller.pursuit.explained[-1] if smaller.pursuit.explained else 0.0
    st.markdown(f"**The best {count} of those {smaller.width:,} to write it with**")
    choose(smaller.pursuit.table, "pursuit", there, {"weight": two})
    st.caption(
        f"Orthogonal matching pursuit: {explained:.0%} of the direction's squared length, with as "
        "many latents as it has meta-latents."
    )


def _evidence(page: LatentPage) -> None:
    """Where the latent fires: contexts, how often, how strongly."""
    st.subheader("Where it fires", anchor=False)
    explorer, evidence = page.explorer, page.evidence
    if evidence is None:
        st.info(
            "Nobody has collected where these latents fire. In a terminal: python -m metasae "
            f"describe --preset {explorer.lab.preset.opened} --width {page.width}"
        )
        return
    total = int(evidence.counts[page.latent].sum())
    st.caption(f"On {total:,} of {evidence.tokens:,} tokens ({evidence.density(page.latent):.3%}).")
    if total == 0:
        st.info("It is silent on all of this text.")
        return
    _contexts(page)
    st.altair_chart(histogram(evidence.histogram(page.latent), ink()))


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
            f"{explorer.lab.preset.opened} --width {page.width}"
        )
        return
    shown = page.snippets(text)
    top = max(one.strength for one in page.contexts)
    st.html(snippets_html([one for one in shown if not one.drawn][:_SHOWN], top))
    if drawn := [one for one in shown if one.drawn]:
        with st.expander(f"{len(drawn)} drawn from its weaker activations"):
            st.html(snippets_html(drawn, top))


def _does(page: LatentPage) -> None:
    """What its direction promotes, and what really changes when it is added."""
    st.subheader("What it does", anchor=False)
    promoted, suppressed = page.vocabulary_ends
    raised, lowered = page.token_change
    st.markdown(f"Its direction points to {_tokens(promoted)}, away from {_tokens(suppressed)}.")
    st.markdown(
        f"Added with its largest activation ({page.strength:.1f}) to neutral prompts, it raises "
        f"{_tokens(raised, 'nats')} and lowers {_tokens(lowered, 'nats')} (nats)."
    )


def _tokens(table: pd.DataFrame, value: str = "") -> str:
    parts = []
    for _, row in table.head(6).iterrows():
        number = f" {row[value]:+.1f}".replace("-", "−") if value else ""
        parts.append(f"**{escape(visible(str(row['token'])))}**{number}")
    return ", ".join(parts) or "nothing"
