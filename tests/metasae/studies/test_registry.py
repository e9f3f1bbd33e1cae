"""The list of studies."""

import pytest

from metasae.errors import UserError
from metasae.studies.registry import STUDIES, study
from tests.builders import one_sentence


def test_every_study_is_registered_under_its_own_name() -> None:
    assert {name: study(name).name for name in STUDIES} == {name: name for name in STUDIES}


def test_an_unknown_study_is_refused() -> None:
    with pytest.raises(UserError) as raised:
        study("nonsense")
    assert "max-cosine" in one_sentence(raised)
