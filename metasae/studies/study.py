"""What a study is: a question asked of an SAE and its meta-SAE, and what comes back.

To add one, write a module with a configuration (a frozen dataclass of plain values), a function
``run(material, config, progress) -> Finding`` and a `Study` that names both, and add its line to
`registry.STUDIES`. The command line, the page and the files of a result are made from these. A
result is kept by the question and the package's version, so ask with ``--anew`` while a study is
being written.

Shapes: F latents, D = d_model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lab.spread import Spread
from metasae.progress import Progress, silent
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from metasae.sources.user_presets import block_after
from metasae.steering.provenance import Provenance
from metasae.studies.city_facts import CityFacts
from metasae.studies.firing import firing
from metasae.studies.held_out_text import HeldOutText
from metasae.studies.kept_meta_saes import of_all_widths
from metasae.studies.parts import Parts

if TYPE_CHECKING:
    import altair as alt

_MOST = 2**31 - 1
"""Of a setting: the largest number, and seed, there is."""

_TRUTHS = {"yes": True, "true": True, "no": False, "false": False}

RESAMPLED = 1000
"""Times latents are drawn again for an interval."""


@dataclass(frozen=True)
class Material:
    """What a study works on.

    Attributes:
        decomposition: the open SAE, taken apart by its meta-SAE.
        seeds: further meta-SAEs of the same SAE and recipe, started elsewhere.
        smaller_widths: widths of the preset's smaller SAEs, narrow to wide.
        open_smaller: opens the SAE of one of them.
        read: reads about so many tokens, of text that nothing was trained on or of the training's,
            and tells which latents fire on which, (N, F), of ones.
        held_out: reads at most so many windows of held-out text.
        city_facts: cities with their latents, and what the model answers about them.
        provenance: what all numbers come from.
        parts: what the run has worked out before it was stopped.
        train_on_all: trains one meta-SAE on several SAEs' directions, from a seed.
        lab: what all of it was opened from.
        spread: where a study that can does its pieces of work; None: here.
    """

    decomposition: Decomposition
    seeds: tuple[SparseAutoencoder, ...] = ()
    smaller_widths: tuple[int, ...] = ()
    open_smaller: Callable[[int], SparseAutoencoder] | None = None
    read: Callable[[int, bool, Progress], sp.csr_array] | None = None
    held_out: Callable[[int, Progress], HeldOutText] | None = None
    city_facts: CityFacts | None = None
    provenance: Provenance | None = None
    parts: Parts = Parts()  # noqa: RUF009 - frozen
    train_on_all: (
        Callable[[Sequence[SparseAutoencoder], int, Progress], SparseAutoencoder] | None
    ) = None
    lab: Lab | None = None
    spread: Spread | None = None
    _opened: dict[int, SparseAutoencoder] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(
        lab: Lab,
        seeds: tuple[SparseAutoencoder, ...] = (),
        progress: Progress = silent,
        parts: Parts = Parts(),  # noqa: B008 - frozen
        spread: Spread | None = None,
    ) -> "Material":
        """A lab's SAE and meta-SAE, and its preset's smaller SAEs.

        Args:
            seeds: see `seeds.meta_saes`.
            parts: of the run.
            spread: where pieces of work are done; here when left out.
        """
        preset = lab.preset
        return Material(
            lab.decomposition,
            seeds,
            tuple(sorted(width for width in preset.widths if width < lab.n_latents)),
            lambda width: formats.open_sae(preset.sae(width), preset.sae_size(width), progress),
            lambda tokens, held_out, progress: firing(lab, tokens, held_out, progress),
            lambda windows, progress: HeldOutText.of(lab, windows, progress),
            CityFacts.of(lab),
            lab.provenance,
            parts,
            lambda saes, seed, progress: of_all_widths(lab, saes, seed, progress),
            lab,
            spread,
        )

    @property
    def sae(self) -> SparseAutoencoder:
        """The SAE that is taken apart."""
        return self.decomposition.sae

    @cached_property
    def decompositions(self) -> tuple[Decomposition, ...]:
        """The SAE taken apart by each meta-SAE, the open one first."""
        return (self.decomposition, *(Decomposition(self.sae, meta) for meta in self.seeds))

    def smaller(self, width: int) -> SparseAutoencoder:
        """One of the smaller SAEs.

        Raises:
            UserError: when there is none of this width, or it reads another residual stream.
        """
        if width not in self.smaller_widths or self.open_smaller is None:
            raise UserError(
                f"There is no smaller SAE of {width:,} latents beside the {self.sae.width:,} that "
                f"are open; there are: {', '.join(map(str, self.smaller_widths)) or 'none'}."
            )
        if width not in self._opened:
            sae = self.open_smaller(width)
            if sae.d_in != self.sae.d_in:
                raise UserError(
                    f"The SAE of {width:,} latents has directions of width {sae.d_in}, the open "
                    f"one of {self.sae.d_in}; compare SAEs of one hook."
                )
            block, own = (
                block_after(str(one.metadata.get("hook_name"))) for one in (sae, self.sae)
            )
            if None not in (block, own) and block != own:
                raise UserError(
                    f"The SAE of {width:,} latents reads the residual stream before block {block}, "
                    f"the open one before block {own}; compare SAEs of one hook."
                )
            self._opened[width] = sae
        return self._opened[width]

    @cached_property
    def widths(self) -> tuple[SparseAutoencoder, ...]:
        """The SAEs of all widths, narrow to wide; the open one is the last.

        Raises:
            UserError: as `smaller`, or when there is no smaller SAE.
        """
        self.nearest_width(1.0)
        return (*map(self.smaller, self.smaller_widths), self.sae)

    def metas_of_all_widths(self, progress: Progress) -> tuple[SparseAutoencoder, ...]:
        """Meta-SAEs of the decoders of all widths together, as many as there are of the open SAE.

        Raises:
            UserError: as `widths`, or when there is nothing to train one with.
        """
        if self.train_on_all is None:
            raise UserError("This study needs a meta-SAE of all widths, and none can be trained.")
        seeds = range(1 + len(self.seeds))
        return tuple(self.train_on_all(self.widths, seed, progress) for seed in seeds)

    def fires(self, tokens: int, held_out: bool, progress: Progress) -> sp.csr_array:
        """Which latents fire on about so many tokens of text: ones, (N, F).

        Args:
            held_out: of text that nothing was trained on.

        Raises:
            UserError: when there is no text.
        """
        if self.read is None:
            raise UserError("This study reads text, and there is no model to read it with.")
        return self.read(tokens, held_out, progress)

    def text(self, windows: int, progress: Progress) -> HeldOutText:
        """At most so many windows of held-out text, run up to the hook.

        Raises:
            UserError: when there is no text.
        """
        if self.held_out is None:
            raise UserError("This study reads text, and there is no model to read it with.")
        return self.held_out(windows, progress)

    @property
    def cities(self) -> CityFacts:
        """Cities with their latents, and what the model answers about them.

        Raises:
            UserError: when there is no model to ask.
        """
        if self.city_facts is None:
            raise UserError("This study asks about cities, and there is no model to ask.")
        return self.city_facts

    def nearest_width(self, share: float) -> int:
        """Of the smaller widths the one closest to this share of the open SAE's.

        Raises:
            UserError: when there is no smaller SAE.
        """
        if not self.smaller_widths:
            raise UserError(
                f"This study compares the SAE of {self.sae.width:,} latents with a smaller one of "
                "the same hook, and the preset has none; open a preset of several widths."
            )
        wanted = share * self.sae.width
        return min(self.smaller_widths, key=lambda width: abs(np.log(width / wanted)))


@dataclass(frozen=True)
class Finding:
    """What a study found.

    Attributes:
        verdict: one sentence, in plain words, with the figures it rests on.
        figures: numbers, texts, and lists and dictionaries of them: what to cite, with intervals
            and controls. NumPy's and torch's numbers are written as plain ones.
        tables: name → table; columns are documented in the study's module.
        charts: name → picture.
        left_out: what could not be done and why, a sentence each.
    """

    verdict: str
    figures: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    charts: "Mapping[str, alt.Chart | alt.LayerChart | alt.FacetChart]" = field(
        default_factory=dict
    )
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """A question, how it is configured and how it is answered.

    Attributes:
        name: in links, folders and commands.
        title: on screen.
        question: what it asks, in one sentence.
        published: what the post or the paper found, in one sentence; empty where nothing is
            published.
        configuration: a frozen dataclass of numbers, texts and bools with defaults, among them
            ``seed``; raises UserError for values that make no sense.
        run: answers it.
        words: a figure's or a column's name → how it is read, "group.name" within a group or a
            list; "control" says what the controls are. A name whose words end in " %" is a share,
            read as percent.
    """

    name: str
    title: str
    question: str
    published: str
    configuration: type
    run: Callable[[Material, Any, Progress], Finding]
    words: Mapping[str, str] = field(default_factory=dict)

    def answer(
        self, material: Material, configuration: Any = None, progress: Progress = silent
    ) -> Finding:
        """Answer the question.

        Args:
            configuration: the usual one when left out.

        Raises:
            UserError: when it can't be asked of this material; see the study's ``run``.
        """
        return self.run(material, configuration or self.configuration(), progress)

    def configured(self, texts: Mapping[str, str]) -> Any:
        """The configuration with some values a person typed.

        Args:
            texts: field → value, as text.

        Raises:
            UserError: for a field there is none of, or a value that is none of its kind.
        """
        usual = asdict(self.configuration())
        for name, text in texts.items():
            if name not in usual:
                raise UserError(
                    f"The study {self.name} has no setting {name}; it has: {', '.join(usual)}."
                )
            usual[name] = _read(name, text, type(usual[name]))
            if name == "seed" and usual[name] < 0:
                raise UserError(f"seed is {text}; give a whole number from 0 to {_MOST:,}.")
        return self.configuration(**usual)


def _read(name: str, text: str, kind: type) -> Any:
    """What a person typed for a setting.

    Raises:
        UserError: for what is none of its kind, no finite number, or larger than anything counted.
    """
    if kind is str:
        return text
    if kind is bool:
        if text.lower() not in _TRUTHS:
            raise UserError(f'{name} is "{text}"; give yes or no.')
        return _TRUTHS[text.lower()]
    try:
        value = kind(text)
    except ValueError as error:
        raise UserError(
            f'{name} is "{text[:40]}"; give a {"whole number" if kind is int else "number"}.'
        ) from error
    if not abs(value) <= _MOST:
        raise UserError(f"{name} is {text[:40]}; give a number of at most {_MOST:,}.")
    return value


def check_threshold(threshold: float) -> None:
    """Refuse what is no cosine between 0 and 1.

    Raises:
        UserError: for it.
    """
    if not 0 < threshold < 1:
        raise UserError(f"The threshold is {threshold}; give a cosine between 0 and 1.")


def check_smaller_share(share: float) -> None:
    """Refuse what is no share of the open SAE's width that a smaller SAE can have.

    Raises:
        UserError: for it.
    """
    if not 0 < share < 1:
        raise UserError(f"The smaller SAE's share is {share}; give one between 0 and 1.")


def share_with_interval(hits: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """A share of latents and the middle 95 % of what as many latents drawn again give.

    Args:
        hits: for each latent whether it counts, (F,).
    """
    return mean_with_interval(hits.astype(np.float64), seed)


def mean_with_interval(
    values: np.ndarray,
    seed: int = 0,
    groups: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> dict[str, Any]:
    """A mean over latents and its bootstrap interval of 95 %.

    Args:
        values: one for each latent, (F,).
        groups: see `ratio_with_interval`.
        weights: how much each counts, (F,); all the same when left out.

    Raises:
        UserError: when there are none.
    """
    if weights is None:
        weights = np.ones(len(values))
    return ratio_with_interval(weights * values, weights, seed, groups)


def ratio_with_interval(
    parts: np.ndarray, wholes: np.ndarray, seed: int = 0, groups: np.ndarray | None = None
) -> dict[str, Any]:
    """A sum as a share of another, Σ parts / Σ wholes, and its bootstrap interval of 95 %.

    Args:
        parts, wholes: one of each for each latent, (F,), or whatever is drawn again.
        groups: of each latent the number of the group, from 0, that it is drawn again with: values
            that have something in common aren't independent. Each by itself when left out.

    Raises:
        UserError: when there are none.
    """
    if not len(parts):
        raise UserError("There is nothing left to take a mean of; choose other thresholds.")
    draw = np.random.default_rng(seed)
    if groups is None:
        groups = np.arange(len(parts))
    sums, sizes = np.bincount(groups, parts), np.bincount(groups, wholes)
    picks = (draw.integers(0, len(sums), len(sums)) for _ in range(RESAMPLED))
    drawn = [float(sums[some].sum() / sizes[some].sum()) for some in picks]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"value": float(sums.sum() / sizes.sum()), "low": float(low), "high": float(high)}
