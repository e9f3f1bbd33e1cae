"""The edit beside this file in nnsight, as an intervention.

Run: python with_nnsight.py MODEL

In a program of yours, inside ``with model.trace(tokens):``, the two lines on ``block`` below.
"""

import torch
from edit import Edit, check, open_model  # type: ignore[import-not-found]  # lies beside it
from torch import Tensor


def main() -> None:
    """See that the edit does here what it did in the workbench."""
    from nnsight import NNsight

    edit = Edit()
    opened, tokenizer = open_model(edit)
    model = NNsight(opened)

    def logits(tokens: Tensor, at: int | None, made: bool) -> Tensor:
        with torch.no_grad(), model.trace(tokens):
            if made:
                block = model.get(edit.about["block"])
                block.input = edit(block.input, at)
            found = model.output.logits.save()
        return found[0]

    check(edit, tokenizer, logits)


if __name__ == "__main__":
    main()
