"""What an edit may be learned from: training names asked with training templates, and a loss.

A *view* is one source asked once about every attribute, with a few targets. The loss of an edit for
attribute A on a view is −log p(the target's answer) on the prompt about A, averaged with the mean
of −log p(the source's answer) on all other prompts; both over the whole vocabulary, in nats.

Shapes: N pairs of a view, E edited places, A answers of all prompts, D = d_model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from metasae.lab.lab import Lab
from metasae.progress import Progress, silent
from metasae.ravel.data import Template, answers_about
from metasae.ravel.engine import Asked, Pair
from metasae.ravel.facts import Known
from metasae.ravel.portraits import Portrait
from metasae.saes.decomposition import Decomposition
from metasae.studies.parts import Parts

T = TypeVar("T")

Change = Callable[[Pair], Float[Tensor, "E D"]]
"""What an edit adds to a pair's rows."""


@dataclass(frozen=True, eq=False)
class View:
    """One source asked once about every attribute, and its targets."""

    asked: Asked
    pairs: tuple[Pair, ...]

    def owned(self, attribute: str, who: Portrait) -> Bool[Tensor, " A"]:
        """Which answers of all prompts are right about somebody, on an attribute's prompt."""
        return self.asked.answers_of(who.entity) & self.about(attribute)

    def about(self, attribute: str) -> Bool[Tensor, " A"]:
        """Which answers are those of an attribute's prompt."""
        return torch.tensor(
            [question.attribute == attribute for question, _ in self.asked.questions.answers]
        )

    def differing(self, attribute: str) -> tuple[Pair, ...]:
        """The pairs whose answers about an attribute differ."""
        return tuple(
            pair for pair in self.pairs if pair.source.entity.differs(pair.target.entity, attribute)
        )


