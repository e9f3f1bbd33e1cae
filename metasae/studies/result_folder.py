"""A study's result as a folder: what a paper can cite, and what can be read back.

``result.json`` holds the study, its configuration, what the numbers come from (the weights' hashes
too), the figures, the verdict and the Python that repeats them; ``tables/`` a Parquet file a table;
``charts/`` a Vega-Lite and an SVG file a picture.
"""

import json
import re
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from metasae.errors import UserError
from metasae.explorer.svg import svg_of
from metasae.sources import files, versions
from metasae.sources.files import CHECKED, CHECKING, read_json, write_json, written_whole
from metasae.steering.provenance import Provenance, Weights
from metasae.studies.study import Finding, Study

RESULT, TABLES, CHARTS = "result.json", "tables", "charts"

_SPEC = ".vl.json"
"""How the name of a Vega-Lite file ends."""


@dataclass(frozen=True)
class StoredFinding:
    """A result that was read back.

    Attributes:
        study: its name.
        seeds: meta-SAEs it was asked of.
        made: what its numbers come from, as `Provenance` has it.
        weights: their hashes, as `Weights` has them; empty where a former version wrote it.
        seconds: it took; None where it was stopped in between.
        tables, charts: in the study's order, the most telling first; charts as Vega-Lite
            specifications.
    """

    study: str
    configuration: dict[str, Any]
    seeds: int
    made: dict[str, Any]
    weights: dict[str, str]
    seconds: float | None
    verdict: str
    figures: dict[str, Any]
    left_out: tuple[str, ...]
    tables: dict[str, pd.DataFrame]
    charts: dict[str, dict[str, Any]]
    code: str


def code(study: Study, configuration: Any, preset: str, seeds: int) -> str:
    """Python that repeats a result.

    Args:
        preset: text form of what is opened.
        seeds: meta-SAEs it is asked of.
    """
    values = ", ".join(f"{name}={value!r}" for name, value in asdict(configuration).items())
    return (
        "from metasae import find_preset, open_lab\n"
        "from metasae.studies.registry import study\n"
        "from metasae.studies.study import Material\n"
        "from metasae.studies.seeds import meta_saes\n\n"
        f"lab = open_lab(find_preset({preset!r}))\n"
        f"asked = study({study.name!r})\n"
        f"finding = asked.answer(Material.of(lab, meta_saes(lab, {seeds})), "
        f"asked.configuration({values}))\n"
        "print(finding.verdict)\n"
    )


def command(found: StoredFinding) -> str:
    """The line for a shell that repeats a result."""
    settings = [f"--set={name}={value}" for name, value in found.configuration.items()]
    asked = [f"--preset={found.made['preset']}", f"--seeds={found.seeds}"]
    return shlex.join(["python", "-m", "metasae", "study", found.study, *asked, *settings])


def check_place(out: Path) -> None:
    """Refuse a folder that holds something else: a result takes its whole place.

    Raises:
        UserError: for it.
    """
    files.check_place(out, (RESULT, TABLES, CHARTS), "a result")


def write(
    out: Path,
    study: Study,
    configuration: Any,
    finding: Finding,
    made: Provenance,
    seeds: int,
    weights: Weights,
    seconds: float | None = None,
) -> None:
    """Write a result, whole or not at all.

    Args:
        made, weights: what its numbers come from.
        seeds: meta-SAEs it was asked of.
        seconds: it took, if it was never stopped.

    Raises:
        UserError: when the folder can't be written.
    """
    with written_whole(out) as part:
        for folder in (TABLES, CHARTS):
            (part / folder).mkdir(parents=True)
        for name, table in finding.tables.items():
            table.to_parquet(part / TABLES / f"{_file(name)}.parquet", index=False, **CHECKED)
        for name, chart in finding.charts.items():
            spec, place = json.loads(chart.to_json()), part / CHARTS / _file(name)
            write_json(place.with_name(f"{place.name}{_SPEC}"), spec)
            drawn = svg_of(spec | {"background": "white"}, {"study": study.name} | asdict(made))
            place.with_name(f"{place.name}.svg").write_text(drawn, "utf-8")
        write_json(
            part / RESULT,
            {
                **versions.RESULT.stamp,
                "study": study.name,
                "configuration": asdict(configuration),
                "seeds": seeds,
                "made": asdict(made),
                "weights": asdict(weights),
                "seconds": seconds,
                "verdict": finding.verdict,
                "figures": dict(finding.figures),
                "left_out": list(finding.left_out),
                "tables": [_file(name) for name in finding.tables],
                "charts": [_file(name) for name in finding.charts],
                "code": code(study, configuration, made.preset, seeds),
            },
        )


def read(folder: Path) -> StoredFinding:
    """A result that was written.

    Raises:
        UserError: when it isn't one, is damaged, or was written by a newer version.
    """
    try:
        values = read_json(folder / RESULT)
        versions.RESULT.check(values, str(folder))
        return StoredFinding(
            study=str(values["study"]),
            configuration=dict(values["configuration"]),
            seeds=int(values["seeds"]),
            made=dict(values["made"]),
            weights=dict(values.get("weights", {})),
            seconds=values.get("seconds"),
            verdict=str(values["verdict"]),
            figures=dict(values["figures"]),
            left_out=tuple(map(str, values["left_out"])),
            tables={
                name: pd.read_parquet(path, **CHECKING)
                for name, path in _listed(folder / TABLES, ".parquet", values.get("tables", []))
            },
            charts={
                name: read_json(path)
                for name, path in _listed(folder / CHARTS, _SPEC, values.get("charts", []))
            },
            code=str(values["code"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder} holds no result of a study, or a damaged one; run the study again."
        ) from error


def _listed(folder: Path, ending: str, order: list[str]) -> list[tuple[str, Path]]:
    """The files with an ending: name → path, as the study has them, by name where it isn't said."""
    found = {path.name.removesuffix(ending): path for path in sorted(folder.glob(f"*{ending}"))}
    first = [name for name in order if name in found]
    return [(name, found[name]) for name in dict.fromkeys([*first, *found])]


def _file(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name)
