"""The edit beside this file in transformers, by one forward hook.

Run: python with_transformers.py MODEL

In a program of yours: ``with edited(model, edit, edit.place(tokenizer, prompt)): model(…)``, one
text a time; ``model.generate`` works as well.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from edit import Edit, check, open_model  # type: ignore[import-not-found]  # lies beside it
from torch import Tensor


@contextmanager
def edited(model: Any, edit: Edit, at: int | None) -> Iterator[None]:
    """Context in which the model's pass over one text is edited.

    Args:
        at: see `Edit.place`.
    """
    done = 0

    def write(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        nonlocal done
        resid = edit(args[0], at, done)
        done += resid.shape[1]
        return (resid, *args[1:])

    handle = model.get_submodule(edit.about["block"]).register_forward_pre_hook(write)
    try:
        yield
    finally:
        handle.remove()


def main() -> None:
    """See that the edit does here what it did in the workbench."""
    edit = Edit()
    model, tokenizer = open_model(edit)

    @torch.inference_mode()
    def logits(tokens: Tensor, at: int | None, made: bool) -> Tensor:
        if not made:
            return model(tokens).logits[0]
        with edited(model, edit, at):
            return model(tokens).logits[0]

    check(edit, tokenizer, logits)


if __name__ == "__main__":
    main()
