"""An edit compiled on the decomposition with known numbers."""

from collections.abc import Sequence

from metasae.saes.decomposition import Decomposition
from metasae.steering.edit_space import CompiledEdit, EditSpace, Swapped
from metasae.steering.edits import Edit


def compile_edit(
    decomposition: Decomposition,
    edit: Edit,
    source: Sequence[int],
    target: Sequence[int],
    activations: Sequence[float],
) -> CompiledEdit:
    swapped = Swapped.of(dict.fromkeys(source, 1.0), dict(zip(target, activations, strict=True)))
    return EditSpace(decomposition, tuple(source), tuple(target), swapped).compiled(edit)
