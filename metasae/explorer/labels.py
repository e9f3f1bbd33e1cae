"""A few words for every latent and meta-latent, made here, and a score that says how far they hold.

A latent's words are those that set its contexts apart: the word it fires on, its kind (see
`text.word_kinds`), the words before it, and the tokens its direction promotes, each weighted by how
rare it is among all latents' contexts. Half of the contexts are kept back; there the words must
tell the latent's contexts from those of its siblings, the latents whose directions are closest, and
of any others. What they do not tell is called unclear.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metasae.explorer.evidence import Evidence
from metasae.lm.language_model import LanguageModel
from metasae.progress import Progress, silent
from metasae.saes.decomposition import Decomposition
from metasae.text.windows import Windows
from metasae.text.word_kinds import kinds

TERMS = 3
"""Words of a label at most."""

CLEAR = 0.5
"""F1 on held-out contexts below which a label is unclear."""

FAR = 4
"""Contexts of any latents, for each one of the siblings', that a label is scored against."""

COVERED = 0.85
"""Share of the contexts after which no more words are added."""

FEWEST = 4
"""Contexts below which nothing can be held out."""

STRONGEST = 40
"""Latents of a meta-latent that its label is made from and scored on."""

UNCLEAR = "unclear"

_BEFORE = 12
"""Tokens before the peak that are read."""

_NEAR = 4
"""Words at the peak and before it in which a label's word has to stand."""

_KIND = 0.7
"""Weight of the kind of word at the peak: where a word and its kind say the same, the word does."""

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")

_NEARLY = 0.8
"""Share of a kind's contexts from which on the one word they have says it better."""

Bag = Mapping[str, float]
"""Words and kinds of one context, each with its weight: 1 at the peak, less before it."""


@dataclass(frozen=True)
class Label:
    """What a latent is called.

    Attributes:
        text: its words, or "unclear".
        f1: of the words on held-out contexts, against as many of its siblings' and `FAR` times as
            many of any latents'; NaN where there were too few.
        distinguishes: whether the words hold for a larger share of its contexts than of any
            sibling's ("told" in tables).
        control: F1 of another latent's words on the same contexts.
    """

    text: str
    f1: float
    distinguishes: bool
    control: float
    words: tuple[str, ...] = ()


def vocabulary(model: LanguageModel) -> list[str]:
    """The text of every token."""
    return [model.decode(token) for token in range(model.hf.config.vocab_size)]


def bags(
    text: Windows, evidence: Evidence, vocab: Sequence[str]
) -> tuple[list[list[Bag]], dict[str, str]]:
    """For every latent the words of its contexts, the strongest first; and how words are written.

    Returns:
        The bags, in lower case, and for each word the commonest of its written forms.
    """
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    of_latents: list[list[Bag]] = [[] for _ in range(len(evidence.counts))]
    table = evidence.contexts
    peak = table.loc[
        table.groupby(["latent", "context"], sort=True)["activation"].idxmax(),
        ["latent", "window", "position"],
    ]
    tokens = text.tokens.numpy()
    lengths = text.lengths.tolist()
    for latent, window, at in peak.itertuples(index=False):
        row = tokens[window]
        end = at + 1
        # A name of several tokens is read whole.
        while end < lengths[window] and vocab[row[end]][:1].isalnum():
            end += 1
        before = "".join(vocab[token] for token in row[max(1, at - _BEFORE) : at])
        words = _WORD.findall(before + "".join(vocab[token] for token in row[at:end]))
        of_latents[latent].append({**_bag(words), **_weighed(kinds(vocab[row[at]], before, words))})
        for word in words[-_NEAR:]:
            forms[word.lower()][word] += 1
    return of_latents, {word: counted.most_common(1)[0][0] for word, counted in forms.items()}


def _weighed(kinds_there: Mapping[str, float]) -> Bag:
    return {kind: _KIND * says for kind, says in kinds_there.items()}


