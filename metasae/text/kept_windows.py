"""A preset's text as token windows, kept on disk once they are made."""

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
from metasae.text.documents import own_documents as files
from metasae.text.windows import Windows, windows

_DAMAGED = (
    OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error
)  # fmt: skip
"""What NumPy and the archive it reads raise for a damaged file."""


def fingerprint(text: Windows) -> str:
    """Tells one text, cut into one model's tokens, from any other."""
    return hashlib.sha256(text.tokens.numpy().tobytes()).hexdigest()[:16]


def text_of(
    preset: Preset,
    model: LanguageModel,
    texts: Sequence[Path] = (),
    progress: Progress = silent,
) -> Windows:
    """A text as token windows, kept once they are made.

    Args:
        texts: the user's own (see `own_text`); the one the shipped evidence is about without any.

    Raises:
        UserError: no such text, no network on first use.
    """
    path = cache.windows(preset.name, own=bool(texts))
    if not texts and path.exists():
        return _read_windows(path)
    made = windows(model, progress, list(files(texts)) if texts else None)
    with written_whole(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            tokens=made.tokens.numpy(), lengths=made.lengths.numpy().astype(np.int16),
            document=made.document.numpy().astype(np.int32),
            city=made.city.numpy().astype(np.int16),
            city_at=made.city_at.numpy().astype(np.int16),
            sources=np.array(made.sources), held_out=np.array(made.held_out),
        )  # fmt: skip
    return made


def own_text(preset: Preset) -> Windows | None:
    """The user's own text that was read last, if there is one.

    Raises:
        UserError: when what was kept of it is damaged.
    """
    path = cache.windows(preset.name, own=True)
    return _read_windows(path) if path.exists() else None


def _read_windows(path: Path) -> Windows:
    try:
        with np.load(path, allow_pickle=False) as found:
            return Windows(
                tokens=torch.from_numpy(found["tokens"]),
                lengths=torch.from_numpy(found["lengths"].astype(np.int64)),
                document=torch.from_numpy(found["document"].astype(np.int64)),
                city=torch.from_numpy(found["city"].astype(np.int64)),
                city_at=torch.from_numpy(found["city_at"].astype(np.int64)),
                sources=tuple(found["sources"].tolist()),
                held_out=tuple(found["held_out"].tolist()),
            )
    except _DAMAGED as error:
        raise UserError(f"{path} is damaged; delete it and start again.") from error
