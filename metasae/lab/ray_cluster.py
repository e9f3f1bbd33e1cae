"""Pieces of work spread over the machines of a Ray cluster, each with the same preset open.

Every worker opens the preset once and does one piece after the other, exactly as `spread.here`
does; the results come back to the process that asked, which alone writes. A worker needs this
package and the preset's weights, not a shared disk.
"""

import os
import re
import socket
from collections.abc import Callable, Generator, Sequence
from functools import cached_property
from typing import Any, TypeVar

import torch

from metasae.errors import UserError
from metasae.lab.lab import Lab, open_lab
from metasae.lab.spread import Spread
from metasae.lm.matmul import Choices
from metasae.sources.presets import Opened
from metasae.sources.user_presets import preset_of

W = TypeVar("W")
R = TypeVar("R")

LOCAL = "local"
"""Address of a Ray instance of one's own, on this machine."""

PATIENCE = 10.0
"""Seconds a cluster may take to answer."""


class Worker:
    """A worker: it opens a preset for its first piece of work and keeps it.

    Args:
        prepare: see `Spread`.
        threads: it computes with.
        choices: how it multiplies matrices.
    """

    def __init__(
        self,
        preset: Opened,
        prepare: Callable[[Lab], Callable[[Any], Any]],
        threads: int,
        choices: Choices,
    ) -> None:
        self._preset, self._prepare = preset, prepare
        self._threads, self._choices = threads, choices

    @cached_property
    def _do(self) -> Callable[[Any], Any]:
        torch.set_num_threads(self._threads)
        self._choices.take()
        return self._prepare(open_lab(preset_of(self._preset)))

    def do(self, place: int, work: Any) -> tuple[int, Any]:
        """The work's place, and its result."""
        return place, self._do(work)


def over_ray(preset: Opened, address: str = LOCAL, threads: int = 1) -> Spread:
    """A `Spread` over the workers of a Ray cluster, as many as have processors for their threads.

    How a sum is rounded depends on the number of threads and on the library that multiplies
    matrices. Workers use this process's library; with as many threads as it has, on processors of
    the same kind, results are its own to the last bit.

    Args:
        preset: what a worker opens.
        address: of a running cluster ("host:6379" or "ray://host:10001"), or `LOCAL`.
        threads: of each worker.

    Raises:
        UserError: when Ray is not installed or nothing answers at the address; while it works also
            when no machine has so many processors, a worker can't open the preset or dies, and
            whatever the work raises.
    """
    _ray()
    _check_answers(address)

    def spread(
        prepare: Callable[[Lab], Callable[[W], R]], works: Sequence[W]
    ) -> Generator[tuple[int, R], None, None]:
        if not works:
            return
        ray = _ray()
        _connect(ray, address)
        try:
            count = min(_room(ray, address, threads), len(works))
            remote = ray.remote(num_cpus=threads)(Worker)
            # Once for all workers, however much it is.
            sent = ray.put(prepare)
            made = (preset, sent, threads, Choices.here())
            pool = ray.util.ActorPool([remote.remote(*made) for _ in range(count)])
            yield from pool.map_unordered(
                lambda actor, one: actor.do.remote(*one), list(enumerate(works))
            )
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise UserError(str(error.cause)) from error
            raise
        except ray.exceptions.RayError as error:
            raise UserError(
                f"A Ray worker was lost ({_line(error)}); ask again, what is finished is kept."
            ) from error
        finally:
            ray.shutdown()

    return spread


def _room(ray: Any, address: str, threads: int) -> int:
    """How many workers of so many threads a cluster has processors for.

    Raises:
        UserError: when there are none.
    """
    most = [int(one["Resources"].get("CPU", 0)) for one in ray.nodes() if one["Alive"]]
    if room := sum(processors // threads for processors in most):
        return room
    raise UserError(
        f"Each worker computes with as many threads as this process, {threads}, and no machine at "
        f"{address} gives Ray more than {max(most, default=0)} processors; compute with fewer, as "
        "with OMP_NUM_THREADS=1."
    )


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
    _check_answers(address)
    # The address "local" never joins a cluster that happens to run here.
    alone = {"include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **alone)
    except Exception as error:  # Ray raises whatever its layers raise.
        raise _no_cluster(address, error) from error


def _check_answers(address: str) -> None:
    """Refuse an address where nothing answers; Ray itself would wait for minutes.

    Raises:
        UserError: for it.
    """
    if place := re.fullmatch(r"(?:ray://)?(.+):(\d+)", address):
        try:
            with socket.create_connection((place[1], int(place[2])), timeout=PATIENCE):
                pass
        except (OSError, OverflowError) as error:
            raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> UserError:
    return UserError(
        f"No Ray cluster answers at {address} ({_line(error)}); start one with: ray start --head, "
        f'or use "{LOCAL}".'
    )


def _line(error: Exception) -> str:
    """An exception's first line, without its full stop."""
    text = getattr(error, "strerror", None) or str(error)
    lines = text.strip().splitlines() or ["no answer"]
    return lines[0].rstrip(".")
