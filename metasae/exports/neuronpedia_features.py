"""Latents or meta-latents in the layout that Neuronpedia keeps and imports: batches as JSON lines.

A folder of a source holds ``model.jsonl``, ``sourceset.jsonl``, ``source.jsonl``, ``release.jsonl``
and the folders ``features``, ``activations`` and ``explanations`` with files ``batch-N.jsonl.gz``,
each line a row of the table of that name.

Shapes: D = d_model.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from metasae.explorer.evidence import snippet
from metasae.exports.directions import Directions
from metasae.exports.neuronpedia_names import model_id, source_id
from metasae.exports.target import README, carry
from metasae.lm.logit_lens import vocabulary_ends
from metasae.text.windows import Windows

BATCH = 1024
"""Features of a file, as in Neuronpedia's own exports."""

SCRIPT = "upload_features.py"

FILES = (
    "features", "activations", "explanations", "model.jsonl", "source.jsonl", "sourceset.jsonl",
    "release.jsonl", SCRIPT, README,
)  # fmt: skip

Row = dict[str, Any]


def write(directions: Directions, folder: Path) -> None:
    """Write the layout of some latents or meta-latents into a folder.

    Raises:
        UserError: when the text of the evidence can't be fetched.
    """
    lab = directions.explorer.lab
    text = None if directions.is_meta else directions.explorer.text(int(directions.kind))
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    whose = {"modelId": model_id(lab.preset), "layer": source_id(directions)}
    both = list(zip(directions.indices, directions.rows, strict=True))
    for begin in range(0, len(both), BATCH):
        made = [_rows(directions, *one, whose, now, text) for one in both[begin : begin + BATCH]]
        for place, name in enumerate(("features", "activations", "explanations")):
            rows = [row for one in made for row in one[place]]
            _batch(folder / name / f"batch-{begin // BATCH}.jsonl.gz", rows)
    _about(directions, folder, now)
    carry(SCRIPT, folder)
    fired = (
        "the contexts that the workbench keeps of each"
        if text is not None
        else "no contexts: " + _why_none(directions)
    )
    (folder / README).write_text(
        f"# {whose['modelId']} / {whose['layer']}\n\n"
        f"{len(directions.indices):,} {'meta-latents' if directions.is_meta else 'latents'} of "
        f"{_of_what(directions)}, in "
        f"Neuronpedia's export layout, with {fired}.\n\n"
        f"`python {SCRIPT}` uploads them with Neuronpedia's own package (`pip install "
        "neuronpedia`); the model and the source set have to be there first. `creatorId` and "
        "`authorId` are empty; whoever imports the files puts their own there.\n"
        + (_NO_DIRECTIONS if directions.is_meta else ""),
        "utf-8",
    )


_NO_DIRECTIONS = (
    "\nNeuronpedia's package takes no directions: what it uploads are the labels and the tokens; "
    "the directions stay in `features`, for whoever imports the files.\n"
)


def _of_what(directions: Directions) -> str:
    made = directions.made
    if directions.is_meta:
        return f"the meta-SAE {made.meta_sae}"
    return f"the SAE {made.sae} of {directions.width:,} latents"


def _why_none(directions: Directions) -> str:
    if directions.is_meta:
        return "a meta-latent is active on latents, not on text; its direction is in the file"
    return (
        "where these latents fire, or the text that was collected on, is not here (python -m "
        "metasae describe)"
    )


