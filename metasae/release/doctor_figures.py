"""What a doctor measures of a preset's SAEs on text, beside what is published of them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.errors import UserError
from metasae.lab.preset_files import META_SAE, folder_of
from metasae.lab.stored_report import read_report
from metasae.lm.halves import usable
from metasae.lm.language_model import LanguageModel
from metasae.progress import Progress, silent
from metasae.release.doctor_files import FAILS, why
from metasae.release.findings import Finding
from metasae.release.published import ELSEWHERE, Published, published
from metasae.saes import formats
from metasae.sources.presets import Preset
from metasae.text.documents import own_documents
from metasae.text.kept_windows import text_of
from metasae.text.overlap import clean_windows, for_figures
from metasae.text.windows import Windows, length_batches
from metasae.text.windows import windows as cut
from metasae.training import explained
from metasae.training.held_out import held_out_batches

_MEAN_OF = 10
"""Batches of training windows, of 4,096 tokens at most, whose mean residual is taken."""

_ROWS = 2**25
"""Activations that are computed at once."""


def figures(
    preset: Preset,
    model: LanguageModel,
    texts: Sequence[str | Path] = (),
    progress: Progress = silent,
) -> Iterator[Finding | str]:
    """L0 and explained variance of every SAE on a text, and the meta-SAE's of directions.

    Args:
        texts: the user's own to measure on, instead of the usual one.

    Yields:
        A finding, or a sentence on what there is nothing to compare with for.
    """
    wanted = dict[int, Published]()
    try:
        for width in preset.widths:
            if (said := published(preset, width)) is not None:
                wanted[width] = said
    except FAILS as error:
        yield Finding.unchecked("published figures", "a report", why(error))
    if not wanted:
        yield "Nobody has published L0 or variance of these SAEs."
    else:
        yield from _of_saes(preset, model, texts, wanted, progress)
    if preset.weights is not None and not preset.meta_sae:
        yield _of_meta_sae(preset)


def _of_saes(
    preset: Preset,
    model: LanguageModel,
    texts: Sequence[str | Path],
    wanted: dict[int, Published],
    progress: Progress,
) -> Iterator[Finding]:
    """L0 and explained variance of the SAEs of some widths."""
    try:
        rows, mean = _rows(preset, model, texts, progress)
    except FAILS as error:
        yield Finding.unchecked("L0 and variance explained", "as published", why(error))
        return
    on = f"on {len(rows):,} tokens of {'your text' if texts else 'held-out text'}"
    for width, said in wanted.items():
        name = f"SAE {width:,}"
        l0_room, room = ELSEWHERE if texts else (said.l0_room, said.explained_room)
        try:
            sae = formats.open_sae(preset.sae(width), preset.sae_size(width))
            ours = explained.quality(sae, rows, max(1, _ROWS // sae.width))
        except FAILS as error:
            yield Finding.unchecked(f"{name}: L0 and variance", said.source, why(error))
            continue
        progress("Measuring the SAEs", 0.0, name)
        if said.l0 is not None:
            yield Finding.of(f"{name}: L0", f"{said.l0:.1f} ± {l0_room:.0%} ({said.source})",
                             f"{ours.l0:.1f} {on}",
                             abs(ours.l0 - said.l0) <= l0_room * said.l0)  # fmt: skip
        if said.explained is not None:
            share = around(ours.fve_centred, rows, mean)
            yield Finding.of(f"{name}: variance explained",
                             f"{said.explained:.3f} ± {room:g} ({said.source})",
                             f"{share:.3f} {on}",
                             abs(share - said.explained) <= room)  # fmt: skip


def _rows(
    preset: Preset, model: LanguageModel, texts: Sequence[str | Path], progress: Progress
) -> tuple[Float[Tensor, "N D"], Float[Tensor, " D"] | None]:
    """Residuals of held-out text at the hook, those of start tokens and massive ones left out;
    and around what variance is measured, where that isn't their own mean."""
    if texts:  # no SAE was trained on it: all of it is held out
        # Cut here and not kept: what a person reads last stays the text of the preset.
        windows = cut(model, progress, list(own_documents(texts)))
        every = replace(windows, held_out=(True,) * len(windows.held_out))
        batches = held_out_batches(every)
    else:
        windows = text_of(preset, model, progress=progress)
        batches = held_out_batches(windows, len(windows.lengths), _reported(windows))
    if not batches:
        raise UserError("The text is too short to measure on; give a longer one.")
    read = [(model.residual(tokens), lengths) for tokens, lengths in batches]
    norms = torch.cat([
        resid[usable(resid, lengths, math.inf)].norm(dim=-1) for resid, lengths in read
    ])  # fmt: skip
    median = float(norms.median())
    rows = torch.cat([resid[usable(resid, lengths, median)] for resid, lengths in read])
    shipped = preset.weights is not None and not texts
    return rows, _training_mean(model, windows, median) if shipped else None


def _training_mean(model: LanguageModel, windows: Windows, median: float) -> Float[Tensor, " D"]:
    """Mean residual of some of the text the SAEs were trained on, around which the shipped
    report measures variance."""
    total, count = torch.zeros(model.d_model, dtype=torch.float64), 0
    for index in length_batches(windows)[:_MEAN_OF]:
        part = windows.some(torch.from_numpy(index))
        tokens = part.tokens[:, : int(part.lengths.max())].long()
        resid = model.residual(tokens)
        x = resid[usable(resid, part.lengths, median)]
        total, count = total + x.double().sum(0), count + len(x)
    return (total / count).float()


def _reported(windows: Windows) -> Tensor:
    """The windows that the figures of the shipped SAEs were measured on."""
    first = torch.tensor([source == windows.sources[0] for source in windows.sources])
    return clean_windows(windows) & for_figures(windows) & first[windows.document]


def around(explained_centred: float, rows: Tensor, mean: Tensor | None) -> float:
    """Explained variance around another mean: 1 − Σ‖x − x̂‖² / Σ‖x − mean‖².

    Args:
        explained_centred: the same around the rows' own mean.
        rows: (N, D) the x.
    """
    if mean is None:
        return explained_centred
    own = rows.mean(0)
    spread = float((rows - own).double().square().sum())
    further = len(rows) * float((own - mean).double().square().sum())
    return 1 - (1 - explained_centred) * spread / (spread + further)


def _of_meta_sae(preset: Preset) -> Finding:
    """What the shipped meta-SAE explains of the decoder's directions."""
    name = "meta-SAE: variance of the directions explained"
    try:
        said = float(read_report(preset)["meta_sae"]["fve"])
        expected = f"{said:.3f} ± 0.005 (this package's report)"
        sae = formats.open_sae(preset.sae(preset.width))
        meta = formats.load(folder_of(preset) / META_SAE)
        ours = explained.quality(meta, sae.W_dec)
    except FAILS as error:
        return Finding.unchecked(name, "this package's report", why(error))
    return Finding.of(name, expected, f"{ours.fve:.3f} at L0 {ours.l0:.2f}",
                      abs(ours.fve - said) <= 0.005)  # fmt: skip
