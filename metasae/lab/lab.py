"""One preset, opened: the model, the SAE, the meta-SAE, and the tables of cities and words."""

import functools
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from metasae.errors import UserError
from metasae.lab.any_name import AnyName
from metasae.lab.city_questions import BYSTANDER, city_questions, fired_on
from metasae.lab.city_records import CityRecord
from metasae.lab.city_table import told
from metasae.lab.first_use import prepare
from metasae.lab.meta_cards import MetaCard, meta_card
from metasae.lab.preset_files import CITIES, NAMES, WORDS, folder_of, meta_sae_folder
from metasae.lab.reference_names import ReferenceNames
from metasae.lab.stored_report import read_report
from metasae.lab.weights import weights_of
from metasae.lm.language_model import LanguageModel
from metasae.lm.loading import load_model
from metasae.progress import Progress, silent
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from metasae.sources.files import read_json, sha256
from metasae.sources.presets import EMBEDDED, Preset
from metasae.steering.experiment import Experiment
from metasae.steering.provenance import Provenance, Weights
from metasae.steering.questions import Question, Subject
from metasae.text.cities import find_city
from metasae.text.prompts import DEFAULT_WORDING, QUESTIONS, WORDINGS
from metasae.version import __version__

POST_PAIR = ("Tokyo", "Paris")
"""Source and target of the post's table."""


