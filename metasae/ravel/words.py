"""Learned edits in words: what each mask takes and did to held-out pairs, and the most telling.

All is read from a run's tables: its masks, and its triples with the edit of every pair.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from metasae.ravel.data import NAME
from metasae.ravel.moved import by_pair
from metasae.ravel.scores import NOTHING
from metasae.steering.certainty import percent
from metasae.steering.edits import MetaLatentEdit
from metasae.steering.link import edit_from_text

HALF = 0.5
"""Share of a pair's prompts from which on they count as moved, or as left as they were."""

RULE = (
    "the share of a pair's answers about the fact the edit is for that became the other's, less "
    "the share of its other answers that were lost; where that is equal, more answers first; each "
    "pair once"
)
"""What the most telling edits are ranked by."""

_TELLING = 3
_NAMED = 3
"""Meta-latents of a mask, and names of each side of one, that are called by name."""

Title = Callable[[int], str]
"""What a meta-latent is called."""


@dataclass(frozen=True)
class Taken:
    """A meta-latent of a mask, on the held-out pairs.

    Attributes:
        meta: its number.
        pairs: in which it was exchanged.
        moved: of these, pairs whose fact moved.
        out_of: names it was taken out of, those it was taken out of most often first.
        brought_from: names it was brought in from, likewise.
    """

    meta: int
    pairs: int
    moved: int
    out_of: tuple[str, ...]
    brought_from: tuple[str, ...]

    def text(self, title: Title) -> str:
        """In words, as a part of a sentence."""
        sides = [
            f"{how} {_some(names)}"
            for how, names in (("out of", self.out_of), ("brought in from", self.brought_from))
            if names
        ]
        of = f"in {self.pairs} {_plural(self.pairs, 'pair')}"
        if self.moved:
            of += f", {self.moved} of which moved"
        return f"{_called(title, self.meta)} {of} ({'; '.join(sides)})"


@dataclass(frozen=True)
class MaskInWords:
    """What a learned mask takes, and what it did to held-out pairs.

    Attributes:
        takes: its meta-latents.
        exchanged: of these, how many were exchanged in some pair.
        most: those that were exchanged in the most pairs, the most first.
        pairs: whose answers about the attribute differ.
        pairs_moved: of these, how many gave the target's answer to half of the prompts or more.
        moved, wanted, stayed, others: answers, as in `moved.by_pair`, over all pairs.
    """

    method: str
    attribute: str
    takes: int
    exchanged: int
    most: tuple[Taken, ...]
    pairs: int
    pairs_moved: int
    moved: int
    wanted: int
    stayed: int
    others: int

    def text(self, title: Title) -> str:
        """In words: a sentence of what it takes, one of what it did, one of what it exchanged."""
        takes = f"Takes {self.takes} {_plural(self.takes, 'meta-latent')}"
        if not self.exchanged:
            return f"{takes}; no held-out pair has one of them of its own, so nothing was edited."
        some = f"{self.exchanged} of them were" if self.exchanged > 1 else "1 of them was"
        kept = ""
        if self.others:
            kept = (
                f", and leaves {100 * self.stayed / self.others:.0f} % of the other answers as "
                f"they were ({self.stayed} of {self.others})"
            )
        return (
            f"{takes}; {some} exchanged between held-out names. "
            f"It makes {self.pairs_moved} of {self.pairs} held-out pairs answer the other's "
            f"{self.attribute} ({self.moved} of {self.wanted} answers){kept}. "
            f"Exchanged most often: {'; '.join(one.text(title) for one in self.most)}."
        )


@dataclass(frozen=True)
class Asked:
    """What the answers about one attribute of a pair became.

    Attributes:
        source_answer, target_answer: right of each of the two.
        source, target, other: prompts by whose answer came.
    """

    attribute: str
    source_answer: str
    target_answer: str
    source: int
    target: int
    other: int

    @property
    def text(self) -> str:
        """As a clause of a sentence."""
        counts = {
            f"stays {self.source_answer}": self.source,
            f"becomes {self.target_answer}": self.target,
            "is neither's": self.other,
        }
        asked = sum(counts.values())
        said = [
            words if count == asked else f"{words} in {count} of {asked} prompts"
            for words, count in counts.items()
            if count
        ]
        return f"{self.attribute} {' and '.join(said)}"


