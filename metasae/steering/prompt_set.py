"""Prompts with their candidate answers, asked of a model: unedited, or with its tails changed.

Log-probabilities are in nats; an answer's is the sum over its tokens, each given those before it.

Shapes: N edits, Q questions, T tail positions of all prompts together, P of them read, W answer
tokens, D = d_model, A answers, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.errors import UserError
from metasae.lm.blocks import Blocks
from metasae.lm.halves import not_massive
from metasae.lm.language_model import LanguageModel
from metasae.lm.next_tokens import NextTokens
from metasae.lm.prefill import Prefilled
from metasae.lm.token_tree import PromptWithContinuations, TokenTree, shared_prefix_tree
from metasae.steering.own_words import OwnTokens
from metasae.steering.questions import Question, Questions


class PromptSet:
    """Questions of a model, tokenised and checked; computes once what no edit can change.

    Raises:
        UserError: for an empty prompt, a question without answers, or an answer that tokenises to
            nothing.
    """

    def __init__(self, model: LanguageModel, questions: Sequence[Question]) -> None:
        self.model = model
        self.questions = Questions(tuple(questions))
        self._stems = [self._stem(question) for question in self.questions]

    def _stem(self, question: Question) -> PromptWithContinuations:
        prompt = self.model.prompt_tokens(question.prompt)
        if len(prompt) < 2:
            raise UserError("The prompt is empty; write one that mentions what is edited.")
        if not question.answers:
            raise UserError(f'The prompt "{question.prompt}" has no answers; give at least one.')
        continuations = []
        for answer in question.answers:
            tokens = self.model.encode(question.gap + answer.text) if answer.text.strip() else []
            if not tokens:
                raise UserError(
                    f'The answer "{answer.text}" tokenises to nothing; give a word or two.'
                )
            continuations.append(tokens)
        return PromptWithContinuations(prompt, continuations)

    @property
    def answer_tokens(self) -> tuple[int, ...]:
        """Number of tokens of every answer, in the questions' order."""
        return tuple(len(tokens) for stem in self._stems for tokens in stem.continuations)

    def prepare(
        self, at: Sequence[int] | None = None, most: Sequence[int] | None = None
    ) -> "PreparedPrompts":
        """Run the prompts and answers as far as no edit reaches.

        Args:
            at: for each question the position in its prompt (start token counted) where an edit
                acts; everywhere but on the start token when left out.
            most: of every answer how many tokens are read at most, from the first on; all when
                left out.
        """
        stems = self._stems
        if most is not None:
            limits = iter(most)
            stems = [
                replace(one, continuations=[tokens[: next(limits)] for tokens in one.continuations])
                for one in stems
            ]
        if at is not None:
            stems = [replace(s, marked=place) for s, place in zip(stems, at, strict=True)]
        # All prompts and answers as one row: what they begin with alike is computed once, and they
        # go through the blocks together.
        tree, grown = shared_prefix_tree(stems)
        edited = list(range(1, len(tree)))
        if at is not None:
            edited = sorted({one.path[place] for one, place in zip(grown, at, strict=True)})
        prefilled = self.model.prefill([tree], [edited])
        places = prefilled.slots[0].tolist()
        slot = {place: number for number, place in enumerate(places)}
        reads = [[slot[place] for place in read] for one in grown for read in one.read]
        only = sorted({place for read in reads for place in read})
        index = {place: number for number, place in enumerate(only)}
        tokens = [tokens for stem in stems for tokens in stem.continuations]
        return PreparedPrompts(
            prefilled=prefilled,
            edited=torch.isin(prefilled.slots[0], torch.tensor(edited)),
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
            tree=tree,
            paths=tuple(one.path for one in grown),
        )

    @cached_property
    def _unedited(self) -> "PreparedPrompts":
        return self.prepare()

    @property
    def baseline(self) -> Float[Tensor, " A"]:
        """See `PreparedPrompts.baseline`."""
        return self._unedited.baseline

    @property
    def next_logprobs(self) -> Float[Tensor, "Q V"]:
        """See `PreparedPrompts.next_after_prompts`."""
        return self._unedited.next_after_prompts

    @property
    def greedy(self) -> Bool[Tensor, " A"]:
        """See `PreparedPrompts.greedy`."""
        return self._unedited.greedy