def _bag(words: Sequence[str]) -> Bag:
    bag: dict[str, float] = {}
    for distance, word in enumerate(reversed(words[-_NEAR:])):
        bag.setdefault(word.lower(), 1.0 if distance == 0 else 0.3 / distance)
    return bag


def rarity(every: Sequence[Sequence[Bag]]) -> dict[str, float]:
    """How rare each word is: the logarithm of the contexts there are to those it stands in."""
    counted: Counter[str] = Counter()
    total = 0
    for contexts in every:
        total += len(contexts)
        for bag in contexts:
            counted.update(bag.keys())
    return {word: math.log(total / count) for word, count in counted.items()}


def chosen_words(
    contexts: Sequence[Bag], rare: Mapping[str, float], promoted: Sequence[str] = ()
) -> tuple[str, ...]:
    """The words that cover the contexts best, what holds of most of them first.

    Each word counts in the contexts no earlier one covers; one that its direction promotes counts
    half as much again.
    """
    raised = {word.strip().lower() for word in promoted}
    left, words = list(contexts), list[str]()
    while left and len(words) < TERMS and len(left) > (1 - COVERED) * len(contexts):
        score: dict[str, float] = {}
        for bag in left:
            for word, weight in bag.items():
                worth = weight * rare.get(word, 0.0) * (1.5 if word in raised else 1.0)
                score[word] = score.get(word, 0.0) + worth
        if not score:
            break
        best = _plainer(max(score, key=lambda word: (score[word], word)), left)
        if sum(best in bag for bag in left) < 2 and words:
            break
        words.append(best)
        left = [bag for bag in left if best not in bag]
    return tuple(sorted(words, key=lambda word: -hits([word], contexts)))


def _plainer(kind: str, contexts: Sequence[Bag]) -> str:
    """A kind, or the one word that nearly all of the kind here are."""
    if _WORD.fullmatch(kind):
        return kind
    of_kind = [bag for bag in contexts if kind in bag]
    at_peak = Counter(word for bag in of_kind for word, weight in bag.items() if weight == 1.0)
    word, count = at_peak.most_common(1)[0] if at_peak else ("", 0)
    return word if count and count >= _NEARLY * len(of_kind) else kind


def hits(words: Sequence[str], contexts: Sequence[Bag]) -> int:
    """Contexts one of the words stands in."""
    return sum(any(word in bag for word in words) for bag in contexts)


def f1(words: Sequence[str], mine: Sequence[Bag], others: Sequence[Bag]) -> float:
    """Harmonic mean of precision and recall of "one of the words stands near the peak"."""
    true, false = hits(words, mine), hits(words, others)
    return 2 * true / max(1, true + false + len(mine))


