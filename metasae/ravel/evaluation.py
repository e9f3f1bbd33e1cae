"""The whole evaluation: what the model knows, what is learned, what every edit does, the scores.

Everything that chooses or learns an edit sees training names asked with training templates alone;
every score is of held-out names asked with held-out templates. A run goes on where it stopped.

What is learned is learned by the process that asks, which alone writes. The edits of one name are a
piece of work by itself, done here or spread over others (see `lab.spread`), who are sent what was
learned. Floats are summed in an order that depends on the number of threads: whoever computes with
as many, on the same kind of processor, finds the same numbers to the last bit.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lab.spread import Spread, here
from metasae.progress import Progress, silent
from metasae.ravel import random_base
from metasae.ravel.certainty import by_certainty
from metasae.ravel.data import Entity, RavelData, answers_about
from metasae.ravel.engine import Asked, Pair, Where
from metasae.ravel.facts import Known, Size, survey
from metasae.ravel.judging import Judged
from metasae.ravel.masks import with_scores
from metasae.ravel.methods import METHODS, Fitted, Method
from metasae.ravel.moved import leak
from metasae.ravel.picture import picture
from metasae.ravel.portraits import Portrait, portrait
from metasae.ravel.random_meta import random_meta_sae
from metasae.ravel.scores import ALL, NOTHING, table
from metasae.ravel.training import Training, views
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from metasae.steering.edits import NO_EDIT
from metasae.steering.link import edit_to_text
from metasae.steering.provenance import Provenance
from metasae.studies.parts import Parts
from metasae.studies.seeds import meta_saes
from metasae.studies.study import Finding, Material

LEARNED = "mask-gradient"
"""The method that the others are compared to."""


@dataclass(frozen=True)
class Configuration:
    """How it is asked.

    Attributes:
        methods: names of the methods, in the order of the table.
        seeds: of the meta-SAE, of what is learned and of the pairs that are drawn.
        facts: how much is asked of the unedited model.
        sources: held-out names that are edited, a seed.
        training_sources: training names that are edited too, a seed, asked with training prompts:
            what scores badly on them as well was not to be learned.
        targets: of each.
        views: of each training name (see `training`).
        learned_towards: targets of a view.
        steps: of learning by gradient.
        where: edits at the name's last token, or everywhere.
        keep_error: keep what the SAE does not explain of the residual stream.
        keep_residual: keep what the meta-SAE does not explain of a direction.

    Raises:
        UserError: for a method there is none of, or a number below 1.
    """

    methods: tuple[str, ...] = tuple(METHODS)
    seeds: int = 3
    facts: Size = Size()  # noqa: RUF009 - frozen
    sources: int = 24
    training_sources: int = 8
    targets: int = 2
    views: int = 1
    learned_towards: int = 2
    steps: int = 50
    where: Where = "last"
    keep_error: bool = True
    keep_residual: bool = False

    def __post_init__(self) -> None:
        if self.where not in ("last", "all"):
            raise UserError(f'Edits are made at "last" or "all" tokens, not "{self.where}".')
        for name in (
            "seeds",
            "sources",
            "training_sources",
            "targets",
            "views",
            "learned_towards",
            "steps",
        ):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if not self.methods:
            raise UserError(f"Name at least one method of: {', '.join(METHODS)}.")


QUICK = Configuration(
    methods=tuple(one.name for one in METHODS.values() if not one.slow),
    seeds=1,
    facts=Size(probed=12, tried=5, templates=2, names=14, held_out=14, asked=192),
    sources=8,
    training_sources=4,
    targets=2,
    views=2,
    learned_towards=3,
    steps=24,
)
"""A small sample that takes a few minutes: wide intervals, and no control that is trained anew."""


def evaluate(
    lab: Lab,
    data: RavelData,
    config: Configuration,
    parts: Parts = Parts(),  # noqa: B008 - frozen
    progress: Progress = silent,
    methods: Mapping[str, Method] = METHODS,
    spread: Spread | None = None,
) -> Finding:
    """Score every method on every attribute the model knows.

    Args:
        methods: by name, further ones included.
        spread: where edits are scored; here when left out.

    Raises:
        UserError: for a method there is none of, when the model knows too little, and as
            `seeds.meta_saes` and the spread. What was scored is kept.
    """
    chosen = [_method(name, methods) for name in config.methods]
    trained = [one for one in chosen if one.decoder is not None]
    no_base = random_base.lacking(lab, config.seeds, progress) if trained else ""
    left_out = {
        one.name: reason
        for one in chosen
        for lacking, reason in (
            (
                config.where == "all" and not one.everywhere,
                f"{one.name} is left out: it means nothing at other tokens than the name's last.",
            ),
            (
                one.smaller and min(lab.preset.widths) >= lab.n_latents,
                f"{one.name} is left out: the preset has no smaller SAE.",
            ),
            (
                bool(no_base) and one.decoder is not None,
                f"{one.name} is left out, since no SAE can be trained for it. {no_base}",
            ),
        )
        if lacking
    }
    chosen = [one for one in chosen if one.name not in left_out]
    known = survey(lab.model, data, config.facts, parts, progress)
    if len(known.data.attributes) < 2:
        raise UserError(
            f"The model knows {' and '.join(known.data.attributes)} alone of {data.name}, and "
            "whether an edit leaves others as they are takes at least two attributes."
        )
    tables, others, masks = [], [], pd.DataFrame()
    material = Material.of(lab, meta_saes(lab, config.seeds, progress))
    for seed, decomposition in enumerate(material.decompositions):
        run = _Seed(lab, known, config, chosen, seed, decomposition, parts, progress)
        held_out, training = run.triples(spread or here(lab))
        tables.append(held_out)
        others.append(training)
        if decomposition is lab.decomposition:
            masks = with_scores(run.masks(), tables[-1], known.data.attributes)
    triples = pd.concat(tables, ignore_index=True)
    learned = LEARNED if LEARNED in config.methods else ""
    scores = table(triples, known.data.attributes, learned)
    on_training = table(pd.concat(others, ignore_index=True), known.data.attributes, learned)
    return Finding(
        verdict=_verdict(scores, known, config),
        figures={
            "methods": scores.to_dict("records"),
            "on_training_names": on_training.to_dict("records"),
            "by_certainty": by_certainty(triples, known.data.attributes),
            "about": {one.name: one.about for one in chosen},
            "facts": dict(known.counts),
            "attributes": list(known.data.attributes),
            "triples": len(triples),
            "leak": leak(triples, known.data.attributes).to_dict("records"),
            "data": data.name,
            "learned": learned,
            "configuration": asdict(config),
            **_base_saes(lab, chosen, config.seeds),
        },
        tables={"scores": scores.drop(columns="seeds"), "triples": triples, "masks": masks},
        charts={"scores": picture(scores)},
        left_out=(*known.left_out, *left_out.values()),
    )


def _base_saes(lab: Lab, methods: Sequence[Method], seeds: int) -> dict[str, Any]:
    """What the base SAEs explain that were trained for some methods, where there are any."""
    found = [
        {"method": one.name, "seed": seed, **random_base.quality(lab, seed, one.decoder)}
        for one in methods
        if one.decoder is not None
        for seed in range(seeds)
    ]
    return {"base_saes": found} if found else {}


def _method(name: str, methods: Mapping[str, Method]) -> Method:
    if name not in methods:
        raise UserError(f'There is no method "{name}"; there are: {", ".join(methods)}.')
    return methods[name]


_Fit = tuple[Method, str, Fitted]
"""A method, the attribute its edit is for, and that edit."""


_Work = tuple[Entity, Sequence[Entity]]
"""A source, and the targets it is edited towards."""


@dataclass(eq=False)
class _Learned:
    """What takes long to make and is made once, as plain values.

    Attributes:
        portraits: by name.
        tensors: see `Training`.
        random_meta: the meta-SAE with a random decoder, once a method asked for it.
    """

    portraits: dict[str, Portrait] = field(default_factory=dict)
    tensors: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    random_meta: SparseAutoencoder | None = None


@dataclass(frozen=True)
class _Seed:
    """What is learned and scored with one seed."""

    lab: Lab
    known: Known
    config: Configuration
    methods: Sequence[Method]
    seed: int
    decomposition: Decomposition
    parts: Parts = Parts()  # noqa: RUF009 - frozen
    progress: Progress = silent
    learned: _Learned = field(default_factory=_Learned, repr=False)

    def triples(self, spread: Spread) -> tuple[pd.DataFrame, pd.DataFrame]:
        """What every edit of this seed did to held-out names, and to some it was learned from."""
        works = [*self._works(held_out=True), *self._works(held_out=False)]
        names = [
            f"{self._identity} {source.name} {[one.name for one in targets]}"
            for source, targets in works
        ]
        found = {place: self.parts.found(name) for place, name in enumerate(names)}
        made = {place: table for place, table in found.items() if table is not None}
        missing = [place for place in range(len(works)) if place not in made]
        if missing:
            _ = self._fits  # what is learned is there before it is sent
        with closing(spread(_Scoring.of(self), [works[place] for place in missing])) as coming:
            for at, table in coming:
                place = missing[at]
                made[place] = self.parts.keep(names[place], table)
                note = f"seed {self.seed}: {works[place][0].name}"
                self.progress("Edits scored", len(made) / len(works), note)
        split = [source.held_out for source, _ in works]
        held_out, training = (
            pd.concat([made[n] for n, one in enumerate(split) if one == side], ignore_index=True)
            for side in (True, False)
        )
        return held_out, training

    def _works(self, held_out: bool) -> list[_Work]:
        """The sources in order, each with its targets."""
        config, known = self.config, self.known
        draw = np.random.default_rng(self.seed)
        names = known.entities(held_out)
        order = [names[int(n)] for n in draw.permutation(len(names))]
        attributes = known.data.attributes
        works: list[_Work] = []
        for source in order[: config.sources if held_out else config.training_sources]:
            others = [one for one in order if one is not source]
            others = [others[int(n)] for n in draw.permutation(len(others))]
            # Those who differ in most first: their prompts count most.
            others.sort(key=lambda one: -sum(source.differs(one, a) for a in attributes))
            some = others[: max(config.targets, len(others) // 2)]
            picks = draw.permutation(len(some))[: config.targets]
            works.append((source, [some[int(n)] for n in picks]))
        return works

    def score(self, work: _Work) -> pd.DataFrame:
        """What every edit of one source did."""
        source, targets = work
        fits = self._fits
        return self._scored(self._portrait(source), list(map(self._portrait, targets)), fits)

    def _portrait(self, one: Entity) -> Portrait:
        drawn = self.learned.portraits
        if one.name not in drawn:
            drawn[one.name] = portrait(self.lab, one)
        return drawn[one.name]

    def masks(self) -> pd.DataFrame:
        """The learned masks that are edits of Steer: columns method, attribute, pieces (their
        numbers with points between) and learned_on, the number of names."""

        def make() -> pd.DataFrame:
            return pd.DataFrame(
                [
                    {
                        "method": method.name,
                        "attribute": attribute,
                        "pieces": ".".join(map(str, fitted.pieces)),
                        "learned_on": len(self.known.entities(held_out=False)),
                    }
                    for method, attribute, fitted in self._fits
                    if fitted.pieces and fitted.edit is not None
                ],
                columns=["method", "attribute", "pieces", "learned_on"],
            )

        return self.parts.table(f"{self._identity} masks", make)

    @functools.cached_property
    def _identity(self) -> str:
        """Tells what is learned and scored here from that of other runs in the same folder."""
        methods = tuple(one.name for one in self.methods)
        held = replace(self.config, methods=methods, seeds=1, sources=1, training_sources=1)
        names = [one.name for one in self.known.data.entities]
        texts = [one.text for one in self.known.data.templates]
        return f"{self.lab.provenance} {held} {self.seed} {names} {texts}"

    @functools.cached_property
    def _fits(self) -> list[_Fit]:
        known, config, lab = self.known, self.config, self.lab
        people = []
        training_names = known.entities(held_out=False)
        for number, one in enumerate(training_names):
            people.append(self._portrait(one))
            self.progress("Names' latents", (number + 1) / len(training_names), one.name)

        @functools.cache
        def random_meta() -> Decomposition:
            learned = self.learned
            if learned.random_meta is None:
                learned.random_meta = random_meta_sae(lab, self.seed, self.progress)
            return Decomposition(lab.decomposition.sae, learned.random_meta)

        training = Training(
            lab=lab,
            decomposition=self.decomposition,
            portraits=tuple(people),
            attributes=known.data.attributes,
            templates=tuple(one for one in known.data.templates if not one.held_out),
            make_views=lambda: views(
                lab, known, people, config.learned_towards, config.views, self.seed, self.progress
            ),
            random_meta=random_meta,
            seed=self.seed,
            steps=config.steps,
            keep_residual=config.keep_residual,
            parts=self.parts,
            progress=self.progress,
            identity=self._learning_identity(),
            tensors=self.learned.tensors,
        )
        fitted = []
        for method in self.methods:
            for attribute in known.data.attributes if method.by_attribute else (ALL,):
                fitted.append((method, attribute, method.fit(training, attribute, self.seed)))
        return fitted

    def _learning_identity(self) -> str:
        config = self.config
        values = (config.views, config.learned_towards, config.steps, config.keep_residual)
        names = [one.name for one in self.known.entities(held_out=False)]
        texts = [one.text for one in self.known.data.templates]
        return f"{self.lab.provenance} {values} {self.seed} {names} {texts}"

    def _scored(
        self, source: Portrait, targets: Sequence[Portrait], fits: Sequence[_Fit]
    ) -> pd.DataFrame:
        """What every edit of one source did, prompt by prompt."""
        known = self.known
        names = known.entities(source.entity.held_out)
        answers = answers_about(names, known.data.attributes)
        asked = Asked(self.lab, source, known.templates(source.entity), answers, self.config.where)
        pairs = [asked.pair(target) for target in targets]
        edits = [
            _Made(
                method.name, attribute, target, self._change(method, fitted, pair),
                self._of_steer(fitted, pair),
            )
            for method, attribute, fitted in fits
            for target, pair in zip(targets, pairs, strict=True)
        ]  # fmt: skip
        mine = asked.answers_of(source.entity)
        theirs = {one.name: asked.answers_of(one.entity) for one in targets}
        sides = torch.stack(
            [mine.expand(len(edits), -1), torch.stack([theirs[one.target.name] for one in edits])]
        )
        with torch.no_grad():
            judged = asked.judged(torch.stack([one.change for one in edits]), sides)
        return _rows(asked, edits, judged, self.seed)

    def _of_steer(self, fitted: Fitted, pair: Pair) -> str:
        """The edit as a link has it; empty where Steer can't do the same."""
        if fitted.edit is None or self.decomposition is not self.lab.decomposition:
            return ""
        edit = fitted.edit(pair)
        if edit != NO_EDIT:
            where = self.config.where
            edit = edit.with_options(keep_error=self.config.keep_error, position=where)
        return edit_to_text(edit)

    def _change(self, method: Method, fitted: Fitted, pair: Pair) -> Float[Tensor, "E D"]:
        with torch.no_grad():
            change: Tensor = fitted.change(pair)
            if self.config.keep_error or method.name == NOTHING:
                return change
            sae = self.decomposition.sae
            return change - (pair.rows - sae.decode(pair.place.activations(sae)))


