"""An edit as one vector that is added to every token: what other tools can steer by.

Edits here act on a name's last token and depend on how the latents fire there. A vector does
neither: it is the mean change of the edit's own prompts, and is added to every token, the start
token included, whatever fires. How far the answers are off by that is measured, at several
strengths, of which the closest is taken.

Shapes: D = d_model, A answers of all questions.
"""

from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.errors import UserError
from metasae.exports.edited import Edited
from metasae.lm.language_model import padded

COEFFICIENTS = (1.0, 0.75, 0.5, 0.25)
"""How many times the vector is tried."""


@dataclass(frozen=True)
class OneVector:
    """A vector that stands for an edit.

    Attributes:
        vector: the edit's mean change.
        coefficient: how many times it is added to every token.
        logprobs: log-probability of every answer under that, in nats.
        edited: likewise under the edit itself.
        baseline: likewise without either.
    """

    vector: Float[Tensor, " D"]
    coefficient: float
    logprobs: Float[Tensor, " A"]
    edited: Float[Tensor, " A"]
    baseline: Float[Tensor, " A"]

    @property
    def difference(self) -> float:
        """The largest difference of an answer's log-probability from the edit's, in nats."""
        return float((self.logprobs - self.edited).abs().max())

    @property
    def sentence(self) -> str:
        """What has to be known of it."""
        off = (self.logprobs - self.edited).abs()
        moved = (self.edited - self.baseline).abs()
        return (
            "This is one vector, added to every token whatever fires there; the edit itself acts "
            "where it was made and as strongly as the latents fire there. On the edit's own "
            f"prompts an answer's log-probability differs from the edit's by {off.mean():.2f} nats "
            f"on average and by {off.max():.2f} at most (measured, at {self.coefficient:g} times "
            "the vector, which of "
            f"{', '.join(f'{one:g}' for one in COEFFICIENTS)} comes closest); the edit itself "
            f"moves them by {moved.mean():.2f} on average and by {moved.max():.2f} at most."
        )

    def table(self, edited: Edited) -> pd.DataFrame:
        """Answer by answer: columns attribute, answer, unedited, edit, vector (nats)."""
        return pd.DataFrame(
            {
                "attribute": [
                    question.attribute for question, _ in edited.outcome.questions.answers
                ],
                "answer": [answer.text for _, answer in edited.outcome.questions.answers],
                "unedited": self.baseline.tolist(),
                "edit": self.edited.tolist(),
                "vector": self.logprobs.tolist(),
            }
        )

    def text(self, edited: Edited) -> str:
        """The sentence and the table, in Markdown."""
        rows = [
            f"| {row.attribute} | {_cell(row.answer)} | {row.unedited:.2f} | {row.edit:.2f} | "
            f"{row.vector:.2f} |"
            for row in self.table(edited).itertuples()
        ]
        head = "| attribute | answer | unedited (nats) | the edit | this vector |"
        return "\n".join([self.sentence, "", head, "|---|---|---|---|---|", *rows])


def _cell(text: object) -> str:
    """A text that ends no cell of a table in Markdown."""
    return str(text).replace("|", "\\|")


def one_vector(edited: Edited) -> OneVector:
    """The vector that stands for an edit, and what it does to the edit's own prompts.

    Raises:
        UserError: for an edit that no vector can stand for, or that doesn't fit the pair.
    """
    options = edited.edit.options
    what = "changes every latent that has its meta-latents" if options.everywhere else ""
    if not options.keep_error:
        what = "drops the SAE's error"
    if what:
        raise UserError(
            f"This edit {what}, which depends on the whole residual stream, so no single vector "
            "can stand for it; export it to transformers, transformer-lens or nnsight."
        )
    prepared = edited.experiment.prepared(options)
    change = edited.experiment.compiled(edited.edit).change(prepared.firing)[prepared.touched]
    if not len(change) or not change.any():
        raise UserError(
            "This edit changes nothing in its own prompts, so there is no vector to export."
        )
    # A token that several prompts share counts as often as they do.
    times = prepared.prompts.seen[:, prepared.touched].sum(0)[:, None]
    vector = (times * change).sum(0) / times.sum()
    outcome = edited.outcome
    tried = [
        OneVector(vector, one, added(edited, one * vector), outcome.logprobs, outcome.baseline)
        for one in COEFFICIENTS
    ]
    return min(tried, key=lambda one: float((one.logprobs - one.edited).abs().mean()))


def added(edited: Edited, vector: Float[Tensor, " D"]) -> Float[Tensor, " A"]:
    """Log-probability of every answer when a vector is added to every token, in nats."""
    model, scores = edited.lab.model, []
    for question in edited.experiment.questions:
        prompt = model.prompt_tokens(question.prompt)
        answers = [model.encode(question.gap + answer.text) for answer in question.answers]
        tokens = padded([[*prompt, *answer] for answer in answers], model.start_token)
        with torch.inference_mode():
            logits = model.logits_above(model.residual(tokens) + vector)
        after = logits[:, len(prompt) - 1 :].log_softmax(-1)
        scores += [
            row[torch.arange(len(answer)), answer].sum()
            for row, answer in zip(after, answers, strict=True)
        ]
    return torch.stack(scores)
