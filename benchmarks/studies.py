"""The studies' two heavy computations beside what one would write without them, in one run.

Matching pursuit: unit rows with planted structure, each written with 4 of 2,304 rows (`pursuits`),
beside scikit-learn's `orthogonal_mp` as it comes, with its products computed before, and spread
over all cores by `sparse_encode`; "best" is the shortest of the three. All take the row with the
largest absolute product, so that the result is the same, which is checked.

Graphs: which of 49,152 latents of width 768 share one of 2,304 meta-latents, and which are close to
one of 3,072 others, at a threshold that makes as many edges; planted, the commonest meta-latent on
about 2 % of the latents. Ours runs in a process of its own, whose largest memory is read. The dense
route holds latents × latents in NumPy; it is timed at fewer latents and the time multiplied by the
square of the ratio, since its products and its memory grow so. Both look for the threshold alike.

    python -m benchmarks.studies [--quick] [--json]
"""

import multiprocessing
import os
import resource
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.decomposition import sparse_encode
from sklearn.linear_model import orthogonal_mp
from torch.nn.functional import normalize

from benchmarks.figures import parser, print_figures
from benchmarks.peer import seconds
from metasae.saes.pursuit import pursuits
from metasae.studies.graphs import FLOOR, joined, overlap, similar, with_as_many_edges

D_MODEL, META, SMALLER, PARTS = 768, 2304, 3072, 4
LATENTS = 49_152
"""The post's."""

ROWS, TARGET_WIDTH = 2304, 576
"""What is pursued over: as many rows as the embedded default has meta-latents, as wide."""

ROUNDS = 40
"""Halvings after which the dense route's threshold is taken as found."""


def pursuit(count: int, repeats: int) -> dict[str, Any]:
    """Time matching pursuit of so many directions."""
    draw = torch.Generator().manual_seed(0)
    rows = normalize(torch.randn(ROWS, TARGET_WIDTH, generator=draw))
    chosen = torch.randint(ROWS, (count, PARTS), generator=draw)
    noise = 0.3 * normalize(torch.randn(count, TARGET_WIDTH, generator=draw))
    targets = normalize(normalize(rows[chosen].sum(1)) + noise)
    columns, wanted = np.asfortranarray(rows.numpy().T), np.asfortranarray(targets.numpy().T)
    peers = {
        "orthogonal_mp": partial(orthogonal_mp, columns, wanted, n_nonzero_coefs=PARTS),
        "orthogonal_mp, products before": partial(
            orthogonal_mp, columns, wanted, n_nonzero_coefs=PARTS, precompute=True
        ),
        "sparse_encode on all cores": partial(
            sparse_encode, wanted.T, columns.T, algorithm="omp", n_nonzero_coefs=PARTS,
            n_jobs=os.cpu_count(),
        ),
    }  # fmt: skip
    ours = partial(pursuits, rows, targets, PARTS, signed=True)
    made = ours()
    weights = torch.zeros(count, ROWS).scatter_add_(1, made.latents.clamp(min=0), made.weights)
    apart = float(np.abs(peers["orthogonal_mp"]().T - weights.numpy()).max())
    # The peer on all cores starts its processes once, before the clock runs.
    peers["sparse_encode on all cores"]()
    took: dict[str, list[float]] = {name: [] for name in peers}
    mine = []
    for _ in range(repeats):
        mine.append(seconds(ours))
        for name, run in peers.items():
            took[name].append(seconds(run))
    each = {name: float(np.median(some)) for name, some in took.items()}
    fastest, our_seconds = min(each, key=each.__getitem__), float(np.median(mine))
    return {
        "directions": count,
        "ours_s": our_seconds,
        "peers_s": each,
        "ratio_orthogonal_mp": each["orthogonal_mp"] / our_seconds,
        "best_peer": fastest,
        "ratio_best": each[fastest] / our_seconds,
        "weights_differ": apart,
    }


