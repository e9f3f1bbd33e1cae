"""An edit in plain transformers: one forward hook."""

from metasae.exports.code import code_target

TARGET = code_target(
    "transformers",
    "transformers",
    "with_transformers.py",
    "torch transformers safetensors",
)
