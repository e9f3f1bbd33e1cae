"""A study's result as a folder: what a paper can cite, and what can be read back.

``result.json`` holds the study, its configuration, what the numbers come from, the figures, the
verdict and the Python that repeats them; ``tables/`` a Parquet file a table; ``charts/`` a
Vega-Lite file a picture.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from metasae.errors import UserError
from metasae.sources.files import read_json, write_json, written_whole
from metasae.steering.provenance import Provenance
from metasae.studies.study import Finding, Study

FORMAT = 1
"""Of the folder; a newer one is refused."""

RESULT, TABLES, CHARTS = "result.json", "tables", "charts"


@dataclass(frozen=True)
class StoredFinding:
    """A result that was read back.

    Attributes:
        study: its name.
        made: what its numbers come from, as `Provenance` has it.
        charts: Vega-Lite specifications.
    """

    study: str
    configuration: dict[str, Any]
    made: dict[str, Any]
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


def write(
    out: Path, study: Study, configuration: Any, finding: Finding, made: Provenance, seeds: int
) -> None:
    """Write a result, whole or not at all.

    Raises:
        UserError: when the folder can't be written.
    """
    with written_whole(out) as part:
        for folder in (TABLES, CHARTS):
            (part / folder).mkdir(parents=True)
        for name, table in finding.tables.items():
            table.to_parquet(part / TABLES / f"{_file(name)}.parquet", index=False)
        for name, chart in finding.charts.items():
            spec = json.loads(chart.to_json())
            write_json(part / CHARTS / f"{_file(name)}.vl.json", spec)
        write_json(
            part / RESULT,
            {
                "format": FORMAT,
                "study": study.name,
                "configuration": asdict(configuration),
                "seeds": seeds,
                "made": asdict(made),
                "verdict": finding.verdict,
                "figures": dict(finding.figures),
                "left_out": list(finding.left_out),
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
        number = int(values["format"])
        if number > FORMAT:
            raise UserError(
                f"{folder} was written by a newer version of this package (format {number}); "
                "update it to open this result."
            )
        return StoredFinding(
            study=str(values["study"]),
            configuration=dict(values["configuration"]),
            made=dict(values["made"]),
            verdict=str(values["verdict"]),
            figures=dict(values["figures"]),
            left_out=tuple(map(str, values["left_out"])),
            tables={
                path.stem: pd.read_parquet(path)
                for path in sorted((folder / TABLES).glob("*.parquet"))
            },
            charts={
                path.name.removesuffix(".vl.json"): read_json(path)
                for path in sorted((folder / CHARTS).glob("*.vl.json"))
            },
            code=str(values["code"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder} holds no result of a study, or a damaged one; run the study again."
        ) from error


def _file(name: str) -> str:
    return name.replace(" ", "-")