class HeldOut:
    """The contexts no label was made from, to score labels on.

    Args:
        contexts: of each latent, the strongest first; every other one is held out.
        near: its siblings.
    """

    def __init__(self, contexts: Sequence[Sequence[Bag]], near: np.ndarray, seed: int = 0) -> None:
        self.contexts, self.near, self.seed = contexts, near, seed
        self._bags = [bag for one in contexts for bag in one[1::2]]
        self._owner = np.repeat(np.arange(len(contexts)), [len(one[1::2]) for one in contexts])

    def others(self, latent: int) -> list[Bag]:
        """The contexts a latent's label is scored against: as many of its siblings as it has, and
        `FAR` times as many of any latents."""
        count = len(self.contexts[latent][1::2])
        near = self.near[latent]
        share = -(-count // len(near))
        close = [bag for other in near for bag in self.contexts[other][1::2][:share]]
        draw = np.random.default_rng([self.seed, latent])
        drawn = draw.integers(len(self._bags), size=FAR * count)
        far = [self._bags[at] for at in drawn[self._owner[drawn] != latent]]
        return close[:count] + far

    def score(self, words: Sequence[str], latent: int) -> tuple[float, bool]:
        """How well some words tell a latent's contexts from others.

        Returns:
            F1 against `others` (words that hold everywhere get 2 / (2 + 1 + FAR)), and whether
            they hold for a larger share of its contexts than of any sibling's.
        """
        mine = self.contexts[latent][1::2]
        rate = hits(words, mine) / len(mine)
        distinguishes = all(
            rate > hits(words, self.contexts[other]) / max(1, len(self.contexts[other]))
            for other in self.near[latent]
        )
        return f1(words, mine, self.others(latent)), distinguishes


def make_labels(
    contexts: Sequence[Sequence[Bag]],
    near: np.ndarray,
    promoted: Sequence[Sequence[str]] | None = None,
    progress: Progress = silent,
    stage: str = "Labels",
    seed: int = 0,
) -> list[Label]:
    """A label for each of some latents.

    Args:
        contexts: of each latent, the strongest first; every other one is held out.
        near: its siblings.
        promoted: tokens its direction raises.
    """
    rare, held = rarity(contexts), HeldOut(contexts, near, seed)
    words = [
        chosen_words(one[::2], rare, promoted[number] if promoted else ())
        for number, one in enumerate(contexts)
    ]
    drawn = np.random.default_rng(seed).permutation(len(contexts))
    made = []
    for number, one in enumerate(contexts):
        if number % 2000 == 0:
            progress(stage, number / len(contexts), f"{number:,} of {len(contexts):,}")
        if len(one) < FEWEST or not words[number]:
            made.append(Label(UNCLEAR, math.nan, False, math.nan, words[number]))
            continue
        value, distinguishes = held.score(words[number], number)
        text = ", ".join(words[number]) if value >= CLEAR else UNCLEAR
        control, _ = held.score(words[int(drawn[number])], number)
        made.append(Label(text, value, distinguishes, control, words[number]))
    progress(stage, 1.0, "")
    return made


def meta_contexts(
    decomposition: Decomposition, contexts: Sequence[Sequence[Bag]], most: int = STRONGEST
) -> list[list[Bag]]:
    """For every meta-latent what its strongest latents fire on: one bag a latent, merged."""
    of_metas: list[list[Bag]] = []
    for meta in range(decomposition.n_meta):
        rows: list[Bag] = []
        for latent in list(decomposition.latents_of(meta))[:most]:
            merged: dict[str, float] = {}
            for bag in contexts[latent]:
                for word, weight in bag.items():
                    merged[word] = merged.get(word, 0.0) + weight
            # Divided at the end: what stands at every peak keeps a weight of exactly 1.
            mean = {word: weight / len(contexts[latent]) for word, weight in merged.items()}
            rows.append({word: weight for word, weight in mean.items() if weight >= _OFTEN})
        of_metas.append(rows)
    return of_metas


_OFTEN = 0.08
"""Weight a word needs in a latent's contexts on average to count as one of the latent's."""


def to_table(labels: Sequence[Label], forms: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Columns index, label, words, f1, told, control.

    Args:
        forms: how words are written.
    """
    forms = forms or {}

    def written(one: Label) -> str:
        return ", ".join(forms.get(word, word) for word in one.words)

    return pd.DataFrame(
        {
            "index": np.arange(len(labels), dtype=np.int32),
            "label": [
                written(one) if one.text == ", ".join(one.words) else one.text for one in labels
            ],
            "words": [written(one) for one in labels],
            "f1": np.array([one.f1 for one in labels], dtype=np.float32),
            "told": [one.distinguishes for one in labels],
            "control": np.array([one.control for one in labels], dtype=np.float32),
        }
    )


def summary(table: pd.DataFrame) -> dict[str, Any]:
    """How good some labels are, beside the control's; None where none could be scored."""
    scored = table[table["f1"].notna()]
    return {
        "count": len(table),
        "scored": len(scored),
        "f1_mean": _known(scored["f1"].mean()),
        "f1_median": _known(scored["f1"].median()),
        "f1_quartiles": [_known(value) for value in scored["f1"].quantile([0.25, 0.5, 0.75])],
        "f1_control_mean": _known(scored["control"].mean()),
        "told_share": _known(scored["told"].mean()),
        "unclear_share": _known((table["label"] == UNCLEAR).mean()),
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