def _rows(
    directions: Directions,
    index: int,
    direction: Float[Tensor, " D"],
    whose: Mapping[str, str],
    now: str,
    text: Windows | None,
) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows of one of them: its feature, its activations, its explanations."""
    explorer = directions.explorer
    here: Row = {**whose, "index": str(index)}
    fired = list(_activations(directions, index, here, now, text)) if text is not None else []
    promoted, suppressed = vocabulary_ends(explorer.lab.model, direction)
    evidence = None if directions.is_meta else explorer.evidence(int(directions.kind))
    bands = None if evidence is None else evidence.histogram(index)
    row = direction.tolist() if directions.is_meta else []  # a latent's is in its SAE's weights
    label = explorer.label(directions.kind, index)
    feature = here | {
        "createdAt": now,
        "creatorId": "",
        "maxActApprox": max((one["maxValue"] for one in fired), default=0.0),
        "frac_nonzero": 0.0 if evidence is None else evidence.density(index),
        "hasVector": bool(row),
        "vector": row,
        "vectorLabel": label if row else None,
        "vectorDefaultSteerStrength": 10.0 if row else None,
        "hookName": explorer.lab.preset.hook_point if row else None,
        "sourceSetName": whose["layer"].partition("-")[2],
        "pos_str": list(promoted["token"]),
        "pos_values": promoted["score"].tolist(),
        "neg_str": list(suppressed["token"]),
        "neg_values": suppressed["score"].tolist(),
        "freq_hist_data_bar_values": [] if bands is None else bands["from"].tolist(),
        "freq_hist_data_bar_heights": [] if bands is None else bands["tokens"].tolist(),
        **{name: [] for name in _NOT_MEASURED},
    }
    said = []
    if label:
        said.append(
            here | {
                "id": _id(*here.values(), label), "authorId": "", "description": label,
                "embedding": None, "typeName": None, "explanationModelName": None,
                "umap_x": None, "umap_y": None, "umap_cluster": None,
                "umap_log_feature_sparsity": None,
            }
        )  # fmt: skip
    return [feature], fired, said


_NOT_MEASURED = (
    "logits_hist_data_bar_heights", "logits_hist_data_bar_values", "neuron_alignment_indices",
    "neuron_alignment_l1", "neuron_alignment_values", "correlated_neurons_indices",
    "correlated_neurons_l1", "correlated_neurons_pearson", "decoder_weights_dist",
    "topkCosSimIndices", "topkCosSimValues",
)  # fmt: skip
"""Lists of a feature that are left empty."""


def _activations(
    directions: Directions, index: int, here: Mapping[str, str], now: str, text: Windows
) -> Iterator[Row]:
    explorer = directions.explorer
    evidence = explorer.evidence(int(directions.kind))
    assert evidence is not None
    for number, context in enumerate(evidence.of(index)):
        shown = snippet(explorer.lab.model, text, context)
        values = [value for _, value in shown.tokens]
        most = max(values)
        yield {
            **here,
            "id": _id(*here.values(), str(number)),
            "tokens": [token for token, _ in shown.tokens],
            "values": values,
            "maxValue": most,
            "maxValueTokenIndex": values.index(most),
            "minValue": min(values),
            "qualifyingTokenIndex": values.index(most),
            "creatorId": "",
            "createdAt": now,
            "dataSource": shown.source,
            "dataIndex": None,
            "dfaValues": [],
            "dfaTargetIndex": None,
            "dfaMaxValue": None,
            "lossValues": [],
            "logitContributions": None,
            "binMin": None,
            "binMax": None,
            "binContains": None,
        }


def _id(*parts: str) -> str:
    """An id of a row: the same for the same row, as long as those of Neuronpedia's."""
    return "c" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _about(directions: Directions, folder: Path, now: str) -> None:
    """The model, the source, its set and the release, a file each."""
    lab = directions.explorer.lab
    model, source = model_id(lab.preset), source_id(directions)
    made, group = lab.provenance, source.partition("-")[2]
    common: Row = {"creatorId": "", "createdAt": now, "visibility": "PUBLIC"}
    what = f"{'meta-latents' if directions.is_meta else 'latents'} of {_of_what(directions)}"
    rows: dict[str, Row] = {
        "model": common | {
            "id": model, "displayName": lab.model.name, "displayNameShort": lab.model.name,
            "instruct": "instruct" in lab.model.name.lower(), "layers": lab.model.n_layers,
            "neuronsPerLayer": 0, "dimension": lab.model.d_model, "owner": "", "updatedAt": now,
        },
        "source": common | {
            "id": source, "modelId": model, "setName": group, "hasDashboards": True,
            "inferenceEnabled": False, "notes": f"{what}; metasae {made.version}",
        },
        "sourceset": common | {
            "modelId": model, "name": group, "description": what, "type": "", "creatorName": "",
            "releaseName": group, "hasDashboards": True,
        },
        "release": common | {
            "name": group, "description": what, "descriptionShort": what, "creatorName": "",
            "urls": [],
        },
    }  # fmt: skip
    for name, row in rows.items():
        (folder / f"{name}.jsonl").write_text(_line(row), "utf-8")


def _batch(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(exist_ok=True)
    # Without the time it was written: the same rows are the same file.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
        for row in rows:
            file.write(_line(row).encode())


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
