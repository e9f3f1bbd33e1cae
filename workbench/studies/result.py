"""What a study found: the verdict first, then pictures, figures, tables, code and files."""

import io
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from metasae.lab.lab import Lab
from metasae.progress import duration
from metasae.sources.files import json_text
from metasae.steering.provenance import WEIGHTS
from metasae.studies import runs
from metasae.studies.result_folder import StoredFinding, command
from metasae.studies.runs import Run
from workbench.charts.studies import on_screen
from workbench.files import download
from workbench.frame import ink, said
from workbench.studies import figures
from workbench.text import escape

_MOST_ROWS = 1000
"""Rows of a table that are shown; all are in its file."""


Body = Callable[[Lab, Run, StoredFinding], None]


def result(lab: Lab, run: Run, found: StoredFinding, body: Body | None = None) -> None:
    """The whole result.

    Args:
        body: draws what stands between the verdict and the tables, in place of pictures and
            figures.
    """
    st.subheader(escape(found.verdict), anchor=False)
    said(found.left_out)
    said(_other_weights(lab, found))
    (body or _pictures_and_figures)(lab, run, found)
    _tables(run, found)
    _code(found)
    _files(run, found)
    st.caption(escape(_made(found)))


def _pictures_and_figures(lab: Lab, run: Run, found: StoredFinding) -> None:
    for name in found.charts:
        pictures(found, name, f"chart-{run.identity}")
    _numbers(found)


def pictures(
    found: StoredFinding, name: str, key: str, most: int | None = None, narrow: int = 300
) -> None:
    """One of its pictures, which may be several charts side by side.

    Args:
        most: of those that are shown.
        narrow: pixels of one of several.
    """
    charts = on_screen(found.charts[name], ink())[:most]
    alt = f"{name.replace('-', ' ')}: {found.verdict}"
    if len(charts) == 1:
        st.vega_lite_chart(charts[0], width="stretch", key=f"{key}-{name}", alt=alt)
        return
    with st.container(horizontal=True):
        for number, chart in enumerate(charts):
            with st.container(width=narrow):
                st.vega_lite_chart(
                    chart, width="stretch", key=f"{key}-{name}-{number}",
                    alt=f"{chart.get('title', '')}: {alt}",
                )  # fmt: skip


def _other_weights(lab: Lab, found: StoredFinding) -> list[str]:
    """What is to be said where it was found with other weights than are open."""
    now = lab.provenance
    for name, words in WEIGHTS.items():
        if found.made.get(name) != getattr(now, name):
            was = f"This was found with the {words} {found.made.get(name)}"
            return [f"{was}; open now is {getattr(now, name)}."]
    return []


def _numbers(found: StoredFinding) -> None:
    table = figures.numbers(found.figures)
    if len(table):
        st.dataframe(table, hide_index=True, height="content", width="content", key="figures")
    for name, several in figures.lists(found.figures).items():
        st.caption(escape(name.capitalize()))
        st.dataframe(several, hide_index=True, height="content", key=f"figures-{name}")


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
            download(
                f"{name} as CSV", partial(_csv, table), f"{found.study}-{name}.csv",
                "text/csv", f"csv-{name}",
            )  # fmt: skip


def _csv(table: pd.DataFrame) -> str:
    return str(table.to_csv(index=False))


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
