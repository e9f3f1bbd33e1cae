"""A preset's text as token windows, kept in the cache once they are cut."""

import hashlib
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from metasae.errors import UserError
from metasae.lm.language_model import LanguageModel
from metasae.progress import Progress, silent
from metasae.sources import cache
from metasae.sources.files import written_whole
from metasae.sources.presets import Preset
from metasae.text.documents import own_documents
from metasae.text.windows import Windows, windows

_DAMAGED = (
    OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error
)  # fmt: skip
"""What NumPy and the archive it reads raise for a damaged file."""


def fingerprint(text: Windows) -> str:
    """Hexadecimal hash of a text's tokens, which tells it from any other text or tokenizer."""
    return hashlib.sha256(text.tokens.numpy().tobytes()).hexdigest()[:16]


def text_of(
    preset: Preset,
    model: LanguageModel,
    texts: Sequence[str | Path] = (),
    progress: Progress = silent,
) -> Windows:
    """Token windows of a preset's text or the user's own, which are kept in the cache.

    Args:
        texts: files or folders of the user's own text, read anew; the embedded default's documents
            when left out.

    Raises:
        UserError: when a text can't be read, there is no network on first use, or what was kept is
            damaged.
    """
    path = cache.windows(preset.kept_as, own=bool(texts))
    if not texts and path.exists():
        return _read_windows(path)
    made = windows(model, progress, list(own_documents(texts)) if texts else None)
    with written_whole(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            tokens=made.tokens.numpy(), lengths=made.lengths.numpy().astype(np.int16),
            document=made.document.numpy().astype(np.int32),
            sources=np.array(made.sources), held_out=np.array(made.held_out),
        )  # fmt: skip
    return made


def own_text(preset: Preset) -> Windows | None:
    """Token windows of the user's own text that was read last for a preset; None without one.

    Raises:
        UserError: when the kept file is damaged.
    """
    path = cache.windows(preset.kept_as, own=True)
    return _read_windows(path) if path.exists() else None


def _read_windows(path: Path) -> Windows:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Windows(
                tokens=torch.from_numpy(arrays["tokens"]),
                lengths=torch.from_numpy(arrays["lengths"].astype(np.int64)),
                document=torch.from_numpy(arrays["document"].astype(np.int64)),
                sources=tuple(arrays["sources"].tolist()),
                held_out=tuple(arrays["held_out"].tolist()),
            )
    except _DAMAGED as error:
        raise UserError(f"{path} is damaged; delete it and start again.") from error
