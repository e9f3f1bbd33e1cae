"""The training kernel, base SAEs, meta-SAEs, controls, and quality on held-out text."""
