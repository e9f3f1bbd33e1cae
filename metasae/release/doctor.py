"""Examines a preset: are its files, its hook and its figures what they should be?

Nothing is repaired. Files that are missing are fetched, as opening the preset would.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from metasae.lm.language_model import LanguageModel
from metasae.lm.loading import load_model
from metasae.progress import Progress, silent
from metasae.release.doctor_examples import examples
from metasae.release.doctor_figures import figures
from metasae.release.doctor_files import FAILS, model_files, sae_files, why
from metasae.release.findings import Examination, Finding
from metasae.sources.hub import local_file
from metasae.sources.presets import Hub, Preset

_ASKED = "Tokyo is a city in Japan, and Paris is one in France."
"""What the hook is compared on."""

_CLOSE = 1e-3
"""How far the residual at the hook may be from transformers' own, as a share of its length."""


def examine(
    preset: Preset,
    texts: Sequence[str | Path] = (),
    quick: bool = False,
    progress: Progress = silent,
) -> Examination:
    """Check everything of a preset that can be checked here.

    Args:
        texts: the user's own text to measure on, instead of the usual one.
        quick: look at files and the hook only, and measure nothing.
    """
    began = time.monotonic()
    found: list[Finding | str] = [*model_files(preset)]
    for width in preset.widths:
        found += sae_files(preset, width)
    model = _opened(preset, progress)
    if isinstance(model, Finding):
        found.append(model)
    else:
        found += _hook(preset, model)
        if not quick:
            found += figures(preset, model, texts, progress)
            found += examples(preset, progress)
    if quick:
        found.append("L0, variance and worked examples were left out (--quick).")
    return Examination(
        str(preset.opened),
        tuple(one for one in found if isinstance(one, Finding)),
        tuple(one for one in found if isinstance(one, str)),
        time.monotonic() - began,
    )


def _opened(preset: Preset, progress: Progress) -> LanguageModel | Finding:
    """The model; a finding where it can't be opened."""
    expected = f"{preset.model.name}, cut before block {preset.hook_layer}"
    origin = preset.model.origin
    if isinstance(origin, Hub) and any(local_file(origin, one) is None for one in origin.files):
        return Finding.unchecked(
            "the model opens",
            expected,
            "its files are not here; nor could its hook, L0 and variance be",
        )
    try:
        return load_model(preset, progress)
    except FAILS as error:
        return Finding.of("the model opens", expected, why(error), False)


def _hook(preset: Preset, model: LanguageModel) -> Iterator[Finding]:
    """Whether what is read at the hook is transformers' own residual stream there."""
    if preset.model.d_model:
        yield Finding.of("the model's residual stream", f"{preset.model.d_model:,} numbers a token",
                         f"{model.d_model:,}", model.d_model == preset.model.d_model)  # fmt: skip
    tokens = torch.tensor([model.prompt_tokens(_ASKED)])
    ours = model.residual(tokens)
    with torch.inference_mode(), model.lock:
        theirs = model.hf(tokens, output_hidden_states=True).hidden_states[preset.hook_layer]
    off = float((ours - theirs).norm() / theirs.norm())
    yield Finding.of(f"residual stream at {preset.hook_point}",
                     f"transformers' own (off by less than {_CLOSE:g} of its length)",
                     f"off by {off:.1e}", off < _CLOSE)  # fmt: skip
