"""Variants of a pair's edit: which patterns each reaches that the default does not."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from metasae.errors import UserError
from metasae.lab.city_records import NameRecord
from metasae.lab.lab import Lab
from metasae.lab.name_latents import activation_table
from metasae.lab.ranking import ranked
from metasae.lab.reference_names import ReferenceNames
from metasae.progress import Progress, silent
from metasae.saes import formats
from metasae.saes.decomposition import Decomposition
from metasae.search.combinations import Combinations
from metasae.search.engine import Engine
from metasae.search.estimate import rounds, usual_budget
from metasae.search.exhaustive import scan
from metasae.search.loop import gather
from metasae.search.patterns import BestByPattern, Chunk, Margin, SearchedEdit, fewest_moves
from metasae.sources.records import to_values
from metasae.steering.edits import EditOptions
from metasae.steering.experiment import Experiment
from metasae.steering.questions import Subject
from metasae.steering.verdict import pattern_name
from metasae.training.threshold import with_threshold

_log = logging.getLogger(__name__)

HIGHER_K = 6.0
"""Mean number of meta-latents a latent has under the lower threshold, instead of 4."""

MOST_A_VARIANT = 4096
"""Combinations up to which all of one variant are scored; of more, those an estimate chooses."""

COMPANY = 6
"""Further cities that a smaller SAE's latents are told apart by."""


@dataclass(frozen=True)
class Reached:
    """A pattern one variant reaches, with its clearest edit.

    Attributes:
        margin: as in `patterns.FoundEdit`, in nats.
        new: whether the default does not reach it.
    """

    pattern: dict[str, bool]
    edit: SearchedEdit
    margin: Margin
    new: bool


