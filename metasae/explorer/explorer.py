"""A lab with the evidence and the labels behind its latents: what the explorer reads.

Evidence and labels are shipped for the embedded default; for any other preset, and for a text of
the user's own, `describing.describe` makes them.
"""

import functools
import logging
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from metasae.errors import UserError
from metasae.explorer import corrections, evidence
from metasae.explorer.corrections import Corrections
from metasae.explorer.evidence import Evidence, firing_on
from metasae.explorer.labels import UNCLEAR, ScoredLabel
from metasae.lab.lab import Lab
from metasae.lab.meta_cards import meta_title
from metasae.lm.logit_lens import directions_promoting
from metasae.progress import Progress, silent
from metasae.saes.decomposition import Decomposition
from metasae.sources.files import CHECKING, read_json
from metasae.sources.versions import EVIDENCE
from metasae.text import kept_windows
from metasae.text.windows import Windows

_log = logging.getLogger(__name__)

PROMOTING = 8
"""Directions that raise a word most, among those a search finds."""

META = "meta"
"""Kind of a label that is a meta-latent's; a latent's is its SAE's width."""

REPORT = "labels.json"
"""File beside the labels: how good those of each kind are, the meta-latents' of which meta-SAE."""


def label_report(folder: Path) -> dict[str, Any]:
    """What the folder's `REPORT` says; empty where there is none that can be read.

    Raises:
        UserError: when a newer version of this package wrote it.
    """
    try:
        told = dict(read_json(folder / REPORT))
        EVIDENCE.check(told, f"What is known of the labels in {folder}")
        return told
    except (OSError, ValueError, TypeError):
        _log.info("%s does not say how good its labels are", folder, exc_info=True)
        return {}


def named(kind: str, index: int, label: str) -> str:
    """Number and label together.

    Args:
        kind: `META`, or any other for a latent.
    """
    name = f"meta-latent {index}" if kind == META else f"#{index}"
    return name if label == name else f"{name} {label}".strip()