@dataclass(frozen=True)
class Telling:
    """A learned edit of one pair, and all that came of it.

    Attributes:
        score: see `RULE`; from −1 to 1.
        prompt: about the attribute; its answer moved.
        before, after: probability of the source's answer to it unedited, and of the target's
            edited; None where it was not worked out.
        asked: the attribute's own answers first.
        triple: the prompt's row in the table.
    """

    method: str
    attribute: str
    source: str
    target: str
    score: float
    prompt: str
    before: float | None
    after: float | None
    asked: tuple[Asked, ...]
    triple: Mapping[str, Any]

    @property
    def text(self) -> str:
        """In words, before → after."""
        own, *others = self.asked
        part = own.source + own.target + own.other
        some = f" ({own.target} of {part} prompts)" if own.target < part else ""
        moved = (
            f"Of {self.source}, edited towards {self.target} and asked for its {self.attribute}: "
            f"{own.source_answer}{_sure(self.before)} → {own.target_answer}{_sure(self.after)}"
            f"{some}."
        )
        if not others:
            return moved
        return f"{moved} Besides, {_listed([one.text for one in others])}."


@dataclass(frozen=True)
class LearnedEdits:
    """A run's learned masks, and the edits by them that tell most.

    Attributes:
        telling: at most three; see `RULE`.
    """

    masks: tuple[MaskInWords, ...]
    telling: tuple[Telling, ...]

    def to_dict(self, title: Title) -> dict[str, Any]:
        """As values for JSON, with the words."""
        return {
            "masks": [
                {
                    **{
                        name: value
                        for name, value in vars(one).items()
                        if name != "most"
                    },
                    "most": [
                        {**vars(taken), "called": title(taken.meta)} for taken in one.most
                    ],
                    "text": one.text(title),
                }
                for one in self.masks
            ],
            "telling_by": RULE,
            "telling": [
                {
                    **{name: value for name, value in vars(one).items() if name != "triple"},
                    "asked": [vars(asked) for asked in one.asked],
                    "edit": one.triple["edit"],
                    "text": one.text,
                }
                for one in self.telling
            ],
        }  # fmt: skip

    def text(self, title: Title) -> str:
        """As lines; empty where no mask was learned."""
        lines = [f"{one.attribute}, {one.method}: {one.text(title)}" for one in self.masks]
        if self.telling:
            lines.append(f"The learned edits that tell most, by {RULE}:")
            lines += [f"{one.text} ({one.method})" for one in self.telling]
        elif self.masks:
            lines.append("No learned mask moved an answer it is for.")
        return "\n".join(lines)


def learned_edits(masks: pd.DataFrame, triples: pd.DataFrame) -> LearnedEdits:
    """The learned masks of a run in words.

    Args:
        masks: columns method, attribute, pieces (numbers with points between).
        triples: see `evaluation`; the columns of log-probabilities may be absent or NaN.
    """
    described, found = [], []
    for mask in masks.to_dict("records"):
        method, attribute = str(mask["method"]), str(mask["attribute"])
        # Of other seeds' meta-SAEs the meta-latents are others, and no edit is linked.
        own = triples[
            (triples["method"] == method)
            & (triples["edited"] == attribute)
            & (triples["edit"] != "")
        ]
        counts = by_pair(own, attribute)
        described.append(_described(mask, own, counts))
        for pair in counts.to_dict("records"):
            if pair["moved"] and pair["others"]:
                lost = 1 - pair["stayed"] / pair["others"]
                score = pair["moved"] / pair["wanted"] - lost
                found.append((score, pair["moved"] + pair["stayed"], pair, own, attribute))
    found.sort(key=lambda one: (-one[0], -one[1], one[2]["source"], one[2]["target"], one[4]))
    telling: dict[tuple[str, str], Telling] = {}
    for score, _, pair, own, attribute in found:
        who = str(pair["source"]), str(pair["target"])
        if who not in telling:
            telling[who] = _telling(score, who, own, attribute, triples)
        if len(telling) == _TELLING:
            break
    return LearnedEdits(tuple(described), tuple(telling.values()))


