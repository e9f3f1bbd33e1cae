"""A judge of labels whose rule can be said: it looks for the label's words and kinds in a text.

It stands where a language model would behind `metasae score-labels`, and reads what one would read.

- Detection: a piece fits when some word of it is one of the label's, or of a kind that the label
  names (`text.word_kinds`: a city, R…, …ing, “,”).
- Fuzzing: a piece fits when in every marked run some word is; a word that is marked in part counts.
- Intruder, which has no label: the piece whose marked words and their kinds have least in common
  with those of the others; of several the first.

What a text doesn't show, such as line breaks and where tokens begin, fits nowhere.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from metasae.explorer.labels import WORD
from metasae.text.word_kinds import kinds

_TERM = re.compile(rf"{WORD.pattern}|[^\w\s]+")
"""A word, or signs without a blank between them."""

_NAMED = re.compile(r"“.*?”(?=, |$)|[^,]+")
"""One of a label's words and kinds."""

_READ = 8
"""Words up to one that tell its kinds: about the twelve tokens that labels are made from."""

_DESCRIPTION = "Description: "


@dataclass(frozen=True)
class Piece:
    """A piece of text as it is read.

    Attributes:
        terms: of each word or sign what it is: itself in lower case, and its kinds.
        marked: of each run between << and >> the terms of what it touches.
    """

    terms: tuple[frozenset[str], ...]
    marked: tuple[tuple[frozenset[str], ...], ...]

    @staticmethod
    def of(shown: str) -> "Piece":
        """Read a piece as it is shown."""
        text, runs = "", []
        for number, part in enumerate(re.split(r"<<(.*?)>>", shown)):
            if number % 2:
                runs.append((len(text), len(text) + len(part)))
            text += part
        found = list(_terms(text))
        return Piece(
            tuple(what for _, _, what in found),
            tuple(
                tuple(what for begin, end, what in found if begin < last and end > first)
                for first, last in runs
            ),
        )

    def fits(self, label: str) -> bool:
        """Whether a label fits the piece; where something is marked, all that is marked."""
        every = map(str.strip, _NAMED.findall(label))
        named = {one.lower() if WORD.fullmatch(one) else one for one in every}
        return all(any(named & what for what in run) for run in self.marked or (self.terms,))

    @property
    def features(self) -> frozenset[str]:
        """All that is marked, in one."""
        return frozenset().union(*(what for run in self.marked for what in run))


def _terms(text: str) -> Iterator[tuple[int, int, frozenset[str]]]:
    """Begin and end of each word or sign, and what it is."""
    words: list[str] = []
    for found in _TERM.finditer(text):
        begin, end = found.span()
        is_word = WORD.fullmatch(found[0]) is not None
        if is_word:
            words.append(found[0])
        before = text[:begin]
        token = found[0] if before and not before[-1].isspace() else f" {found[0]}"
        itself = {found[0].lower()} if is_word else set()
        yield begin, end, frozenset(itself | kinds(token, before, words[-_READ:]).keys())


def label_and_pieces(asked: str) -> tuple[str, list[str]]:
    """Label and pieces of a question of `explorer.label_questions`, as it is sent; no label: ""."""
    first = asked.partition("\n")[0]
    label = first.removeprefix(_DESCRIPTION) if first.startswith(_DESCRIPTION) else ""
    return label, re.findall(r"^\d+: (.*)$", asked, re.MULTILINE)


def keyword(asked: str) -> str:
    """The answer to a question of `explorer.label_questions`, as it is sent."""
    label, shown = label_and_pieces(asked)
    pieces = [Piece.of(one) for one in shown]
    if label:
        return str([int(one.fits(label)) for one in pieces])
    in_common = [
        sum(len(one.features & other.features) for other in pieces if other is not one)
        for one in pieces
    ]
    return str(in_common.index(min(in_common)))
