"""The parts of the explorer's pages: search, a latent, a meta-latent, the evidence behind them."""

import html
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from metasae.errors import UserError
from metasae.explorer.corrections import Corrections, explained
from metasae.explorer.evidence import Snippet, snippet
from metasae.explorer.explorer import META, Explorer
from metasae.explorer.labels import UNCLEAR
from metasae.explorer.latent_page import LatentPage
from workbench import charts, opening, results, session
from workbench.text import escape, visible

_LATENTS, _METAS, _STEER, _GRAPH = (
    "../pages/latents.py",
    "../pages/meta_latents.py",
    "../pages/steer.py",
    "../pages/graph.py",
)
_START = "Tokyo"
"""City whose latent is shown to someone who comes without a link."""

_CARRIED = ("latent", "width", "meta", "q", "filter", "depth", "top", "least")

_SHOWN = 10
"""Contexts on a page at first."""


@dataclass(frozen=True)
class Place:
    """Where in the explorer one is: what the address says beside the session's view."""

    latent: int
    width: int
    query: str = ""

    def to_query(self) -> dict[str, str]:
        """As query parameters."""
        found = {"latent": str(self.latent), "width": str(self.width)}
        return found | ({"q": self.query} if self.query else {})


def place(found: Explorer) -> Place:
    """What the address asks for; a wrong number is said and the default shown."""
    lab = found.lab
    query = st.query_params
    width = _number(query.get("width", ""), lab.n_latents)
    if width not in found.widths:
        session.notify(f"There is no SAE of {width:,} latents; the widest is shown.")
        width = lab.n_latents
    default = lab.city_record(_START).latents
    # The Graph page has several under the same name: a step back to this page finds the first.
    latent = _number(query.get("latent", "").partition(",")[0], default[0].latent if default else 0)
    if not 0 <= latent < width:
        session.notify(f"There is no latent {latent}: this SAE has 0 to {width - 1}.")
        latent = 0
    return Place(latent, width, query.get("q", "")[:300])


def asked_meta(found: Explorer) -> int | None:
    """The meta-latent the address asks for, if any; a wrong one is said and the first shown."""
    asked = st.query_params.get("meta", "")
    if not asked:
        return None
    meta = _number(asked, -1)
    if 0 <= meta < found.lab.n_meta:
        return meta
    last = found.lab.n_meta - 1
    session.notify(f"There is no meta-latent {asked[:20]}: there are 0 to {last}.")
    return 0


def _number(text: str, default: int) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else default


def go(page: str | None = None, **query: object) -> None:
    """Move to another place, on this page or another; the Back button returns."""
    if page is not None:
        st.switch_page(page, query_params=_whole(carried() | query))
    address(**query)
    st.rerun()


def carried() -> dict[str, object]:
    """What the explorer's pages pass on among each other.

    Streamlit puts the new page's query under the old page's path for a moment, and the browser
    keeps that step: it has to name what was shown there.
    """
    return {name: st.query_params[name] for name in _CARRIED if name in st.query_params}


def keep_link(**own: object) -> None:
    """Put what is shown into the address, and what the other pages showed; None takes out."""
    shown = (carried() | own).items()
    session.write_link(**{name: str(value) for name, value in shown if value is not None})


def address(**query: object) -> None:
    """Put a place into the address (in a widget's callback, which is followed by a run)."""
    st.query_params.from_dict(_whole(query))


def _whole(query: Mapping[str, object]) -> dict[str, str]:
    return session.view().to_query() | {name: str(value) for name, value in query.items()}


# Search


