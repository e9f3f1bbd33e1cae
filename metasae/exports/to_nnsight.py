"""An edit in nnsight: an intervention in a trace."""

from metasae.exports.code import code_target

TARGET = code_target("nnsight", "nnsight", "with_nnsight.py", "nnsight transformers safetensors")
