"""The folders of everything that is kept on this machine, each path made here and nowhere else.

``METASAE_CACHE`` moves them all. Nothing here reads or writes a file; `files` does.
"""

import os
from pathlib import Path

from platformdirs import user_cache_path

from metasae.errors import UserError

CACHE_VARIABLE = "METASAE_CACHE"


def cache_dir() -> Path:
    """Where models, wheels and intermediate results are kept; ``METASAE_CACHE`` moves it.

    Raises:
        UserError: when the folder can't be made or written.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    path = Path(chosen).expanduser() if chosen else user_cache_path("metasae")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The cache folder {path} can't be made ({error.strerror}); set {CACHE_VARIABLE} to a "
            "folder you can write to."
        ) from error
    return path
