"""The edit beside this file in TransformerLens, as a hook.

Run: python with_transformer_lens.py MODEL

In a program of yours: ``bridge.run_with_hooks(tokens, fwd_hooks=[hook(edit, at)])``.
"""

from collections.abc import Callable
from typing import Any

import torch
from edit import Edit, check, open_model  # type: ignore[import-not-found]  # lies beside it
from torch import Tensor


def hook(edit: Edit, at: int | None) -> tuple[str, Callable[[Tensor, Any], Tensor]]:
    """The edit as TransformerLens takes it: the name of a hook point, and what happens there.

    Args:
        at: see `Edit.place`.
    """

    def write(resid: Tensor, hook: Any) -> Tensor:
        return edit(resid, at)

    return edit.about["hook"], write


def main() -> None:
    """See that the edit does here what it did in the workbench."""
    from transformer_lens.model_bridge import TransformerBridge

    edit = Edit()
    model, tokenizer = open_model(edit)
    name = edit.about["model"]["name"]
    bridge = TransformerBridge.boot_transformers(name, hf_model=model, tokenizer=tokenizer)

    @torch.inference_mode()
    def logits(tokens: Tensor, at: int | None, made: bool) -> Tensor:
        return bridge.run_with_hooks(tokens, fwd_hooks=[hook(edit, at)] if made else [])[0]

    check(edit, tokenizer, logits)


if __name__ == "__main__":
    main()
