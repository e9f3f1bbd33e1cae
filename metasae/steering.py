"""What an edit does to the model's answers: questions about a source, scored before and after.

A `Case` is a source, a target and some questions; it computes once whatever no edit can change, and
then scores any number of edits. Log-probabilities are in nats; an answer's is the sum over its
tokens, each given those before it.

Shapes: N edits, Q questions, T tail positions of all prompts together, P of them read, W answer
tokens, S source latents, D = d_model, A answers, V vocabulary.
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
from metasae.trees import Stem, grow

TOP_TOKENS = 5

_UNEMBEDDED = 192
"""Places whose logits are held together: few enough that their memory is used again."""


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
        self._stems = [self._stem(question) for question in self.questions]

    def _stem(self, question: Question) -> Stem:
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
        return Stem(prompt, continuations)

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
        stems = self._stems
        if position == "last":
            at = [self.edit_position(question.prompt) for question in self.questions]
            stems = [replace(s, marked=place) for s, place in zip(stems, at, strict=True)]
        # All prompts and answers as one row: what they begin with alike is computed once, and they
        # go through the blocks together.
        tree, grown = grow(stems)
        edited = list(range(1, len(tree)))
        if position == "last":
            edited = sorted({one.path[place] for one, place in zip(grown, at, strict=True)})
        prefilled = self.model.prefill([tree], [edited])
        resid = prefilled.resid[0]
        places = prefilled.slots[0].tolist()
        slot = {place: number for number, place in enumerate(places)}
        touched = not_massive(resid.norm(dim=-1), self.median_norm)
        touched &= torch.isin(prefilled.slots[0], torch.tensor(edited))
        reads = [[slot[place] for place in read] for one in grown for read in one.read]
        only = sorted({place for read in reads for place in read})
        index = {place: number for number, place in enumerate(only)}
        tokens = [tokens for stem in stems for tokens in stem.continuations]
        return Prepared(
            prefilled=prefilled,
            firing=self.firing(resid),
            touched=touched,
            only=torch.tensor(only),
            which=torch.tensor([index[place] for read in reads for place in read]),
            token=torch.tensor([token for answer in tokens for token in answer]),
            answer=torch.tensor([n for n, read in enumerate(reads) for _ in read]),
            ends=torch.tensor([index[slot[one.path[-1]]] for one in grown]),
            seen=torch.stack(
                [
                    torch.isin(prefilled.slots[0], torch.tensor([*one.path, *sum(one.read, ())]))
                    for one in grown
                ]
            ),
        )

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
    def _baseline_next(self) -> Float[Tensor, "P V"]:
        prepared = self._last
        return prepared.next_logprobs(prepared.prefilled.final[0, prepared.only])

    @cached_property
    def baseline(self) -> Float[Tensor, " A"]:
        """The unedited model's log-probability of every answer, in the questions' order."""
        return self._last.answers(self._baseline_next)

    @cached_property
    def next_logprobs(self) -> Float[Tensor, "Q V"]:
        """The unedited model's log-probability of every next token after each prompt."""
        return self._baseline_next[self._last.ends]

    def without(self, latents: Sequence[int]) -> Float[Tensor, "N A"]:
        """The answers' log-probabilities with each of some source latents set to 0 on the name."""
        sae = self.decomposition.sae
        change = torch.zeros(len(latents), len(self.source.latents), sae.d_in)
        for number, latent in enumerate(latents):
            change[number, self.source.latents.index(latent)] = -sae.W_dec[latent]
        return self._last.logprobs(change)

    def score(self, edit: Edit) -> "Outcome":
        """Score one edit.

        Raises:
            UserError: when the edit does not fit this source and target.
        """
        prepared, after = self._last, self._baseline_next
        if not edit.changes_nothing:
            prepared = self.prepared(edit)
            change = self.compiled(edit).change(prepared.firing) * prepared.touched[:, None]
            resid = prepared.prefilled.resid + change
            hidden = prepared.prefilled.finish(resid, only=prepared.only)
            after = prepared.next_logprobs(hidden[0])
        return Outcome(
            case=self,
            edit=edit,
            logprobs=prepared.answers(after),
            _before=self._top_before,
            _after=self._top(after[prepared.ends]),
        )

    @cached_property
    def _top_before(self) -> list[list[tuple[str, float]]]:
        return self._top(self.next_logprobs)

    def _top(self, logprobs: Float[Tensor, "Q V"]) -> list[list[tuple[str, float]]]:
        """Per question the likeliest next tokens with their log-probabilities."""
        top = logprobs.topk(TOP_TOKENS)
        return [
            [(self.model.decode(t), v) for t, v in zip(tokens, values, strict=True)]
            for tokens, values in zip(top.indices.tolist(), top.values.tolist(), strict=True)
        ]

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
class Prepared:
    """A case's prompts and answers, run as far as no edit reaches, and where answers are read.

    Attributes:
        touched: tail positions an edit changes.
        only: tail positions after which something is predicted.
        which, token, answer: of every answer token, its place in ``only``, its id, whose it is.
        ends: of every question, the place in ``only`` of its prompt's last token.
        seen: which tail positions a question's prompt and answers consist of.
    """

    prefilled: Prefilled
    firing: Firing
    touched: Bool[Tensor, " T"]
    only: Int[Tensor, " P"]
    which: Int[Tensor, " W"]
    token: Int[Tensor, " W"]
    answer: Int[Tensor, " W"]
    ends: Int[Tensor, " Q"]
    seen: Bool[Tensor, "Q T"]

    @property
    def count(self) -> int:
        """Number of answers."""
        return int(self.answer.max()) + 1

    def to(self, blocks: Blocks | LibraryBlocks) -> "Prepared":
        """The same, run by other blocks."""
        return replace(self, prefilled=self.prefilled.to(blocks))

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
            some = max(1, _UNEMBEDDED // hidden.shape[1])
            picked = torch.cat([self._picked(rows) for rows in hidden.split(some)])
            return torch.zeros(len(hidden), self.count).index_add_(1, self.answer, picked)

    def _picked(self, hidden: Float[Tensor, "N P D"]) -> Float[Tensor, "N W"]:
        """Log-probability of every answer token."""
        logits = self.prefilled.blocks.unembed(hidden)
        picked = logits[:, self.which, self.token].float()
        # In place: the logits of a vocabulary are the largest tensor there is, and a second one
        # costs more than the sum.
        largest = logits.amax(-1, keepdim=True)
        total = logits.sub_(largest).exp_().sum(-1).float().log()
        return picked - (total + largest[..., 0].float())[:, self.which]

    def next_logprobs(self, hidden: Float[Tensor, "P D"]) -> Float[Tensor, "P V"]:
        """Log-probability of every next token, from one edit's hidden states at ``only``."""
        return self.prefilled.blocks.unembed(hidden).log_softmax(-1)

    def answers(self, next_logprobs: Float[Tensor, "P V"]) -> Float[Tensor, " A"]:
        """Sum over each answer's tokens, in the questions' order."""
        picked = next_logprobs[self.which, self.token]
        return torch.zeros(self.count).index_add_(0, self.answer, picked)


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