def planted(latents: int) -> tuple[torch.Tensor, torch.Tensor, sp.csr_array]:
    """Latents' directions, the smaller SAE's, and which latents have which meta-latents."""
    draw = np.random.default_rng(0)
    atoms = draw.standard_normal((SMALLER, D_MODEL), dtype=np.float32)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    often = 1 / np.arange(8, META + 8) ** 0.5
    often *= min(1.0, 0.02 / (PARTS * often[0] / often.sum()))
    chosen = draw.choice(META, (latents, PARTS), p=often / often.sum())
    weights = 0.7 + 0.6 * draw.random((latents, PARTS), dtype=np.float32)
    place = (np.repeat(np.arange(latents), PARTS), chosen.ravel())
    # The weaker ones aren't noticed, so that the graphs differ.
    noticed = (weights.ravel() > 0.85).astype(np.int32)
    members = sp.csr_array((noticed, place), shape=(latents, META))
    members.eliminate_zeros()
    members.data[:] = 1
    loads = sp.csr_array((weights.ravel(), place), shape=(latents, SMALLER))
    noise = draw.standard_normal((latents, D_MODEL), dtype=np.float32) / D_MODEL**0.5
    rows = loads @ atoms + 0.5 * noise
    return normalize(torch.from_numpy(rows)), torch.from_numpy(atoms), members


def ours(directions: torch.Tensor, smaller: torch.Tensor, members: sp.csr_array) -> tuple[int, int]:
    """Edges of the graph of shared meta-latents, and how many the other has as well."""
    by_meta = joined(members)
    _, by_cosine = with_as_many_edges(similar(directions, smaller), by_meta.nnz)
    return by_meta.nnz, overlap(by_meta, by_cosine)[0]


def dense(
    directions: torch.Tensor, smaller: torch.Tensor, members: sp.csr_array
) -> tuple[int, int]:
    """The same with matrices of latents × latents in NumPy."""
    cosines = directions.numpy() @ smaller.numpy().T
    has = members.toarray().astype(np.float32)
    upper_half = np.triu(np.ones((len(has), len(has)), bool), 1)
    by_meta = (has @ has.T > 0) & upper_half
    edges, low, high = int(by_meta.sum()), FLOOR, 1.0
    by_cosine = np.zeros_like(by_meta)
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        close = (cosines > middle).astype(np.float32)
        made = (close @ close.T > 0) & upper_half
        count = int(made.sum())
        if count > edges:
            low = middle
        else:
            high, by_cosine = middle, made
        if count == edges or high - low < 1e-7:
            break
    return edges, int((by_meta & by_cosine).sum())


def _alone(latents: int, pipe: Any) -> None:
    material = planted(latents)
    found: list[tuple[int, int]] = []
    took = seconds(lambda: found.append(ours(*material)))
    pipe.send((took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, *found[0]))


def alone(latents: int) -> tuple[float, float, int, int]:
    """Ours in a process of its own: seconds, largest memory in GB, edges, edges in both."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_alone, args=(latents, there))
    process.start()
    there.close()  # so that a child that fails is not waited for
    made: tuple[float, float, int, int] = here.recv()
    process.join()
    return made


def graphs(latents: int, few: int) -> dict[str, Any]:
    """Time both routes: ours at ``latents``, the dense one at ``few``."""
    took, memory, edges, shared = alone(latents)
    material = planted(few)
    found: list[tuple[int, int]] = []
    beside = seconds(lambda: found.append(ours(*material)))
    theirs = seconds(lambda: found.append(dense(*material)))
    whole = theirs * (latents / few) ** 2
    return {
        "latents": latents, "edges": edges, "shared": shared, "ours_s": took, "ours_gb": memory,
        "few": few, "ours_at_few_s": beside, "dense_at_few_s": theirs,
        "edges_at_few": [one for one, _ in found], "shared_at_few": [one for _, one in found],
        "ratio_at_few": theirs / beside, "dense_extrapolated_s": whole,
        "ratio": whole / took, "dense_gb": 4 * latents**2 / 2**30,
    }  # fmt: skip


def main() -> None:
    """Print the figures."""
    arguments = parser(__doc__).parse_args()
    quick = arguments.quick
    # First of all: a child process starts out with its parent's largest size.
    by_graphs = graphs(12_288 if quick else LATENTS, 2048 if quick else 6144)
    by_pursuit = pursuit(2048 if quick else 18_432, 2 if quick else 3)
    figures = {"graphs": by_graphs, "pursuit": by_pursuit, "threads": torch.get_num_threads()}
    print_figures(figures, arguments.json)


if __name__ == "__main__":
    main()
