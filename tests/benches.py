"""Lessons' benches on opened presets, for tests."""

from metasae.explorer.explorer import open_explorer
from metasae.lab.lab import Lab
from metasae.lessons.bench import Bench


def bench(lab: Lab, source: str = "", target: str = "") -> Bench:
    """A bench of a lab and a pair of names; of the pair it opens on when left out."""
    pair = (source, target) if source else lab.opening
    first, second = map(lab.subject, pair)
    return Bench(open_explorer(lab), lab.experiment(first, second))
