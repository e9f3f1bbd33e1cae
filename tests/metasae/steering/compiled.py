"""An edit compiled on the decomposition with known numbers."""

from collections.abc import Sequence

from metasae.saes.decomposition import Decomposition
from metasae.steering.edit_space import CompiledEdit, EditSpace
from metasae.steering.edits import Edit


def compile_edit(
    decomposition: Decomposition,
    edit: Edit,
    source: Sequence[int],
    target: Sequence[int],
    activations: Sequence[float],
) -> CompiledEdit:
    return EditSpace(decomposition, tuple(source), tuple(target), tuple(activations)).compiled(edit)
