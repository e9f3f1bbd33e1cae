"""What Ray's workers do: pairs searched, RAVEL scored; the numbers are those of this process."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

pytest.importorskip("ray", reason="Ray is an extra: pip install 'metasae[ray]'")

from ray.cluster_utils import Cluster

from metasae.errors import UserError
from metasae.lab.lab import Lab, open_lab
from metasae.lab.preset_files import META_SAE
from metasae.lab.ray_cluster import over_ray
from metasae.lm.matmul import Choices, fast_dtype, laid_out_is_faster
from metasae.progress import Progress
from metasae.ravel import evaluation
from metasae.ravel.evaluation import Configuration, evaluate
from metasae.ravel.methods import METHODS, Fitted, Method
from metasae.saes import formats
from metasae.search.pairs_job import all_pairs
from metasae.search.spec import Spec
from metasae.sources import cache, user_presets
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import Opened
from metasae.studies.parts import Parts
from tests.builders import never, one_sentence
from tests.ravel_data import small_data
from tests.small_lab import HOOK, N_LATENTS

CITIES = ("Tokyo", "Paris")
MINE = Opened("mine")
SPEC = Spec(MINE, "", "", attributes=("language", "currency"), screened=False)

SMALL = Configuration(
    methods=(
        "nothing", "latent-swap", "all-active-meta", "mask-gradient", "random-pieces",
        "random-meta-mask", "difference-of-means", "DAS",
    ),
    seeds=2, sources=4, training_sources=1, targets=1, views=1, learned_towards=1, steps=2,
)  # fmt: skip


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
    table = there.run(spread=over_ray(MINE, cluster))
    assert table is not None and expected is not None and len(table) == len(expected) > 2
    exact = ["source", "target", "pattern", "edit", "sentence", "combination", "combinations"]
    assert table[exact].equals(expected[exact])
    for name in ("margin", "reached_by"):
        assert table[name].tolist() == pytest.approx(expected[name].tolist(), abs=1e-4)


def exactly(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def noting(shares: list[float]) -> Progress:
    """Progress that notes how much of a seed's sources was scored."""

    def progress(stage: str, fraction: float, note: str = "") -> None:
        if stage == "Edits scored":
            shares.append(fraction)

    return progress


