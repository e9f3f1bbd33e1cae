"""Examines a preset: are its files, its hook and its figures what they should be?

Nothing is repaired. Files that are missing are fetched, as opening the preset would.
"""

import json
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metasae.errors import UserError
from metasae.lab.preset_files import META_SAE, folder_of
from metasae.lab.stored_report import read_report
from metasae.lm.halves import usable
from metasae.lm.language_model import LanguageModel
from metasae.lm.loading import load_model
from metasae.progress import Progress, silent
from metasae.release import post_examples
from metasae.release.doctor_files import FAILS, model_files, sae_files
from metasae.release.findings import Examination, Finding
from metasae.release.published import ELSEWHERE, Published, published
from metasae.saes import formats
from metasae.sources.hub import local_file
from metasae.sources.presets import Hub, Preset
from metasae.steering.edits import NO_EDIT, LatentSwap
from metasae.text.documents import own_documents
from metasae.text.kept_windows import text_of
from metasae.text.overlap import clean_windows, for_figures
from metasae.text.windows import Windows, length_batches
from metasae.text.windows import windows as cut
from metasae.training import explained
from metasae.training.held_out import held_out_batches

_log = logging.getLogger(__name__)

_ASKED = "Tokyo is a city in Japan, and Paris is one in France."
"""What the hook is compared on."""

_CLOSE = 1e-3
"""How far the residual at the hook may be from transformers' own, as a share of its length."""

_NATS = 0.05
"""How far log-probabilities of the shipped examples may be off, in nats: other processors round
otherwise."""

_MEAN_OF = 10
"""Batches of training windows, of 4,096 tokens at most, whose mean residual is taken."""

_ROWS = 2**25
"""Activations that are computed at once."""


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
    found = _Examining(preset, tuple(texts), progress)
    found.findings += model_files(preset)
    for width in preset.widths:
        found.findings += sae_files(preset, width)
    if found.opened():
        found.findings += _hook(preset, found.model)
        if not quick:
            found.measure()
            found.examples()
    if quick:
        found.not_asked.append("L0, variance and worked examples were left out (--quick).")
    return Examination(
        str(preset.opened), tuple(found.findings), tuple(found.not_asked), time.monotonic() - began
    )


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


