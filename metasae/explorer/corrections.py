"""Labels people wrote, or brought from Neuronpedia, in place of ours."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from metasae.errors import UserError
from metasae.sources import cache
from metasae.sources.files import json_text, json_values, written_whole
from metasae.sources.presets import Preset
from metasae.sources.records import from_values, to_values
from metasae.sources.versions import LABELS, NewerError


@dataclass(frozen=True)
class Corrections:
    """Labels people wrote: by kind ("meta" or a width) and index.

    Attributes:
        sae: the SAE they are about, as in a lab's provenance; the meta-SAE's too.
    """

    sae: str
    meta_sae: str
    labels: Mapping[str, Mapping[str, str]]

    def with_label(self, kind: str, index: int, text: str) -> "Corrections":
        """The corrections with one label changed; an empty text takes it back."""
        changed = {name: dict(group) for name, group in self.labels.items()}
        group = changed.setdefault(kind, {})
        text = " ".join(text.split())[:LONGEST]
        if text:
            group[str(index)] = text
        else:
            group.pop(str(index), None)
        return Corrections(self.sae, self.meta_sae, changed)

    def merged(self, other: "Corrections") -> "Corrections":
        """The corrections with another's labels added, which win.

        Raises:
            UserError: when they are about other SAEs.
        """
        for name, mine, theirs in (
            ("SAE", self.sae, other.sae),
            ("meta-SAE", self.meta_sae, other.meta_sae),
        ):
            if mine != theirs:
                raise UserError(
                    f"These labels are about the {name} {theirs}, and {mine} is open; open that "
                    "one first."
                )
        kinds = {*self.labels, *other.labels}
        joined = {
            kind: {**self.labels.get(kind, {}), **other.labels.get(kind, {})} for kind in kinds
        }
        return Corrections(self.sae, self.meta_sae, joined)

    def to_json(self) -> str:
        """The content of the file people share."""
        return json_text(LABELS.stamp | to_values(self)) + "\n"

    @staticmethod
    def from_json(content: str | bytes) -> "Corrections":
        """The corrections `to_json` wrote.

        Raises:
            UserError: for any other content, or that of a newer version.
        """
        try:
            values = json_values(content)
            LABELS.check(values, "This file of labels")
            read = from_values(Corrections, values)
            labels = {
                kind: {str(int(index)): text[:LONGEST] for index, text in group.items()}
                for kind, group in read.labels.items()
            }
            return replace(read, labels=labels)
        except ValueError as error:
            raise UserError(
                "This is no file of labels; choose one that the workbench saved."
            ) from error


def explained(content: str | bytes) -> dict[str, str]:
    """Labels from Neuronpedia's explanation files: index → description.

    A file is a JSON list, or a line of JSON each, of objects with ``index`` (or ``feature``) and
    ``description``; of several about one latent the first is taken.

    Raises:
        UserError: when it is no such file, or holds no labels.
    """
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
    try:
        try:
            rows = json_values(text)
        except ValueError:
            rows = [json_values(line) for line in text.splitlines() if line.strip()]
        labels: dict[str, str] = {}
        for row in rows:
            index = row["index"] if "index" in row else row["feature"]
            labels.setdefault(str(int(index)), str(row["description"])[:LONGEST])
        if not labels:
            raise ValueError("no labels")
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise UserError(
            "This is no file of Neuronpedia's explanations; it takes a list of objects with index "
            "and description."
        ) from error
    return labels


LONGEST = 200
"""Characters of a label that are kept."""


def _path(preset: Preset, sae: str, meta_sae: str) -> Path:
    """The file of the labels about these SAEs: those about others of the preset keep theirs."""
    about = hashlib.sha256(json.dumps([sae, meta_sae]).encode()).hexdigest()[:12]
    return cache.corrected_labels(preset.kept_as, preset.meta_sae, about)


def load_corrections(preset: Preset, sae: str, meta_sae: str) -> Corrections:
    """The corrected labels of what is open; none where nobody wrote any.

    Raises:
        UserError: when their file is damaged.
    """
    for path in (
        _path(preset, sae, meta_sae),
        cache.corrected_labels(preset.kept_as, preset.meta_sae),
    ):
        if path.exists():
            try:
                corrections = Corrections.from_json(path.read_bytes())
            except NewerError as error:
                raise UserError(f"{path}: {error}") from error
            except (OSError, UserError) as error:
                raise UserError(
                    f"{path} is damaged; move it away to go on without the labels in it."
                ) from error
            if (corrections.sae, corrections.meta_sae) == (sae, meta_sae):
                return corrections
    return Corrections(sae, meta_sae, {})


def save_corrections(preset: Preset, corrections: Corrections) -> None:
    """Keep a preset's corrected labels in the cache.

    Raises:
        UserError: when the cache can't be written.
    """
    path = _path(preset, corrections.sae, corrections.meta_sae)
    with written_whole(path) as part:
        part.write_text(corrections.to_json(), "utf-8")
