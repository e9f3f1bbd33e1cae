"""The one oracle of edited answers: whole TransformerLens passes, the edit worked out anew.

It knows nothing of prefixes, tails, trees of answers or compiled edits. For each answer the whole
token sequence runs through the bridge, with a hook that encodes the residual stream, edits it by
the method's formulas and writes it back. It uses nothing of what it checks: only the model, both
autoencoders' `encode` and `decode` and their decoder directions.

`answer_logprobs` asks a model alone, without an experiment, through transformers.

Shapes: T positions, D = d_model, V vocabulary, A answers of all questions in their order.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from metasae.lm.language_model import LanguageModel
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.steering.edits import NO_EDIT, Edit
from metasae.steering.experiment import Experiment

Where = int | Literal["all", "fires"]
"""Where an edit is made: at one position (the start token is 0), at all but the start token, or at
those of them where a source latent fires."""

Change = Callable[[Float[Tensor, "T X"]], Float[Tensor, "T D"]]
"""From what is at each position (the residual stream, or the SAE's activations there) to another
residual stream, or to what is added to it."""

MASSIVE = 4.0
"""Times the median norm, above which a residual is left alone."""


_bridges: WeakKeyDictionary[LanguageModel, Any] = WeakKeyDictionary()


def hook_point(model: LanguageModel) -> str:
    """The name of a model's hook in TransformerLens."""
    return f"blocks.{model.hook_layer}.hook_resid_pre"


def bridge(model: LanguageModel) -> Any:
    """A model's weights as a TransformerLens ``TransformerBridge``, for its named hooks.

    Wrapping rewrites the modules it is given, so it gets a copy of them that shares every tensor
    with the model.
    """
    from transformer_lens.model_bridge import TransformerBridge

    if model not in _bridges:
        shared = {id(tensor): tensor for tensor in model.hf.state_dict(keep_vars=True).values()}
        _bridges[model] = TransformerBridge.boot_transformers(
            model.name, hf_model=copy.deepcopy(model.hf, shared), tokenizer=model.tokenizer
        )
    return _bridges[model]


def full_pass(
    model: LanguageModel,
    tokens: list[int],
    write: Callable[[Float[Tensor, "T D"]], Float[Tensor, "T D"]],
) -> Float[Tensor, "T V"]:
    """Logits of one whole pass in which the residual stream at the hook is replaced."""
    with torch.inference_mode():
        logits: Tensor = bridge(model).run_with_hooks(
            torch.tensor([tokens]),
            fwd_hooks=[(hook_point(model), lambda resid, hook: write(resid[0])[None])],
        )
    return logits[0]


def logprobs(experiment: Experiment, edit: Edit) -> Float[Tensor, " A"]:
    """Log-probability of every answer under an edit (nats)."""
    model, scores = experiment.model, []
    change = _change(experiment, edit)
    for question in experiment.questions:
        prompt = model.prompt_tokens(question.prompt)
        where = place(experiment, edit, question.prompt)
        passes: dict[tuple[int, ...], Tensor] = {}
        for answer in question.answers:
            tokens = model.encode(" " + answer.text)
            read = tuple(tokens[:-1])
            if read not in passes:
                after = _edited(experiment, [*prompt, *read], edit, where, change)
                passes[read] = after.double().log_softmax(-1)[len(prompt) - 1 :]
            scores.append(passes[read][torch.arange(len(tokens)), tokens].sum())
    return torch.stack(scores).float()


def place(experiment: Experiment, edit: Edit, prompt: str) -> Where:
    """Where an edit is made in a prompt."""
    model, city = experiment.model, experiment.source.name
    if edit.options.position == "all":
        return "all"
    if city is not None:
        return len(model.encode(prompt[: prompt.rindex(city) + len(city)]))
    # Raw latents act where they are most active in the prompt.
    tokens = torch.tensor([model.prompt_tokens(prompt)])
    with torch.inference_mode():
        _, cache = bridge(model).run_with_cache(tokens, names_filter=hook_point(model))
    acts = experiment.decomposition.sae.encode(cache[hook_point(model)][0, 1:])
    return 1 + int(acts[:, list(experiment.source.latents)].sum(1).argmax())


def logits(
    experiment: Experiment, tokens: list[int], edit: Edit = NO_EDIT, where: Where = "all"
) -> Float[Tensor, "T V"]:
    """Logits at every position of some tokens, with an edit made in them."""
    return _edited(experiment, tokens, edit, where, _change(experiment, edit))


def _edited(
    experiment: Experiment, tokens: list[int], edit: Edit, where: Where, change: Change
) -> Float[Tensor, "T V"]:
    sae = experiment.decomposition.sae

    def write(x: Float[Tensor, "T D"]) -> Float[Tensor, "T D"]:
        acts = sae.encode(x)
        added = change(acts)
        if not edit.options.keep_error:
            added = added - (x - sae.decode(acts))
        touched = _touched(experiment, acts, where) & (x.norm(dim=1) <= _limit(experiment))
        touched = touched & _allowed(experiment, edit, tokens, acts)
        return torch.where(touched[:, None], x + added, x)

    return full_pass(experiment.model, tokens, write)


def _limit(experiment: Experiment) -> float:
    return MASSIVE * experiment.median_norm


def _touched(
    experiment: Experiment, acts: Float[Tensor, "T L"], where: Where
) -> Bool[Tensor, " T"]:
    positions = torch.arange(len(acts))
    if isinstance(where, int):
        return positions == where
    after_start = positions > 0
    if where == "fires":
        return after_start & (acts[:, list(experiment.source.latents)] > 0).any(1)
    return after_start


def _allowed(
    experiment: Experiment, edit: Edit, tokens: list[int], acts: Float[Tensor, "T L"]
) -> Bool[Tensor, " T"]:
    """Where an edit's condition, whose text is one token, holds: read off the tokens' texts."""
    when = edit.options.when
    allowed = torch.ones(len(acts), dtype=torch.bool)
    if when.above is not None:
        allowed = acts[:, list(experiment.source.latents)].amax(1) > when.above
    if when.after:
        texts = [experiment.model.decode(token).strip() for token in tokens]
        first = texts.index(when.after) if when.after in texts else len(texts)
        allowed &= torch.arange(len(acts)) >= first + (not when.including)
    return allowed


def _change(experiment: Experiment, edit: Edit) -> Change:
    """What an edit adds to the residual stream, from the SAE's activations there; the SAE's error
    apart."""
    W_dec = experiment.decomposition.sae.W_dec
    if edit.kind == "swap":

        def swapped(acts: Float[Tensor, "T L"]) -> Float[Tensor, "T D"]:
            wanted = acts.clone()
            wanted[:, list(experiment.source.swapped)] = 0.0
            for latent, activation in experiment.target.swapped.items():
                wanted[:, latent] = activation
            return (wanted - acts) @ W_dec

        return swapped
    if edit.kind == "everywhere":
        moved = _decoder_everywhere(experiment, edit) - W_dec
        return lambda acts: acts @ moved
    latents = experiment.source.latents if edit.without_swap().strengths else ()
    moves = {latent: _rebuilt(experiment, edit, latent) - W_dec[latent] for latent in latents}

    def rebuilt(acts: Float[Tensor, "T L"]) -> Float[Tensor, "T D"]:
        change = torch.zeros(len(acts), W_dec.shape[1])
        for latent, move in moves.items():
            change += acts[:, latent, None] * move
        return change

    return rebuilt


def _decoder_everywhere(experiment: Experiment, edit: Edit) -> Float[Tensor, "L D"]:
    """All decoder directions with the source's meta-latents weaker or stronger where they are."""
    sae, meta = experiment.decomposition.sae, experiment.decomposition.meta
    own = meta.encode(sae.W_dec)
    on_source = own[list(experiment.source.latents)].amax(0)
    new = own.clone()
    for piece, strength in edit.without_swap().strengths:
        if on_source[piece] > 0:
            new[:, piece] = own[:, piece] * strength
    direction = meta.decode(new)
    if edit.options.keep_residual:
        direction = direction + sae.W_dec - meta.decode(own)
    direction = direction * (sae.W_dec.norm(dim=1) / direction.norm(dim=1))[:, None]
    return torch.where((new != own).any(1)[:, None], direction, sae.W_dec)


def _rebuilt(experiment: Experiment, edit: Edit, latent: int) -> Float[Tensor, " D"]:
    """The direction that takes a source latent's place."""
    sae, meta = experiment.decomposition.sae, experiment.decomposition.meta
    original = sae.W_dec[latent]
    own = meta.encode(original[None])[0]
    on_source = meta.encode(sae.W_dec[list(experiment.source.latents)]).amax(0)
    on_target = meta.encode(sae.W_dec[list(experiment.target.latents)]).amax(0)
    strengths = edit.without_swap().strengths
    if edit.kind == "hundredfold":
        direction = original.clone()
        for piece, strength in strengths:
            step = strength - float(on_source[piece] > 0)
            direction += 100 * step * meta.W_dec[piece] / meta.W_dec[piece].norm()
    else:
        new = own.clone()
        for piece, strength in strengths:
            if own[piece] > 0:
                new[piece] = own[piece] * strength
            elif on_source[piece] == 0:
                new[piece] = on_target[piece] * strength
        direction = meta.decode(new[None])[0]
        if edit.options.keep_residual:
            direction = direction + original - meta.decode(own[None])[0]
    return direction * (original.norm() / direction.norm())


def silenced(sae: SparseAutoencoder, latent: int, at: int) -> Change:
    """Takes away at one position what a latent of an SAE adds there."""

    def change(resid: Float[Tensor, "T D"]) -> Float[Tensor, "T D"]:
        out = resid.clone()
        out[at] -= sae.encode(resid[at : at + 1])[0, latent] * sae.W_dec[latent]
        return out

    return change


@torch.inference_mode()
def answer_logprobs(
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
