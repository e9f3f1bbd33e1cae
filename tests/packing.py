"""The project packed as it is given out: the wheel, made of the source archive alone.

It is tried in an environment of its own, installed without what it needs: that is this one's.
"""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

SOURCE = (
    "metasae", "workbench", "pages", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md",
    "LICENSE", "NOTICE.md",
)  # fmt: skip
"""What a package is made of."""

PIP = ("-m", "pip", "--no-cache-dir", "--disable-pip-version-check")


def said(folder: Path, *words: str) -> str:
    """What this Python prints in a folder; it has to succeed."""
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def packed(folder: Path) -> Path:
    """The wheel, made in an empty folder."""
    source = folder / "source"
    source.mkdir()
    leave = shutil.ignore_patterns("__pycache__")
    for name in SOURCE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=leave)
        else:
            shutil.copy(ROOT / name, source)
    make = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    said(source, "-c", make)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        content.extractall(folder, filter="data")
    unpacked = folder / archive.name.removesuffix(".tar.gz")
    said(unpacked, *PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), ".")
    (wheel,) = folder.glob("*.whl")
    return wheel


def install_beside(environment: Path, wheel: Path) -> Path:
    """Install the wheel into a virtual environment that borrows this one's packages.

    Those stand after its own in the order of importing.

    Returns:
        The environment's folder of packages.
    """
    (site,) = environment.rglob("site-packages")
    others = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site / "others.pth").write_text("\n".join(others) + "\n")
    words = ("--python", str(environment), "install", "--no-deps", "--no-index", str(wheel))
    said(environment, *PIP, *words)
    return site
