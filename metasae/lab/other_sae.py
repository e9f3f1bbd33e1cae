"""What an edit is compared in: another SAE of the same preset, or another preset.

Shapes: C names, P contexts, D = d_model.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.errors import UserError
from metasae.lab.lab import Lab, fingerprint, open_lab
from metasae.lab.name_latents import mean_activations, residual_table
from metasae.lab.ranking import ranked
from metasae.lab.reference_names import ReferenceNames
from metasae.progress import Progress, silent
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.sources import cache
from metasae.sources.files import written_whole
from metasae.sources.user_presets import find_preset
from metasae.steering.experiment import Experiment
from metasae.steering.questions import Subject
from metasae.text.prompts import in_contexts


def width_of(text: str) -> int | None:
    """The width that stands for another SAE of a preset; None for a text that names a preset."""
    return int(text) if text.isdecimal() else None


def opened_beside(lab: Lab, text: str, progress: Progress = silent) -> Lab:
    """Another SAE of a lab's preset, or another preset, opened.

    Args:
        text: the width of one of the preset's SAEs, or another preset's text form.

    Raises:
        UserError: for a width there is no SAE of, and whatever opening it raises.
    """
    if (width := width_of(text)) is not None:
        return with_sae(lab, width, progress)
    return open_lab(find_preset(text), progress)


def with_sae(lab: Lab, width: int, progress: Progress = silent) -> Lab:
    """The lab with another of its SAEs taken apart by the same meta-SAE.

    Model and meta-SAE are the lab's own, so a meta-latent means the same in both; which latents are
    a name's is found anew. The residuals on the reference names that takes are kept on the disk.

    Raises:
        UserError: for a width there is no SAE of, and whatever `saes.formats.open_sae` raises.
    """
    preset = lab.preset
    if width == lab.n_latents:
        return lab
    decomposition = lab.decomposition_of(width, progress)
    reference = _reference(lab, decomposition.sae, progress)
    chosen = {
        name: replace(record, latents=ranked(reference, name, reference.activations(name)))
        for name, record in lab.records.items()
    }
    return replace(
        lab,
        preset=replace(preset, opened_width=width),
        decomposition=decomposition,
        records=chosen,
        reference=reference,
        words={},
        provenance=replace(lab.provenance, sae=fingerprint(preset.sae(width), decomposition.sae)),
    )


def _reference(lab: Lab, sae: SparseAutoencoder, progress: Progress) -> ReferenceNames:
    """The names a lab's own latents are told apart by, with another SAE's activations on them."""
    names = tuple(map(str, lab.reference.table["name"].unique()))
    resid = _residuals(lab, names, progress)
    table = [mean_activations(sae, on_name, lab.median_norm) for on_name in resid]
    return ReferenceNames.of(names, torch.stack(table))


def _residuals(lab: Lab, names: Sequence[str], progress: Progress) -> Float[Tensor, "C P D"]:
    """Residual stream on some names in the neutral contexts; kept, since every SAE reads it."""
    contexts = [in_contexts(name) for name in names]
    about = (lab.weights.model, lab.preset.hook_point, contexts)
    digest = sha256(repr(about).encode()).hexdigest()[:12]
    path = cache.residuals_on_names(lab.preset.kept_as, digest)
    # What isn't there, or was damaged, is made anew.
    damaged = (OSError, ValueError, KeyError, EOFError, BadZipFile)
    with suppress(*damaged), np.load(path, allow_pickle=False) as arrays:
        return torch.from_numpy(arrays["resid"])
    resid = residual_table(lab.model, names, progress)
    with written_whole(path) as part, part.open("wb") as file:
        np.savez(file, resid=resid.numpy())
    return resid


def asked_in(there: Lab, experiment: Experiment) -> Experiment:
    """The same questions about the same names, asked in another lab.

    Raises:
        UserError: for latents chosen by number, which are none of another SAE's, and as
            `Experiment` for what can't be asked of its model.
    """
    if torch.equal(there.decomposition.sae.W_dec, experiment.decomposition.sae.W_dec):
        return there.experiment(experiment.source, experiment.target, experiment.questions)

    def named(one: Subject) -> Subject:
        if one.name is None:
            raise UserError(
                f"{one.label} names latents of this SAE by their numbers, and another SAE's "
                "latents are others; choose a city or any other name."
            )
        return there.subject(one.name)

    source, target = named(experiment.source), named(experiment.target)
    return there.experiment(source, target, experiment.questions)