@dataclass(frozen=True)
class PreparedPrompts:
    """Prompts and answers, run as far as no edit reaches, and where answers are read.

    Attributes:
        edited: tail positions an edit acts at.
        only: tail positions after which something is predicted.
        which, token, answer: of every answer token, its place in ``only``, its id, whose it is.
        ends: of every question, the place in ``only`` of its prompt's last token.
        seen: which tail positions a question's prompt and answers consist of.
        tree: all prompts and answers; a tail position's place in it is its slot.
        paths: of every question, the places in it of its prompt's tokens, the start token first.
    """

    prefilled: Prefilled
    edited: Bool[Tensor, " T"]
    only: Int[Tensor, " P"]
    which: Int[Tensor, " W"]
    token: Int[Tensor, " W"]
    answer: Int[Tensor, " W"]
    ends: Int[Tensor, " Q"]
    seen: Bool[Tensor, "Q T"]
    tree: TokenTree
    paths: tuple[tuple[int, ...], ...]

    @property
    def count(self) -> int:
        """Number of answers."""
        return int(self.answer.max()) + 1

    @property
    def resid(self) -> Float[Tensor, "T D"]:
        """The unedited residual stream at the hook, tail positions."""
        return self.prefilled.resid[0]

    def touched(self, median_norm: float) -> Bool[Tensor, " T"]:
        """Tail positions an edit changes: where it acts and no activation is massive.

        Args:
            median_norm: of the residual stream at the hook.
        """
        return self.edited & not_massive(self.resid.norm(dim=-1), median_norm)

    def to(self, blocks: Blocks) -> "PreparedPrompts":
        """These prompts with their tails run by other blocks, such as ones of another precision."""
        return replace(self, prefilled=self.prefilled.to(blocks))

    def alone(self, number: int, answers: slice) -> "PreparedPrompts":
        """One of the questions; the tail positions of the others are left out.

        Args:
            answers: where its answers stand among all.
        """
        keep = self.seen[number].nonzero()[:, 0]
        mine = (self.answer >= answers.start) & (self.answer < answers.stop)
        read, which = self.which[mine].unique(return_inverse=True)
        return PreparedPrompts(
            prefilled=self.prefilled.part(keep),
            edited=self.edited[keep],
            only=torch.searchsorted(keep, self.only[read]),
            which=which,
            token=self.token[mine],
            answer=self.answer[mine] - answers.start,
            ends=torch.searchsorted(read, self.ends[number : number + 1]),
            seen=self.seen[number : number + 1, keep],
            tree=self.tree,
            paths=self.paths[number : number + 1],
        )

    def changed(self, change: Float[Tensor, "N T D"]) -> Float[Tensor, "N A"]:
        """Log-probability of every answer when something is added where edits act."""
        return self.read(self.finished(change))

    def changed_with_own(
        self, change: Float[Tensor, "N T D"]
    ) -> tuple[Float[Tensor, "N A"], OwnTokens]:
        """The same, and what the model itself goes on with; takes a little longer."""
        picked, tops = self._next_tokens.with_tops(self.finished(change))
        return self.summed(picked), self.own(tops)

    def finished(self, change: Float[Tensor, "N T D"]) -> Float[Tensor, "N P D"]:
        """Hidden states after the last block at ``only``, when something is added."""
        resid = self.prefilled.resid + change
        return self.prefilled.finish(resid, only=self.only, differ=self._acted_at)

    @cached_property
    def _acted_at(self) -> Int[Tensor, " E"]:
        return self.edited.nonzero()[:, 0]

    @cached_property
    def _next_tokens(self) -> NextTokens:
        return self.prefilled.blocks.next_tokens(self.which, self.token)

    def read(self, hidden: Float[Tensor, "N P D"]) -> Float[Tensor, "N A"]:
        """Sum over each answer's tokens, from hidden states at ``only``."""
        return self.summed(self._next_tokens(hidden))

    def summed(self, picked: Float[Tensor, "*N W"]) -> Float[Tensor, "*N A"]:
        """Sum over each answer's tokens of a number of every token."""
        none = torch.zeros(*picked.shape[:-1], self.count)
        return none.index_add_(-1, self.answer, picked)

    def own(self, tops: Int[Tensor, "*N P"]) -> OwnTokens:
        """What a model itself goes on with, from the likeliest of all tokens at ``only``."""
        missed = self.summed((tops[..., self.which] != self.token).float())
        return OwnTokens(top=tops[..., self.ends], says=missed == 0)

    @cached_property
    def unedited_next(self) -> Float[Tensor, "P V"]:
        """The unedited model's log-probability of every next token, at ``only``."""
        return self.next_logprobs(self.prefilled.final[0, self.only])

    @cached_property
    def baseline(self) -> Float[Tensor, " A"]:
        """The unedited model's log-probability of every answer, in the questions' order."""
        return self.answers(self.unedited_next)

    @property
    def greedy(self) -> Bool[Tensor, " A"]:
        """Which answers the unedited model writes by itself: each token the likeliest of all."""
        return self.unedited_own.says

    @cached_property
    def unedited_own(self) -> OwnTokens:
        """What the unedited model itself goes on with."""
        return self.own(self.unedited_next.argmax(-1))

    @property
    def next_after_prompts(self) -> Float[Tensor, "Q V"]:
        """The unedited model's log-probability of every next token after each prompt."""
        return self.unedited_next[self.ends]

    def next_logprobs(self, hidden: Float[Tensor, "*N P D"]) -> Float[Tensor, "*N P V"]:
        """Log-probability of every next token, from hidden states at ``only``."""
        return self.prefilled.blocks.unembed(hidden).log_softmax(-1)

    def answers(self, next_logprobs: Float[Tensor, "*N P V"]) -> Float[Tensor, "*N A"]:
        """Sum over each answer's tokens, in the questions' order."""
        return self.summed(next_logprobs[..., self.which, self.token])
