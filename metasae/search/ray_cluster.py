"""The pairs of a `pairs_job.PairsJob` spread over the machines of a Ray cluster.

Every worker opens the preset once and searches one pair after the other, exactly as
`pairs_job.here` does; the results come back to the process that asked, which alone writes. A worker
needs this package and its weights, not a shared disk.
"""

import os
import re
import socket
from collections.abc import Generator, Sequence
from functools import cached_property
from typing import Any

import torch

from metasae.errors import UserError
from metasae.lab.lab import Lab, open_lab
from metasae.search.pairs_job import PairResult, Spread, searched
from metasae.search.spec import Spec
from metasae.sources.presets import Opened
from metasae.sources.user_presets import preset_of

LOCAL = "local"
"""Address of a Ray instance of one's own, on this machine."""

PATIENCE = 10.0
"""Seconds a cluster may take to answer."""


class Searcher:
    """A worker: it opens a preset for its first pair and keeps it."""

    def __init__(self, preset: Opened) -> None:
        self._preset = preset

    @cached_property
    def _lab(self) -> Lab:
        # A worker a core: more threads would only get into each other's way.
        torch.set_num_threads(1)
        return open_lab(preset_of(self._preset))

    def search(self, place: int, spec: Spec, most: int, fast: bool) -> tuple[int, PairResult]:
        """The pair's place, and what `pairs_job.searched` returns."""
        return place, searched(self._lab, spec, most, fast)


def over_ray(address: str = LOCAL) -> Spread:
    """A `pairs_job.Spread` that searches on a Ray cluster, with a worker for each processor.

    Args:
        address: of a running cluster ("host:6379" or "ray://host:10001"), or `LOCAL`.

    Raises:
        UserError: when Ray is not installed; while searching also when the cluster can't be
            reached, a worker can't open the preset or dies.
    """
    _ray()

    def spread(
        specs: Sequence[Spec], most: int, fast: bool
    ) -> Generator[tuple[int, PairResult], None, None]:
        if not specs:
            return
        ray = _ray()
        try:
            _connect(ray, address)
        except Exception as error:  # Ray raises whatever its layers raise.
            raise UserError(
                f"No Ray cluster answers at {address} ({_line(error)}); start one with: ray start "
                f'--head, or use "{LOCAL}".'
            ) from error
        try:
            count = int(ray.cluster_resources().get("CPU", 1))
            remote = ray.remote(num_cpus=1)(Searcher)
            actors = [remote.remote(specs[0].preset) for _ in range(max(1, min(count, len(specs))))]
            pool = ray.util.ActorPool(actors)
            yield from pool.map_unordered(
                lambda actor, work: actor.search.remote(*work, most, fast), list(enumerate(specs))
            )
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise UserError(str(error.cause)) from error
            raise
        except ray.exceptions.RayError as error:
            raise UserError(
                f"A Ray worker was lost ({_line(error)}); search again, the finished pairs are "
                "kept."
            ) from error
        finally:
            ray.shutdown()

    return spread


def _ray() -> Any:
    # Nothing is sent anywhere unless the user has asked for it.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.util
    except ImportError as error:
        raise UserError(
            "Ray is not installed; install it with: pip install 'metasae[ray]'."
        ) from error
    return ray


def _connect(ray: Any, address: str) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == LOCAL:
        # The address "local" never joins a cluster that happens to run here.
        ray.init(address="local", include_dashboard=False, **quiet)
        return
    if place := re.fullmatch(r"(?:ray://)?(.+):(\d+)", address):
        # Ray itself waits for minutes.
        with socket.create_connection((place[1], int(place[2])), timeout=PATIENCE):
            pass
    ray.init(address=address, **quiet)


def _line(error: Exception) -> str:
    """An exception's first line, without its full stop."""
    text = getattr(error, "strerror", None) or str(error)
    lines = text.strip().splitlines() or ["no answer"]
    return lines[0].rstrip(".")