@dataclass(frozen=True, repr=False)
class Lab:
    """One preset opened: its model, SAE, meta-SAE and tables. No edit changes its state.

    Attributes:
        records: the table's cities, by name.
        reference: names with the latents active on them, which any name's are told apart by.
        words: per latent, the words it is most active on, strongest first.
        median_norm: of the residual stream at the hook.
        report: how the SAEs were made and how good they are (see `release.measure`).
    """

    preset: Preset
    model: LanguageModel
    decomposition: Decomposition
    records: dict[str, CityRecord]
    reference: ReferenceNames
    words: dict[int, tuple[str, ...]]
    median_norm: float
    provenance: Provenance
    report: dict[str, Any]

    @property
    def n_latents(self) -> int:
        """Number of latents."""
        return self.decomposition.n_latents

    @property
    def n_meta(self) -> int:
        """Number of meta-latents."""
        return self.decomposition.n_meta

    def city_names(self) -> tuple[str, ...]:
        """Cities of the table that can be edited, sorted: suggestions, since any name can."""
        return tuple(sorted(name for name, record in self.records.items() if record.chosen))

    def city_record(self, name: str) -> CityRecord:
        """What is known of a city of the table.

        Raises:
            UserError: for a city that is not in the table; the text offers the nearest names. For
                one that the table had not yet when the preset's own tables were made.
        """
        city = find_city(name).name
        if city not in self.records:
            raise UserError(
                f"{city} is newer than the tables in {folder_of(self.preset)}; "
                f"{_made_anew(self.preset)}"
            )
        return self.records[city]

    def decomposition_of(self, width: int, progress: Progress = silent) -> Decomposition:
        """The preset's SAE of a width, taken apart by the same meta-SAE; read at every call.

        Raises:
            UserError: for a width there is none of, and whatever `saes.formats.open_sae` raises.
        """
        preset = self.preset
        if width not in preset.widths:
            raise UserError(
                f"There is no SAE of {width} latents; choose one of: "
                f"{', '.join(map(str, sorted(preset.widths)))}."
            )
        sae = formats.open_sae(preset.sae(width), preset.sae_size(width), progress)
        return Decomposition(sae, self.decomposition.meta)

    @functools.cached_property
    def weights(self) -> Weights:
        """Hashes of the weights that are open; read from the files once, on first use.

        Raises:
            UserError: when a file is gone.
        """
        return weights_of(self.preset)

    @functools.cached_property
    def names(self) -> AnyName:
        """Any name's latents and answers, kept once they are found."""
        return AnyName(
            self.model, self.decomposition.sae, self.records, self.reference, self.median_norm
        )

    def latent_words(self, latent: int) -> tuple[str, ...]:
        """The words a latent is most active on, strongest first.

        Raises:
            UserError: for a latent out of range.
        """
        self.decomposition.check(latent)
        return self.words.get(latent, ())

    def meta_card(self, meta: int) -> MetaCard:
        """A meta-latent at a glance.

        Raises:
            UserError: for a meta-latent out of range.
        """
        return self._cards(meta)

    @functools.cached_property
    def _cards(self) -> Callable[[int], MetaCard]:
        return functools.lru_cache(maxsize=4096)(
            lambda meta: meta_card(self.model, self.decomposition, meta, self.latent_words)
        )

    def subject(self, text: str, latents: Sequence[int] | None = None) -> Subject:
        """A city, any other name, or latents by number ("#123" or "#12, #45").

        Args:
            latents: these instead of the name's own choice.

        Raises:
            UserError: for a name that is empty, too long or has no latent at all, or a latent out
                of range.
        """
        if text.strip().startswith("#"):
            return self._by_number(text.strip())
        record = self.names.record(text)
        subject, said = record.subject, [self.names.sharing(record)]
        if latents is not None:
            activation = {one.latent: one.activation for one in record.latents}
            chosen, said = tuple(dict.fromkeys(latents)), []
            for latent in chosen:
                self.decomposition.check(latent)
            typical = self._typical_activations(chosen)
            active = tuple(map(activation.get, chosen, typical))
            subject = replace(subject, latents=chosen, activations=active)
        if not subject.latents:
            raise UserError(
                f"No latent of this SAE stands for {record.name}; choose another name, or name "
                "latents by number."
            )
        said = [*said, self.names.meant(record)]
        return replace(subject, remarks=tuple(filter(None, said)))

    def _by_number(self, text: str) -> Subject:
        if not re.fullmatch(r"#\s*\d+(\s*,\s*#?\s*\d+)*", text):
            raise UserError(
                f'"{text}" names no latents; write their numbers like #123 or #12, #45.'
            )
        numbers = tuple(dict.fromkeys(int(n) for n in re.findall(r"\d+", text)))
        for latent in numbers:
            self.decomposition.check(latent)
        label = ", ".join(f"#{latent}" for latent in numbers)
        strength = self._typical_activations(numbers)
        return Subject(
            label, None, numbers, strength, fired_on(self.records, numbers, self.latent_words)
        )

    @functools.cached_property
    def _median_activation(self) -> float:
        """Median activation of the latents that cities are edited by."""
        usual = sorted(r.activation for city in self.records.values() for r in city.chosen)
        return usual[len(usual) // 2] if usual else 1.0

    def _typical_activations(self, latents: Sequence[int]) -> tuple[float, ...]:
        """Activations of latents that are no given name's: the largest on any reference name.

        A latent that is active on none has the median of those that cities are edited by.
        """
        return tuple(
            self.reference.largest.get(latent, self._median_activation) for latent in latents
        )

    def questions(
        self,
        source: Subject,
        target: Subject,
        bystander: str = BYSTANDER,
        templates: Mapping[str, str] = QUESTIONS,
    ) -> tuple[Question, ...]:
        """The four attributes' questions about the source; see `city_questions`.

        Raises:
            UserError: when nobody knows what the source's latents fire on, or it is the target.
        """
        # What latents by number fire on may be any word: of it only a city's facts are told.
        named = (source.name, target.name, None if bystander == BYSTANDER else bystander)
        told = (name for name in (source.about, bystander) if name in self.records)
        answers = {name: self.names.answers(name) for name in (*named, *told) if name is not None}
        return city_questions(answers, source, target, bystander, templates)

    @property
    def opening(self) -> tuple[str, str]:
        """Source and target that the workbench opens on (see `release.opening`).

        The post's pair where none was chosen, or it is no pair of this table.
        """
        chosen = self.report.get("opening")
        if isinstance(chosen, dict):
            source, target = str(chosen.get("source")), str(chosen.get("target"))
            if {source, target} <= set(self.city_names()) and source != target:
                return source, target
        return POST_PAIR

    def misjudged(self, name: str, wording: str = DEFAULT_WORDING) -> dict[str, str]:
        """Facts about a city that the unedited model does not know when asked in some words.

        Returns:
            Attribute → the answer, of all there are, that it finds likelier; nothing for a name
            that is no city of the table.
        """
        return dict(self._misjudged(name, wording)) if name in self.records else {}

    @functools.cached_property
    def _misjudged(self) -> Callable[[str, str], dict[str, str]]:
        @functools.lru_cache(maxsize=1024)
        def asked(name: str, wording: str) -> dict[str, str]:
            questions = list(WORDINGS[wording].items())
            answers = told(self.model, find_city(name), questions)
            return {
                attribute: one.pick
                for (attribute, _), one in zip(questions, answers, strict=True)
                if not one.known
            }

        return asked

    def experiment(
        self, source: Subject, target: Subject, questions: Sequence[Question] | None = None
    ) -> Experiment:
        """A source, a target and questions, ready to be edited.

        Raises:
            UserError: when source and target are the same, and whatever `Experiment` raises.
        """
        if source.label == target.label:
            raise UserError(
                f"Source and target are both {source.label}; choose two different ones."
            )
        if questions is None:
            questions = self.questions(source, target)
        return Experiment(
            self.model,
            self.decomposition,
            source,
            target,
            questions,
            self.median_norm,
            self.provenance,
        )


def _made_anew(preset: Preset) -> str:
    """What makes a preset's tables anew, as the end of a sentence."""
    if preset.weights is None:
        return "delete that folder and open the preset again, which makes them anew."
    return "check out the repository again, or make them with: python -m metasae build."


def _words(folder: Path) -> dict[int, tuple[str, ...]]:
    """The words each latent is most active on, where they were collected."""
    table = pd.read_parquet(folder / WORDS)
    return {int(str(latent)): tuple(group) for latent, group in table.groupby("latent")["word"]}


def fingerprint(source: str, sae: SparseAutoencoder) -> str:
    """An SAE's name and the start of its weights' SHA-256."""
    file = Path(source) / formats.WEIGHTS
    if file.exists():
        return f"{Path(source).name}@{sha256(file)[:12]}"
    digest = hashlib.sha256(sae.W_dec.numpy().tobytes()).hexdigest()
    return f"{source}@{digest[:12]}"


def open_lab(preset: Preset = EMBEDDED, progress: Progress = silent) -> Lab:
    """Open a preset: fetch what is missing, load, decompose.

    Raises:
        UserError: no network on first use, no space, damaged or missing files.
    """
    model = None
    source = preset.sae(preset.width)
    sae = formats.open_sae(source, preset.sae_size(preset.width), progress)
    d_model = preset.model.d_model or sae.d_in
    if sae.width != preset.width or sae.d_in != d_model:
        raise UserError(
            f"The SAE in {source} has {sae.width} latents of width {sae.d_in}, but the preset "
            f"{preset.opened} needs {preset.width} of width {d_model}."
        )
    folder = folder_of(preset)
    if preset.weights is None:
        model = load_model(preset, progress)
        if model.d_model != sae.d_in:
            raise UserError(
                f"The SAE in {source} reads a residual stream of width {sae.d_in}, but that of "
                f"{model.name} has {model.d_model}; choose the SAE trained on this model."
            )
        prepare(preset, model, sae, progress)
    meta_folder = meta_sae_folder(preset)
    meta = formats.load(meta_folder)
    decomposition = Decomposition(sae, meta)
    try:
        cities = read_json(folder / CITIES)
        words = _words(folder) if preset.weights is not None else {}
        report = read_report(preset)
        records = [CityRecord.from_dict(entry) for entry in cities["cities"]]
        reference = ReferenceNames.load(folder / NAMES, sae.width)
        median_norm = float(report["median_norm"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"The tables in {folder} are missing or damaged; {_made_anew(preset)}"
        ) from error
    return Lab(
        preset=preset,
        model=model or load_model(preset, progress),
        decomposition=decomposition,
        records={record.name: record for record in records},
        reference=reference,
        words=words,
        median_norm=median_norm,
        report=report,
        provenance=Provenance(
            preset=str(preset.opened),
            model=preset.model.name,
            hook=preset.hook_point,
            sae=fingerprint(source, sae),
            meta_sae=f"{meta_folder.name}@{sha256(meta_folder / formats.WEIGHTS)[:12]}",
            version=__version__,
        ),
    )