@dataclass
class Explorer:
    """What is known of the latents of a lab's SAEs; everything is read on first use.

    Attributes:
        folder: the evidence and labels.
        shipped: others, for widths and kinds of which the first folder has none.
    """

    lab: Lab
    folder: Path
    shipped: Path | None = None
    _decompositions: dict[int, Decomposition] = field(default_factory=dict)
    _evidence: dict[int, Evidence] = field(default_factory=dict)
    _labels: dict[str, pd.DataFrame] = field(default_factory=dict)
    _called: dict[tuple[str, int], str] = field(default_factory=dict)
    _misses: set[tuple[str, tuple[int, ...]]] = field(default_factory=set)
    _texts: dict[str, Windows] = field(default_factory=dict)
    _folded: dict[str, "pd.Series[str]"] = field(default_factory=dict)

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the SAEs there are, narrow to wide."""
        return tuple(sorted(self.lab.preset.widths))

    def decomposition(self, width: int, progress: Progress = silent) -> Decomposition:
        """The SAE of a width, taken apart by the lab's meta-SAE; fetched on first use.

        Raises:
            UserError: for a width there is none of, and whatever `saes.formats.open_sae` raises.
        """
        if width == self.lab.n_latents:
            return self.lab.decomposition
        if width not in self._decompositions:
            self._decompositions[width] = self.lab.decomposition_of(width, progress)
        return self._decompositions[width]

    def smaller_width(self, width: int) -> int | None:
        """About an eighth of it: the SAE a latent is compared with; None for the smallest."""
        narrower = [one for one in self.widths if one < width]
        return min(narrower, key=lambda one: abs(one - width / 8)) if narrower else None

    def evidence(self, width: int) -> Evidence | None:
        """Where the latents of a width fire; None where nobody has collected it."""
        if width not in self._evidence:
            homes = self._homes(f"facts-{width}.json")
            if not homes:
                return None
            self._evidence[width] = Evidence.load(homes[0], width)
        return self._evidence[width]

    def _homes(self, name: str) -> list[Path]:
        """Folders that have such a file, the user's own first."""
        return [folder for folder in self._folders if (folder / name).exists()]

    @property
    def _folders(self) -> list[Path]:
        return [self.folder] if self.shipped is None else [self.folder, self.shipped]

    def text(self, width: int | None = None, progress: Progress = silent) -> Windows | None:
        """The text a width's evidence is about, fetched and cut on first use.

        Args:
            width: that of the open SAE when left out.

        Returns:
            None where there is no evidence, or neither the user's own text nor the usual one is
            what it is about.

        Raises:
            UserError: no network on first use.
        """
        collected = self.evidence(width or self.lab.n_latents)
        if collected is None:
            return None
        if collected.text not in self._texts:
            preset = self.lab.preset
            for made in (
                lambda: kept_windows.own_text(preset),
                lambda: kept_windows.text_of(preset, self.lab.model, (), progress),
            ):
                if collected.text not in self._texts and (text := made()) is not None:
                    self._texts[kept_windows.fingerprint(text)] = text
        return self._texts.get(collected.text)

    def table(self, kind: str) -> pd.DataFrame | None:
        """Labels of a kind, the columns those of `labels.to_table`; None without them.

        Raises:
            UserError: when their file is damaged.
        """
        if kind not in self._labels:
            # Nothing is looked for again until something is written there.
            miss = kind, self._changed()
            if miss in self._misses:
                return None
            if (read := self._read_table(kind)) is None:
                self._misses.add(miss)
                return None
            self._labels[kind] = read
        return self._labels[kind]

    def _changed(self) -> tuple[int, ...]:
        """When something was last written to each folder, in nanoseconds; 0 where there is none."""
        return tuple(
            folder.stat().st_mtime_ns if folder.is_dir() else 0 for folder in self._folders
        )

    def _read_table(self, kind: str) -> pd.DataFrame | None:
        homes = self._homes(f"labels-{kind}.parquet")
        if kind == META:
            homes = [home for home in homes if self._own_meta_labels(home)]
        if not homes:
            return None
        path = homes[0] / f"labels-{kind}.parquet"
        try:
            table = pd.read_parquet(path, **CHECKING).set_index("index", drop=False)
            # Earlier versions didn't score the one word.
            return table if "one_word" in table else table.assign(one_word=math.nan)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"{path} is damaged; make it again with: python -m metasae describe."
            ) from error

    def _own_meta_labels(self, folder: Path) -> bool:
        """Whether the meta-latents' labels there are about the meta-SAE that is open."""
        report = label_report(folder)
        told = report.get(META)
        # Earlier versions wrote all at once, and the meta-SAE's name only above.
        about = told.get("meta_sae", report.get("meta_sae")) if isinstance(told, dict) else None
        return bool(about == self.lab.provenance.meta_sae)

    @functools.cached_property
    def corrections(self) -> Corrections:
        """Labels people wrote."""
        made = self.lab.provenance
        return corrections.load_corrections(self.lab.preset, made.sae, made.meta_sae)

    @property
    def sizes(self) -> dict[str, int]:
        """Of every kind of label how many latents or meta-latents there are."""
        return {META: self.lab.n_meta} | {str(width): width for width in self.widths}

    def check(self, kind: str, index: int) -> None:
        """Refuse a latent or meta-latent that isn't there.

        Raises:
            UserError: for it, or a width there is none of.
        """
        if index < self.sizes.get(kind, 0):
            return
        if kind == META:
            self.lab.decomposition.check_meta(index)
        else:
            self.decomposition(int(kind)).check(index)

    def check_labels(self, labels: Corrections) -> None:
        """Refuse labels of what isn't there.

        Raises:
            UserError: for a width there is none of, or a latent or meta-latent out of range.
        """
        sizes = self.sizes
        for kind, group in labels.labels.items():
            if kind not in sizes:
                raise UserError(f'These labels are about an SAE of "{kind}" latents; none is here.')
            if odd := [index for index in group if not 0 <= int(index) < sizes[kind]]:
                name = "meta-latents" if kind == META else "latents"
                raise UserError(
                    f"These labels name number {odd[0]}, but there are {sizes[kind]:,} {name}; "
                    "choose a file about this SAE."
                )

    def correct(self, changed: Corrections) -> None:
        """Keep changed corrections.

        Raises:
            UserError: when the cache can't be written.
        """
        corrections.save_corrections(self.lab.preset, changed)
        self.corrections = changed
        self._called = {}

    def label(self, kind: str, index: int) -> str:
        """What a latent or meta-latent is called; empty where nothing is known.

        "(?)" behind it: no label held, these are the words it fires on.
        """
        # Who still reads what was corrected meanwhile writes it where nobody looks any more.
        called = self._called
        if (kind, index) not in called:
            label = self._label(kind, index)
            if self.table(kind) is None:  # labels can still be made
                return label
            called[kind, index] = label
        return called[kind, index]

    def _label(self, kind: str, index: int) -> str:
        if text := self.corrections.labels.get(kind, {}).get(str(index)):
            return text
        table = self.table(kind)
        if table is not None and (label := table.at[index, "label"]) != UNCLEAR:
            return str(label)
        # What is unclear is at least described, by the words it fires on.
        if kind == META:
            words = meta_title(self.lab.decomposition, index, self.lab.latent_words)
        elif kind == str(self.lab.n_latents):
            words = ", ".join(self.lab.latent_words(index)[:3])
        else:
            words = "" if table is None else str(table.at[index, "words"])
        return f"{words} (?)" if words and table is not None else words

    def meta_title(self, index: int) -> str:
        """What a meta-latent is called; by what its latents fire on where labels are damaged."""
        try:
            return self.label(META, index)
        except UserError:  # of which the explorer's own pages and commands tell
            return self.lab.meta_card(index).title

    def scored(self, kind: str, index: int) -> ScoredLabel:
        """What a latent or meta-latent is called, and how far that holds."""
        label, table = self.label(kind, index), self.table(kind)
        written = self.corrections.labels.get(kind, {}).get(str(index))
        if written or table is None:
            return ScoredLabel(label, written or None)
        return ScoredLabel.of(label, table.loc[[index]].iloc[0])

    def label_scores(self, kind: str, index: int) -> "tuple[str, pd.DataFrame] | None":
        """What a language model's answers say of a label, and that model's name.

        Returns:
            Rows as `label_scores.Scores.table` has them; None where none were asked for.

        Raises:
            UserError: when their file is damaged.
        """
        from metasae.explorer.label_scores import Scores

        for home in self._homes(f"scores-{kind}.json"):
            found = Scores.load(home / f"scores-{kind}.json")
            table = found.table()
            rows = table[table["latent"] == index] if len(table) else table
            if len(rows):
                return found.model, rows
        return None

    def of_node(self, node: str) -> str:
        """Kind of the labels of a graph's nodes: meta-latents, or the open SAE's latents."""
        return META if node == "meta" else str(self.lab.n_latents)

    def named(self, kind: str, index: int) -> str:
        """Number and label together."""
        return named(kind, index, self.label(kind, index))

    def firing_on(self, width: int, typed: str) -> pd.DataFrame:
        """Which latents of a width fire on a text: columns position, token, latent, activation,
        label.

        Raises:
            UserError: for an empty text, one longer than the model reads, or no such width.
        """
        sae = self.decomposition(width).sae
        firing = firing_on(self.lab.model, sae, typed, self.lab.median_norm)
        return firing.assign(label=[self.label(str(width), one) for one in firing["latent"]])

    def find(self, kind: str, query: str, most: int = 50) -> pd.DataFrame:
        """Latents whose label, words or city match what was typed, or that promote it.

        Args:
            kind: width of their SAE.

        Returns:
            Columns index, label, why.

        Raises:
            UserError: for an empty query.
        """
        wanted = " ".join(query.split()).casefold()
        if not wanted:
            raise UserError("Type a number, a word, or a text.")
        rows: dict[int, str] = {}
        for index, text in self.corrections.labels.get(kind, {}).items():
            if wanted in text.casefold():
                rows[int(index)] = "label, corrected"
        if kind == str(self.lab.n_latents):
            for record in self.lab.records.values():
                if wanted in record.name.casefold():
                    for one in record.chosen:
                        rows.setdefault(one.latent, f"the city {record.name}")
            for latent in self._fire_on.index[self._fire_on == wanted]:
                rows.setdefault(int(latent), "word it fires on")
        directions = self.decomposition(int(kind)).sae.W_dec
        for promoting in directions_promoting(self.lab.model, directions, wanted, PROMOTING):
            rows.setdefault(promoting, "promotes it")
        table = self.table(kind)
        if table is not None:
            # A word's beginning is behind a space or a comma; the first is given a space.
            if kind not in self._folded:
                self._folded[kind] = " " + table["words"].fillna("").str.casefold()
            texts = self._folded[kind].str
            hit = texts.contains(f" {wanted}", regex=False)
            hit |= texts.contains(f",{wanted}", regex=False)
            for index in table["f1"][hit].sort_values(ascending=False).index[:most]:
                rows.setdefault(int(index), "label")
        matches = [
            {"index": index, "label": self.label(kind, index), "why": why}
            for index, why in list(rows.items())[:most]
        ]
        return pd.DataFrame(matches, columns=["index", "label", "why"])

    @functools.cached_property
    def _fire_on(self) -> "pd.Series[str]":
        """The words the open SAE's latents fire on, casefolded, by latent."""
        # No dict of lists: making tens of thousands of them sets off a long collection of garbage.
        return pd.Series(self.lab.words, dtype=object).explode().astype("str").str.casefold()


def open_explorer(lab: Lab) -> Explorer:
    """The explorer of a lab, with the evidence and labels there are."""
    preset = lab.preset
    return Explorer(lab, evidence.own_folder(preset), evidence.shipped_evidence(preset))
