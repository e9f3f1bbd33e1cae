"""What an edit does to the model's answers: questions about a source, scored before and after.

An `Experiment` is a source, a target and some questions; it computes once whatever no edit can
change, and then applies any number of edits. Log-probabilities are in nats.

Shapes: N edits, Q questions, T tail positions of all prompts together, S source latents,
D = d_model, A answers, V vocabulary.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from metasae.lm.blocks import Blocks
from metasae.lm.halves import not_massive
from metasae.lm.language_model import LanguageModel
from metasae.lm.names import name_position, token_in
from metasae.lm.token_tree import TokenTree
from metasae.progress import Progress, silent
from metasae.saes.decomposition import Decomposition
from metasae.steering.conditions import ALWAYS
from metasae.steering.edit_space import CompiledEdit, EditSpace, Firing, Piece, Swapped
from metasae.steering.edits import Edit, EditOptions
from metasae.steering.holding import fires, reached
from metasae.steering.outcome import Outcome, TopTokens
from metasae.steering.own_words import OwnTokens
from metasae.steering.prompt_set import PreparedPrompts, PromptSet
from metasae.steering.provenance import Provenance
from metasae.steering.questions import Question, Questions, Subject, remarks
from metasae.steering.verdict import Verdict, verdict

TOP_TOKENS = 5
"""Likeliest next tokens that are listed for each question."""


@dataclass(frozen=True)
class PreparedExperiment:
    """Prepared prompts, and how the latents in question fire in them.

    Attributes:
        touched: tail positions an edit changes: where it acts and no activation is massive.
    """

    prompts: PreparedPrompts
    firing: Firing
    touched: Bool[Tensor, " T"]

    def to(self, blocks: Blocks) -> "PreparedExperiment":
        """This experiment with its tails run by other blocks, such as ones of another precision."""
        return replace(self, prompts=self.prompts.to(blocks))

    def logprobs(
        self, from_source: Float[Tensor, "N S D"], drop_error: bool = False
    ) -> Float[Tensor, "N A"]:
        """Log-probability of every answer when the source latents' directions change.

        Args:
            from_source: what each unit of a source latent's activation adds.
            drop_error: whether the SAE's error goes as well.
        """
        return self.prompts.changed(self._change(from_source, drop_error))

    def logprobs_with_own(
        self, from_source: Float[Tensor, "N S D"], drop_error: bool = False
    ) -> tuple[Float[Tensor, "N A"], OwnTokens]:
        """As `logprobs`, and what the model itself goes on with under each change."""
        return self.prompts.changed_with_own(self._change(from_source, drop_error))

    def _change(
        self, from_source: Float[Tensor, "N S D"], drop_error: bool
    ) -> Float[Tensor, "N T D"]:
        firing = self.firing.source * self.touched[:, None]
        change = torch.einsum("ts,nsd->ntd", firing, from_source)
        if drop_error:
            change = change - self.firing.error * self.touched[:, None]
        return change


class Experiment:
    """A source, a target and questions, ready to be edited.

    Args:
        median_norm: of the residual stream at the hook; massive activations are left untouched.
        strict: whether a search of it counts as moved only what the model itself would say (see
            `verdict`); an `Outcome` says both.

    Raises:
        UserError: for a latent out of range, a prompt that lacks the source's name, and whatever
            `PromptSet` raises.
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
        strict: bool = False,
    ) -> None:
        self.provenance, self.strict = provenance, strict
        self.model, self.decomposition = model, decomposition
        self.source, self.target = source, target
        self.median_norm = median_norm
        for latent in (*source.swapped, *target.swapped):
            decomposition.check(latent)
        self._prompts = PromptSet(model, questions)

    def replaced(
        self,
        decomposition: Decomposition | None = None,
        source: Subject | None = None,
        target: Subject | None = None,
        questions: Sequence[Question] | None = None,
        strict: bool | None = None,
    ) -> "Experiment":
        """The same experiment with the given parts in place of its own.

        Raises:
            UserError: as the class.
        """
        return Experiment(
            self.model,
            decomposition or self.decomposition,
            source or self.source,
            target or self.target,
            self.questions if questions is None else questions,
            self.median_norm,
            self.provenance,
            self.strict if strict is None else strict,
        )

    @property
    def questions(self) -> Questions:
        """What is asked."""
        return self._prompts.questions

    @property
    def remarks(self) -> tuple[str, ...]:
        """What has to be said of the pair, a sentence each."""
        return remarks(self.source, self.target, self.questions)

    @cached_property
    def space(self) -> EditSpace:
        """The directions this source and target can make."""
        return EditSpace(
            self.decomposition,
            self.source.latents,
            self.target.latents,
            Swapped.of(self.source.swapped, self.target.swapped),
        )

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The meta-latents of both sides, strongest first."""
        return self.space.pieces

    def edit_position(self, prompt: str) -> int:
        """Position in a prompt (start token counted) where an edit at "last" acts.

        Raises:
            UserError: when the prompt lacks the source's name.
        """
        if self.source.name is not None:
            return name_position(self.model, prompt, self.source.name)
        tokens = torch.tensor([self.model.prompt_tokens(prompt)])
        firing = self.firing(self.model.residual(tokens)[0])
        strength = firing.source.sum(1)
        strength[0] = -1.0
        return int(strength.argmax())

    def firing(self, resid: Float[Tensor, "T D"]) -> Firing:
        """How the latents in question fire on some residuals."""
        sae = self.decomposition.sae
        acts = sae.encode(resid)
        return Firing(
            source=acts[:, list(self.source.latents)],
            swapped=acts[:, list(self.space.swapped.latents)],
            error=resid - sae.decode(acts),
            resid=resid,
        )

    def _prepare(self, position: str) -> PreparedExperiment:
        at = None
        if position == "last":
            at = [self.edit_position(question.prompt) for question in self.questions]
        prompts = self._prompts.prepare(at)
        return PreparedExperiment(
            prompts, self.firing(prompts.resid), prompts.touched(self.median_norm)
        )

    @cached_property
    def _last(self) -> PreparedExperiment:
        return self._prepare("last")

    @cached_property
    def _all(self) -> PreparedExperiment:
        return self._prepare("all")

    def prepared(self, options: EditOptions) -> PreparedExperiment:
        """What no edit with these options can change; computed on first use.

        Raises:
            UserError: for a condition this model can't read.
        """
        prepared = self._all if options.position == "all" else self._last
        when = options.when
        if when == ALWAYS:
            return prepared
        come = reached(when, self.model, prepared.prompts.tree)
        holds = fires(when, prepared.firing.source) & come[prepared.prompts.prefilled.slots[0]]
        return replace(prepared, touched=prepared.touched & holds)

    def compiled(self, edit: Edit) -> CompiledEdit:
        """The edit's change of the residual stream, for this source and target.

        Raises:
            UserError: when the edit does not fit this source and target.
        """
        return self.space.compiled(edit)

    @property
    def baseline(self) -> Float[Tensor, " A"]:
        """The unedited model's log-probability of every answer, in the questions' order."""
        return self._last.prompts.baseline

    @property
    def unedited_own(self) -> OwnTokens:
        """What the unedited model itself goes on with."""
        return self._last.prompts.unedited_own

    def verdict(self, logprobs: Float[Tensor, "N A"], own: OwnTokens | None = None) -> Verdict:
        """Which answers lead under some edits, from their answers' log-probabilities.

        Args:
            own: what the model itself goes on with under each: the verdict is the strict one.
        """
        both = None if own is None else (self.unedited_own, own)
        return verdict(self.questions, self.baseline, logprobs, self.target.label, both)

    def apply(self, edit: Edit) -> Outcome:
        """Make one edit and score every answer under it.

        Raises:
            UserError: when the edit does not fit this source and target.
        """
        prompts = self._last.prompts
        after, missed = prompts.unedited_next, tuple[str, ...]()
        if not edit.changes_nothing:
            prepared = self.prepared(edit.options)
            change = self.compiled(edit).change(prepared.firing) * prepared.touched[:, None]
            prompts = prepared.prompts
            missed = self._missed(prepared, edit.options)
            resid = prompts.prefilled.resid + change
            hidden = prompts.prefilled.finish(resid, only=prompts.only)
            after = prompts.next_logprobs(hidden[0])
        own = prompts.own(after.argmax(-1))
        return Outcome(
            source=self.source,
            target=self.target,
            questions=self.questions,
            pieces=self.pieces,
            edit=edit,
            baseline=self.baseline,
            logprobs=prompts.answers(after),
            top_before=self._top_before,
            top_after=self._top(after[prompts.ends]),
            top_baseline=self._last.prompts.next_after_prompts.gather(1, own.top[:, None])[:, 0],
            tokens_before=self.unedited_own,
            tokens_after=own,
            marked=self._marked(edit.options.position, missed),
            provenance=self.provenance,
            missed=missed,
        )

    def _missed(self, prepared: PreparedExperiment, options: EditOptions) -> tuple[str, ...]:
        """Attributes on whose prompts and answers the edit's condition holds nowhere."""
        if options.when == ALWAYS:
            return ()
        touched = (prepared.prompts.seen & prepared.touched).any(-1).tolist()
        attributes = self.questions.attributes
        return tuple(one for one, some in zip(attributes, touched, strict=True) if not some)

    def _marked(self, position: str, missed: Collection[str]) -> tuple[tuple[str, str, str], ...]:
        """The prompts, each cut before and after the token an edit acts on."""
        if position == "all":
            return tuple((question.prompt, "", "") for question in self.questions)
        return tuple(
            (question.prompt, "", "") if question.attribute in missed else cut
            for question, cut in zip(self.questions, self._marked_last, strict=True)
        )

    @cached_property
    def _marked_last(self) -> tuple[tuple[str, str, str], ...]:
        return tuple(
            token_in(self.model, question.prompt, self.edit_position(question.prompt))
            for question in self.questions
        )

    @cached_property
    def _top_before(self) -> TopTokens:
        return self._top(self._last.prompts.next_after_prompts)

    def _top(self, logprobs: Float[Tensor, "Q V"]) -> TopTokens:
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
        progress: Progress = silent,
    ) -> str:
        """What the model writes after a prompt, with the edit made in it (None: unedited).

        An edit at "last" acts on the source's name in the prompt; at "all" also on what is
        written.

        Args:
            progress: see `LanguageModel.generate`.

        Raises:
            UserError: when the prompt lacks the source's name.
        """
        if edit is None or edit.changes_nothing:
            return self.model.generate(prompt, new_tokens, None, temperature, seed, progress)
        compiled, when = self.compiled(edit), edit.options.when
        only = self.edit_position(prompt) if edit.options.position == "last" else None
        read: list[int] = []

        def write(resid: Float[Tensor, "B T D"], start: int) -> Float[Tensor, "B T D"]:
            end = start + resid.shape[1]
            positions = torch.arange(start, end)
            touched = positions == only if only is not None else positions > 0
            touched = touched & not_massive(resid[0].norm(dim=-1), self.median_norm)
            touched = touched & reached(when, self.model, TokenTree.line(read[:end]))[start:]
            if not touched.any():
                return resid
            firing = self.firing(resid[0])
            touched = touched & fires(when, firing.source)
            return resid + compiled.change(firing) * touched[:, None]

        return self.model.generate(prompt, new_tokens, write, temperature, seed, progress, read)
