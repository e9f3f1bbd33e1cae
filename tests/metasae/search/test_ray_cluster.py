"""Pairs searched by Ray's workers: the numbers are those of this process."""

from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is an extra: pip install 'metasae[ray]'")

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.search.pairs_job import PairsJob, all_pairs
from metasae.search.ray_cluster import over_ray
from metasae.search.spec import Spec
from metasae.sources.presets import EMBEDDED, Opened
from tests.builders import one_sentence

CITIES = ("Tokyo", "Paris")
SPEC = Spec(EMBEDDED.opened, "", "", attributes=("language", "currency"), screened=False)


@pytest.fixture(scope="module")
def here(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> PairsJob:
    pairs = all_pairs(lab, CITIES, SPEC, tmp_path_factory.mktemp("here"))
    pairs.run()
    return pairs


@pytest.mark.slow
def test_workers_find_what_this_process_finds(lab: Lab, here: PairsJob, tmp_path: Path) -> None:
    there = all_pairs(lab, CITIES, SPEC, tmp_path)
    table = there.run(spread=over_ray())
    expected = here.results()
    assert table is not None and len(table) == len(expected) > 2
    exact = ["source", "target", "pattern", "edit", "sentence", "combination", "combinations"]
    assert table[exact].equals(expected[exact])
    for name in ("margin", "reached_by"):
        assert table[name].tolist() == pytest.approx(expected[name].tolist(), abs=1e-4)


@pytest.mark.slow
def test_what_is_wrong_with_a_preset_is_said_once(lab: Lab, tmp_path: Path) -> None:
    pairs = all_pairs(lab, CITIES, SPEC, tmp_path)
    pairs.specs = tuple(Spec(Opened("atlantis"), one.source, one.target) for one in pairs.specs)
    with pytest.raises(UserError, match="atlantis") as raised:
        pairs.run(spread=over_ray())
    one_sentence(raised)
    assert not list(tmp_path.glob("pair-*"))


def test_no_cluster_is_said_in_seconds() -> None:
    with pytest.raises(UserError, match="No Ray cluster answers at localhost:1 ") as raised:
        next(over_ray("localhost:1")([SPEC], 8, False))
    one_sentence(raised)


def test_nothing_to_search_starts_no_cluster() -> None:
    assert list(over_ray("localhost:1")([], 8, False)) == []