@dataclass(frozen=True, eq=False)
class Training:
    """What an edit may be learned from.

    Attributes:
        decomposition: the SAE with the meta-SAE whose pieces are exchanged.
        portraits: of the training names.
        templates: of the training split.
        make_views: of them, in the order they are learned from; called on first use.
        random_meta: the SAE taken apart by a meta-SAE with a frozen random decoder.
        seed: of what is learned.
        steps: of learning by gradient.
        keep_residual: whether rebuilt directions keep what the meta-SAE does not explain.
        parts: keeps what is learned.
        identity: tells what it is learned from.
        tensors: what is learned already, by name and attribute; `kept` adds to it.
    """

    lab: Lab
    decomposition: Decomposition
    portraits: tuple[Portrait, ...]
    attributes: tuple[str, ...]
    templates: tuple[Template, ...]
    make_views: Callable[[], tuple[View, ...]]
    random_meta: Callable[[], Decomposition]
    seed: int = 0
    steps: int = 80
    keep_residual: bool = False
    parts: Parts = Parts()  # noqa: RUF009 - frozen
    progress: Progress = silent
    identity: str = ""
    tensors: dict[str, dict[str, Tensor]] = field(default_factory=dict, repr=False)
    _once: dict[Any, Any] = field(default_factory=dict, repr=False)

    def once(self, make: "Callable[[Training], T]") -> T:
        """What a function makes of this training, made on first use: the same pieces serve all
        attributes and methods."""
        if make not in self._once:
            self._once[make] = make(self)
        made: T = self._once[make]
        return made

    @cached_property
    def views(self) -> tuple[View, ...]:
        """What is learned from, in that order."""
        return self.make_views()

    def kept(self, name: str, make: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """What takes long to learn, attribute by attribute: learned once in a run.

        Args:
            name: tells it from the run's other parts.
            make: attribute → numbers; all of as many.

        Returns:
            They as vectors, whatever shape they had.
        """

        def table() -> pd.DataFrame:
            return pd.DataFrame({about: one.flatten().numpy() for about, one in make().items()})

        if name not in self.tensors:
            stored = self.parts.table(f"{self.identity} {name}", table)
            columns = stored.astype(np.float32).items()
            self.tensors[name] = {
                str(about): torch.from_numpy(one.to_numpy().copy()) for about, one in columns
            }
        return self.tensors[name]

    def loss(self, view: View, changes: Mapping[str, Change], isolate: bool = True) -> Tensor:
        """The losses of edits on a view (see the module), summed, with gradients; in nats.

        They go through the model together. An attribute in which nobody differs here adds nothing.

        Args:
            changes: attribute → the edit for it.
            isolate: whether the other attributes count.
        """
        made = [(about, pair) for about in changes for pair in view.differing(about)]
        if not made:
            return torch.zeros(())
        nats = view.asked.differentiable(
            torch.stack([changes[about](pair) for about, pair in made])
        )
        rows: dict[str, list[tuple[Tensor, Pair]]] = {}
        for row, (about, pair) in zip(nats, made, strict=True):
            rows.setdefault(about, []).append((row, pair))
        return torch.stack([self._loss(view, *some, isolate) for some in rows.items()]).sum()

    def _loss(
        self, view: View, attribute: str, rows: Sequence[tuple[Tensor, Pair]], isolate: bool
    ) -> Tensor:
        """Of one edit, from its log-probabilities (A) on each pair."""
        moved = [_any(row, view.owned(attribute, pair.target)) for row, pair in rows]
        if not isolate:
            return -torch.stack(moved).mean()
        stayed = [
            _any(row, view.owned(other, view.asked.source))
            for other in self.attributes
            if other != attribute
            for row, _ in rows
        ]
        return -(torch.stack(moved).mean() + torch.stack(stayed).mean()) / 2

    def scores(
        self, views: Sequence[View], attribute: str, changes: Sequence[Change]
    ) -> list[float]:
        """Of each of some edits for an attribute, which go through the model together: the mean
        probability, among a view's answers, of the target's answer on the attribute and of the
        source's on all others, averaged. A smooth Disentangle on training names."""
        moved, stayed = [list[float]() for _ in changes], [list[float]() for _ in changes]
        with torch.no_grad():
            for view in views:
                made = [
                    (number, pair)
                    for number in range(len(changes))
                    for pair in view.differing(attribute)
                ]
                added = torch.stack([changes[number](pair) for number, pair in made])
                nats = view.asked.changed(added).logprobs
                for row, (number, pair) in zip(nats, made, strict=True):
                    moved[number].append(_share(row, view, attribute, pair.target))
                    stayed[number] += [
                        _share(row, view, other, pair.source)
                        for other in self.attributes
                        if other != attribute
                    ]
        return [
            (float(np.mean(one)) + float(np.mean(other))) / 2
            for one, other in zip(moved, stayed, strict=True)
        ]

    def of(self, attribute: str) -> tuple[View, ...]:
        """The views in which some target's answer about an attribute differs."""
        return tuple(one for one in self.views if one.differing(attribute))

    @cached_property
    def values(self) -> dict[tuple[str, str], tuple[Portrait, ...]]:
        """Attribute and answer → the training names it is right about, by their usual answer."""
        found: dict[tuple[str, str], list[Portrait]] = {}
        for one in self.portraits:
            for attribute in self.attributes:
                found.setdefault((attribute, one.entity.values[attribute][0]), []).append(one)
        return {key: tuple(some) for key, some in found.items()}


def _any(nats: Float[Tensor, " A"], which: Bool[Tensor, " A"]) -> Tensor:
    """Log-probability of the likeliest of some answers."""
    return nats[which].max()


def _share(nats: Float[Tensor, " A"], view: View, attribute: str, who: Portrait) -> float:
    among = nats[view.about(attribute)].softmax(0)
    return float(among[view.owned(attribute, who)[view.about(attribute)]].sum())


def views(
    lab: Lab,
    known: Known,
    portraits: Sequence[Portrait],
    targets: int,
    rounds: int,
    seed: int,
    progress: Progress,
) -> tuple[View, ...]:
    """Every training name asked with templates drawn by seed, with targets drawn by seed.

    Args:
        portraits: of the training names.
        targets: a view.
        rounds: views a name.
    """
    draw = np.random.default_rng(seed)
    attributes = known.data.attributes
    made = []
    total = rounds * len(portraits)
    for number in range(total):
        source = portraits[number % len(portraits)]
        templates = known.templates(source.entity)
        asked = []
        for attribute in attributes:
            mine = [one for one in templates if one.attribute == attribute]
            asked.append(mine[int(draw.integers(len(mine)))])
        others = [
            one
            for one in portraits
            if one is not source
            and any(source.entity.differs(one.entity, attribute) for attribute in attributes)
        ]
        some = [others[int(n)] for n in draw.permutation(len(others))[:targets]]
        answers = answers_about((one.entity for one in (source, *some)), attributes)
        one = Asked(lab, source, asked, answers)
        made.append(View(one, tuple(map(one.pair, some))))
        progress("What edits are learned from", (number + 1) / total, source.name)
    order = draw.permutation(len(made))
    return tuple(made[int(number)] for number in order)