def _described(mask: Mapping[Any, Any], own: pd.DataFrame, counts: pd.DataFrame) -> MaskInWords:
    differing = counts[counts["wanted"] > 0]
    moved = differing[differing["moved"] >= HALF * differing["wanted"]]
    moving = set(zip(moved["source"], moved["target"], strict=True))
    taken: dict[int, list[tuple[str, str, float]]] = {}
    for edit, source, target in zip(
        *(own.drop_duplicates(["source", "target"])[name] for name in ("edit", "source", "target")),
        strict=True,
    ):
        made = edit_from_text(edit)
        for meta, strength in made.strengths if isinstance(made, MetaLatentEdit) else ():
            taken.setdefault(meta, []).append((source, target, strength))
    most = sorted(
        (
            Taken(
                meta,
                len(pairs),
                sum((source, target) in moving for source, target, _ in pairs),
                _often([source for source, _, strength in pairs if not strength]),
                _often([target for _, target, strength in pairs if strength]),
            )
            for meta, pairs in taken.items()
        ),
        key=lambda one: (-one.pairs, -one.moved, one.meta),
    )
    return MaskInWords(
        str(mask["method"]), str(mask["attribute"]), len(str(mask["pieces"]).split(".")),
        len(most), tuple(most[:_NAMED]), len(differing), len(moved),
        *(int(counts[name].sum()) for name in ("moved", "wanted", "stayed", "others")),
    )  # fmt: skip


def _telling(
    score: float, who: tuple[str, str], own: pd.DataFrame, attribute: str, triples: pd.DataFrame
) -> Telling:
    source, target = who
    pair = own[(own["source"] == source) & (own["target"] == target)]
    moved = pair[(pair["asked"] == attribute) & pair["differs"] & (pair["greedy"] == "target")]
    # The surest is shown, where that was worked out.
    triple = max(moved.to_dict("records"), key=lambda row: _probability(row, "target") or 0.0)
    unedited = triples[
        (triples["method"] == NOTHING)
        & (triples["seed"] == triple["seed"])
        & (triples["source"] == source)
        & (triples["target"] == target)
        & (triples["template"] == triple["template"])
    ].to_dict("records")
    attributes = [attribute, *(one for one in dict.fromkeys(pair["asked"]) if one != attribute)]
    return Telling(
        method=str(triple["method"]),
        attribute=attribute,
        source=source,
        target=target,
        score=float(score),
        prompt=str(triple["template"]).replace(NAME, source),
        before=_probability(unedited[0], "source") if unedited else None,
        after=_probability(triple, "target"),
        asked=tuple(_asked(pair[pair["asked"] == one], one) for one in attributes),
        triple={str(name): value for name, value in triple.items()},
    )


def _asked(rows: pd.DataFrame, attribute: str) -> Asked:
    """The usual answer of either side is that of a prompt it was given to, where there is one."""

    def answer(side: str) -> str:
        given = rows[rows["greedy"] == side]
        return str((given if len(given) else rows)[f"{side}_answer"].iloc[0])

    counts = rows["greedy"].value_counts()
    return Asked(
        attribute, answer("source"), answer("target"),
        *(int(counts.get(whose, 0)) for whose in ("source", "target", "other")),
    )  # fmt: skip


def _probability(row: Mapping[Any, Any], side: str) -> float | None:
    """Of a side's likeliest answer as a whole."""
    nats = row.get(f"{side}_nats")
    return None if nats is None or pd.isna(nats) else math.exp(float(nats))


def _often(names: Sequence[str]) -> tuple[str, ...]:
    """Each once, the commonest first."""
    return tuple(sorted(dict.fromkeys(names), key=lambda name: -names.count(name)))


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return _listed([*names[:_NAMED], *([f"{more} more"] if more > 0 else [])])


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _called(title: Title, meta: int) -> str:
    called, number = title(meta), f"meta-latent {meta}"
    return number if called == number else f"“{called}” ({number})"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _sure(probability: float | None) -> str:
    return "" if probability is None else f" {percent(probability)}"