def search_bar(found: Explorer, at: Place) -> None:
    """Number, word or any text; the width; a latent at random."""
    text, width, dice = st.columns([6, 3, 1], vertical_alignment="bottom")
    key = f"search-{at.query}"

    def searched() -> None:
        typed = " ".join(st.session_state[key].split())
        number = typed.removeprefix("#").strip()
        if number.isdecimal():
            st.session_state[key] = at.query
            address(latent=number, width=at.width)
        else:
            address(latent=at.latent, width=at.width, **({"q": typed} if typed else {}))

    st.session_state.setdefault(key, at.query)
    text.text_input(
        "Search",
        placeholder="A number, a word, a city, or any text: “She flew to Tokyo”",
        max_chars=300,
        key=key,
        on_change=searched,
    )
    chosen = width.selectbox(
        "SAE",
        found.widths,
        found.widths.index(at.width),
        format_func=lambda one: f"{one:,} latents",
        key=f"width-{at.width}",
    )
    if dice.button("", icon=":material/casino:", help="A latent at random", key="dice"):
        go(latent=random.randrange(at.width), width=at.width)
    if chosen != at.width:
        go(latent=min(at.latent, chosen - 1), width=chosen)
    if at.query:
        _hits(found, at)


def _hits(found: Explorer, at: Place) -> None:
    kind = str(at.width)
    try:
        opening.open_width(found, at.width)
        named = found.find(kind, at.query)
        fires = found.firing_on(at.width, at.query)
    except UserError as error:
        results.failed(error)
        return
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"**Fires on “{escape(at.query)}”**, token by token")
        shown = fires.assign(token=[visible(token) for token in fires["token"]])
        choose(
            shown[["token", "activation", "latent", "label"]],
            "fires",
            lambda row: go(latent=int(row["latent"]), width=at.width, q=at.query),
            {"activation": st.column_config.NumberColumn(format="%.1f")},
        )
    with right:
        st.markdown("**Called so**")
        if named.empty:
            st.caption("No label, word or city matches.")
        else:
            choose(
                named.rename(columns={"index": "latent"}),
                "named",
                lambda row: go(latent=int(row["latent"]), width=at.width, q=at.query),
            )


def choose(
    table: pd.DataFrame,
    key: str,
    picked: Callable[[pd.Series], None],
    columns: Mapping[str, Any] | None = None,
    height: int = 250,
) -> None:
    """A table whose rows lead somewhere."""
    event = st.dataframe(
        table,
        hide_index=True,
        key=f"{key}-{hash(tuple(map(tuple, table.iloc[:, :4].astype(str).to_numpy())))}",
        on_select="rerun",
        selection_mode="single-row",
        column_config=columns,
        height=min(height, 38 + 35 * max(1, len(table))),
    )
    if rows := event["selection"]["rows"]:
        picked(table.iloc[rows[0]])


# One latent


def latent(found: Explorer, at: Place) -> None:
    """A latent: what it is called, what it is made of, where it fires, what it does."""
    kind, lab = str(at.width), found.lab
    opening.open_width(found, at.width)
    page = LatentPage(found, at.width, at.latent)
    with heading(found, kind, at.latent, f"Latent {at.latent} of {at.width:,}"):
        if at.width == lab.n_latents:
            if st.button("Send to Steer", icon=":material/tune:", key="to-steer"):
                session.change_setting(source=f"#{at.latent}")
                st.switch_page(_STEER, query_params=session.view().to_query())
            if st.button("Show its graph", icon=":material/hub:", key="to-graph"):
                go(_GRAPH, latent=at.latent)
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


def heading(found: Explorer, kind: str, index: int, name: str) -> DeltaGenerator:
    """What it is called and how far that holds; a person may say it better.

    Returns:
        The row of buttons below, for more of them.
    """
    label = found.label(kind, index)
    table = found.table(kind)
    st.header(escape(label or name), anchor=False)
    own = found.corrections.labels.get(kind, {}).get(str(index))
    said = name
    if own:
        said += " · label written by a person"
    elif table is not None:
        one = table.loc[index]
        if pd.isna(one["f1"]):
            said += " · too few contexts for a label"
        else:
            said += f" · label's F1 on held-out contexts {one['f1']:.2f}"
            if one["label"] == UNCLEAR:
                said += ", unclear: described by what it fires on"
            elif one["told"]:
                said += ", and it fits no sibling as well"
            else:
                said += "; it fits a sibling as well"
    st.caption(escape(said))
    row = st.container(horizontal=True)
    with row, st.popover("Correct the label"):
        _correction(found, kind, index, own or "")
    return row


