"""Pairs searched by Ray's workers: the numbers are those of this process."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is an extra: pip install 'metasae[ray]'")

from ray.cluster_utils import Cluster

from metasae.errors import UserError
from metasae.lab.lab import Lab, open_lab
from metasae.lab.preset_files import META_SAE
from metasae.saes import formats
from metasae.search.pairs_job import all_pairs
from metasae.search.ray_cluster import over_ray
from metasae.search.spec import Spec
from metasae.sources import cache, user_presets
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import Opened
from tests.builders import one_sentence
from tests.small_lab import HOOK, N_LATENTS

CITIES = ("Tokyo", "Paris")
SPEC = Spec(Opened("mine"), "", "", attributes=("language", "currency"), screened=False)


@pytest.fixture(scope="module")
def mine(small_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The small lab as a preset of the user's, which every process opens by its name."""
    folder = small_lab.preset.weights
    assert folder is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        values = {
            "name": "mine", "model": str(small_lab.preset.model.origin), "hook_layer": HOOK,
            "saes": [small_lab.preset.sae(N_LATENTS)],
        }  # fmt: skip
        preset = user_presets.keep(values)
        made = cache.preset(preset.kept_as)
        shutil.copytree(folder / META_SAE, made / META_SAE)
        (made / META_SAE / formats.REPORT).write_text("{}")
        for name in ("cities.json", "names.parquet", "report.json"):
            shutil.copy(folder / name, made / name)
        yield open_lab(preset)


@pytest.fixture(scope="module")
def cluster(mine: Lab) -> Iterator[str]:
    """Address of a cluster of two processors, started once."""
    started = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False}
    )
    yield started.address
    started.shutdown()


@pytest.mark.slow
def test_workers_find_what_this_process_finds(mine: Lab, cluster: str, tmp_path: Path) -> None:
    expected = all_pairs(mine, CITIES, SPEC, tmp_path / "here").run()
    there = all_pairs(mine, CITIES, SPEC, tmp_path / "there")
    table = there.run(spread=over_ray(cluster))
    assert table is not None and expected is not None and len(table) == len(expected) > 2
    exact = ["source", "target", "pattern", "edit", "sentence", "combination", "combinations"]
    assert table[exact].equals(expected[exact])
    for name in ("margin", "reached_by"):
        assert table[name].tolist() == pytest.approx(expected[name].tolist(), abs=1e-4)


@pytest.mark.slow
def test_what_is_wrong_with_a_preset_is_said_once(mine: Lab, tmp_path: Path) -> None:
    # On an instance of one's own, which is started for the search alone.
    pairs = all_pairs(mine, CITIES, SPEC, tmp_path)
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
