"""Where latents fire, against all activations of one plain pass."""

import pytest
import torch

from metasae.explorer import token_activations
from metasae.explorer.token_activations import activations_on
from metasae.lab.lab import Lab
from metasae.lm.halves import usable
from metasae.text.document import Document
from metasae.text.windows import windows


def test_every_activation_of_the_latents_is_found_and_no_other(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_activations, "fast_dtype", lambda: torch.float32)
    monkeypatch.setattr(token_activations, "_TOKENS_A_BATCH", 200)
    names = ("Tokyo", "Paris", "Cairo", "Lyon", "Osaka")
    texts = [
        Document("made up", f"{name} is a city. " * (1 + number), False)
        for number, name in enumerate(names)
    ]
    text, sae = windows(small_lab.model, texts=texts), small_lab.decomposition.sae
    latents = [0, 3, 7, 20]
    found = activations_on(small_lab.model, sae, text, latents, small_lab.median_norm)
    resid = small_lab.model.residual(text.tokens.long())
    acts = sae.encode(resid.flatten(0, 1)).view(*resid.shape[:2], -1)
    acts[~usable(resid, text.lengths, small_lab.median_norm)] = 0
    for latent in range(sae.width):
        row, position, value = found.of(latent)
        expected = acts[..., latent] if latent in latents else torch.zeros(acts.shape[:2])
        assert len(row) == int((expected > 0).sum())
        ours = expected[torch.from_numpy(row), torch.from_numpy(position)]
        assert torch.allclose(ours, torch.from_numpy(value), atol=1e-3)
    assert len(found.latent) and found.first == 1
