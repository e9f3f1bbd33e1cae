"""An edit as a vector for Neuronpedia's vector API."""

from pathlib import Path

from metasae.exports.edited import Edited
from metasae.exports.neuronpedia_names import model_id
from metasae.exports.one_vector import one_vector
from metasae.exports.target import README, carry
from metasae.sources.files import write_json

FILE, SCRIPT = "vector.json", "upload_vector.py"

FILES = (FILE, SCRIPT, README)


def write(edited: Edited, folder: Path) -> tuple[str, ...]:
    """Write the vector, as ``NPVector.new`` of Neuronpedia's package takes it, into a folder.

    Returns:
        What has to be known of it.

    The vector has length 1, and its strength is the length of what is to be added.

    Raises:
        UserError: see `one_vector`.
    """
    found, preset = one_vector(edited), edited.lab.preset
    length = float(found.vector.norm())
    outcome = edited.outcome
    values = {
        "label": f"{outcome.source.label} → {outcome.target.label}",
        "model_id": model_id(preset),
        "layer_num": preset.hook_layer,
        "hook_type": preset.hook_point.rpartition(".")[2],
        "vector": (found.vector / length).tolist(),
        "default_steer_strength": found.coefficient * length,
    }
    write_json(folder / FILE, values, dense=True)
    carry(SCRIPT, folder)
    text = (
        f"{found.text(edited)}\n\n"
        f"`NEURONPEDIA_API_KEY=… python {SCRIPT}` uploads it (`pip install neuronpedia`). The "
        f"model has to be there: {FILE} calls it `{values['model_id']}`."
    )
    (folder / README).write_text(edited.headed(text), "utf-8")
    return (found.sentence,)