@dataclass(frozen=True)
class _Scoring:
    """What scores the sources of a seed on any lab of the same weights; see `Spread`.

    Attributes:
        meta: the seed's meta-SAE; None: the lab's own.
        learned: all that takes long, made already.
        made: what the lab is to be.
        here: the seed itself, in the process that asks alone.
    """

    known: Known
    config: Configuration
    methods: Sequence[Method]
    seed: int
    meta: SparseAutoencoder | None
    learned: _Learned
    made: Provenance
    here: _Seed | None

    @staticmethod
    def of(one: _Seed) -> "_Scoring":
        """What scores a seed's sources."""
        own = one.decomposition is one.lab.decomposition
        return _Scoring(
            one.known, one.config, one.methods, one.seed, None if own else one.decomposition.meta,
            one.learned, one.lab.provenance, one,
        )  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        # A lab is too large to be sent, and everybody opens one.
        return vars(self) | {"here": None}

    def __call__(self, lab: Lab) -> Callable[[_Work], pd.DataFrame]:
        """See `Spread`.

        Raises:
            UserError: for a lab of other weights.
        """
        if self.here is not None:
            return self.here.score
        if change := self.made.change(lab.provenance):
            what, mine, theirs = change
            raise UserError(
                f"A worker has the {what} {theirs}, and the process that asks {mine}; give all "
                "machines the same."
            )
        sae = lab.decomposition.sae
        both = lab.decomposition if self.meta is None else Decomposition(sae, self.meta)
        seed = _Seed(
            lab, self.known, self.config, self.methods, self.seed, both, learned=self.learned
        )
        return seed.score


