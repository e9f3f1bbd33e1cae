"""A global edit: meta-latents made weaker or stronger in every latent of the SAE that has them.

For a latent i that has some of the changed meta-latents m, with activation a_im and strength s_m,
the direction d_i is rebuilt as

    d_i' = ‖d_i‖ · normalised(d_i + Σ_m (s_m − 1) · a_im · w_m),

w_m the meta-SAE's decoder row. This keeps what the meta-SAE does not explain of d_i, which is what
a global edit should do: otherwise it would drop that as well, in hundreds of latents, and of a
latent whose only meta-latent goes nothing but the meta-SAE's bias would be left, blown up to full
length. Without it the sum is the meta-SAE's own reconstruction with the changed activations, as for
a source's latents (see `edit_space`). A latent that has none of the changed meta-latents keeps its
direction exactly, in both; there is nothing of it to make weaker. So 1 changes nothing, and adding
a meta-latent to latents that lack it is no global edit.

The residual stream changes by Σ_i f_i(x) · (d_i' − d_i). No weight is changed.

Shapes: F latents, D = d_model, G latents that have a changed meta-latent, N rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition

NOTHING_LEFT = 1e-6
"""Length up to which a rebuilt direction counts as gone."""


@dataclass(frozen=True)
class GlobalEdit:
    """What changes in an SAE's decoder, and by it in the residual stream.

    Attributes:
        latents: those that have a changed meta-latent, ascending.
        step: new direction minus own of each.
    """

    sae: SparseAutoencoder
    latents: Int[Tensor, " G"]
    step: Float[Tensor, "G D"]

    @staticmethod
    def of(
        decomposition: Decomposition, strengths: Mapping[int, float], keep_residual: bool = True
    ) -> "GlobalEdit":
        """The edit that gives some meta-latents a strength in all latents that have them.

        Args:
            strengths: meta-latent → factor of its activation: 0 takes it out, 1 leaves it.
            keep_residual: keep what the meta-SAE does not explain of a direction. Without it a
                latent of which nothing is left adds nothing to the residual stream.

        Raises:
            UserError: for a meta-latent out of range.
        """
        sae, meta = decomposition.sae, decomposition.meta
        changed = {one: strength for one, strength in strengths.items() if strength != 1}
        active = {one: decomposition.latents_of(one) for one in changed}
        latents = torch.tensor(sorted(set().union(*active.values())), dtype=torch.int64)
        place = {latent: row for row, latent in enumerate(latents.tolist())}
        own = sae.W_dec[latents]
        made = own.clone()
        if not keep_residual and len(latents):
            made = torch.stack([decomposition.rebuilt(latent, {}) for latent in place])
        for one, strength in changed.items():
            rows = torch.tensor([place[latent] for latent in active[one]], dtype=torch.int64)
            loads = torch.tensor(list(active[one].values()))
            made[rows] += (strength - 1) * loads[:, None] * meta.W_dec[one]
        norm = made.norm(dim=1, keepdim=True)
        scaled = made * (own.norm(dim=1, keepdim=True) / norm.clamp(min=1e-12))
        return GlobalEdit(sae, latents, torch.where(norm < NOTHING_LEFT, 0.0, scaled) - own)

    def firing(self, resid: Float[Tensor, "N D"]) -> Float[Tensor, "N G"]:
        """Activations of the changed latents on some residuals."""
        return self.sae.encode_some(resid, self.latents)

    def change(self, resid: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """What is added to each residual."""
        return self.firing(resid) @ self.step

    def edited(self, resid: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """The residuals with the edit made in them."""
        return resid + self.change(resid)