def _correction(found: Explorer, kind: str, index: int, own: str) -> None:
    text = st.text_input("Label", own, key=f"label-{kind}-{index}", max_chars=200)
    if st.button("Keep", key=f"keep-{kind}-{index}"):
        _keep(found, found.corrections.with_label(kind, index, text))
    st.download_button(
        "Share all corrections", found.corrections.to_json(), "labels.json", "application/json",
        key=f"share-{kind}-{index}", on_click="ignore",
    )  # fmt: skip
    file = st.file_uploader(
        "Take in a file of labels", ["json", "jsonl"], key=f"import-{kind}-{index}"
    )
    if file is not None and st.button("Take in", key=f"take-{kind}-{index}"):
        try:
            _keep(found, _taken_in(found, kind, file.getvalue()))
        except UserError as error:
            results.failed(error)


def _taken_in(found: Explorer, kind: str, content: bytes) -> Corrections:
    """Corrections with a file's: the workbench's own, or Neuronpedia's explanations of this SAE.

    Raises:
        UserError: for any other file, or labels of another SAE.
    """
    try:
        more = Corrections.from_json(content)
    except UserError:
        made = found.lab.provenance
        more = Corrections(made.sae, made.meta_sae, {kind: explained(content)})
    return found.corrections.merged(more)


def _keep(found: Explorer, changed: Corrections) -> None:
    try:
        found.correct(changed)
    except UserError as error:
        results.failed(error)
        return
    st.rerun()


def _pieces(page: LatentPage) -> None:
    """The decomposition as a picture, what is left out of it included."""
    st.subheader("Made of", anchor=False)
    if page.pieces.empty:
        st.info("No meta-latent is active on this latent's direction.")
        return
    table = page.pieces.assign(
        name=[page.explorer.named(META, meta) for meta in page.pieces["meta"]]
    )
    st.altair_chart(charts.pieces_chart(table, page.unexplained, results.ink()))
    st.caption(
        f"Meta-latents active on its decoder direction. {page.unexplained:.0%} of the direction's "
        "squared length is in none of them."
    )
    choose(
        page.pieces.rename(columns={"meta": "meta-latent"}),
        "pieces",
        lambda row: go(_METAS, meta=int(row["meta-latent"])),
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
        opening.open_width(page.explorer, page.smaller_width)
        smaller = page.smaller
    except UserError as error:
        results.failed(error)
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
    found, evidence = page.explorer, page.evidence
    if evidence is None:
        st.info(
            "Nobody has collected where these latents fire. In a terminal: python -m metasae "
            f"describe --preset {found.lab.preset.name} --width {page.width}"
        )
        return
    total = int(evidence.counts[page.latent].sum())
    st.caption(f"On {total:,} of {evidence.tokens:,} tokens ({evidence.density(page.latent):.3%}).")
    if total == 0:
        st.info("It is silent on all of this text.")
        return
    text = opening.get_text(found, page.width)
    if text is None:
        st.info(
            "The text on this machine is another than the evidence is about, so no contexts can be "
            "shown. In a terminal: python -m metasae describe --preset "
            f"{found.lab.preset.name} --width {page.width}"
        )
    else:
        shown = page.snippets(text)
        top = max(one.strength for one in page.contexts)
        st.html(snippets_html([one for one in shown if not one.drawn][:_SHOWN], top))
        drawn = [one for one in shown if one.drawn]
        if drawn:
            with st.expander(f"{len(drawn)} drawn from its weaker activations"):
                st.html(snippets_html(drawn, top))
    st.altair_chart(charts.histogram(evidence.histogram(page.latent), results.ink()))


def snippets_html(snippets: Sequence[Snippet], top: float) -> str:
    """Contexts as marked-up text: the stronger the activation, the deeper the colour."""
    rows = []
    for one in snippets:
        cells = []
        for token, value in one.tokens:
            text = html.escape(token.replace("\n", "⏎"))
            if value > 0:
                depth = 0.15 + 0.75 * min(1.0, value / max(top, 1e-9))
                text = (
                    f'<mark style="background:rgba(230,159,0,{depth:.2f});color:inherit;'
                    f'border-radius:3px" title="activation {value:.1f}">{text}</mark>'
                )
            cells.append(text)
        peak = max((value for _, value in one.tokens), default=0.0)
        rows.append(
            f'<div style="padding:3px 0;overflow-wrap:anywhere"><span style="opacity:.65;'
            f'font-variant-numeric:tabular-nums">{peak:.1f}</span>&ensp;…{"".join(cells)}…</div>'
        )
    return f'<div style="font-size:.9rem;line-height:1.45">{"".join(rows)}</div>'


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


# Meta-latents


def meta_list(found: Explorer) -> None:
    """All meta-latents: filter, sort, choose."""
    lab = found.lab
    table = opening.meta_table(found)
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
        table, "metas", lambda row: go(meta=int(row["meta-latent"])),
        {
            "active on": st.column_config.NumberColumn(
                format="percent", help="Share of all latents it is active on"
            ),
            "label's F1": st.column_config.NumberColumn(format="%.2f"),
            "strongest": st.column_config.NumberColumn(format="%.2f"),
        },
        height=420,
    )  # fmt: skip


