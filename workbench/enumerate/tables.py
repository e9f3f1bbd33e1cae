"""What a search found as tables."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from metasae.lab.lab import Lab
from metasae.search.job import Job
from metasae.search.pairs_job import PairsJob
from metasae.search.patterns import FoundEdit
from metasae.search.variants import Variant
from workbench import shared
from workbench.charts.answers import whose
from workbench.steer.boxes import in_words
from workbench.text import joined


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
                    one.edit, experiment.pieces, lambda meta: shared.meta_title(lab, meta)
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


def with_leads(job: Job) -> pd.DataFrame:
    """All combinations with, per question, how far the target's answer leads the source's, nats."""
    table = job.results()
    experiment, place = job.experiment, 0
    for question in experiment.questions:
        columns = job.columns[place : place + len(question.answers)]
        place += len(question.answers)
        sides = [
            whose(answer.city, experiment.source.label, experiment.target.label)
            for answer in question.answers
        ]
        if "source" in sides and "target" in sides:
            lead = table[columns[sides.index("target")]] - table[columns[sides.index("source")]]
        else:
            lead = 0.0 * table[columns[0]]
        table[f"lead {question.attribute}"] = lead
    table["moves"] = [moves_of(experiment, pattern) for pattern in table["pattern"]]
    return table


def moves_of(experiment: Any, pattern: str) -> str:
    if pattern == "other":
        return "another answer"
    names = [
        q.attribute for q, bit in zip(experiment.questions, pattern, strict=True) if bit == "1"
    ]
    return joined(names) or "nothing"


def exported(job: Job | PairsJob, ending: str) -> bytes:
    """A file's content as the job exports it."""
    path = job.folder / f"export{ending}"
    job.export(path)
    return path.read_bytes()
