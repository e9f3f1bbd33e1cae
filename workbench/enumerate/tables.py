"""What a search found as tables."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from metasae.lab.lab import Lab
from metasae.search.controls import Control
from metasae.search.job import Job
from metasae.search.pairs_job import PairsJob
from metasae.search.patterns import FoundEdit
from metasae.search.report import Assessment, Pick
from metasae.search.side_effects import SideEffects
from metasae.search.variants import Variant
from metasae.steering.edit_words import edit_in_words
from metasae.steering.verdict import OTHER_TEXT
from workbench import shared
from workbench.background import Work, kept
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
    lab: Lab, job: Job, patterns: tuple[FoundEdit, ...], notes: list[Assessment] | None
) -> pd.DataFrame:
    """One row per reachable pattern, as it is read on screen.

    Args:
        notes: of each pattern (see `report.effects_and_controls`); None: its columns are left out.
    """
    pieces = job.experiment.pieces
    noted: Iterable[Assessment | None] = repeat(None) if notes is None else notes
    rows = []
    for one, note in zip(patterns, noted, strict=notes is not None):
        moves = any(one.pattern.values())
        edit = edit_in_words(one.edit, pieces, shared.meta_titles(lab))
        rows.append(
            {attribute.capitalize(): "moves" if moved else "·"
             for attribute, moved in one.pattern.items()}
            | ({} if note is None else {"Says it": _says(note.top)})
            | {"Margin (nats)": one.margin, "Reached by": one.reached_by}
            | ({} if note is None else _noted(note, moves))
            | {"Edit": edit if moves else "none"}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _noted(note: Assessment, moves: bool) -> dict[str, Any]:
    """The columns of a pattern's side effects and controls."""
    return _against_chance(note.control, moves) | {
        "Other text (nats a token)": note.side_effects.with_city.mean,
        "Text without the city": note.side_effects.leak.mean,
        "Other cities' facts kept": _kept(note.side_effects),
    }


def _against_chance(control: Control, moves: bool) -> dict[str, Any]:
    """Whether a pattern says something about meta-latents."""
    said = "chance does as well" if control.marked else "beyond chance"
    return {
        "By chance": max(control.random, control.shuffled),
        "Verdict": said if moves else "",
    }


def _says(top: Mapping[str, Pick]) -> str:
    """On how many questions the model would say the picked answer of its own accord."""
    return f"{sum(pick.top for pick in top.values())} of {len(top)}"


def _kept(sides: SideEffects) -> str:
    return f"{sides.held} of {sides.facts}" if sides.facts else "none shared"


@kept(max_entries=4)
def finished_leads(identity: str, _job: Job) -> Work[pd.DataFrame]:
    """`with_leads` of a finished search, by its id; for reading only."""
    return Work(lambda _: with_leads(_job), "Reading all combinations")


def with_leads(job: Job) -> pd.DataFrame:
    """All combinations with, per question, how far the target's answer leads the source's, nats.

    Columns: those of `Job.results`, "lead <attribute>", and moves, what moves in words.
    """
    table, experiment = job.results(), job.experiment
    questions, columns = experiment.questions, np.array(job.columns)
    sources = questions.belonging_to(experiment.source.in_prompts).numpy()
    targets = questions.belonging_to(experiment.target.label).numpy()
    for question, part in zip(questions, questions.slices, strict=True):
        names = columns[part]
        ours = names[(sources & ~targets)[part]]
        theirs = names[(targets & ~sources)[part]]
        apart = len(ours) and len(theirs)
        table[f"lead {question.attribute}"] = (
            table[theirs[0]] - table[ours[0]] if apart else 0.0 * table[names[0]]
        )
    words = {one: _moves(questions.attributes, one) for one in table["pattern"].unique()}
    table["moves"] = table["pattern"].map(words)
    return table


def _moves(attributes: Sequence[str], pattern: str) -> str:
    """A pattern in words."""
    if pattern == OTHER_TEXT:
        return "another answer"
    moved = [name for name, bit in zip(attributes, pattern, strict=True) if bit == "1"]
    return joined(moved) or "nothing"


def exported(job: Job | PairsJob, ending: str) -> bytes:
    """A file's content as the job exports it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"export{ending}"
        job.export(path)
        return path.read_bytes()
