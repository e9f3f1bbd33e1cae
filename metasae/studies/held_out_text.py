"""Held-out text that was run up to the hook: its residuals, and what the model makes of others.

The windows are of documents that no choice was made by and that share no run of tokens with a
training document. Cross-entropies are in nats.

Shapes: N usable positions of all windows, D = d_model, W windows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lm.halves import usable
from metasae.lm.language_model import LanguageModel
from metasae.progress import Progress, silent
from metasae.text.kept_windows import text_of
from metasae.text.overlap import clean_windows, for_figures
from metasae.training.held_out import held_out_batches, window_nats

Change = Callable[[Float[Tensor, "n D"]], Float[Tensor, "n D"]]
"""What takes the place of some residuals, row by row."""


def in_turn(made: Float[Tensor, "N D"]) -> Change:
    """Puts rows that are worked out already in the place of a text's, batch after batch; once."""
    begin = 0

    def change(rows: Float[Tensor, "n D"]) -> Float[Tensor, "n D"]:
        nonlocal begin
        begin += len(rows)
        return made[begin - len(rows) : begin]

    return change


@dataclass(frozen=True)
class _Batch:
    tokens: Tensor
    lengths: Tensor
    resid: Float[Tensor, "B T D"]
    usable: Bool[Tensor, "B T"]


@dataclass(frozen=True)
class HeldOutText:
    """Some windows with their residuals at the hook.

    Attributes:
        tokens: whose cross-entropy is measured, of each window, (W,).
    """

    model: LanguageModel
    batches: Sequence[_Batch]

    @staticmethod
    def of(lab: Lab, windows: int, progress: Progress = silent) -> "HeldOutText":
        """The text a lab's figures are measured on.

        Args:
            windows: most that are taken, spread over the text.

        Raises:
            UserError: when the text can't be had, or none of it is held out.
        """
        text, batches = text_of(lab.preset, lab.model, (), progress), []
        chosen = held_out_batches(text, windows, clean_windows(text) & for_figures(text))
        if not chosen:
            raise UserError("None of the text is held out, so there is nothing to measure on.")
        for number, (tokens, lengths) in enumerate(chosen):
            resid = lab.model.residual(tokens)
            put = usable(resid, lengths, lab.median_norm)
            batches.append(_Batch(tokens, lengths, resid, put))
            progress("Reading held-out text", (number + 1) / len(chosen), "")
        return HeldOutText(lab.model, tuple(batches))

    @property
    def rows(self) -> Float[Tensor, "N D"]:
        """The residuals an SAE is applied to."""
        return torch.cat([one.resid[one.usable] for one in self.batches])

    @property
    def tokens(self) -> Float[Tensor, " W"]:
        """Tokens of each window that are predicted."""
        return torch.cat([one.lengths - 1 for one in self.batches]).float()

    @torch.inference_mode()
    def nats(self, change: Change | None = None, progress: Progress = silent) -> Tensor:
        """Cross-entropy of each window's next tokens, summed, (W,).

        Args:
            change: what takes the place of the residuals an SAE is applied to; they stay when left
                out.
        """
        if change is None:
            return torch.cat(self._unchanged)
        made = []
        for number, (one, nats) in enumerate(zip(self.batches, self._unchanged, strict=True)):
            resid = one.resid.clone()
            resid[one.usable] = change(one.resid[one.usable])
            # Windows that the change leaves as they are keep their figure.
            rows = (resid != one.resid).flatten(1).any(1)
            if rows.any():
                again = window_nats(self.model, resid[rows], one.tokens[rows], one.lengths[rows])
                nats = nats.masked_scatter(rows, again)
            made.append(nats)
            progress("Asking the model", (number + 1) / len(self.batches), "")
        return torch.cat(made)

    @cached_property
    @torch.inference_mode()
    def _unchanged(self) -> list[Tensor]:
        return [window_nats(self.model, one.resid, one.tokens, one.lengths) for one in self.batches]
