"""The whole evaluation: what the model knows, what is learned, what every edit does, the scores.

Everything that chooses or learns an edit sees training names asked with training templates alone;
every score is of held-out names asked with held-out templates. A run goes on where it stopped.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import Progress, silent
from metasae.ravel.data import Entity, RavelData, answers_about
from metasae.ravel.engine import Answered, Asked, Pair, Where
from metasae.ravel.facts import Known, Size, survey
from metasae.ravel.masks import with_scores
from metasae.ravel.methods import METHODS, Fitted, Method
from metasae.ravel.moved import leak
from metasae.ravel.picture import picture
from metasae.ravel.portraits import Portrait, portrait
from metasae.ravel.random_meta import random_meta_sae
from metasae.ravel.scores import ALL, NOTHING, table
from metasae.ravel.training import Training, views
from metasae.saes.decomposition import Decomposition
from metasae.steering.edits import NO_EDIT
from metasae.steering.link import edit_to_text
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
    sources: int = 20
    targets: int = 2
    views: int = 2
    learned_towards: int = 4
    steps: int = 60
    where: Where = "last"
    keep_error: bool = True
    keep_residual: bool = False

    def __post_init__(self) -> None:
        if self.where not in ("last", "all"):
            raise UserError(f'Edits are made at "last" or "all" tokens, not "{self.where}".')
        for name in ("seeds", "sources", "targets", "views", "learned_towards", "steps"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if not self.methods:
            raise UserError(f"Name at least one method of: {', '.join(METHODS)}.")


QUICK = Configuration(
    methods=tuple(one.name for one in METHODS.values() if not one.slow),
    seeds=1,
    facts=Size(probed=12, tried=5, templates=2, names=14, asked=192),
    sources=8,
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
) -> Finding:
    """Score every method on every attribute the model knows.

    Args:
        methods: by name, further ones included.

    Raises:
        UserError: for a method there is none of, when the model knows too little, and as
            `seeds.meta_saes`.
    """
    chosen = [_method(name, methods) for name in config.methods]
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
    tables, masks = [], pd.DataFrame()
    material = Material.of(lab, meta_saes(lab, config.seeds, progress))
    for seed, decomposition in enumerate(material.decompositions):
        run = _Seed(lab, known, config, chosen, seed, decomposition, parts, progress)
        tables.append(run.triples())
        if decomposition is lab.decomposition:
            masks = with_scores(run.masks(), tables[-1], known.data.attributes)
    triples = pd.concat(tables, ignore_index=True)
    learned = LEARNED if LEARNED in config.methods else ""
    scores = table(triples, known.data.attributes, learned)
    return Finding(
        verdict=_verdict(scores, known, config),
        figures={
            "methods": scores.to_dict("records"),
            "about": {one.name: one.about for one in chosen},
            "facts": dict(known.counts),
            "attributes": list(known.data.attributes),
            "triples": len(triples),
            "leak": leak(triples, known.data.attributes).to_dict("records"),
            "data": data.name,
            "learned": learned,
            "configuration": asdict(config),
        },
        tables={"scores": scores.drop(columns="seeds"), "triples": triples, "masks": masks},
        charts={"scores": picture(scores)},
        left_out=(*known.left_out, *left_out.values()),
    )


def _method(name: str, methods: Mapping[str, Method]) -> Method:
    if name not in methods:
        raise UserError(f'There is no method "{name}"; there are: {", ".join(methods)}.')
    return methods[name]


_Fit = tuple[Method, str, Fitted]
"""A method, the attribute its edit is for, and that edit."""


@dataclass(frozen=True)
class _Seed:
    """What is learned and scored with one seed."""

    lab: Lab
    known: Known
    config: Configuration
    methods: Sequence[Method]
    seed: int
    decomposition: Decomposition
    parts: Parts
    progress: Progress

    def triples(self) -> pd.DataFrame:
        """What every edit of this seed did."""
        config, known = self.config, self.known
        draw = np.random.default_rng(self.seed)
        held_out = known.entities(held_out=True)
        order = [held_out[int(n)] for n in draw.permutation(len(held_out))]
        sources = order[: config.sources]
        attributes = known.data.attributes
        targets = {}
        for source in sources:
            others = [one for one in order if one is not source]
            others = [others[int(n)] for n in draw.permutation(len(others))]
            # Those who differ in most first: their prompts count most.
            others.sort(key=lambda one: -sum(source.differs(one, a) for a in attributes))
            some = others[: max(config.targets, len(others) // 2)]
            picks = draw.permutation(len(some))[: config.targets]
            targets[source.name] = [some[int(n)] for n in picks]
        drawn: dict[str, Portrait] = {}
        made = []
        for number, source in enumerate(sources):

            def score(source: Entity = source) -> pd.DataFrame:
                fits = self._fits
                for one in (source, *targets[source.name]):
                    if one.name not in drawn:
                        drawn[one.name] = portrait(self.lab, one)
                others = [drawn[one.name] for one in targets[source.name]]
                return self._scored(drawn[source.name], others, fits)

            names = [one.name for one in targets[source.name]]
            made.append(self.parts.table(f"{self._identity} {source.name} {names}", score))
            note = f"seed {self.seed}: {source.name}"
            self.progress("Edits scored", (number + 1) / len(sources), note)
        return pd.concat(made, ignore_index=True)

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
        held = replace(self.config, methods=methods, seeds=1, sources=1)
        names = [one.name for one in self.known.data.entities]
        texts = [one.text for one in self.known.data.templates]
        return f"{self.lab.provenance} {held} {self.seed} {names} {texts}"

    @functools.cached_property
    def _fits(self) -> list[_Fit]:
        known, config, lab = self.known, self.config, self.lab
        people = []
        training_names = known.entities(held_out=False)
        for number, one in enumerate(training_names):
            people.append(portrait(lab, one))
            self.progress("Names' latents", (number + 1) / len(training_names), one.name)

        @functools.cache
        def random_meta() -> Decomposition:
            return Decomposition(
                lab.decomposition.sae, random_meta_sae(lab, self.seed, self.progress)
            )

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
            steps=config.steps,
            keep_residual=config.keep_residual,
            parts=self.parts,
            progress=self.progress,
            identity=self._learning_identity(),
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
        held_out = known.entities(held_out=True)
        answers = answers_about(held_out, known.data.attributes)
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
        who = [source.entity, *(one.entity for one in targets)]
        wanted = torch.tensor(
            [
                any(answer.text in one.values[question.attribute] for one in who)
                for question, answer in asked.questions.answers
            ]
        )
        with torch.no_grad():
            answered = asked.leading(torch.stack([one.change for one in edits]), wanted)
        return _rows(asked, edits, answered, self.seed)

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


def _rows(asked: Asked, edits: Sequence[_Made], answered: Answered, seed: int) -> pd.DataFrame:
    """Whose answer came, of every edit and prompt; see `scores.table` for most columns.

    Beside those: each side's likeliest answer with its log-probability in nats, each side's latents
    and the edit as links of Steer have them.
    """
    rows = []
    nats = asked.questions.split(answered.logprobs)
    says = asked.questions.split(answered.says)
    source = asked.source
    for number, template in enumerate(asked.templates):
        texts = [answer.text for answer in asked.questions[number].answers]
        own = torch.tensor([text in source.entity.values[template.attribute] for text in texts])
        for row, made in enumerate(edits):
            target = made.target
            right = target.entity.values[template.attribute]
            theirs = torch.tensor([text in right for text in texts])
            said, scored = says[number][row], nats[number][row]
            best = int(scored.argmax())
            mine, other = (
                int(scored.masked_fill(~some, -torch.inf).argmax()) for some in (own, theirs)
            )
            rows.append(
                {
                    "seed": seed, "method": made.method, "edited": made.edited,
                    "source": source.name, "target": target.name,
                    "asked": template.attribute, "template": template.text,
                    "differs": source.entity.differs(target.entity, template.attribute),
                    "greedy": _whose(bool(said[own].any()), bool(said[theirs].any())),
                    "choice": _whose(bool(own[best]), bool(theirs[best])),
                    "source_answer": texts[mine], "source_nats": float(scored[mine]),
                    "target_answer": texts[other], "target_nats": float(scored[other]),
                    "source_latents": _numbers(source), "target_latents": _numbers(target),
                    "edit": made.of_steer,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


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
