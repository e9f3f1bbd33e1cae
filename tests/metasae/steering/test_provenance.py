"""Which weights a file was made with, by hand."""

from dataclasses import replace

import pytest

from metasae.steering.provenance import Provenance

OPEN = Provenance("p", "a model", "a hook", "an SAE", "a meta-SAE", "1.0")

SAME = {"model": "a model", "sae": "an SAE", "meta_sae": "a meta-SAE"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"model": "b"}, "with the model b, and the workbench has a model open"),
        ({"sae": "b"}, "with the SAE b, and the workbench has an SAE open"),
        ({"meta_sae": "b"}, "with the meta-SAE b, and the workbench has a meta-SAE open"),
        # The first of them is named.
        ({"meta_sae": "b", "sae": "c"}, "with the SAE c, and the workbench has an SAE open"),
    ],
)
def test_other_weights_are_named(changes: dict[str, str], said: str) -> None:
    assert OPEN.other_than(SAME | changes) == (f"This file was made {said}" if said else "")


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({}, None),
        ({"meta_sae": "b", "version": "2"}, ("meta-SAE", "a meta-SAE", "b")),
        ({"version": "2"}, ("version", "1.0", "2")),
        ({"hook": "b"}, ("hook", "a hook", "b")),
    ],
)
def test_the_first_thing_that_is_another_is_named(
    changes: dict[str, str], first: tuple[str, ...] | None
) -> None:
    assert OPEN.change(replace(OPEN, **changes)) == first
