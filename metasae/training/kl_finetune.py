"""Finetuning of a base SAE on the KL divergence of the model's output with it spliced in.

Squared error weighs every direction of the residual stream alike; the blocks above the hook do not.
So an SAE that was trained on squared error is trained for some more steps on the sum of the squared
error and the KL divergence of the next-token distribution (spliced from unedited), both with the
same weight (as arXiv 2503.17272 proposes). The divergence's gradient with respect to the
reconstruction comes from a backward pass through the blocks above the hook.

Shapes: B sequences, T positions, D = d_model, N rows (positions without massive activations).
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.lm.halves import lower_layers, upper_layers, usable
from metasae.lm.language_model import LanguageModel
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.text.windows import Windows, length_batches
from metasae.training.config import TrainConfig
from metasae.training.gradients import ExtraGradient
from metasae.training.residuals import Residuals
from metasae.training.trainer import Trainer


class KLFinetuner(Trainer):
    """Trains an SAE further, on the KL divergence of the spliced from the unedited output as well.

    Args:
        windows: the training text.
        activations: its residuals.
        sae: the SAE to start from.
        config: ``batch`` is the number of tokens whose next-token distributions are compared at
            each step; the sequences they are drawn from hold about 4,096.
        scale: the factor of the residuals in the training before.
        dtype: precision of the model's halves and of the product that finds the candidates.

    Raises:
        UserError: as `halves.upper_layers`.
    """

    def __init__(
        self,
        model: LanguageModel,
        windows: Windows,
        activations: Residuals,
        sae: SparseAutoencoder,
        config: TrainConfig,
        scale: float,
        dtype: torch.dtype,
    ) -> None:
        # Where the model is, whose gradient it takes.
        super().__init__(activations, config, initial=sae, scale=scale, dtype=dtype, device="cpu")
        self.median_norm = activations.median_norm
        self.windows, self.sequences = windows, length_batches(windows)
        self._lower, self._upper = lower_layers(model, dtype), upper_layers(model, dtype)
        self._unembed = model.hf.lm_head.weight.to(dtype)
        self.divergence = float("nan")

    def draw(self, step: int) -> tuple[Float[Tensor, "N D"], ExtraGradient]:
        """Rows of a step, and the divergence's gradient as a function of their reconstruction."""
        epoch, place = divmod(step, len(self.sequences))
        order = np.random.default_rng([self.config.seed, epoch]).permutation(len(self.sequences))
        index = torch.from_numpy(self.sequences[order[place]])
        lengths = self.windows.lengths[index]
        tokens = self.windows.tokens[index, : int(lengths.max())].long()
        resid = self._lower(tokens).float()
        put = usable(resid, lengths, self.median_norm)
        compared = put.nonzero()
        draw = np.random.default_rng([self.config.seed, step])
        chosen = draw.permutation(len(compared))[: self.config.batch]
        compared = compared[torch.from_numpy(chosen)]
        return resid[put] * self.scale, self._divergence(resid, put, compared)

    def _divergence(self, resid: Tensor, put: Tensor, compared: Tensor) -> ExtraGradient:
        """The loss's gradient with respect to a reconstruction of ``resid[put]``."""
        row, at = compared.unbind(1)

        def logprobs(hidden: Tensor) -> Tensor:
            return (hidden[row, at] @ self._unembed.T).float().log_softmax(-1)

        clean = logprobs(self._upper(resid))

        def gradient(recon: Float[Tensor, "N D"], squared: float) -> Float[Tensor, "N D"]:
            with torch.enable_grad():
                leaf = (recon / self.scale).requires_grad_()
                spliced = resid.clone()
                spliced[put] = leaf
                after = logprobs(self._upper(spliced))
                divergence = torch.nn.functional.kl_div(
                    after, clean, reduction="batchmean", log_target=True
                )
                divergence.backward()
            self.divergence = float(divergence.detach())
            # Both losses weigh the same, whatever their units.
            assert leaf.grad is not None
            return leaf.grad * (squared / self.divergence / self.scale)

        return gradient
