"""What a whole hooked pass of the model says after an edit."""

import torch
from torch import Tensor

from metasae.lm.halves import not_massive
from metasae.steering.edits import (
    Edit,
)
from metasae.steering.experiment import Experiment


def logits(
    experiment: Experiment, tokens: list[int], edit: Edit | None, where: str | int
) -> Tensor:
    """Of every position by one full pass, edited at one position, or "all", or where it "fires"."""
    compiled = experiment.compiled(edit) if edit else None

    def write(resid: Tensor, start: int) -> Tensor:
        if compiled is None:
            return resid
        firing = experiment.firing(resid[0])
        touched = torch.arange(len(tokens)) > 0
        if where == "fires":
            touched &= firing.source.sum(1) > 0
        elif where != "all":
            touched &= torch.arange(len(tokens)) == where
        touched &= not_massive(resid[0].norm(dim=-1), experiment.median_norm)
        return resid + compiled.change(firing) * touched[:, None]

    with experiment.model.edited(write), torch.inference_mode():
        return experiment.model.hf(torch.tensor([tokens]), use_cache=False).logits[0]
