"""What a study found: the verdict first, then pictures, figures, tables, code and files."""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from metasae.lab.lab import Lab
from metasae.progress import duration
from metasae.sources.files import json_text
from metasae.steering.provenance import WEIGHTS
from metasae.studies import runs
from metasae.studies.result_folder import StoredFinding, command
from metasae.studies.runs import Run
from metasae.studies.study import Study
from workbench.charts.studies import on_screen, rooms
from workbench.files import download, download_table
from workbench.frame import ink, said
from workbench.studies import figures
from workbench.text import escape, plain

_NUMBERS = 760
"""Pixels that the table of figures takes where there are so many."""

_SMALL = 400
"""Pixels of a chart that can still be read at a little more than half of them."""

_MOST_ROWS = 1000
"""Rows of a table that are shown; all are in its file."""


Body = Callable[[Lab, Run, StoredFinding], None]


def result(
    lab: Lab, study: Study, run: Run, found: StoredFinding, body: Body | None = None
) -> None:
    """The whole result.

    Args:
        body: draws what stands between the verdict and the tables, in place of pictures and
            figures.
    """
    first, rest = headline(found.verdict)
    st.subheader(escape(first), anchor=False)
    if rest:
        st.markdown(escape(rest))
    said(found.left_out)
    said(_other_weights(lab, found))
    if body is not None:
        body(lab, run, found)
    else:
        _pictures(found, f"chart-{run.identity}")
        _numbers(study, found)
    _tables(run, found)
    _code(found)
    _files(run, found)
    st.caption(escape(_made(found)))


def headline(verdict: str) -> tuple[str, str]:
    """A verdict's first statement, and what it says beside it; together they are all of it."""
    depth = 0
    for at, letter in enumerate(verdict):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and verdict.startswith(("; ", ". "), at):
            rest = verdict[at + 2 :]
            return f"{verdict[:at]}.", rest[:1].upper() + rest[1:]
    return verdict, ""


def _pictures(found: StoredFinding, key: str) -> None:
    """All pictures under their names, beside each other where there is room."""
    rows = groupby(found.charts, lambda name: len(rooms(found.charts[name])) == 1)
    for is_one_chart, names in rows:
        if is_one_chart:
            with st.container(horizontal=True, gap="medium"):
                for name in names:
                    (width,) = rooms(found.charts[name])
                    with st.container(width=width, gap="xxsmall"):
                        _name(name)
                        _charts(found, name, key, ["stretch"])
            continue
        for name in names:
            with st.container(gap="xxsmall"):
                _name(name)
                with st.container(horizontal=True):
                    _charts(found, name, key, rooms(found.charts[name]))


def _name(name: str) -> None:
    title = figures.readable(name)
    st.caption(escape(title[:1].upper() + title[1:]))


def glimpse(found: StoredFinding, name: str, key: str) -> None:
    """The beginning of one of its pictures, in a card."""
    widths = rooms(found.charts[name])
    if len(widths) == 1 or widths[0] > _SMALL:
        _charts(found, name, key, ["stretch"])
        return
    with st.container(horizontal=True):
        _charts(found, name, key, [230, 230])


def _charts(
    found: StoredFinding, name: str, key: str, widths: Sequence[int | Literal["stretch"]]
) -> None:
    """So many charts of a picture, where they are wanted."""
    alt = f"{figures.readable(name)}: {found.verdict}"
    charts = on_screen(found.charts[name], ink())
    for number, (chart, width) in enumerate(zip(charts, widths, strict=False)):
        with st.container(width=width):
            st.vega_lite_chart(
                chart, width="stretch", key=f"{key}-{name}-{number}",
                alt=f"{chart['title']}: {alt}" if "title" in chart else alt,
            )  # fmt: skip


def _other_weights(lab: Lab, found: StoredFinding) -> list[str]:
    """What is to be said where it was found with other weights than are open."""
    now = lab.provenance
    for name, words in WEIGHTS.items():
        if found.made.get(name) != getattr(now, name):
            was = f"This was found with the {words} {found.made.get(name)}"
            return [f"{was}; open now is {getattr(now, name)}."]
    return []


def _numbers(study: Study, found: StoredFinding) -> None:
    table = figures.numbers(found.figures, study.words)
    if len(table):
        with st.container(width=_NUMBERS):
            for name in ("Figure", "Value"):
                table[name] = table[name].map(plain)
            st.table(table.set_index("Figure"), border="horizontal")
    for name, several in figures.lists(found.figures, study.words).items():
        st.caption(escape(name[:1].upper() + name[1:]))
        st.dataframe(several, hide_index=True, key=f"figures-{name}")


def _tables(run: Run, found: StoredFinding) -> None:
    key = f"tables-{run.identity}"
    with st.expander(f"Tables ({len(found.tables)})", key=key, on_change="rerun"):
        if not st.session_state.get(key, False):
            return
        for name, table in found.tables.items():
            st.caption(f"{escape(name)}: {len(table):,} rows")
            st.dataframe(table.head(_MOST_ROWS), hide_index=True, key=f"table-{name}")
            if len(table) > _MOST_ROWS:
                st.caption(f"The first {_MOST_ROWS:,} are shown; all are in the file.")
            download_table(table, f"{found.study}-{name}", f"csv-{name}", f"{name} as CSV")


def _code(found: StoredFinding) -> None:
    with st.expander("Show the code"):
        st.caption("The same from Python")
        st.code(found.code, language="python", wrap_lines=True)
        st.caption("The same from a shell; what was found is read back if it is there")
        st.code(command(found), language="bash", wrap_lines=True)


def _files(run: Run, found: StoredFinding) -> None:
    name = f"{found.study}-{run.identity}"
    with st.container(horizontal=True):
        download(
            "Everything as ZIP", partial(_zipped, run.folder / runs.RESULT, name), f"{name}.zip",
            "application/zip", "zip",
        )  # fmt: skip
        download(
            "Figures as JSON", partial(json_text, found.figures), f"{name}.json",
            "application/json", "json",
        )  # fmt: skip


def _zipped(folder: Path, name: str) -> bytes:
    """A folder as a ZIP file in which everything lies in a folder of that name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, f"{name}/{path.relative_to(folder)}")
    return out.getvalue()


def _made(found: StoredFinding) -> str:
    """What it was found with, in a line."""
    made = found.made
    of = "1 meta-SAE" if found.seeds == 1 else f"{found.seeds} meta-SAEs"
    took = f" Took {duration(found.seconds)}." if found.seconds is not None else ""
    return (
        f"{made['preset']}, {made['sae']}, {made['meta_sae']}, version {made['version']}; {of}; "
        f"{settings_in_words(found.configuration)}.{took}"
    )


def settings_in_words(configuration: Mapping[str, Any]) -> str:
    """A study's settings in a line; empty texts, which ask for nothing, are left out."""
    words = []
    for name, value in configuration.items():
        text = f"{value:g}" if isinstance(value, float) else str(value)
        if isinstance(value, bool):
            text = figures.said(value)
        words += [f"{name.replace('_', ' ')} {text}"] if text else []
    return ", ".join(words)
