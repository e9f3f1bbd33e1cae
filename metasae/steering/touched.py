"""Which tokens of the prompts an edit touches, and how much it changes there.

Shapes: T tail positions of all prompts together.
"""

from dataclasses import dataclass

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from metasae.steering.edits import Edit, EditOptions
from metasae.steering.experiment import Experiment, PreparedExperiment


@dataclass(frozen=True)
class TouchedToken:
    """A token of a prompt under an edit.

    Attributes:
        text: the token as it is written, its space in front.
        activation: the strongest of the source's latents there.
        size: length of what the edit adds to the residual stream at the hook; 0 where it adds
            nothing.
        share: the same as a share of the residual stream's own length.
    """

    text: str
    activation: float
    size: float
    share: float


@dataclass(frozen=True)
class TouchedPrompt:
    """A question's prompt, token by token, without the start token, which no edit touches."""

    attribute: str
    prompt: str
    tokens: tuple[TouchedToken, ...]

    @property
    def marked(self) -> str:
        """The prompt with the size in brackets behind every token that is touched."""
        parts = [f"{one.text}[{one.size:.1f}]" if one.size else one.text for one in self.tokens]
        return "".join(parts)


def touched_prompts(experiment: Experiment, edit: Edit) -> tuple[TouchedPrompt, ...]:
    """The prompts of an experiment's questions, with what an edit adds on each token.

    It is what `Experiment.apply` adds, answers apart: no block above the hook is run.

    Raises:
        UserError: when the edit does not fit this source and target.
    """
    whole = experiment.prepared(EditOptions(position="all"))
    sizes: list[dict[int, float]] = [{} for _ in experiment.questions]
    if not edit.changes_nothing:
        prepared = experiment.prepared(edit.options)
        change = experiment.compiled(edit).change(prepared.firing) * prepared.touched[:, None]
        sizes = _on_prompts(prepared, change.norm(dim=-1))
    acts = _on_prompts(whole, whole.firing.source.amax(-1))
    norms = _on_prompts(whole, whole.prompts.resid.norm(dim=-1))
    texts = [
        [experiment.model.decode(whole.prompts.tree.tokens[place]) for place in path[1:]]
        for path in whole.prompts.paths
    ]
    return tuple(
        TouchedPrompt(
            question.attribute,
            question.prompt,
            tuple(
                TouchedToken(text, act[at], size.get(at, 0.0), size.get(at, 0.0) / norm[at])
                for at, text in enumerate(words, 1)
            ),
        )
        for question, words, act, norm, size in zip(
            experiment.questions, texts, acts, norms, sizes, strict=True
        )
    )


def _on_prompts(
    prepared: PreparedExperiment, values: Float[Tensor, " T"]
) -> list[dict[int, float]]:
    """Values at tail positions by the position in each question's prompt, of those in the tail."""
    prompts = prepared.prompts
    slots = prompts.prefilled.slots[0].tolist()
    found = dict(zip(slots, values.tolist(), strict=True))
    return [
        {at: found[place] for at, place in enumerate(path) if place in found}
        for path in prompts.paths
    ]


def touched_table(prompts: tuple[TouchedPrompt, ...]) -> pd.DataFrame:
    """One row per prompt and token: attribute, position (the start token is 0), token, activation,
    size, share."""
    return pd.DataFrame(
        {
            "attribute": prompt.attribute,
            "position": position,
            "token": token.text,
            "activation": token.activation,
            "size": token.size,
            "share": token.share,
        }
        for prompt in prompts
        for position, token in enumerate(prompt.tokens, 1)
    )
