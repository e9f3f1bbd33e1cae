"""The command line: one module per command group; no logic."""

from metasae.cli.main import main

__all__ = ["main"]