@dataclass
class _Examining:
    """An examination that is under way.

    Attributes:
        not_asked: see `Examination`.
        mean: around which variance is measured; None: the measured text's own.
    """

    preset: Preset
    texts: tuple[str | Path, ...]
    progress: Progress
    mean: Tensor | None = None
    findings: list[Finding] = field(default_factory=list)
    not_asked: list[str] = field(default_factory=list)

    def opened(self) -> bool:
        """Open the model; False, and a finding, where it can't be."""
        expected = f"{self.preset.model.name}, cut before block {self.preset.hook_layer}"
        if isinstance(self.preset.model.origin, Hub) and any(
            local_file(self.preset.model.origin, one) is None
            for one in self.preset.model.origin.files
        ):
            why = "its files are not here; nor could its hook, L0 and variance be"
            self.findings.append(Finding.unchecked("the model opens", expected, why))
            return False
        try:
            self.model = load_model(self.preset, self.progress)
        except FAILS as error:
            self.findings.append(Finding.of("the model opens", expected, _why(error), False))
            return False
        return True

    def measure(self) -> None:
        """L0 and explained variance of every SAE on a text, and the meta-SAE's of directions."""
        preset, wanted = self.preset, dict[int, Published]()
        try:
            for width in preset.widths:
                if (figures := published(preset, width)) is not None:
                    wanted[width] = figures
        except FAILS as error:
            self.findings.append(Finding.unchecked("published figures", "a report", _why(error)))
        if not wanted:
            self.not_asked.append("Nobody has published L0 or variance of these SAEs.")
        else:
            try:
                rows = self._rows()
            except FAILS as error:
                self.findings.append(
                    Finding.unchecked("L0 and variance explained", "as published", _why(error))
                )
            else:
                for width, figures in wanted.items():
                    self.findings += self._figures(width, figures, rows)
        if preset.weights is not None and not preset.meta_sae:
            self.findings.append(self._meta())

    def _rows(self) -> Tensor:
        """Residuals of held-out text at the hook, those of start tokens and massive ones left
        out."""
        if self.texts:  # no SAE was trained on it: all of it is held out
            # Cut here and not kept: what a person reads last stays the text of the preset.
            windows = cut(self.model, self.progress, list(own_documents(self.texts)))
            every = replace(windows, held_out=(True,) * len(windows.held_out))
            batches = held_out_batches(every)
        else:
            windows = text_of(self.preset, self.model, progress=self.progress)
            batches = held_out_batches(windows, len(windows.lengths), _reported(windows))
        if not batches:
            raise UserError("The text is too short to measure on; give a longer one.")
        read = [(self.model.residual(tokens), lengths) for tokens, lengths in batches]
        norms = torch.cat([
            resid[usable(resid, lengths, math.inf)].norm(dim=-1) for resid, lengths in read
        ])  # fmt: skip
        median = float(norms.median())
        rows = torch.cat([resid[usable(resid, lengths, median)] for resid, lengths in read])
        if self.preset.weights is not None and not self.texts:
            self.mean = self._training_mean(windows, median)
        return rows

    def _training_mean(self, windows: Windows, median: float) -> Tensor:
        """Mean residual of some of the text the SAEs were trained on, around which the shipped
        report measures variance."""
        total, count = torch.zeros(self.model.d_model, dtype=torch.float64), 0
        for index in length_batches(windows)[:_MEAN_OF]:
            part = windows.some(torch.from_numpy(index))
            tokens = part.tokens[:, : int(part.lengths.max())].long()
            resid = self.model.residual(tokens)
            x = resid[usable(resid, part.lengths, median)]
            total, count = total + x.double().sum(0), count + len(x)
        return (total / count).float()

    def _figures(self, width: int, figures: Published, rows: Tensor) -> Iterator[Finding]:
        name = f"SAE {width:,}"
        l0_room, room = (
            ELSEWHERE if self.texts else (figures.l0_room, figures.explained_room)
        )  # fmt: skip
        on = f"on {len(rows):,} tokens of {'your text' if self.texts else 'held-out text'}"
        try:
            sae = formats.open_sae(self.preset.sae(width), self.preset.sae_size(width))
            ours = explained.quality(sae, rows, max(1, _ROWS // sae.width))
        except FAILS as error:
            yield Finding.unchecked(f"{name}: L0 and variance", figures.source, _why(error))
            return
        self.progress("Measuring the SAEs", 0.0, name)
        if figures.l0 is not None:
            yield Finding.of(f"{name}: L0", f"{figures.l0:.1f} ± {l0_room:.0%} ({figures.source})",
                             f"{ours.l0:.1f} {on}",
                             abs(ours.l0 - figures.l0) <= l0_room * figures.l0)  # fmt: skip
        if figures.explained is not None:
            share = around(ours.fve_centred, rows, self.mean)
            yield Finding.of(f"{name}: variance explained",
                             f"{figures.explained:.3f} ± {room:g} ({figures.source})",
                             f"{share:.3f} {on}",
                             abs(share - figures.explained) <= room)  # fmt: skip

    def _meta(self) -> Finding:
        """What the shipped meta-SAE explains of the decoder's directions."""
        name = "meta-SAE: variance of the directions explained"
        try:
            said = float(read_report(self.preset)["meta_sae"]["fve"])
            expected = f"{said:.3f} ± 0.005 (this package's report)"
            sae = formats.open_sae(self.preset.sae(self.preset.width))
            meta = formats.load(folder_of(self.preset) / META_SAE)
            ours = explained.quality(meta, sae.W_dec)
        except FAILS as error:
            return Finding.unchecked(name, "this package's report", _why(error))
        return Finding.of(name, expected, f"{ours.fve:.3f} at L0 {ours.l0:.2f}",
                          abs(ours.fve - said) <= 0.005)  # fmt: skip

    def examples(self) -> None:
        """The post's worked examples, or the shipped ones."""
        preset = self.preset
        if preset.kept_as not in post_examples.OF_PRESET and preset.weights is None:
            self.not_asked.append("The post has no worked examples of this preset.")
            return
        try:
            if preset.weights is not None:
                self.findings += _shipped_examples(preset)
                return
            from metasae.explorer.explorer import open_explorer
            from metasae.lab.lab import open_lab

            checks = post_examples.checks(open_explorer(open_lab(preset, self.progress)))
        except FAILS as error:
            self.findings.append(Finding.unchecked("worked examples", "the post's", _why(error)))
            return
        self.findings += [
            Finding.of(f"worked example: {one.name}", f"{one.published} (the post)", one.found,
                       one.agrees)
            for one in checks
        ]  # fmt: skip


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


def _reported(windows: Windows) -> Tensor:
    """The windows that the figures of the shipped SAEs were measured on."""
    first = torch.tensor([source == windows.sources[0] for source in windows.sources])
    return clean_windows(windows) & for_figures(windows) & first[windows.document]


def _shipped_examples(preset: Preset) -> Iterator[Finding]:
    """Tokyo and Paris, unedited and with their latents swapped, as the report has them."""
    from metasae.lab.lab import POST_PAIR, open_lab

    said = read_report(preset).get("tokyo_paris")
    if said is None:
        return
    lab = open_lab(preset)
    source, target = map(lab.subject, POST_PAIR)
    pair = lab.experiment(source, target)
    for key, what, edit, place in (
        ("baseline", "unedited", NO_EDIT, 0), ("swap", "latents swapped", LatentSwap(), 1),
    ):  # fmt: skip
        now = _answers(pair.apply(edit).to_dict()["attributes"], POST_PAIR[place])
        before = _answers(said[key], POST_PAIR[place])
        yield Finding.of(
            f"worked example: Tokyo → Paris, {what}",
            f"{_listed(before)} ± {_NATS:g} nats for {POST_PAIR[place]}'s (this package's report)",
            _listed(now),
            before.keys() == now.keys()
            and all(abs(now[name] - value) <= _NATS for name, value in before.items()),
        )


def _answers(attributes: Any, city: str) -> dict[str, float]:
    """Log-probability of a city's answer to each question, in nats."""
    return {
        one["attribute"]: answer["logprob"]
        for one in json.loads(json.dumps(attributes))
        for answer in one["answers"]
        if answer["city"] == city
    }


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in values.items())


def _why(error: BaseException) -> str:
    """An error as half a sentence."""
    _log.info("a check could not be made", exc_info=error)
    return str(error) if isinstance(error, UserError) else "what it reads is missing or damaged"
