"""The targets of exports there are; the command line and the page are made from this list."""

from typing import Any

from metasae.exports import (
    to_html,
    to_huggingface,
    to_lm_eval,
    to_neuronpedia,
    to_nnsight,
    to_transformer_lens,
    to_transformers,
    to_vectors,
)
from metasae.exports.edited import Edited
from metasae.exports.target import Target

TARGETS: dict[str, Target[Any]] = {
    one.TARGET.name: one.TARGET
    for one in (
        to_transformers, to_transformer_lens, to_nnsight, to_lm_eval, to_neuronpedia, to_vectors,
        to_html, to_huggingface,
    )
}  # fmt: skip
"""By the name ``--to`` has for each."""

OF_EDITS = tuple(one for one in TARGETS.values() if Edited in one.takes)
"""Those that take an edit."""