def asked_width(found: Explorer) -> int:
    """The SAE the address asks for; the open one where it names none there is."""
    width = _number(st.query_params.get("width", ""), found.lab.n_latents)
    return width if width in found.widths else found.lab.n_latents


def meta_latent(found: Explorer, meta: int, width: int) -> None:
    """One meta-latent: the latents of an SAE it is most active on, with their evidence."""
    lab, decomposition = found.lab, opening.open_width(found, width)
    heading(found, META, meta, f"Meta-latent {meta} of {lab.n_meta:,}")
    strongest = decomposition.latents_of(meta)
    kind = str(width)
    left, right = st.columns([5, 6], gap="large")
    with left:
        st.subheader("Most active on", anchor=False)
        chosen = st.selectbox(
            "Latents of",
            found.widths,
            found.widths.index(width),
            format_func=lambda one: f"the SAE of {one:,} latents",
            key=f"meta-width-{width}",
        )
        if chosen != width:
            go(meta=meta, width=chosen)
        top = list(strongest.items())[:30]
        table = pd.DataFrame(
            {
                "latent": [latent for latent, _ in top],
                "called": [found.label(kind, latent) for latent, _ in top],
                "activation": [value for _, value in top],
            }
        )
        choose(
            table, "of", lambda row: go(_LATENTS, latent=int(row["latent"]), width=width),
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
            st.altair_chart(charts.spread_chart(values, results.ink()))
        card = lab.meta_card(meta)
        tokens = ", ".join(f"**{escape(visible(token))}**" for token in card.promoted)
        st.markdown(f"Its direction points to {tokens or 'nothing'}.")
        _meta_evidence(found, width, [latent for latent, _ in top[:5]])


def _meta_evidence(found: Explorer, width: int, latents: Sequence[int]) -> None:
    evidence = found.evidence(width)
    text = None if evidence is None else opening.get_text(found, width)
    if evidence is None or text is None:
        return
    st.subheader("Where those latents fire", anchor=False)
    kind = str(width)
    for latent in latents:
        contexts = evidence.of(latent)[:3]
        if contexts:
            st.markdown(f"**{escape(found.named(kind, latent))}**")
            shown = [snippet(found.lab.model, text, one) for one in contexts]
            st.html(snippets_html(shown, contexts[0].strength))
