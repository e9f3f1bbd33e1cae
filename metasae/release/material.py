"""What the SAEs that ship are trained and measured on, and where they lie."""

from collections import Counter
from pathlib import Path

from metasae.errors import UserError
from metasae.lm.loading import load_model
from metasae.progress import Progress, silent
from metasae.sources.presets import EMBEDDED, Preset
from metasae.text.kept_windows import text_of
from metasae.text.windows import Windows
from metasae.training.base_sae import TrainingText, residuals_folder
from metasae.training.residuals import collect


def shipped_folder(preset: Preset) -> Path:
    """Folder of what `build` makes and `measure` measures.

    Raises:
        UserError: for a preset of other people's SAEs, or a meta-SAE of the user's.
    """
    if preset.weights is None:
        raise UserError(
            f"The SAEs of {preset.opened} are made elsewhere; build and measure are for "
            f"{EMBEDDED.name}."
        )
    if preset.meta_sae:
        raise UserError(
            f"What is shipped has the preset's own meta-SAE; build and measure {preset.name}, not "
            f"{preset.opened}."
        )
    return preset.weights


def material(preset: Preset, progress: Progress = silent) -> TrainingText:
    """The model, the text and the residuals, collected on first use.

    Raises:
        UserError: no network on first use, or no space.
    """
    model = load_model(preset, progress)
    text = text_of(preset, model, progress=progress)
    return TrainingText(model, text, collect(model, text, residuals_folder(preset, text), progress))


def text_used(windows: Windows) -> dict[str, dict[str, int]]:
    """Documents and tokens of each source, trained on and held out."""
    tokens: Counter[tuple[str, bool]] = Counter()
    for document, length in zip(windows.document.tolist(), windows.lengths.tolist(), strict=True):
        tokens[windows.sources[document], windows.held_out[document]] += length - 1
    documents = Counter(zip(windows.sources, windows.held_out, strict=True))
    return {
        source: {
            "documents": documents[source, False],
            "tokens": tokens[source, False],
            "held_out_documents": documents[source, True],
            "held_out_tokens": tokens[source, True],
        }
        for source in dict.fromkeys(windows.sources)
    }
