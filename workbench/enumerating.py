"""The parts of the Enumerate page: what to search, how far it is, what came out."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import duration
from metasae.search.exhaustive import MOST_EXACT
from metasae.search.job import Job, Summary
from metasae.search.pairs_job import PairsJob
from metasae.search.patterns import FoundEdit
from metasae.search.spec import Spec
from metasae.search.variants import Variant
from metasae.steering.edits import Edit
from metasae.text.prompts import QUESTIONS, WORDINGS
from workbench import charts, controls, opening, results, session
from workbench.boxes import in_words
from workbench.opening import Searching
from workbench.state import Setting
from workbench.text import escape, joined

GRIDS = {
    "whole": ((0.0,), (1.0,)),
    "halves": ((0.0, 0.5), (0.5, 1.0)),
    "wide": ((0.0, -1.0), (1.0, 2.0)),
}
"""Strengths that are tried beside the default: for the source's own pieces, for the target's."""

_GRID_NAMES = {
    "whole": "on and off",
    "halves": "on, off and half",
    "wide": "on, off, reversed (−1) and doubled (2)",
}
_WORDING_NAMES = {"post": "the post's", "reworded": "other words"}
_ATTRIBUTES, _GRID, _WORDING = "search-attributes", "search-strengths", "search-wording"
_CITIES = "cities"
_USUAL: tuple[str, ...] = ("Tokyo", "Paris", "Moscow", "London")


def choose(setting: Setting, edit: Edit) -> Spec:
    """Widgets for what is searched beside the cities; the choice stays in the link."""
    if _ATTRIBUTES not in st.session_state:
        asked = from_query(st.query_params)
        for key, value in zip((_ATTRIBUTES, _GRID, _WORDING), asked, strict=True):
            st.session_state[key] = value
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        # Assigned so that they outlive a visit to another page.
        for key in (_ATTRIBUTES, _GRID, _WORDING):
            st.session_state[key] = st.session_state[key]
        st.multiselect("Questions", list(QUESTIONS), key=_ATTRIBUTES, width=460)
        st.selectbox(
            "Wording",
            list(WORDINGS),
            format_func=_WORDING_NAMES.__getitem__,
            key=_WORDING,
            width=150,
            help="\n".join(
                f"- {_WORDING_NAMES[name]}: “{asked['country']} …”"
                for name, asked in WORDINGS.items()
            ),
        )
        st.selectbox(
            "Strengths of a meta-latent",
            list(GRIDS),
            format_func=_GRID_NAMES.__getitem__,
            key=_GRID,
            width=300,
        )
        with st.popover("Options", icon=":material/tune:"):
            controls.edit_options(edit)
    removed, added = GRIDS[st.session_state[_GRID]]
    return Spec(
        preset=setting.preset,
        source=setting.source,
        target=setting.target,
        source_latents=setting.source_latents,
        target_latents=setting.target_latents,
        attributes=tuple(st.session_state[_ATTRIBUTES]) or tuple(QUESTIONS),
        options=edit.options,
        removed=removed,
        added=added,
        wording=st.session_state[_WORDING],
    )


def to_query(spec: Spec) -> dict[str, str]:
    """What the link says beside the view; defaults are left out."""
    query = {}
    if spec.attributes != tuple(QUESTIONS):
        query["attributes"] = ".".join(spec.attributes)
    grid = next(name for name, levels in GRIDS.items() if levels == (spec.removed, spec.added))
    if grid != "whole":
        query["strengths"] = grid
    if spec.wording != "post":
        query["wording"] = spec.wording
    return query


def from_query(query: Mapping[str, str]) -> tuple[list[str], str, str]:
    """Attributes, strengths and wording of a link; the default where it has none or a wrong one."""
    named = str(query.get("attributes", "")).split(".")
    attributes = [attribute for attribute in QUESTIONS if attribute in named]
    grid = str(query.get("strengths", "whole"))
    wording = str(query.get("wording", "post"))
    return (
        attributes or list(QUESTIONS),
        grid if grid in GRIDS else "whole",
        wording if wording in WORDINGS else "post",
    )


def search(lab: Lab, searching: Searching) -> None:
    """How far the search is, with its buttons; then what it found."""
    job = searching.job
    assert isinstance(job, Job)
    try:
        state = job.state()
        summary = job.summary()
    except UserError as error:
        results.failed(error)
        return
    if summary is None:
        _waiting(searching, state.done, state.total)
        return
    found(lab, job, summary)


def _waiting(searching: Searching, done: int, total: int) -> None:
    """Before and while a search runs; the end of a run draws the page anew."""
    if searching.running:
        running(searching)
        return
    if failure := searching.failure():
        results.failed(failure)
    job = searching.job
    assert isinstance(job, Job)
    count = len(job.combinations)
    if job.spec.estimating:
        st.markdown(
            f"There are {count:,} combinations, more than the {MOST_EXACT:,} that are all tried. "
            f"An estimate chooses at most {total:,} of them; only those are scored, and nothing "
            "else is reported."
        )
    seconds, megabytes = searching.cost
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Go on" if done else "Search by estimate" if job.spec.estimating
            else f"Try all {count:,} combinations",
            type="primary",
            key="search-start",
            on_click=searching.start,
        )  # fmt: skip
        begun = f"{done:,} of {total:,} are done. " if done else ""
        left = max(1.0, seconds * (total - done) / total)
        st.caption(
            f"{begun}Takes about {duration(left)} here (from a probe of a few) and about "
            f"{max(10, round(megabytes, -1)):,.0f} MB of memory beside the model."
        )


@st.fragment(run_every=0.5)
def running(searching: Searching) -> None:
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


def found(lab: Lab, job: Job, summary: Summary) -> None:
    """The table of patterns, the picture of all combinations, and files."""
    experiment = job.experiment
    reached = [one for one in summary.patterns if any(one.pattern.values())]
    st.subheader(
        f"{len(summary.patterns)} of {2 ** len(experiment.questions)} patterns can be reached",
        anchor=False,
    )
    st.caption(_how(summary))
    try:
        notes = opening.side_notes(job.spec, job.id, summary.patterns).wait()
    except UserError as error:
        results.failed(error)
        return
    rows = patterns_table(lab, job, summary.patterns, notes)
    event = st.dataframe(
        rows,
        hide_index=True,
        key="patterns",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
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
            "Says it": st.column_config.TextColumn(
                help="On how many questions the pick is also the likeliest next token of the whole "
                "vocabulary: what the model would say of its own accord.",
            ),
            "Other text (nats a token)": st.column_config.NumberColumn(
                format="%.3f",
                help="KL divergence of the next token on neutral sentences about the source, "
                "unedited from edited.",
            ),
            "Text without the city": st.column_config.NumberColumn(
                format="%.3f",
                help="The same in nats a token on sentences about no place, edited wherever the "
                "source's latents fire.",
            ),
        },
    )
    picked = list(event["selection"]["rows"])
    if picked:
        _open(summary.patterns[picked[0]], notes[picked[0]])
    elif reached:
        st.caption("Choose a row to open its edit on the Steer page.")
    _more_ways(job)
    _picture(job)
    _files(job, "All combinations", f"{experiment.source.label}-{experiment.target.label}")


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
        asked = f"ways-{job.id}"
        if not st.session_state.get(asked):
            st.markdown(
                "The best latent of each city alone, a grid of strengths, six meta-latents a "
                "latent, the residual kept, the error dropped, the post's variant, the next "
                "smaller SAE: up to 4,096 combinations of each are all tried; where there are "
                "more, an estimate chooses. Takes about a minute."
            )
            st.button("Try them all", key="ways-start", on_click=_remember, args=(asked,))
            return
        try:
            tried = opening.more_ways(job.spec).wait()
        except UserError as error:
            results.failed(error)
            return
        st.dataframe(ways_table(tried), hide_index=True, key="ways")


def _remember(key: str) -> None:
    st.session_state[key] = True


def ways_table(tried: tuple[Variant, ...]) -> pd.DataFrame:
    """One row per way of editing: what it reaches and what the default doesn't."""
    return pd.DataFrame(
        {
            "Way": way.name,
            "Patterns": len(way.reached),
            "New": "; ".join(
                joined([name for name, moved in one.pattern.items() if moved]) or "nothing"
                for one in way.added
            ) or "–",
            "Combinations searched": f"{way.searched:,} of {way.combinations:,}",
            "Note": way.note,
        }
        for way in tried
    )  # fmt: skip


