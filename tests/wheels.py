"""A small wheel on a local shelf."""

import hashlib
import zipfile
from pathlib import Path

from metasae.sources.presets import Wheel


def small_wheel(folder: Path) -> Wheel:
    """A wheel that pip takes, written into a folder."""
    name = "tiny_model-1.2-py3-none-any.whl"
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny_model/weights.txt", "one two three\n" * 1000)
        archive.writestr("tiny_model/more.txt", "more")
        archive.writestr(
            "tiny_model-1.2.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.2\n",
        )
        archive.writestr(
            "tiny_model-1.2.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("tiny_model-1.2.dist-info/RECORD", "")
    content = (folder / name).read_bytes()
    return Wheel(
        project="tiny-model",
        version="1.2",
        filename=name,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
    )