@pytest.mark.slow
def test_ravels_numbers_are_those_of_this_process_to_the_last_bit(
    mine: Lab, cluster: str, tmp_path: Path, one_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(training: object, attribute: str, seed: int) -> Fitted:
        return Fitted(lambda pair: (pair.target.mean - pair.source.mean).expand_as(pair.rows))

    # A closure of a test's, which no worker can import.
    methods = {**METHODS, "own": Method("own", "the means' difference", fit)}
    config = replace(SMALL, methods=(*SMALL.methods, "own"))
    expected = evaluate(mine, small_data(), config, Parts(tmp_path / "here"), methods=methods)
    # What is scored, is scored elsewhere.
    monkeypatch.setattr(evaluation._Seed, "score", never("workers do"))
    parts = Parts(tmp_path / "there")
    spread = over_ray(MINE, cluster, threads=1)
    found = evaluate(mine, small_data(), config, parts, methods=methods, spread=spread)
    assert set(found.tables["triples"]["method"]) == set(config.methods)
    assert set(found.tables["triples"]["seed"]) == {0, 1}
    for name, table in expected.tables.items():
        exactly(found.tables[name], table)
    assert found.figures == expected.figures and found.verdict == expected.verdict
    names = {one.name: one.read_bytes() for one in (tmp_path / "here").iterdir()}
    assert names == {one.name: one.read_bytes() for one in (tmp_path / "there").iterdir()}


@pytest.mark.slow
def test_a_run_goes_on_elsewhere_after_half_of_the_sources(
    mine: Lab, cluster: str, tmp_path: Path, one_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(SMALL, seeds=1, methods=("nothing", "mask-gradient", "DAS"))
    expected = evaluate(mine, small_data(), config)
    parts = Parts(tmp_path)

    class Stop(Exception):
        pass

    def stops(stage: str, fraction: float, note: str = "") -> None:
        if stage == "Edits scored" and fraction >= 0.5:
            raise Stop

    with pytest.raises(Stop):
        evaluate(mine, small_data(), config, parts, stops)
    monkeypatch.setattr(evaluation._Seed, "score", never("workers do"))
    monkeypatch.setattr(evaluation, "views", never("what was learned is kept"))
    shares: list[float] = []
    found = evaluate(
        mine, small_data(), config, parts,
        noting(shares),
        spread=over_ray(MINE, cluster),
    )  # fmt: skip
    assert shares == [0.8, 1.0]
    exactly(found.tables["triples"], expected.tables["triples"])


@pytest.mark.slow
def test_a_worker_that_dies_is_said_and_what_was_finished_is_kept(
    mine: Lab, cluster: str, tmp_path: Path, one_thread: None
) -> None:
    asking = os.getpid()
    last = tmp_path / "alive"

    def dies(training: object, attribute: str, seed: int) -> Fitted:
        def change(pair: object) -> torch.Tensor:
            # The first source is scored, the second worker ends.
            if os.getpid() != asking and last.exists():
                os._exit(1)
            last.touch()
            return torch.zeros_like(pair.rows)  # type: ignore[attr-defined]

        return Fitted(change)

    methods = {**METHODS, "dies": Method("dies", "ends its process", dies, by_attribute=False)}
    config = replace(SMALL, seeds=1, targets=1, methods=("nothing", "dies"))
    parts = Parts(tmp_path / "parts")
    # Two threads each: the cluster has room for one worker, which does one after the other.
    alone = over_ray(MINE, cluster, threads=2)
    with pytest.raises(UserError, match="A Ray worker was lost") as raised:
        evaluate(mine, small_data(), config, parts, methods=methods, spread=alone)
    one_sentence(raised)
    kept = {one.name for one in parts.folder.iterdir()}  # type: ignore[union-attr]
    shares: list[float] = []
    found = evaluate(
        mine, small_data(), config, parts,
        noting(shares),
        methods=methods,
    )  # fmt: skip
    assert kept and shares == [0.4, 0.6, 0.8, 1.0]
    assert found.tables["triples"]["source"].nunique() == 4


@pytest.mark.slow
def test_workers_multiply_as_this_process_does(
    mine: Lab, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What no processor finds by itself: bf16 laid out, fp32 not, yet fp32 the faster one.
    other = Choices(torch.float32, torch.float32, frozenset({torch.bfloat16}))
    monkeypatch.setattr(Choices, "here", lambda: other)

    def prepare(lab: Lab) -> Callable[[str], tuple[object, ...]]:
        both = (torch.float32, torch.bfloat16)
        laid_out = [one for one in both if laid_out_is_faster(one)]
        found = (str(lab.preset.opened), torch.get_num_threads(), laid_out, fast_dtype())
        return lambda work: (work, *found)

    done = list(over_ray(MINE, cluster, threads=2)(prepare, ["a", "b"]))
    expected = ("mine", 2, [torch.bfloat16], torch.float32)
    assert sorted(done) == [(0, ("a", *expected)), (1, ("b", *expected))]


@pytest.mark.slow
def test_workers_need_as_many_processors_as_threads(mine: Lab, cluster: str) -> None:
    with pytest.raises(UserError, match="OMP_NUM_THREADS") as raised:
        next(over_ray(MINE, cluster, threads=3)(never("no worker"), ["work"]))
    one_sentence(raised)


@pytest.mark.slow
def test_other_weights_elsewhere_are_said(mine: Lab, cluster: str, tmp_path: Path) -> None:
    other = replace(mine, provenance=replace(mine.provenance, version="0.0.0"))
    config = replace(SMALL, seeds=1, methods=("nothing",))
    with pytest.raises(UserError, match=r"A worker has the version .*, and .* 0\.0\.0") as raised:
        evaluate(other, small_data(), config, Parts(tmp_path), spread=over_ray(MINE, cluster))
    one_sentence(raised)


@pytest.mark.slow
def test_what_is_wrong_with_a_preset_is_said_once(mine: Lab, tmp_path: Path) -> None:
    # On an instance of one's own, which is started for the search alone.
    pairs = all_pairs(mine, CITIES, SPEC, tmp_path)
    with pytest.raises(UserError, match="atlantis") as raised:
        pairs.run(spread=over_ray(Opened("atlantis")))
    one_sentence(raised)
    assert not list(tmp_path.glob("pair-*"))


@pytest.mark.parametrize("address", ["localhost:1", "ray://localhost:1", "localhost:99999"])
def test_no_cluster_is_said_in_seconds_before_anything_is_done(address: str) -> None:
    with pytest.raises(UserError, match=f"No Ray cluster answers at {address} ") as raised:
        over_ray(MINE, address)
    one_sentence(raised)


def test_a_cluster_that_is_gone_is_said_in_seconds() -> None:
    with socket.create_server(("localhost", 0)) as server:
        address = f"localhost:{server.getsockname()[1]}"
        spread = over_ray(MINE, address)
    with pytest.raises(UserError, match=f"No Ray cluster answers at {address} ") as raised:
        next(spread(never("no worker"), [SPEC]))
    one_sentence(raised)


def test_nothing_to_do_starts_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.init", never("there is nothing to do"))
    assert list(over_ray(MINE)(never("no worker"), [])) == []
