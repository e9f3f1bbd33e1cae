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


def run_alone(folder: Path, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run an exported script in a process where this package can't be imported."""
    blocked = folder.parent / "blocked"
    (blocked / "metasae").mkdir(parents=True, exist_ok=True)
    (blocked / "metasae" / "__init__.py").write_text("raise ImportError('not installed')\n")
    names = ("PATH", "HOME", "TMPDIR", "SYSTEMROOT", "HF_HOME")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    paths = [str(blocked), *(one for one in sys.path if "site-packages" in one)]
    return subprocess.run(
        [sys.executable, script, *words],
        cwd=folder,
        env=kept | {
            "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
        },
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )  # fmt: skip


def largest_difference(done: subprocess.CompletedProcess[str]) -> float:
    """What a script says its log-probabilities differ by at most from the workbench's, in nats."""
    assert done.returncode == 0, done.stderr
    found = re.search(r"Largest difference .*: (\S+) nats", done.stdout)
    assert found is not None, done.stdout
    return float(found[1])


def is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
