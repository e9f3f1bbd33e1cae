"""Answers' log-probabilities by whole passes of the model, without the engine's shortcuts."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.lm.language_model import LanguageModel

Change = Callable[[Float[Tensor, "T D"]], Float[Tensor, "T D"]]
"""The residual stream of one row of tokens → the edited one."""


@torch.inference_mode()
def full_pass(
    model: LanguageModel, prompt: str, answers: Sequence[str], change: Change | None = None
) -> Float[Tensor, " A"]:
    """Log-probability of each answer after a prompt, in nats; a pass of transformers each.

    Args:
        change: what is done to the residual stream at the hook.
    """
    begin, scores = model.prompt_tokens(prompt), []
    for answer in answers:
        tokens = model.encode(" " + answer)
        row = torch.tensor([[*begin, *tokens]])
        if change is None:
            logits = model.hf(row, use_cache=False).logits[0]
        else:
            hook = model.family.layers(model.hf)[model.hook_layer].register_forward_pre_hook(
                _changing(change), with_kwargs=True
            )
            try:
                logits = model.hf(row, use_cache=False).logits[0]
            finally:
                hook.remove()
        steps = logits.log_softmax(-1)[len(begin) - 1 : -1]
        scores.append(steps[torch.arange(len(tokens)), tokens].sum())
    return torch.stack(scores)


def _changing(change: Change) -> Callable[..., object]:
    def hook(module: object, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> object:
        return (change(args[0][0])[None], *args[1:]), kwargs

    return hook
