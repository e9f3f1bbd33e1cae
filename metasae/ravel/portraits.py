"""What is known of a name from contexts alone: its latents, their activations, its residual.

No table of cities is read: a name's latents are found like those of any name a person types.

Shapes: F latents, D = d_model.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.lab.city_records import NameRecord
from metasae.lab.lab import Lab
from metasae.lab.name_latents import residuals_on_names
from metasae.lab.ranking import ranked
from metasae.lm.halves import not_massive
from metasae.ravel.data import Entity
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.steering.questions import Subject
from metasae.text.prompts import in_contexts


@dataclass(frozen=True, eq=False)
class Portrait:
    """A name as methods see it.

    Attributes:
        entity: the name with its facts.
        subject: its latents, as an edit on the Steer page has them.
        contexts: residual stream at the hook on its last token, one row a neutral context.
        activations: mean of all latents over them.
    """

    entity: Entity
    subject: Subject
    contexts: Float[Tensor, "C D"]
    activations: Float[Tensor, " F"]

    @property
    def name(self) -> str:
        """The name."""
        return self.entity.name

    @property
    def mean(self) -> Float[Tensor, " D"]:
        """Mean residual stream over the contexts."""
        return self.contexts.mean(0)


def portrait(lab: Lab, entity: Entity) -> Portrait:
    """What is known of a name; its latents are chosen as `AnyName` does for a name in no table."""
    resid = residuals_on_names(lab.model, in_contexts(entity.name), entity.name)
    resid = resid[not_massive(resid.norm(dim=1), lab.median_norm)].clone()
    activations = mean_activations(lab.decomposition.sae, resid)
    record = NameRecord(entity.name, ranked(lab.reference, entity.name, activations))
    return Portrait(entity, record.subject, resid, activations)


def mean_activations(sae: SparseAutoencoder, resid: Float[Tensor, "C D"]) -> Float[Tensor, " F"]:
    """Mean activation of every latent over some residuals; zeros where there are none."""
    return sae.encode(resid).mean(0) if len(resid) else torch.zeros(sae.width)