@dataclass(frozen=True)
class Variant:
    """One variant of a pair's edit, or the default.

    Attributes:
        name: what differs.
        source_latents, target_latents: what is edited, and towards what.
        removable, addable: own pieces of the source and of the target.
        combinations: how many there are.
        searched: how many of them were scored.
        reached: the patterns, no change included, fewest moves first.
        seconds: the search took, its preparation included.
        note: why not all combinations, or none, were scored; empty otherwise.
    """

    name: str
    source_latents: tuple[int, ...]
    target_latents: tuple[int, ...]
    removable: int
    addable: int
    combinations: int
    searched: int
    reached: tuple[Reached, ...]
    seconds: float
    note: str

    @property
    def added(self) -> tuple[Reached, ...]:
        """The patterns the default does not reach."""
        return tuple(one for one in self.reached if one.new)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; a margin nothing rivals is None."""
        return to_values(self)


WIDE = ((0.0, -1.0), (1.0, 2.0))
"""Strengths of removed and of added pieces on the wide grid: reversed and doubled as well."""


@dataclass(frozen=True)
class _Plan:
    """A variant before it is searched."""

    name: str
    experiment: Callable[[], Experiment]
    options: EditOptions = EditOptions()  # noqa: RUF009 - frozen
    removed: tuple[float, ...] = (0.0,)
    added: tuple[float, ...] = (1.0,)


def variants(
    lab: Lab,
    source: Subject,
    target: Subject,
    most: int = MOST_A_VARIANT,
    progress: Progress = silent,
) -> tuple[Variant, ...]:
    """The default edit and its variants, each with the patterns it reaches; the default first.

    A variant that does not work for the pair reaches nothing and has a note that says why.

    Args:
        most: combinations up to which all of a variant are scored; of more, those that promise
            most (see `estimate.rounds`).

    Raises:
        UserError: when source and target are the same.
    """
    default = lab.experiment(source, target)

    def best_only() -> Experiment:
        return lab.experiment(_best(source), _best(target))

    def higher_k() -> Experiment:
        whole = lab.decomposition
        meta = with_threshold(whole.meta, whole.sae.W_dec, HIGHER_K)
        return default.replaced(decomposition=Decomposition(whole.sae, meta))

    plans = [
        _Plan("default", lambda: default),
        _Plan("best latent of each only", best_only),
        _Plan("strengths −1 and 2 as well", lambda: default, EditOptions(), *WIDE),
        _Plan(f"{HIGHER_K:g} meta-latents a latent", higher_k),
        _Plan("meta-SAE's residual kept", lambda: default, EditOptions(keep_residual=True)),
        _Plan("SAE's error dropped", lambda: default, EditOptions(keep_error=False)),
        _Plan(
            "the post's variant (hundredfold)", lambda: default, EditOptions(variant="hundredfold")
        ),
    ]
    plans += [
        _Plan(f"latents of the {width:,}-wide SAE", partial(_narrower, default, lab, width))
        for width in sorted(width for width in lab.preset.widths if width < lab.n_latents)[-1:]
    ]
    tried: list[Variant] = []
    for number, plan in enumerate(plans):
        progress("More ways to edit", number / len(plans), plan.name)
        tried.append(_tried(plan, most, tried[0] if tried else None))
    progress("More ways to edit", 1.0, "")
    return tuple(tried)


def _tried(plan: _Plan, most: int, default: Variant | None) -> Variant:
    began = time.perf_counter()
    known = [one.pattern for one in default.reached] if default else None
    try:
        experiment = plan.experiment()
        combinations = Combinations.of(experiment, plan.options, plan.removed, plan.added)
        engine = Engine(experiment, combinations)
        some = min(most, usual_budget(len(combinations)))
        chunks = scan(engine) if len(combinations) <= most else rounds(engine, some)
        searched, reached = _reached(engine, chunks, known)
    except UserError as error:
        _log.info("%s is not searched", plan.name, exc_info=True)
        seconds = time.perf_counter() - began
        return Variant(plan.name, (), (), 0, 0, 0, 0, (), seconds, str(error))
    sides = [piece.side for piece in experiment.pieces]
    note = ""
    if searched < len(combinations):
        note = f"{searched:,} of {len(combinations):,} combinations, chosen by estimate"
    return Variant(
        name=plan.name,
        source_latents=experiment.source.latents,
        target_latents=experiment.target.latents,
        removable=sides.count("source"),
        addable=sides.count("target"),
        combinations=len(combinations),
        searched=searched,
        reached=reached,
        seconds=time.perf_counter() - began,
        note=note,
    )


def _reached(
    engine: Engine, chunks: Iterable[Chunk], known: Sequence[dict[str, bool]] | None
) -> tuple[int, tuple[Reached, ...]]:
    """How many combinations were scored, and the patterns they reach."""
    best = BestByPattern()
    margins: dict[int, float] = {}

    def keep_margins(chunk: Chunk) -> None:
        margins.update(zip(chunk.numbers.tolist(), chunk.margin.tolist(), strict=True))

    gather(chunks, best, keep_margins)
    reached = []
    for code, number in best.best().items():
        pattern = pattern_name(engine.experiment.questions, code)
        new = known is not None and pattern not in known
        reached.append(Reached(pattern, engine.combinations.edit(number), margins[number], new))
    reached.sort(key=fewest_moves)
    return best.seen, tuple(reached)


def _best(subject: Subject) -> Subject:
    """A subject with its first latent only."""
    return replace(subject, latents=subject.latents[:1], activations=subject.activations[:1])


def _narrower(experiment: Experiment, lab: Lab, width: int) -> Experiment:
    """The same pair on a smaller SAE whose decoder directions the same meta-SAE takes apart.

    Raises:
        UserError: when one side has no name, or the SAE is missing or damaged.
    """
    source, target = experiment.source.name, experiment.target.name
    if source is None or target is None:
        raise UserError("Latents chosen by number belong to one SAE; choose two names instead.")
    sae = formats.open_sae(lab.preset.sae(width))
    names = [source, target, *_company(lab, source, target)]
    table = activation_table(lab.model, sae, names, lab.median_norm)
    reference = ReferenceNames.of(names, table)
    return experiment.replaced(
        decomposition=Decomposition(sae, lab.decomposition.meta),
        source=_located(reference, experiment.source, source),
        target=_located(reference, experiment.target, target),
    )


def _company(lab: Lab, *pair: str) -> list[str]:
    """Cities a pair's latents are told apart from: half of them, if there are, compatriots."""
    countries = {lab.names.answers(name)["country"].fact for name in pair}
    others = [record for record in lab.records.values() if record.name not in pair]
    near = [record for record in others if record.country in countries][: COMPANY // 2]
    far = [record for record in others if record not in near]
    spread = np.linspace(0, len(far) - 1, COMPANY - len(near)).round().astype(int)
    return [record.name for record in (*near, *(far[n] for n in spread))]


def _located(reference: ReferenceNames, subject: Subject, name: str) -> Subject:
    """A name by the latents that an edit of it would use, chosen as those of any name.

    Raises:
        UserError: when it has none.
    """
    record = NameRecord(name, ranked(reference, name, reference.activations(name)))
    if not record.chosen:
        raise UserError(f"No latent of the {reference.width:,}-wide SAE stands for {name}.")
    return replace(
        record.subject, label=subject.label, facts=subject.facts, remarks=subject.remarks
    )
