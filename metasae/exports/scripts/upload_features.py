"""Upload the features beside this file to Neuronpedia.

Run: python upload_features.py

Needs Neuronpedia's own package (pip install neuronpedia), your key in NEURONPEDIA_API_KEY, and the
model and the source set, made on neuronpedia.org or with that package.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of a folder's batches, in their order."""
    paths = sorted(folder.glob("batch-*.jsonl.gz"), key=lambda one: int(one.name.split(".")[0][6:]))
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from map(json.loads, file)


def features(folder: Path) -> Iterator[Any]:
    """The features as Neuronpedia's package takes them."""
    from neuronpedia.np_activation import Activation
    from neuronpedia.np_explanation import Explanation
    from neuronpedia.np_feature import Feature, Logit

    said, fired = defaultdict(list), defaultdict(list)
    for row in rows(folder / "explanations"):
        whose = row["modelId"], row["layer"], int(row["index"])
        said[row["index"]].append(Explanation(*whose, text=row["description"]))
    for row in rows(folder / "activations"):
        whose = row["modelId"], row["layer"], int(row["index"])
        fired[row["index"]].append(Activation(*whose, tokens=row["tokens"], values=row["values"]))
    for row in rows(folder / "features"):
        tops, bottoms = (
            [Logit(*one) for one in zip(row[f"{end}_str"], row[f"{end}_values"], strict=True)]
            for end in ("pos", "neg")
        )
        yield Feature(
            modelId=row["modelId"],
            source=row["layer"],
            index=int(row["index"]),
            density=row["frac_nonzero"],
            top_logits=tops,
            bottom_logits=bottoms,
            explanations=said[row["index"]],
            activations=fired[row["index"]],
        )


def main() -> None:
    """Upload them, as many at a time as Neuronpedia takes."""
    from neuronpedia.requests.feature_request import MAX_FEATURES_PER_BATCH, FeatureRequest

    left = features(Path(__file__).parent)
    while batch := list(islice(left, MAX_FEATURES_PER_BATCH)):
        FeatureRequest().upload_batch(batch[0].modelId, batch[0].source, batch)
        print(f"{len(batch)} features uploaded")


if __name__ == "__main__":
    main()