def _open(one: FoundEdit, note: Mapping[str, Any]) -> None:
    session.change_edit(one.edit)
    st.markdown(f"**{escape(one.sentence)}**")
    nats = st.column_config.NumberColumn(format="%+.2f")
    st.dataframe(
        pd.DataFrame(
            {
                "Question": attribute.capitalize(),
                "Pick": lead["answer"],
                "Lead before (nats)": lead["before"],
                "Lead after (nats)": lead["after"],
            }
            for attribute, lead in note["leads"].items()
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
    if st.button("Open on the Steer page", type="primary", key="search-open"):
        st.switch_page("../pages/steer.py")


def patterns_table(
    lab: Lab, job: Job, patterns: tuple[FoundEdit, ...], notes: list[dict[str, Any]]
) -> pd.DataFrame:
    """One row per reachable pattern, as it is read on screen."""
    experiment = job.experiment
    rows = []
    for one, note in zip(patterns, notes, strict=True):
        moves = any(one.pattern.values())
        rows.append(
            {attribute.capitalize(): "moves" if moved else "·"
             for attribute, moved in one.pattern.items()}
            | {
                "Edit": in_words(
                    one.edit, experiment.pieces, lambda meta: opening.meta_title(lab, meta)
                )
                if moves
                else "none",
                "Margin (nats)": one.margin,
                "Reached by": one.reached_by,
                "By chance": max(note["control"]["random"], note["control"]["shuffled"]),
                "Verdict": _verdict(note["control"]["marked"], moves),
                "Says it": _says(note["top"]),
                "Other text (nats a token)": note["side_effects"]["with_city"]["mean"],
                "Text without the city": note["side_effects"]["leak"]["mean"],
                "Other cities' facts kept": _kept(note["side_effects"]),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _verdict(marked: bool, moves: bool) -> str:
    """Whether a pattern says something about meta-latents, in a word or two."""
    if not moves:
        return ""
    return "chance does as well" if marked else "beyond chance"


def _says(top: Mapping[str, Any]) -> str:
    """On how many questions the model would say the picked answer of its own accord."""
    return f"{sum(pick['top'] for pick in top.values())} of {len(top)}"


def _kept(sides: Mapping[str, Any]) -> str:
    return f"{sides['held']} of {sides['facts']}" if sides["facts"] else "none shared"


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
    table = with_leads(job)
    bits = {question.attribute: place for place, question in enumerate(experiment.questions)}
    for wanted, attributes in (("1", moves), ("0", stays)):
        for attribute in attributes:
            table = table[table["pattern"].str[bits[attribute]] == wanted]
    if table.empty:
        st.markdown("No combination does that. Take a filter away.")
        return
    st.altair_chart(
        charts.leads_chart(
            table, across, up, experiment.source.label, experiment.target.label, results.ink()
        ),
        width="stretch",
    )
    st.caption(
        f"{len(table):,} combinations. To the right of 0 the model's {across} is "
        f"{escape(experiment.target.label)}'s, above 0 so is its {up}."
    )


def with_leads(job: Job) -> pd.DataFrame:
    """All combinations with, per question, how far the target's answer leads the source's, nats."""
    table = job.results()
    experiment, place = job.experiment, 0
    for question in experiment.questions:
        columns = job.columns[place : place + len(question.answers)]
        place += len(question.answers)
        sides = [
            charts.whose(answer.city, experiment.source.label, experiment.target.label)
            for answer in question.answers
        ]
        if "source" in sides and "target" in sides:
            lead = table[columns[sides.index("target")]] - table[columns[sides.index("source")]]
        else:
            lead = 0.0 * table[columns[0]]
        table[f"lead {question.attribute}"] = lead
    table["moves"] = [_moves(experiment, pattern) for pattern in table["pattern"]]
    return table


def _moves(experiment: Any, pattern: str) -> str:
    if pattern == "other":
        return "another answer"
    names = [
        q.attribute for q, bit in zip(experiment.questions, pattern, strict=True) if bit == "1"
    ]
    return joined(names) or "nothing"


def _files(job: Job | PairsJob, what: str, name: str) -> None:
    with st.container(horizontal=True):
        for ending, kind in ((".csv", "CSV"), (".parquet", "Parquet"), (".json", "JSON")):
            st.download_button(
                f"{what} as {kind}",
                data=lambda ending=ending: exported(job, ending),  # type: ignore[misc]
                file_name=f"{name}-{job.id}{ending}",
                key=f"export-{name}{ending}",
            )


def exported(job: Job | PairsJob, ending: str) -> bytes:
    """A file's content as the job exports it."""
    path = job.folder / f"export{ending}"
    job.export(path)
    return path.read_bytes()


def matrix(lab: Lab, spec: Spec) -> None:
    """All ordered pairs among some cities, and how many patterns each pair reaches."""
    cities = st.multiselect("Cities", lab.city_names(), key=_CITIES)
    if len(cities) < 2:
        st.info("Choose two cities or more.")
        return
    template = replace(spec, source="", target="", source_latents=None, target_latents=None)
    try:
        searching = opening.get_pairs(tuple(cities), template)
    except UserError as error:
        results.failed(error)
        return
    state = searching.job.state()
    if searching.running:
        running(searching)
    elif not state.finished:
        if failure := searching.failure():
            results.failed(failure)
        missing = state.total - state.done
        st.button(
            f"Search {missing} pairs", type="primary", key="pairs-start", on_click=searching.start
        )
        combinations, seconds = searching.pairs_cost
        st.caption(
            f"{combinations:,} combinations, about {duration(max(1.0, seconds))} here (from a "
            "probe of a few). What is done stays, and this page's address leads back to it."
        )
    table = searching.job.results()
    if table.empty:
        return
    counts = table.drop_duplicates(["source", "target"])[["source", "target", "patterns"]]
    st.altair_chart(charts.pairs_chart(counts, results.ink()), width="content")
    st.caption("Patterns of moved traits each pair can reach, “nothing moves” included.")
    shown = table[["source", "target", "sentence", "margin", "problem"]]
    event = st.dataframe(
        shown.rename(columns={"margin": "margin (nats)"}),
        hide_index=True,
        key="pairs-table",
        on_select="rerun",
        selection_mode="single-row",
    )
    if picked := list(event["selection"]["rows"]):
        _open_pair(table.iloc[picked[0]])
    _files(searching.job, "All pairs", "pairs")


def _open_pair(row: pd.Series) -> None:
    """One pair's edit, to be opened on the Steer page."""
    if not isinstance(row["edit"], str):
        return
    st.markdown(f"**{escape(str(row['sentence']))}**")
    if st.button("Open on the Steer page", type="primary", key="pairs-open"):
        session.change_setting(source=str(row["source"]), target=str(row["target"]))
        session.change_edit(Edit.from_dict(json.loads(row["edit"])))
        st.switch_page("../pages/steer.py")


def read_cities(lab: Lab) -> None:
    """The cities of the matrix, from the address at first; kept across visits to other pages."""
    if _CITIES not in st.session_state:
        named = str(st.query_params.get("cities", "")).split(".")
        asked = [name for name in lab.city_names() if name in named]
        st.session_state[_CITIES] = asked if len(asked) > 1 else usual_cities(lab)
    st.session_state[_CITIES] = st.session_state[_CITIES]


def usual_cities(lab: Lab) -> list[str]:
    """Those of the matrix at first."""
    known = [name for name in lab.city_names() if all(lab.records[name].known.values())]
    default: list[str] = [name for name in _USUAL if name in known]
    # A model that knows none of these all the same shows what the page does.
    return list(default if len(default) > 1 else lab.city_names()[:2])


def cities_query(lab: Lab) -> dict[str, str]:
    """What the link says of them; the usual ones are left out."""
    cities = st.session_state[_CITIES]
    return {} if cities == usual_cities(lab) else {"cities": ".".join(cities)}
