"""A name is seen as any name a person types, table or not."""

import torch

from metasae.lab.any_name import AnyName
from metasae.lab.lab import Lab
from metasae.lab.name_latents import activations_on
from metasae.ravel.portraits import Portrait, mean_activations


def test_latents_are_those_of_any_name_in_no_table(
    small_lab: Lab, people: dict[str, Portrait]
) -> None:
    sae = small_lab.decomposition.sae
    look_up = AnyName(small_lab.model, sae, {}, small_lab.reference, small_lab.median_norm)
    for name in ("Tokyo", "Lyon"):
        assert people[name].subject == look_up.record(name).subject
        expected = activations_on(small_lab.model, sae, name, small_lab.median_norm)
        torch.testing.assert_close(people[name].activations, expected)
        torch.testing.assert_close(people[name].mean, people[name].contexts.mean(0))


def test_without_residuals_nothing_is_active(small_lab: Lab) -> None:
    sae = small_lab.decomposition.sae
    assert not mean_activations(sae, torch.empty(0, sae.d_in)).any()
