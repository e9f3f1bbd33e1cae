"""A result of RAVEL as a folder: tables, picture, figures."""

import json
from dataclasses import asdict
from pathlib import Path

from metasae.ravel.evaluation import Configuration
from metasae.sources.files import write_json, written_whole
from metasae.steering.provenance import Provenance
from metasae.studies.study import Finding

RESULT = "result.json"


def write(out: Path, finding: Finding, made: Provenance, config: Configuration) -> None:
    """Write a result, whole or not at all: ``result.json``, ``scores.parquet`` and
    ``triples.parquet`` with every edit's outcome on every prompt, ``scores.vl.json``.

    Raises:
        UserError: when the folder can't be written.
    """
    with written_whole(out) as part:
        part.mkdir(parents=True)
        for name, table in finding.tables.items():
            table.to_parquet(part / f"{name}.parquet", index=False)
        for name, chart in finding.charts.items():
            write_json(part / f"{name}.vl.json", json.loads(chart.to_json()))
        write_json(
            part / RESULT,
            {
                "verdict": finding.verdict,
                "figures": dict(finding.figures),
                "left_out": list(finding.left_out),
                "made": asdict(made),
                "configuration": asdict(config),
            },
        )
