"""The search of one pair: how far it is, what came out."""

from functools import partial
from typing import Any

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import duration
from metasae.search.exhaustive import MOST_EXACT
from metasae.search.job import Job
from metasae.search.pairs_job import PairsJob
from metasae.search.report import Assessment
from metasae.search.summary import Summary
from metasae.steering.edit_words import edit_in_words
from metasae.steering.edits import Edit
from workbench import session, shared, visitor
from workbench.charts.combinations import MOST_POINTS, PICKED, leads_chart
from workbench.enumerate import searches
from workbench.enumerate.cards import card, meaning
from workbench.enumerate.searches import Search
from workbench.enumerate.tables import exported, finished_leads, patterns_table, ways_table
from workbench.files import download
from workbench.frame import failed, ink
from workbench.navigation import STEER, go_to_view
from workbench.picking import choose_point
from workbench.text import escape

_COLUMNS = {
    "Margin (nats)": st.column_config.NumberColumn(
        format="%.2f",
        help="The smallest lead, over the questions, of the leading answer over the next "
        "candidate.",
    ),
    "Reached by": st.column_config.NumberColumn(
        format="percent", help="Share of all combinations."
    ),
    "By chance": st.column_config.NumberColumn(
        format="percent",
        help="Share of random edits of the same size (random directions, or meta-latents neither "
        "city has) that reach it; the larger of the two.",
    ),
    "Verdict": st.column_config.TextColumn(
        "Against chance",
        help="“chance does as well”: random edits of the same size reach it too, so that it says "
        "little of these meta-latents. Counted as moved is what counts in the search.",
    ),
    "Says it": st.column_config.TextColumn(
        "The model itself says it",
        help="On how many questions the answer that leads the candidates is what the model would "
        "say of its own accord, of its whole vocabulary.",
    ),
    "Other text (nats a token)": st.column_config.NumberColumn(
        format="%.3f",
        help="KL divergence of the next token on neutral sentences about the source, unedited from "
        "edited.",
    ),
    "Other cities' facts kept": st.column_config.TextColumn(
        help="Of the facts the model knows about cities that share latents with the source: on how "
        "many it still picks the right answer under the edit.",
    ),
    "Text without the city": st.column_config.NumberColumn(
        format="%.3f",
        help="The same in nats a token on sentences about no place, edited wherever the source's "
        "latents fire.",
    ),
}
"""How the figures of a pattern are shown."""


def search(lab: Lab, searching: Search[Job]) -> None:
    """How far the search is, with its buttons; then what it found."""
    job = searching.job
    try:
        state = job.state()
        summary = job.summary()
    except UserError as error:
        failed(error)
        return
    if summary is None:
        _waiting(searching, state.done, state.total)
        return
    reached(lab, job, summary)


def _waiting(searching: Search[Job], done: int, total: int) -> None:
    """Before and while a search runs; the end of a run draws the page anew."""
    if searching.running:
        running(searching)
        return
    if failure := searching.failure():
        failed(failure)
    job = searching.job
    count = len(job.combinations)
    if job.spec.estimating:
        st.markdown(
            f"There are {count:,} combinations, more than the {MOST_EXACT:,} that are all tried. "
            f"An estimate chooses at most {total:,} of them; only those are scored, and nothing "
            "else is reported."
        )
    try:
        cost = searches.cost_of(job.id, 0, job)
    except UserError as error:
        failed(error)
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Resume" if done else "Search by estimate" if job.spec.estimating
            else f"Try all {count:,} combinations",
            type="primary",
            key="search-start",
            on_click=visitor.search(searching.start),
        )  # fmt: skip
        begun = f"{done:,} of {total:,} are done. " if done else ""
        left = max(1.0, cost.seconds * (total - done) / total)
        st.caption(
            f"{begun}Takes about {duration(left)} here (from a probe of a few) and about "
            f"{max(10, round(cost.megabytes, -1)):,.0f} MB of memory beside the model."
            f"{visitor.limit_in_words()}"
        )


@st.fragment(run_every=0.5)
def running(searching: Search[Any]) -> None:
    """How far a search is, twice a second."""
    if not searching.running:
        st.rerun()
    st.progress(searching.fraction, text=searching.line)
    st.button("Cancel", key=f"cancel-{searching.job.id}", on_click=searching.cancel)
    if isinstance(searching.job, Job) and not (met := searching.job.so_far()).empty:
        st.caption("Patterns met so far, and how many combinations move just that")
        moves = met.drop(columns="combinations").replace({True: "moves", False: "·"})
        shown = moves.rename(columns=str.capitalize).assign(Combinations=met["combinations"])
        st.dataframe(shown, hide_index=True, key="so-far", width="content")


