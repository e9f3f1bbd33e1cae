"""An edit as a steering file of EleutherAI's lm-evaluation-harness.

Its model type ``steered`` reads a dictionary of hook points: ``steering_vector``,
``steering_coefficient``, ``action``, ``bias`` and ``head_index``; "add" adds the vector times the
coefficient to what a module of the base model gives out, at every position.
"""

from pathlib import Path

import torch

from metasae.exports.edited import Edited
from metasae.exports.one_vector import one_vector
from metasae.exports.target import README, Target
from metasae.lm.language_model import LanguageModel

FILE = "steering.pt"


def hook_point(model: LanguageModel) -> str:
    """The module of the base model whose output is the residual stream at the hook."""
    stack = model.family.stack[0]
    if model.hook_layer:
        return f"{stack}.{model.hook_layer - 1}"
    return "drop" if stack == "h" else "embed_tokens"  # of GPT-2, which adds positions first


def _write(edited: Edited, folder: Path) -> tuple[str, ...]:
    found, model = one_vector(edited), edited.lab.model
    steered = {
        "steering_vector": found.vector.clone(),
        "steering_coefficient": found.coefficient,
        "action": "add",
        "bias": None,
        "head_index": None,
    }
    torch.save({hook_point(model): steered}, folder / FILE)
    start = model.decode(model.start_token)
    text = (
        f"{found.text(edited)}\n\n"
        f"`lm_eval --model steered --model_args pretrained=MODEL,steer_path={FILE} --tasks …` "
        "evaluates the steered model; MODEL is the model above as transformers opens it. Write a "
        "smaller `steering_coefficient` into the file to steer less.\n\n"
        f"The figures are of prompts that begin with the start token `{start}`, as the "
        "workbench's do; the harness adds none unless the tokenizer does or `add_bos_token` says "
        "so."
    )
    (folder / README).write_text(edited.headed(text), "utf-8")
    return (found.sentence,)


TARGET = Target(
    "lm-eval",
    "Steering file for lm-evaluation-harness",
    (Edited,),
    _write,
    files=(FILE, README),
)