@dataclass(frozen=True, eq=False)
class _Made:
    """One edit of a source.

    Attributes:
        edited: the attribute it is for.
        of_steer: see `_Seed._of_steer`.
    """

    method: str
    edited: str
    target: Portrait
    change: Float[Tensor, "E D"]
    of_steer: str


def _rows(asked: Asked, edits: Sequence[_Made], judged: Judged, seed: int) -> pd.DataFrame:
    """Whose answer came, of every edit and prompt; see `scores.table` for most columns.

    Beside those: each side's likeliest answer with its log-probability in nats (NaN where telling
    took none), its latents and the edit as links of Steer have them.
    """
    rows = []
    source = asked.source
    for number, (template, part) in enumerate(
        zip(asked.templates, asked.questions.slices, strict=True)
    ):
        texts = [answer.text for answer in asked.questions[number].answers]
        for row, made in enumerate(edits):
            target = made.target
            sides = [one.entity.values[template.attribute] for one in (source, target)]
            scored = dict(zip(texts, judged.nats[row, part].tolist(), strict=True))
            mine, other = (_likeliest(side, scored) for side in sides)
            rows.append(
                {
                    "seed": seed, "method": made.method, "edited": made.edited,
                    "source": source.name, "target": target.name,
                    "asked": template.attribute, "template": template.text,
                    "differs": source.entity.differs(target.entity, template.attribute),
                    "greedy": _whose(*judged.says[:, row, number].tolist()),
                    "choice": _whose(*judged.leads[:, row, number].tolist()),
                    "source_answer": mine, "source_nats": scored[mine],
                    "target_answer": other, "target_nats": scored[other],
                    "source_latents": _numbers(source), "target_latents": _numbers(target),
                    "edit": made.of_steer,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _likeliest(side: Sequence[str], nats: Mapping[str, float]) -> str:
    """The likeliest answer of a side that was worked out, else the usual one."""
    known = [text for text in side if not math.isnan(nats[text])]
    return max(known, key=nats.__getitem__) if known else side[0]


def _numbers(who: Portrait) -> str:
    return ".".join(map(str, who.subject.latents))


def _whose(source: bool, target: bool) -> str:
    """Whose answer came: the source's where it is right about both, or one begins the other."""
    return "source" if source else "target" if target else "other"


def _verdict(scores: pd.DataFrame, known: Known, config: Configuration) -> str:
    """One sentence: the learned mask, and where the others stand."""
    rows = scores[(scores["rule"] == "greedy") & (scores["attribute"] == ALL)]
    records: list[Any] = rows.to_dict("records")
    by_name: dict[str, Any] = {row["method"]: row for row in records}
    who = (
        f"On {len(known.entities(held_out=True))} held-out names and "
        f"{len(known.data.attributes)} attributes"
    )
    if LEARNED not in by_name:
        best = max(by_name.values(), key=lambda row: row["disentangle"])
        return f"{who} {best['method']} disentangles best: {_score(best)}."
    own = by_name[LEARNED]
    beaten = [name for name, row in by_name.items() if name != LEARNED and row["more_low"] > 0]
    others = [name for name in by_name if name != LEARNED and name not in beaten]
    return (
        f"{who} a mask over meta-latents that was learned on others disentangles {_score(own)}; "
        f"it is clearly better than {', '.join(beaten) or 'none'}, and not than "
        f"{', '.join(others) or 'none'}."
    )


def _score(row: Mapping[str, Any]) -> str:
    return f"{row['disentangle']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
