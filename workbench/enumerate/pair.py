"""The search of one pair: how far it is, what came out."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import duration
from metasae.search.exhaustive import MOST_EXACT
from metasae.search.job import Job
from metasae.search.pairs_job import PairsJob
from metasae.search.patterns import FoundEdit
from metasae.search.report import Assessment, Lead
from metasae.search.summary import Summary
from workbench import session
from workbench.charts.combinations import leads_chart
from workbench.enumerate import searches
from workbench.enumerate.searches import PairSearch, Search
from workbench.enumerate.tables import exported, finished_leads, patterns_table, ways_table
from workbench.files import download
from workbench.frame import failed, ink
from workbench.navigation import STEER, go_to_view
from workbench.picking import chosen_row
from workbench.text import escape


def search(lab: Lab, searching: PairSearch) -> None:
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


def _waiting(searching: PairSearch, done: int, total: int) -> None:
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
    cost = searching.cost
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Resume" if done else "Search by estimate" if job.spec.estimating
            else f"Try all {count:,} combinations",
            type="primary",
            key="search-start",
            on_click=searching.start,
        )  # fmt: skip
        begun = f"{done:,} of {total:,} are done. " if done else ""
        left = max(1.0, cost.seconds * (total - done) / total)
        st.caption(
            f"{begun}Takes about {duration(left)} here (from a probe of a few) and about "
            f"{max(10, round(cost.megabytes, -1)):,.0f} MB of memory beside the model."
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
    """The table of patterns, the picture of all combinations, and files."""
    experiment = job.experiment
    moved = [one for one in summary.patterns if any(one.pattern.values())]
    st.subheader(
        f"{len(summary.patterns)} of {2 ** len(experiment.questions)} patterns can be reached",
        anchor=False,
    )
    st.caption(_how(summary))
    notes: list[Assessment] | None = None
    try:
        notes = searches.side_notes.shown(job.id, job, summary)
    except UserError as error:
        st.info(f"Side effects and controls aren't shown: {escape(str(error))}")
    picked = chosen_row(
        patterns_table(lab, job, summary.patterns, notes),
        f"patterns-{job.id}",
        {
            "Margin (nats)": st.column_config.NumberColumn(
                format="%.2f",
                help="The smallest lead, over the questions, of the model's pick over the next "
                "candidate answer.",
            ),
            "Reached by": st.column_config.NumberColumn(
                format="percent", help="Share of all combinations."
            ),
            "By chance": st.column_config.NumberColumn(
                format="percent",
                help="Share of random edits of the same size (random directions, or meta-latents "
                "neither city has) that reach it; the larger of the two.",
            ),
            "Verdict": st.column_config.TextColumn(
                "Against chance",
                help="“chance does as well”: random edits of the same size reach it too, so that "
                "it says little of these meta-latents.",
            ),
            "Says it": st.column_config.TextColumn(
                help="On how many questions the pick is also the likeliest next token of the whole "
                "vocabulary: what the model would say of its own accord.",
            ),
            "Other text (nats a token)": st.column_config.NumberColumn(
                format="%.3f",
                help="KL divergence of the next token on neutral sentences about the source, "
                "unedited from edited.",
            ),
            "Other cities' facts kept": st.column_config.TextColumn(
                help="Of the facts the model knows about cities that share latents with the "
                "source: on how many it still picks the right answer under the edit.",
            ),
            "Text without the city": st.column_config.NumberColumn(
                format="%.3f",
                help="The same in nats a token on sentences about no place, edited wherever the "
                "source's latents fire.",
            ),
        },
    )
    if picked is not None:
        _open(summary.patterns[picked], None if notes is None else notes[picked].leads)
    elif moved:
        st.caption("Choose a row to open its edit on the Steer page.")
    _more_ways(job)
    _picture(job)
    files(job, "All combinations", f"{experiment.source.label}-{experiment.target.label}")


def _how(summary: Summary) -> str:
    """How a search came to its result, in a sentence."""
    took = f"in {duration(summary.seconds)}"
    if summary.scored < summary.combinations:
        return (
            f"{summary.scored:,} of {summary.combinations:,} combinations scored {took}, all in "
            "fp32, chosen by estimate: a pattern that is not in the table may still be reachable."
        )
    others = "the others in bf16" if summary.screened else "and so are all others"
    return (
        f"{summary.combinations:,} combinations {took}; the edits in the table are scored in fp32, "
        f"{others}."
    )


def _more_ways(job: Job) -> None:
    """What several latents, strengths, a higher k or another width would add, on demand."""
    with st.expander("More ways to edit: what would each add?"):
        pair = job.experiment.source, job.experiment.target
        asked = f"ways-{pair}"
        if not st.session_state.get(asked):
            st.markdown(
                "Each way beside the usual one (all four questions in the default words, "
                "meta-latents wholly on or off, the options as they are at first), whatever is "
                "chosen above: the best latent of each city alone, a grid of strengths, six "
                "meta-latents a latent, the residual kept, the error dropped, each meta-direction "
                "× 100, the next smaller SAE. Up to 4,096 combinations of each are all tried; "
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


def _open(one: FoundEdit, leads: Mapping[str, Lead] | None) -> None:
    """One pattern's edit, to be opened on the Steer page."""
    st.markdown(f"**{escape(one.sentence)}**")
    if leads is not None:
        _leads(leads)

    def opened() -> None:
        session.change_edit(one.edit)
        go_to_view(STEER)

    st.button("Open on the Steer page", type="primary", key="search-open", on_click=opened)


def _leads(leads: Mapping[str, Lead]) -> None:
    """By how much each answer picked after the edit leads, before and after."""
    nats = st.column_config.NumberColumn(format="%+.2f")
    st.dataframe(
        pd.DataFrame(
            {
                "Question": attribute.capitalize(),
                "Pick": lead.answer,
                "Lead before (nats)": lead.before,
                "Lead after (nats)": lead.after,
            }
            for attribute, lead in leads.items()
        ),
        hide_index=True,
        key="leads",
        width="content",
        column_config={"Lead before (nats)": nats, "Lead after (nats)": nats},
    )
    st.caption(
        "Lead: of the answer picked after the edit over the next candidate, on the unedited prompt "
        "and under the edit."
    )


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
    table = finished_leads(job.id, job)
    bits = {question.attribute: place for place, question in enumerate(experiment.questions)}
    for wanted, attributes in (("1", moves), ("0", stays)):
        for attribute in attributes:
            table = table[table["pattern"].str[bits[attribute]] == wanted]
    if table.empty:
        st.markdown("No combination does that. Take a filter away.")
        return
    st.altair_chart(
        leads_chart(table, across, up, experiment.source.label, experiment.target.label, ink()),
        width="stretch",
    )
    st.caption(
        f"{len(table):,} combinations. To the right of 0 the model's {across} is "
        f"{escape(experiment.target.label)}'s, above 0 so is its {up}."
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
