"""A few words for every latent and meta-latent, made here, and a score that says how far they hold.

A latent's words are those that set its contexts apart: the word it fires on, its kind (see
`text.word_kinds`), and the words before it, each weighted by how rare it is among all latents'
contexts. Half of the contexts, of which none is a copy of another (see `copies`), are kept back;
there the words must tell the latent's contexts from those of its siblings, the latents whose
directions are closest, and of any others. What they do not tell is called unclear. What the effort
is worth is said by the simplest label beside it: the word that stands at most of the peaks.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metasae.explorer.copies import CopyFinder, Peak
from metasae.explorer.held_out import Bag, HeldOut, hits
from metasae.lm.language_model import LanguageModel
from metasae.progress import Progress, silent
from metasae.saes.decomposition import Decomposition
from metasae.text.windows import Windows
from metasae.text.word_kinds import kinds

TERMS = 3
"""Words of a label at most."""

CLEAR = 0.5
"""F1 on held-out contexts below which a label is unclear."""

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

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
"""A word of a text; no kind is one."""

_NEARLY = 0.8
"""Share of a kind's contexts from which on the one word they have says it better."""


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
        one_word: F1 of its `commonest_peak` alone on the same contexts.
    """

    text: str
    f1: float
    distinguishes: bool
    control: float
    one_word: float
    words: tuple[str, ...] = ()


def vocabulary(model: LanguageModel) -> list[str]:
    """The text of every token."""
    return [model.decode(token) for token in range(model.hf.config.vocab_size)]


def bags(
    text: Windows, peaks: Sequence[Sequence[Peak]], vocab: Sequence[str]
) -> tuple[list[list[Bag]], dict[str, str]]:
    """For every latent the words of its contexts, the strongest first; and how words are written.

    Returns:
        The bags, in lower case, and for each word the commonest of its written forms.
    """
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    tokens = text.tokens.numpy()
    lengths = text.lengths.tolist()

    def bag_of(window: int, at: int) -> Bag:
        row = tokens[window]
        end = at + 1
        # A name of several tokens is read whole.
        while end < lengths[window] and vocab[row[end]][:1].isalnum():
            end += 1
        before = "".join(vocab[token] for token in row[max(1, at - _BEFORE) : at])
        words = WORD.findall(before + "".join(vocab[token] for token in row[at:end]))
        for word in words[-_NEAR:]:
            forms[word.lower()][word] += 1
        return {**_bag(words), **_weighed(kinds(vocab[row[at]], before, words))}

    of_latents = [[bag_of(*peak) for peak in one] for one in peaks]
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


def commonest_peak(contexts: Sequence[Bag]) -> str:
    """The word that stands at most of the peaks, the first of several; empty without a word."""
    peaks = Counter[str]()
    for bag in contexts:
        if words := {word: weight for word, weight in bag.items() if WORD.fullmatch(word)}:
            peaks[max(words, key=words.__getitem__)] += 1
    return max(peaks, key=peaks.__getitem__, default="")


def chosen_words(contexts: Sequence[Bag], rare: Mapping[str, float]) -> tuple[str, ...]:
    """The words that cover the contexts best, what holds of most of them first.

    Each word counts in the contexts no earlier one covers.
    """
    left, words = list(contexts), list[str]()
    while left and len(words) < TERMS and len(left) > (1 - COVERED) * len(contexts):
        score: dict[str, float] = {}
        for bag in left:
            for word, weight in bag.items():
                score[word] = score.get(word, 0.0) + weight * rare.get(word, 0.0)
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
    if WORD.fullmatch(kind):
        return kind
    of_kind = [bag for bag in contexts if kind in bag]
    at_peak = Counter(word for bag in of_kind for word, weight in bag.items() if weight == 1.0)
    word, count = at_peak.most_common(1)[0] if at_peak else ("", 0)
    return word if count and count >= _NEARLY * len(of_kind) else kind


def make_labels(
    contexts: Sequence[Sequence[Bag]],
    near: np.ndarray,
    progress: Progress = silent,
    stage: str = "Labels",
    seed: int = 0,
) -> list[Label]:
    """A label for each of some latents.

    Args:
        contexts: of each latent, the strongest first; every other one is held out.
        near: its siblings.
    """
    rare, held = rarity(contexts), HeldOut(contexts, near, seed)
    words = [chosen_words(one[::2], rare) for one in contexts]
    drawn = np.random.default_rng(seed).permutation(len(contexts))
    made = []
    for number, one in enumerate(contexts):
        if number % 2000 == 0:
            progress(stage, number / len(contexts), f"{number:,} of {len(contexts):,}")
        if len(one) < FEWEST or not words[number]:
            made.append(Label(UNCLEAR, math.nan, False, math.nan, math.nan, words[number]))
            continue
        value, distinguishes = held.score(words[number], number)
        text = ", ".join(words[number]) if value >= CLEAR else UNCLEAR
        control, one_word = held.f1s(number, words[int(drawn[number])], (commonest_peak(one[::2]),))
        made.append(Label(text, value, distinguishes, control, one_word, words[number]))
    progress(stage, 1.0, "")
    return made


def meta_contexts(
    decomposition: Decomposition,
    contexts: Sequence[Sequence[Bag]],
    peaks: Sequence[Sequence[Peak]],
    finder: CopyFinder,
    most: int = STRONGEST,
) -> tuple[list[list[Bag]], int]:
    """For every meta-latent what its strongest latents fire on: one bag a latent, merged.

    Args:
        contexts: of each latent.
        peaks: where they are.
        finder: tells which of a latent's contexts copy one of a stronger latent; they are left out.

    Returns:
        The bags, and how many contexts were left out.
    """
    of_metas: list[list[Bag]] = []
    copies = 0
    for meta in range(decomposition.n_meta):
        rows: list[Bag] = []
        seen: set[int] = set()
        for latent in list(decomposition.latents_of(meta))[:most]:
            both = zip(contexts[latent], peaks[latent], strict=True)
            own = [bag for bag, peak in both if finder.adds(seen, *peak)]
            copies += len(contexts[latent]) - len(own)
            if not own and contexts[latent]:
                continue
            merged: dict[str, float] = {}
            for bag in own:
                for word, weight in bag.items():
                    merged[word] = merged.get(word, 0.0) + weight
            # Divided at the end: what stands at every peak keeps a weight of exactly 1.
            mean = {word: weight / len(own) for word, weight in merged.items()}
            rows.append({word: weight for word, weight in mean.items() if weight >= _OFTEN})
        of_metas.append(rows)
    return of_metas, copies


_OFTEN = 0.08
"""Weight a word needs in a latent's contexts on average to count as one of the latent's."""


def to_table(labels: Sequence[Label], forms: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Columns index, label, words, f1, told, control, one_word.

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
            "one_word": np.array([one.one_word for one in labels], dtype=np.float32),
        }
    )


@dataclass(frozen=True)
class ScoredLabel:
    """What a latent or meta-latent is called, and how far that holds.

    Attributes:
        label: as `Explorer.label` has it.
        written: what a person wrote in place of ours; None where nobody did.
        f1: of our label, on held-out contexts (`labels.Label`); None where it is unknown.
        f1_one_word: of the word it fires on most, on the same; None where it is unknown.
        told: `labels.Label.distinguishes`; None where it is unknown.
        unclear: whether no label held.
        too_few: whether there were too few contexts to score one.
    """

    label: str
    written: str | None = None
    f1: float | None = None
    f1_one_word: float | None = None
    told: bool | None = None
    unclear: bool = False
    too_few: bool = False

    @staticmethod
    def of(label: str, row: "pd.Series[Any]") -> "ScoredLabel":
        """What a row of `to_table` says of a label."""
        if pd.isna(row["f1"]):
            return ScoredLabel(label, too_few=True)
        one_word = float(row["one_word"])
        return ScoredLabel(
            label, f1=float(row["f1"]), f1_one_word=None if math.isnan(one_word) else one_word,
            told=bool(row["told"]), unclear=row["label"] == UNCLEAR,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """What is reported of it as JSON-able values."""
        return {
            "label": self.label, "f1": self.f1, "f1_one_word": self.f1_one_word, "told": self.told
        }  # fmt: skip


def summary(table: pd.DataFrame) -> dict[str, Any]:
    """How good some labels are, beside the control's and the one word's; None where none could be
    scored."""
    scored = table[table["f1"].notna()]
    return {
        "count": len(table),
        "scored": len(scored),
        "f1_mean": _known(scored["f1"].mean()),
        "f1_median": _known(scored["f1"].median()),
        "f1_quartiles": [_known(value) for value in scored["f1"].quantile([0.25, 0.5, 0.75])],
        "f1_control_mean": _known(scored["control"].mean()),
        "f1_one_word_mean": _known(scored["one_word"].mean()),
        "beats_one_word": int((scored["f1"] > scored["one_word"]).sum()),
        "loses_to_one_word": int((scored["f1"] < scored["one_word"]).sum()),
        "told_share": _known(scored["told"].mean()),
        "unclear_share": _known((table["label"] == UNCLEAR).mean()),
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
