"""What the edit beside this file adds to the residual stream, and a check of it.

Needs PyTorch, safetensors and transformers. ``edit.json`` says where the edit acts and what it was
seen to do, ``edit.safetensors`` holds its tensors.

Shapes: B rows, T positions, D = d_model, F latents that are encoded, G of them that are changed.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

HERE = Path(__file__).parent

TOLERANCE = 1e-3
"""Nats by which a log-probability may be off: other processors add in another order."""


class Edit:
    """An edit: for every unit of activation of some latents, what is added to the residual stream.

    Attributes:
        about: what ``edit.json`` says.
    """

    def __init__(self, folder: Path = HERE) -> None:
        self.about: dict[str, Any] = json.loads((folder / "edit.json").read_text("utf-8"))
        read = load_file(folder / "edit.safetensors")
        self._latents = read.pop("latents")
        self._tensors = {name: tensor.float() for name, tensor in read.items()}

    def activations(self, resid: Tensor) -> Tensor:
        """Activations (B, T, F) of the SAE's latents on residuals (B, T, D)."""
        weights = self._tensors
        pre = (resid - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"]
        if "threshold" in weights:
            return torch.where(pre > weights["threshold"], pre.relu(), 0.0)
        values, latents = pre.topk(self.about["k"], dim=-1)
        return torch.zeros_like(pre).scatter(-1, latents, values.relu())

    def __call__(self, resid: Tensor, at: int | None, start: int = 0) -> Tensor:
        """The edited residual stream (B, T, D).

        Args:
            at: position of the edited token, the start token counted; None where the edit acts on
                every token but the start token.
            start: position of the first of these residuals, in text that is written token by token.
        """
        weights = self._tensors
        # A GPT-2 reads the residual stream without its mean, and so did the SAE.
        seen = resid - resid.mean(-1, keepdim=True) if self.about["centred"] else resid
        acts = self.activations(seen)
        change = acts[..., self._latents] @ weights["step"] + weights["constant"]
        if "W_dec" in weights:  # the SAE's error goes as well
            change = change - (seen - acts @ weights["W_dec"] - weights["b_dec"])
        position = torch.arange(start, start + resid.shape[1])
        here = position > 0 if at is None else position == at
        touched = here & (seen.norm(dim=-1) <= self.about["largest_norm"])
        return torch.where(touched[..., None], resid + change, resid)

    def place(self, tokenizer: Any, prompt: str) -> int | None:
        """Where the edit acts in a prompt: on the last token of the name, or on all (None).

        Raises:
            ValueError: when the prompt lacks the name, or the edit is of latents that have none.
        """
        if self.about["position"] == "all":
            return None
        for question in self.about["questions"]:
            if question["prompt"] == prompt:
                return int(question["at"])
        name = self.about["name"]
        if not name:
            raise ValueError("This edit is of latents without a name: say at which token it acts.")
        mentions = list(re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", prompt))
        if not mentions:
            raise ValueError(f"The prompt does not mention {name}.")
        encoded = tokenizer(prompt, add_special_tokens=False)
        return int(encoded.char_to_token(mentions[-1].end() - 1)) + 1

    def tokens(self, tokenizer: Any, text: str) -> list[int]:
        """Token ids of a text behind the start token."""
        return [self.about["start_token"], *tokenizer.encode(text, add_special_tokens=False)]


def open_model(edit: Edit) -> tuple[Any, Any]:
    """The model and its tokenizer: the one named on the command line, else the edit's own.

    A folder, a repository of the Hugging Face hub, or a GGUF file.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    about = edit.about["model"]
    given = sys.argv[1] if len(sys.argv) > 1 else about["repo"]
    if not given:
        raise SystemExit(f"Name the folder or file of {about['name']}: {sys.argv[0]} MODEL")
    where: dict[str, Any] = {}
    if given == about["repo"]:
        where["revision"] = about["revision"]
    if given.endswith(".gguf"):
        where["gguf_file"], given = Path(given).name, str(Path(given).parent)
    model = AutoModelForCausalLM.from_pretrained(given, dtype=torch.float32, **where)
    return model.eval(), AutoTokenizer.from_pretrained(given, **where)


def check(edit: Edit, tokenizer: Any, logits: Callable[[Tensor, int | None, bool], Tensor]) -> None:
    """Print every answer's log-probability before and after the edit; end with an error where one
    is not what the edit was seen to do.

    Args:
        logits: tokens (1, T), the place of the edit, and whether it is made → logits (T, V).
    """
    worst = 0.0
    print(f"{'log-probability (nats)':<40} {'before':>10} {'after':>10}")
    for question in edit.about["questions"]:
        prompt = edit.tokens(tokenizer, question["prompt"])
        at = edit.place(tokenizer, question["prompt"])
        print(f"{question['prompt']} …")
        for answer in question["answers"]:
            said = tokenizer.encode(question["gap"] + answer["text"], add_special_tokens=False)
            row = torch.tensor([[*prompt, *said]])
            found = []
            for made in (False, True):
                scores = logits(row, at, made).log_softmax(-1)[len(prompt) - 1 : -1]
                found.append(float(scores.gather(1, torch.tensor(said)[:, None]).sum()))
            for one, wanted in zip(found, (answer["baseline"], answer["logprob"]), strict=True):
                worst = max(worst, abs(one - wanted))
            print(f"  {answer['text']:<38} {found[0]:>10.5f} {found[1]:>10.5f}")
    print(f"Largest difference from what the workbench found: {worst:.2e} nats")
    if worst > TOLERANCE:
        raise SystemExit("That is not the same: is this the model that the edit was made in?")
