"""What an edit did, in words: what the model itself says, and where only a candidate leads.

"Tokyo now speaks French" is said where French is what the model itself would write. Where French
leads no more than the candidate answers, the sentence says that, and what the model would write.
"""

from collections.abc import Sequence
from math import exp

from metasae.steering.certainty import percent
from metasae.steering.own_words import OwnWord
from metasae.steering.questions import CUSTOM, Question, Subject

_CLAUSES = {
    "country": ("is in {}", "stays in {}"),
    "language": ("speaks {}", "still speaks {}"),
    "continent": ("lies in {}", "stays in {}"),
    "currency": ("pays with the {}", "still pays with the {}"),
}

_MOST_NAMED = 4
"""Candidates that a sentence names; of more it says how many there are."""


def told(
    source: Subject,
    questions: Sequence[Question],
    leads: tuple[Sequence[int], Sequence[int]],
    words: tuple[Sequence[OwnWord], Sequence[OwnWord]],
) -> tuple[str, ...]:
    """What an edit did to the answers about somebody: sentences, those of what it moved first.

    Args:
        leads: place among each question's answers of the one that leads, unedited and edited.
        words: what the model itself goes on with, likewise.
    """
    rows = list(zip(questions, *leads, *words, strict=True))
    same = all(
        old == new and (was.text, was.answer) == (now.text, now.answer)
        for _, old, new, was, now in rows
    )
    facts: _Said | _Answered = _Said(source.label)
    if not _has_facts(source):
        facts = _Answered(_about(source, questions), "nothing changes: ")
    yours = _Answered("to your question, ", "")
    among = []
    for question, old, new, was, now in rows:
        answer = question.answers[new].text
        if now.answer and now.text == answer:
            said = facts if question.attribute in _CLAUSES else yours
            kept = was.answer and was.text == answer
            said.add(question.attribute, answer, kept=kept, led=old == new)
        else:
            line = _among(question, answer, now, "" if same else _adverb(old == new))
            among.append((old == new, line))
    # What moved comes before what stays.
    among.sort(key=lambda one: one[0])
    lines = [line for _, line in among]
    sentences = [facts.sentence(same), yours.sentence(same), *lines, facts.confirmed]
    return tuple(sentence for sentence in sentences if sentence)


def _has_facts(source: Subject) -> bool:
    """Whether answers about it may stand in a sentence as if they were facts."""
    return source.name is not None and source.facts


def _about(source: Subject, questions: Sequence[Question]) -> str:
    """What the questions are about, as the beginning of a sentence."""
    if all(question.attribute == CUSTOM for question in questions):
        return ""
    return f"asked about {source.in_prompts}, "


def _adverb(same: bool) -> str:
    return "still " if same else "now "


class _Said:
    """Answers of the model's own about a name whose facts are known, as one sentence."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.now: list[str] = []
        self.still: list[str] = []
        self.plain: list[str] = []
        self.led: list[str] = []

    def add(self, attribute: str, answer: str, kept: bool, led: bool) -> None:
        """An answer the model itself would say.

        Args:
            kept: whether it would have, unedited.
            led: whether it led the candidates unedited.
        """
        plain, still = (clause.format(answer) for clause in _CLAUSES[attribute])
        self.plain.append(plain)
        if kept:
            self.still.append(still)
        else:
            (self.led if led else self.now).append(plain)

    @property
    def confirmed(self) -> str:
        """That what led before is now what the model itself says; empty where nothing is."""
        if not self.led:
            return ""
        return f"That {self.name} {_joined(self.led)} the model itself says now, and not unedited."

    def sentence(self, same: bool) -> str:
        """All of them; empty where there is nothing to say.

        Args:
            same: whether the edit changed nothing at all.
        """
        if same:
            beside = f": it {_joined(self.plain)}" if self.plain else ""
            return f"{self.name} is unchanged{beside}."
        if not self.now:
            return f"{self.name} {_joined(self.still)}." if self.still else ""
        text = f"{self.name} now {_joined(self.now)}".replace("now is ", "is now ", 1)
        return f"{text}; it {_joined(self.still)}." if self.still else f"{text}."


class _Answered:
    """Answers of the model's own that are nobody's facts, as one sentence.

    Args:
        asked: what they answer, as the beginning of a sentence.
        unchanged: what comes before it where the edit changed nothing at all.
    """

    def __init__(self, asked: str, unchanged: str) -> None:
        self.asked, self.unchanged = asked, unchanged
        self.now: list[str] = []
        self.still: list[str] = []

    confirmed = ""

    def add(self, attribute: str, answer: str, kept: bool, led: bool) -> None:
        """See `_Said.add`."""
        (self.still if kept else self.now).append(answer)

    def sentence(self, same: bool) -> str:
        """See `_Said.sentence`."""
        if not (self.now or self.still):
            return ""
        if same:
            return _begun(f"{self.unchanged}{self.asked}the model answers {listed(self.still)}.")
        if not self.now:
            return _begun(f"{self.asked}the model still answers {listed(self.still)}.")
        text = _begun(f"{self.asked}the model now answers {listed(self.now)}")
        return f"{text}; it still answers {listed(self.still)}." if self.still else f"{text}."


def _begun(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _among(question: Question, leads: str, word: OwnWord, adverb: str) -> str:
    """That an answer leads the candidates alone, and what the model would say."""
    # Of a word that is no answer only the beginning is known.
    said = word.text if word.answer else f"{word.text}…"
    itself = f"the model itself would say “{said}” ({percent(exp(word.logprob))})"
    count = len(question.answers)
    if count == 1:
        return f"{_begun(itself)}, not {leads}."
    named = listed([one.text for one in question.answers])
    candidates = named if count <= _MOST_NAMED else f"the {count} candidates"
    return f"Of {candidates}, {leads} {adverb}leads; {itself}."


def _joined(clauses: Sequence[str]) -> str:
    """Clauses as a sentence lists them; a verb that repeats is said once."""
    shorter: list[str] = []
    for clause in clauses:
        if shorter and clause.startswith("stays ") and shorter[-1].startswith("stays "):
            clause = clause.removeprefix("stays ")
        shorter.append(clause)
    return listed(shorter)


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
