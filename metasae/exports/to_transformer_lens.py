"""An edit in TransformerLens: a hook for ``run_with_hooks``."""

from metasae.exports.code import code_target

TARGET = code_target(
    "transformer-lens",
    "TransformerLens",
    "with_transformer_lens.py",
    "transformer-lens safetensors",
)
