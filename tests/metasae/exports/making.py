"""Edits of the small lab that are exported, and the scripts of exports, run on their own."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

from metasae.exports.edited import Edited
from metasae.lab.lab import Lab
from metasae.steering.edits import Edit, EditOptions, LatentSwap, MetaLatentEdit
from metasae.steering.experiment import Experiment

KINDS = ("removed", "added", "hundredfold", "everywhere", "swap", "swap at all", "without error")


def pair(lab: Lab) -> Experiment:
    return lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"))


def edit_of(experiment: Experiment, kind: str) -> Edit:
    """An edit of one of `KINDS`: each takes another way through the residual stream."""
    own = {side: next(p.meta for p in experiment.pieces if p.side == side)
           for side in ("source", "target")}  # fmt: skip
    out = ((own["source"], 0.0),)
    return {
        "removed": MetaLatentEdit(out),
        "added": MetaLatentEdit((*out, (own["target"], 1.0))),
        "hundredfold": MetaLatentEdit(out, options=EditOptions(variant="hundredfold")),
        "everywhere": MetaLatentEdit(
            out,
            options=EditOptions(variant="everywhere", keep_residual=True, position="all"),
        ),
        "swap": LatentSwap(),
        "swap at all": LatentSwap(options=EditOptions(position="all")),
        "without error": MetaLatentEdit(out, options=EditOptions(keep_error=False)),
    }[kind]


def edited(lab: Lab, kind: str = "added") -> Edited:
    experiment = pair(lab)
    return Edited(lab, experiment, edit_of(experiment, kind))


def model_folder(lab: Lab) -> Path:
    origin = lab.preset.model.origin
    assert isinstance(origin, Path)
    return origin


def run_alone(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, in a process where this package can't be imported."""
    blocked = folder.parent / "blocked"
    (blocked / "metasae").mkdir(parents=True, exist_ok=True)
    (blocked / "metasae" / "__init__.py").write_text("raise ImportError('not installed')\n")
    names = ("PATH", "HOME", "TMPDIR", "SYSTEMROOT", "HF_HOME")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    paths = [str(blocked), *(one for one in sys.path if "site-packages" in one)]
    here = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=kept | here, capture_output=True, text=True,
        timeout=250, check=False,
    )  # fmt: skip


IN_TURN = """
import runpy, sys
script, model, *folders = sys.argv[1:]
for folder in folders:
    sys.modules.pop("edit", None)  # each has its own
    sys.path.insert(0, folder)
    sys.argv = [script, model]
    runpy.run_path(f"{folder}/{script}", run_name="__main__")
    sys.path.remove(folder)
"""
"""Runs a script of several exports in one process, since most of its time is imports."""


def differences(script: str, model: Path, *folders: Path) -> list[float]:
    """What the scripts of exports say their log-probabilities differ by at most from the
    workbench's, in nats, each run on its own."""
    done = run_alone(folders[0], "-c", IN_TURN, script, str(model), *map(str, folders))
    assert done.returncode == 0, done.stderr
    found = re.findall(r"Largest difference .*: (\S+) nats", done.stdout)
    assert len(found) == len(folders), done.stdout
    return [float(one) for one in found]


def is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