def reached(lab: Lab, job: Job, summary: Summary) -> None:
    """The patterns, the picture of all combinations, and files."""
    experiment = job.experiment
    st.subheader(
        f"{len(summary.patterns)} of {2 ** len(experiment.questions)} patterns can be reached",
        anchor=False,
    )
    st.caption(_how(summary))
    meaning(job.spec.strict)
    notes: list[Assessment] | None = None
    try:
        notes = searches.side_notes.shown(job.id, job, summary)
    except UserError as error:
        st.info(f"Side effects and controls aren't shown: {escape(str(error))}")
    for place, one in enumerate(summary.patterns):
        card(
            one,
            _in_words(lab, job, one.edit) if any(one.pattern.values()) else "",
            None if notes is None else notes[place],
            f"open-{job.id}-{place}",
            partial(_open, one.edit),
        )
    with st.expander("All figures as a table"):
        st.dataframe(
            patterns_table(lab, job, summary.patterns, notes),
            hide_index=True,
            height="content",
            key=f"patterns-{job.id}",
            column_config=_COLUMNS,
        )
    _more_ways(job)
    _picture(job)
    files(job, "All combinations", f"{experiment.source.label}-{experiment.target.label}")


def _how(summary: Summary) -> str:
    """How a search came to its result, in a sentence."""
    took = f"in {duration(summary.seconds)}"
    if summary.scored < summary.combinations:
        return (
            f"{summary.scored:,} of {summary.combinations:,} combinations scored {took}, all in "
            "fp32, chosen by estimate: a pattern that is not below may still be reachable."
        )
    scored = "the edits below scored in fp32, the others in bf16" if summary.screened else (
        "all scored in fp32"
    )  # fmt: skip
    return f"{summary.combinations:,} combinations {took}, {scored}."


def _more_ways(job: Job) -> None:
    """What several latents, strengths, a higher k or another width would add, on demand."""
    with st.expander("More ways to edit: what would each add?"):
        pair = job.experiment.source, job.experiment.target
        asked = f"ways-{pair}"
        if not st.session_state.get(asked):
            st.markdown(
                "Each way beside the usual one (all four questions in the default words, "
                "meta-latents wholly on or off, the options as they are at first, moved where the "
                "target's answer leads the candidates), whatever is chosen above: the best latent "
                "of each city alone, a grid of strengths, six meta-latents a latent, the residual "
                "kept, the error dropped, each meta-direction × 100, the next smaller SAE. Up to "
                "4,096 combinations of each are all tried; "
                "where there are more, an estimate chooses. Takes about a minute."
            )
            st.button("Try them all", key="ways-start", on_click=_remember, args=(asked,))
            return
        try:
            tried = searches.more_ways.shown(job.spec.preset, *pair, job.lab)
        except UserError as error:
            failed(error)
            return
        if tried is None:
            return
        st.dataframe(ways_table(tried), hide_index=True, key="ways")


def _remember(key: str) -> None:
    st.session_state[key] = True


def _in_words(lab: Lab, job: Job, edit: Edit) -> str:
    pieces = job.experiment.pieces
    return edit_in_words(edit, pieces, shared.meta_titles(lab))


def _open(edit: Edit) -> None:
    """Open an edit of the pair on the Steer page (in a widget's callback)."""
    session.change_edit(edit)
    go_to_view(STEER)


def _picture(job: Job) -> None:
    """Which leads trade against which, over all combinations."""
    experiment = job.experiment
    names = [question.attribute for question in experiment.questions if len(question.answers) > 1]
    if len(names) < 2:
        return
    st.subheader("All combinations", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        across = st.selectbox(
            "Across", names, index=min(1, len(names) - 1), key="across", width=200
        )
        up = st.selectbox("Up", [n for n in names if n != across], key="up", width=200)
        moves = st.multiselect("Only where these move", names, key="moves", width=260)
        stays = st.multiselect("and these stay", names, key="stays", width=260)
    try:
        table = finished_leads(job.id, job)
    except UserError as error:
        failed(error)
        return
    bits = {question.attribute: place for place, question in enumerate(experiment.questions)}
    for wanted, attributes in (("1", moves), ("0", stays)):
        for attribute in attributes:
            table = table[table["pattern"].str[bits[attribute]] == wanted]
    if table.empty:
        st.markdown("No combination does that. Take a filter away.")
        return
    choose_point(
        leads_chart(table, across, up, experiment.source.label, experiment.target.label, ink()),
        f"leads-{job.id}",
        PICKED,
        lambda point: _open(job.combinations.edit(int(point["combination"]))),
        alt_text=f"{len(table):,} combinations by how far each leads on {across} and on {up}",
    )
    st.caption(
        f"{len(table):,} combinations; click one to open its edit. To the right of 0 "
        f"{escape(experiment.target.label)}'s {across} leads {escape(experiment.source.label)}'s, "
        f"above 0 so does its {up}: of the candidates, whatever the model itself would say."
        + (" Some of the commonest are left out." if len(table) > MOST_POINTS else "")
    )


def files(job: Job | PairsJob, what: str, name: str) -> None:
    """Downloads of all that a search found."""
    with st.container(horizontal=True):
        for ending, called, kind in (
            (".csv", "CSV", "text/csv"),
            (".parquet", "Parquet", "application/vnd.apache.parquet"),
            (".json", "JSON", "application/json"),
        ):
            download(
                f"{what} as {called}", partial(exported, job, ending), f"{name}-{job.id}{ending}",
                kind, f"export-{name}{ending}",
            )  # fmt: skip
