"""How an outcome is cited: where it is found again, what it came from, Python that checks it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from metasae.steering.conditions import ALWAYS
from metasae.steering.outcome import Outcome
from metasae.steering.provenance import Weights
from metasae.steering.questions import Subject
from metasae.version import RELEASED

TOLERANCE = 1e-3
"""Nats by which a number may differ from the cited one: other processors add in another order."""

POST = """\
@misc{bussmann2024metasaes,
  author       = {Bussmann, Bart and Pearce, Michael and Leask, Patrick and Bloom, Joseph and
                  Sharkey, Lee and Nanda, Neel},
  title        = {Showing {SAE} Latents Are Not Atomic Using Meta-{SAEs}},
  howpublished = {LessWrong},
  year         = {2024},
  url          = {https://www.lesswrong.com/posts/TMAmHh4DdMr4nCSr5/showing-sae-latents-are-not-atomic-using-meta-saes}
}"""
"""The post whose method this is, in BibTeX."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
"""BibTeX's own names of the months."""


@dataclass(frozen=True)
class Citation:
    """An outcome as it is cited.

    Attributes:
        weights: what it was computed with.
        link: where it is found again.
    """

    outcome: Outcome
    weights: Weights
    link: str

    @property
    def bibtex(self) -> str:
        """This software in its version, with the weights in a note, and the post; two entries."""
        made, weights = self.outcome.provenance, self.weights
        released = date.fromisoformat(RELEASED)
        note = (
            f"Software, version {made.version} of {RELEASED}. Weights by SHA-256: "
            f"{made.model} {weights.model}, {made.sae.rpartition('@')[0]} {weights.sae}, "
            f"{made.meta_sae.rpartition('@')[0]} {weights.meta_sae}"
        )
        return (
            "@misc{metasae_workbench,\n"
            "  author = {{The meta-SAE workbench authors}},\n"
            "  title  = {Meta-{SAE} workbench},\n"
            f"  year   = {{{released.year}}},\n"
            f"  month  = {_MONTHS[released.month - 1]},\n"
            f"  note   = {{{_in_bibtex(note)}}}\n"
            f"}}\n\n{POST}"
        )

    @property
    def prompts(self) -> dict[str, str]:
        """What was asked, by attribute."""
        return {question.attribute: question.prompt for question in self.outcome.questions}

    @property
    def snippet(self) -> str:
        """Python that opens the same weights, makes the edit, prints the table, and ends with an
        error where a hash or a number differs from the cited one."""
        outcome, made = self.outcome, self.outcome.provenance
        numbers = [
            (question.attribute, answer.text, round(before, 6), round(after, 6))
            for (question, answer), before, after in zip(
                outcome.questions.answers,
                outcome.baseline.tolist(),
                outcome.logprobs.tolist(),
                strict=True,
            )
        ]
        condition = ""
        if outcome.edit.options.when != ALWAYS:
            condition = "\nfrom metasae.steering.conditions import Condition"
        return f"""\
# {" ".join(outcome.sentence.split())}
# Repeats and checks its numbers; written by metasae {made.version}.
from metasae import find_preset, open_lab{condition}
from metasae.steering.edits import EditOptions, {type(outcome.edit).__name__}
from metasae.steering.provenance import Weights
from metasae.steering.questions import Answer, Question

lab = open_lab(find_preset({made.preset!r}))
cited = Weights(  # SHA-256 of the files
    model={self.weights.model!r},
    sae={self.weights.sae!r},
    meta_sae={self.weights.meta_sae!r},
)
assert lab.weights == cited, f"other weights are open: {{lab.weights}}"

source = lab.subject({outcome.source.label!r}{_override(outcome.source)})
target = lab.subject({outcome.target.label!r}{_override(outcome.target)})
questions = {_lines(outcome.questions)}
edit = {outcome.edit!r}
answers = lab.experiment(source, target, questions).apply(edit).answers
print(answers.to_string())

# Attribute, answer, log-probability before and after the edit, in nats.
numbers = {_lines(numbers)}
for row, number in zip(answers.to_dict("records"), numbers, strict=True):
    attribute, answer, before, after = number
    assert (row["attribute"], row["answer"]) == (attribute, answer), f"{{row}} is not {{number}}"
    assert abs(row["baseline"] - before) < {TOLERANCE}, f"{{row}} is not {{number}}"
    assert abs(row["logprob"] - after) < {TOLERANCE}, f"{{row}} is not {{number}}"
print(f"All {{2 * len(numbers)}} numbers are the cited ones, to {TOLERANCE} nats.")
"""

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {
            "link": self.link,
            "weights_sha256": asdict(self.weights),
            "released": RELEASED,
            "prompts": self.prompts,
            "bibtex": self.bibtex,
            "python": self.snippet,
        }

    def text(self) -> str:
        """The same in lines to read."""
        made, weights = self.outcome.provenance, self.weights
        return "\n".join(
            [
                self.link,
                "",
                f"metasae {made.version} of {RELEASED}; SHA-256 of the weights:",
                f"  model     {weights.model}  {made.model}",
                f"  SAE       {weights.sae}  {made.sae.rpartition('@')[0]}",
                f"  meta-SAE  {weights.meta_sae}  {made.meta_sae.rpartition('@')[0]}",
                "",
                *(f"{attribute}: {prompt} …" for attribute, prompt in self.prompts.items()),
                "",
                self.bibtex,
                "",
                self.snippet,
            ]
        )


def _override(subject: Subject) -> str:
    return "" if subject.name is None else f", latents={subject.latents!r}"


def _lines(values: Sequence[object]) -> str:
    return "[\n" + "".join(f"    {value!r},\n" for value in values) + "]"


def _in_bibtex(text: str) -> str:
    """Text in which nothing is a command of BibTeX's or LaTeX's."""
    return "".join(f"\\{letter}" if letter in "#$%&_{}" else letter for letter in text)
