"""What the tests of RAVEL share: the small lab's cities, asked and learned from."""

import pytest

from metasae.lab.lab import Lab
from metasae.progress import silent
from metasae.ravel.facts import Known, Size, survey
from metasae.ravel.portraits import Portrait, portrait
from metasae.ravel.training import Training, views
from metasae.saes.decomposition import Decomposition
from metasae.studies.parts import Parts
from tests.ravel_data import small_data


@pytest.fixture(scope="module")
def known(small_lab: Lab) -> Known:
    """What the small Llama knows of the cities it was taught."""
    return survey(small_lab.model, small_data(), Size(), Parts(), silent)


@pytest.fixture(scope="module")
def people(small_lab: Lab, known: Known) -> dict[str, Portrait]:
    """All kept names."""
    return {one.name: portrait(small_lab, one) for one in known.data.entities}


@pytest.fixture(scope="module")
def training(small_lab: Lab, known: Known, people: dict[str, Portrait]) -> Training:
    """The training names, with the lab's own meta-SAE in a control's place."""
    learned = [people[one.name] for one in known.entities(held_out=False)]
    return Training(
        lab=small_lab,
        decomposition=small_lab.decomposition,
        portraits=tuple(learned),
        attributes=known.data.attributes,
        templates=tuple(one for one in known.data.templates if not one.held_out),
        make_views=lambda: views(small_lab, known, learned, 2, 2, 0, silent),
        random_meta=lambda: Decomposition(
            small_lab.decomposition.sae, small_lab.decomposition.meta
        ),
        steps=12,
    )
