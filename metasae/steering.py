"""What an edit does to the model's answers: questions about a source, scored before and after.

A `Case` is a source, a target and some questions; it computes once whatever no edit can change, and
then scores any number of edits. Log-probabilities are in nats; an answer's is the sum over its
tokens, each given those before it.

Shapes: N edits, R rows of tokens (one a question), T tail positions, P of them read, W answer
tokens, S source latents, D = d_model, A answers.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.activations import not_massive
from metasae.blocks import Blocks
from metasae.decomposition import Decomposition
from metasae.edits import Compiled, Edit, Firing, Pair, Piece
from metasae.errors import UserError
from metasae.families import LibraryBlocks
from metasae.locate import name_position
from metasae.model import LanguageModel, Prefilled
from metasae.trees import TokenTree, grow

TOP_TOKENS = 5

_ROWS_UNEMBEDDED = 128
"""Rows whose logits are held together: few enough that their memory is used again."""


@dataclass(frozen=True)
class Subject:
    """What is edited, or edited towards: some latents, usually a city's.

    Attributes:
        label: how it is called on screen.
        city: the city's name, or None for latents chosen by number.
        latents: their indices.
        activations: their mean activations on the subject's own prompts.
    """

    label: str
    city: str | None
    latents: tuple[int, ...]
    activations: tuple[float, ...]


@dataclass(frozen=True)
class Answer:
    """A candidate answer, without the leading space, and whose it is."""

    city: str
    text: str


@dataclass(frozen=True)
class Question:
    """A prompt and its candidate answers."""

    attribute: str
    prompt: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Provenance:
    """What a number came from; travels with every export."""

    preset: str
    model: str
    hook: str
    sae: str
    meta_sae: str
    version: str


@dataclass(frozen=True)
class _Row:
    """One question's prompt and answers as tokens.

    Attributes:
        read: for each answer, the places after which its tokens are predicted.
        tokens: for each answer, those tokens.
    """

    tree: TokenTree
    prompt: int
    read: list[tuple[int, ...]]
    tokens: list[list[int]]


class Case:
    """A source, a target and questions, ready to be edited.

    Args:
        median_norm: of the residual stream at the hook; massive activations are left untouched.

    Raises:
        UserError: for a latent out of range, a prompt that lacks the source's name, a question
            without answers, or an answer that tokenises to nothing.
    """

    def __init__(
        self,
        model: LanguageModel,
        decomposition: Decomposition,
        source: Subject,
        target: Subject,
        questions: Sequence[Question],
        median_norm: float,
        provenance: Provenance,
    ) -> None:
        self.provenance = provenance
        self.model, self.decomposition = model, decomposition
        self.source, self.target = source, target
        self.questions = tuple(questions)
        self.median_norm = median_norm
        for latent in (*source.latents, *target.latents):
            decomposition.check(latent)
        self._rows = [self._row(question) for question in self.questions]

    def _row(self, question: Question) -> _Row:
        prompt = self.model.prompt_tokens(question.prompt)
        if len(prompt) < 2:
            raise UserError("The prompt is empty; write one that mentions what is edited.")
        if not question.answers:
            raise UserError(f'The prompt "{question.prompt}" has no answers; give at least one.')
        continuations = []
        for answer in question.answers:
            tokens = self.model.encode(" " + answer.text) if answer.text.strip() else []
            if not tokens:
                raise UserError(
                    f'The answer "{answer.text}" tokenises to nothing; give a word or two.'
                )
            continuations.append(tokens)
        tree, read = grow(prompt, continuations)
        return _Row(tree, len(prompt), read, continuations)

    @cached_property
    def pair(self) -> Pair:
        """The directions this source and target can make."""
        return Pair(
            self.decomposition, self.source.latents, self.target.latents, self.target.activations
        )

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The meta-latents of both sides, strongest first."""
        return self.pair.pieces

    @cached_property
    def _edit_position(self) -> tuple[int, ...]:
        """Per question, where an edit at "last" acts."""
        return tuple(self.edit_position(question.prompt) for question in self.questions)

    def edit_position(self, prompt: str) -> int:
        """Position in a prompt (start token counted) where an edit at "last" acts.

        Raises:
            UserError: when the prompt lacks the source's name.
        """
        if self.source.city is not None:
            return name_position(self.model, prompt, self.source.city)
        tokens = torch.tensor([self.model.prompt_tokens(prompt)])
        firing = self.firing(self.model.residual(tokens)[0])
        strength = firing.source.sum(1)
        strength[0] = -1.0
        return int(strength.argmax())

    def firing(self, resid: Float[Tensor, "T D"]) -> Firing:
        """How the source's and target's latents fire on some residuals."""
        sae = self.decomposition.sae
        acts = sae.encode(resid)
        return Firing(
            source=acts[:, list(self.source.latents)],
            target=acts[:, list(self.target.latents)],
            error=resid - sae.decode(acts),
        )

    def _prepare(self, position: str) -> "Prepared":
        first = [1] * len(self._rows) if position == "all" else list(self._edit_position)
        prefilled = self.model.prefill([row.tree for row in self._rows], first)
        rows, tail, width = prefilled.resid.shape
        firing = self.firing(prefilled.resid.reshape(rows * tail, width))
        touched = not_massive(prefilled.resid.norm(dim=-1), self.median_norm)
        touched &= prefilled.first[:, None] + torch.arange(tail) < prefilled.lengths[:, None]
        if position == "last":
            touched[:, 1:] = False
        parts = []
        for number, row in enumerate(self._rows):
            length = int(prefilled.lengths[number] - prefilled.first[number])
            inside = slice(number * tail, number * tail + length)
            places = [place - first[number] for read in row.read for place in read]
            unique = sorted(set(places))
            parts.append(
                Part(
                    prefilled=prefilled.row(number),
                    firing=Firing(
                        firing.source[inside], firing.target[inside], firing.error[inside]
                    ),
                    touched=touched[number, :length],
                    only=torch.tensor(unique),
                    which=torch.tensor([unique.index(place) for place in places]),
                    token=torch.tensor([token for tokens in row.tokens for token in tokens]),
                    answer=torch.tensor([n for n, read in enumerate(row.read) for _ in read]),
                )
            )
        return Prepared(prefilled, firing, touched, tuple(parts))

    @cached_property
    def _last(self) -> "Prepared":
        return self._prepare("last")

    @cached_property
    def _all(self) -> "Prepared":
        return self._prepare("all")

    def prepared(self, edit: Edit) -> "Prepared":
        """What no edit at this edit's positions can change; computed on first use."""
        return self._all if edit.position == "all" else self._last

    def compiled(self, edit: Edit) -> Compiled:
        """The edit's change of the residual stream, for this source and target."""
        return self.pair.compiled(edit)

    @cached_property
    def _baseline_hidden(self) -> Float[Tensor, "R T D"]:
        return self._last.prefilled.final

    @cached_property
    def baseline(self) -> Float[Tensor, " A"]:
        """The unedited model's log-probability of every answer, in the questions' order."""
        return self._last.answer_logprobs(self._baseline_hidden)

    def without(self, latents: Sequence[int]) -> Float[Tensor, "N A"]:
        """The answers' log-probabilities with each of some source latents set to 0 on the name."""
        sae = self.decomposition.sae
        change = torch.zeros(len(latents), len(self.source.latents), sae.d_in)
        for number, latent in enumerate(latents):
            change[number, self.source.latents.index(latent)] = -sae.W_dec[latent]
        return torch.cat([part.logprobs(change) for part in self._last.parts], dim=1)

    def _hidden(self, prepared: "Prepared", compiled: Compiled) -> Float[Tensor, "R T D"]:
        """Hidden states after the last block, under one edit."""
        resid = prepared.prefilled.resid
        change = compiled.change(prepared.firing).view(resid.shape)
        return prepared.prefilled.finish(resid + change * prepared.touched[..., None])

    def score(self, edit: Edit) -> "Outcome":
        """Score one edit.

        Raises:
            UserError: when the edit does not fit this source and target.
        """
        prepared = self.prepared(edit)
        hidden = prepared.prefilled.final
        if not edit.changes_nothing:
            hidden = self._hidden(prepared, self.compiled(edit))
        return Outcome(
            case=self,
            edit=edit,
            logprobs=prepared.answer_logprobs(hidden),
            _before=self._top(self._last, self._baseline_hidden),
            _after=self._top(prepared, hidden),
        )

    def _top(
        self, prepared: "Prepared", hidden: Float[Tensor, "R T D"]
    ) -> list[list[tuple[str, float]]]:
        """Per question the likeliest next tokens with their log-probabilities."""
        top = self._next_logprobs(prepared, hidden).topk(TOP_TOKENS)
        return [
            [(self.model.decode(t), v) for t, v in zip(tokens, values, strict=True)]
            for tokens, values in zip(top.indices.tolist(), top.values.tolist(), strict=True)
        ]

    def _next_logprobs(
        self, prepared: "Prepared", hidden: Float[Tensor, "R T D"]
    ) -> Float[Tensor, "Q V"]:
        rows = torch.arange(len(self._rows))
        at = torch.tensor([row.prompt - 1 for row in self._rows]) - prepared.prefilled.first
        return prepared.prefilled.blocks.unembed(hidden[rows, at]).log_softmax(-1)

    @cached_property
    def next_logprobs(self) -> Float[Tensor, "Q V"]:
        """The unedited model's log-probability of every next token after each prompt."""
        return self._next_logprobs(self._last, self._baseline_hidden)

    def continuation(
        self,
        edit: Edit | None,
        prompt: str,
        new_tokens: int = 30,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> str:
        """What the model writes after a prompt, with the edit made in it (None: unedited).

        An edit at "last" acts on the source's name in the prompt; at "all" also on what is
        written.

        Raises:
            UserError: when the prompt lacks the source's name.
        """
        if edit is None or edit.changes_nothing:
            return self.model.generate(prompt, new_tokens, None, temperature, seed)
        compiled = self.compiled(edit)
        only = self.edit_position(prompt) if edit.position == "last" else None

        def write(resid: Float[Tensor, "B T D"], start: int) -> Float[Tensor, "B T D"]:
            positions = torch.arange(start, start + resid.shape[1])
            touched = positions == only if only is not None else positions > 0
            touched = touched & not_massive(resid[0].norm(dim=-1), self.median_norm)
            if not touched.any():
                return resid
            return resid + compiled.change(self.firing(resid[0])) * touched[:, None]

        return self.model.generate(prompt, new_tokens, write, temperature, seed)


@dataclass(frozen=True)
class Part:
    """One question's row, run as far as no edit reaches, and where its answers are read.

    Attributes:
        touched: tail positions an edit changes.
        only: tail positions after which answer tokens are predicted.
        which, token, answer: of every answer token, its place in ``only``, its id, whose it is.
    """

    prefilled: Prefilled
    firing: Firing
    touched: Bool[Tensor, " T"]
    only: Int[Tensor, " P"]
    which: Int[Tensor, " W"]
    token: Int[Tensor, " W"]
    answer: Int[Tensor, " W"]

    @property
    def count(self) -> int:
        """Number of answers."""
        return int(self.answer.max()) + 1

    def to(self, blocks: Blocks | LibraryBlocks) -> "Part":
        """The same, run by other blocks."""
        return replace(self, prefilled=self.prefilled.row(0, blocks))

    def logprobs(
        self, from_source: Float[Tensor, "N S D"], drop_error: bool = False
    ) -> Float[Tensor, "N A"]:
        """Log-probability of every answer when the source latents' directions change.

        Args:
            from_source: what each unit of a source latent's activation adds.
            drop_error: whether the SAE's error goes as well.
        """
        resid = self.prefilled.resid
        firing = self.firing.source * self.touched[:, None]
        change = torch.einsum("ts,nsd->ntd", firing, from_source)
        if drop_error:
            change = change - self.firing.error * self.touched[:, None]
        return self.read(self.prefilled.finish(resid + change, only=self.only))

    def read(self, hidden: Float[Tensor, "N P D"]) -> Float[Tensor, "N A"]:
        """Sum over each answer's tokens, from hidden states at ``only``."""
        with torch.inference_mode():
            picked = torch.cat([self._picked(rows) for rows in hidden.split(_ROWS_UNEMBEDDED)])
            return torch.zeros(len(hidden), self.count).index_add_(1, self.answer, picked)

    def _picked(self, hidden: Float[Tensor, "N P D"]) -> Float[Tensor, "N W"]:
        """Log-probability of every answer token."""
        logits = self.prefilled.blocks.unembed(hidden)
        picked = logits[:, self.which, self.token].float()
        # In place: the logits of a vocabulary are the largest tensor there is, and a second one
        # costs more than the sum.
        largest = logits.amax(-1, keepdim=True)
        total = logits.sub_(largest).exp_().sum(-1, dtype=torch.float32).log()
        return picked - (total + largest[..., 0].float())[:, self.which]


@dataclass(frozen=True)
class Prepared:
    """A case's rows, run as far as no edit reaches: padded together, and each by itself."""

    prefilled: Prefilled
    firing: Firing
    touched: Bool[Tensor, "R T"]
    parts: tuple[Part, ...]

    def answer_logprobs(self, hidden: Float[Tensor, "R T D"]) -> Float[Tensor, " A"]:
        """Every answer's, in the questions' order."""
        rows = zip(hidden, self.parts, strict=True)
        return torch.cat([part.read(row[None, part.only])[0] for row, part in rows])


@dataclass(frozen=True)
class Outcome:
    """A case under one edit, beside the unedited model."""

    case: Case
    edit: Edit
    logprobs: Float[Tensor, " A"]
    _before: list[list[tuple[str, float]]]
    _after: list[list[tuple[str, float]]]

    @cached_property
    def answers(self) -> pd.DataFrame:
        """One row per question and answer.

        Columns: attribute, prompt, city, answer, baseline, logprob, change (nats), best_before
        and best_after (whether it is the likeliest of the question's answers).
        """
        rows = []
        place = 0
        for question in self.case.questions:
            count = len(question.answers)
            before = self.case.baseline[place : place + count].tolist()
            after = self.logprobs[place : place + count].tolist()
            place += count
            for index, answer in enumerate(question.answers):
                rows.append(
                    {
                        "attribute": question.attribute,
                        "prompt": question.prompt,
                        "city": answer.city,
                        "answer": answer.text,
                        "baseline": before[index],
                        "logprob": after[index],
                        "change": after[index] - before[index],
                        "best_before": before[index] == max(before),
                        "best_after": after[index] == max(after),
                    }
                )
        return pd.DataFrame(rows)

    @cached_property
    def top_tokens(self) -> pd.DataFrame:
        """The model's likeliest next tokens: attribute, prompt, state, rank, token, logprob."""
        return pd.DataFrame(
            {
                "attribute": question.attribute,
                "prompt": question.prompt,
                "state": state,
                "rank": rank + 1,
                "token": token,
                "logprob": value,
            }
            for state, tops in (("before", self._before), ("after", self._after))
            for question, top in zip(self.case.questions, tops, strict=True)
            for rank, (token, value) in enumerate(top)
        )

    def _picks(self, column: str) -> dict[str, pd.Series]:
        best = self.answers[self.answers[column]].drop_duplicates("attribute")
        return {row["attribute"]: row for _, row in best.iterrows()}

    @cached_property
    def moved(self) -> dict[str, bool]:
        """Per attribute whether the likeliest candidate is now the target's and was not before."""
        target = self.case.target.label
        before, after = self._picks("best_before"), self._picks("best_after")
        return {
            attribute: target in after[attribute]["city"].split(", ")
            and target not in before[attribute]["city"].split(", ")
            for attribute in after
        }

    @cached_property
    def sentence(self) -> str:
        """What the edit did, in words."""
        name = self.case.source.label
        before, after = self._picks("best_before"), self._picks("best_after")
        now: list[str] = []
        still: list[str] = []
        for attribute, pick in after.items():
            changed = pick["answer"] != before[attribute]["answer"]
            (now if changed else still).append(_clause(attribute, pick["answer"], not changed))
        if not now:
            same = [_clause(attribute, pick["answer"], False) for attribute, pick in after.items()]
            return f"{name} is unchanged: it {_listed(same)}."
        text = f"{name} now {_listed(now)}".replace("now is ", "is now ", 1)
        return f"{text}; it {_listed(still)}." if still else f"{text}."

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values: the numbers, the edit, and what they came from."""
        case = self.case
        attributes = [
            {
                "attribute": attribute,
                "prompt": rows["prompt"].iloc[0],
                "answers": rows[["city", "answer", "logprob", "baseline"]].to_dict("records"),
                "moved": self.moved[str(attribute)],
            }
            for attribute, rows in self.answers.groupby("attribute", sort=False)
        ]
        return {
            "attributes": attributes,
            "sentence": self.sentence,
            "source": {"label": case.source.label, "latents": list(case.source.latents)},
            "target": {"label": case.target.label, "latents": list(case.target.latents)},
            "edit": self.edit.to_dict(),
            "units": "nats (natural logarithm); an answer's is the sum over its tokens",
            **asdict(case.provenance),
        }

    def snippet(self) -> str:
        """Python that reproduces the numbers through the library."""
        source, target = self.case.source, self.case.target
        return (
            "from metasae.edits import Edit\n"
            "from metasae.lab import open_lab\n"
            "from metasae.steering import Answer, Question\n\n"
            "lab = open_lab()\n"
            f"source = lab.subject({source.label!r}{_override(source)})\n"
            f"target = lab.subject({target.label!r}{_override(target)})\n"
            f"questions = {_lines(self.case.questions)}\n"
            f"edit = {self.edit!r}\n"
            "print(lab.case(source, target, questions).score(edit).answers)\n"
        )


def _override(subject: Subject) -> str:
    return "" if subject.city is None else f", latents={subject.latents!r}"


def _lines(values: Sequence[object]) -> str:
    return "[\n" + "".join(f"    {value!r},\n" for value in values) + "]"


_CLAUSES = {
    "country": ("is in {}", "stays in {}"),
    "language": ("speaks {}", "still speaks {}"),
    "continent": ("lies in {}", "stays in {}"),
    "currency": ("pays with the {}", "still pays with the {}"),
}


def _clause(attribute: str, answer: str, kept: bool) -> str:
    now, still = _CLAUSES.get(attribute, ("is answered with “{}”", "is still answered with “{}”"))
    return (still if kept else now).format(answer)


def _listed(clauses: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``; a verb that repeats is said once."""
    shorter: list[str] = []
    for clause in clauses:
        if shorter and clause.startswith("stays ") and shorter[-1].startswith("stays "):
            clause = clause.removeprefix("stays ")
        shorter.append(clause)
    return " and ".join([", ".join(shorter[:-1]), shorter[-1]] if len(shorter) > 1 else shorter)
