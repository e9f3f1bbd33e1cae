"""Pieces of text that labels are scored on: some in which a latent fires, as many in which not.

As delphi does it, a text is cut into pieces of `PIECE` tokens; those in which a latent fires are
sorted by its strongest activation and split into equally many of each quantile, of which some are
drawn, and as many are drawn of the pieces in which it is silent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from metasae.explorer.token_activations import TokenActivations

PIECE = 32
"""Tokens of a piece."""

SHORTEST = 8
"""Tokens below which the rest of a row is no piece."""

STRONG = 0.3
"""Share of a piece's strongest activation from which on a token is marked."""

SILENT = -1.0
"""Distance of a piece in which the latent is silent, as delphi writes it."""


@dataclass(frozen=True)
class Sampling:
    """How pieces are drawn.

    Attributes:
        pieces: in which a latent fires; as many in which it is silent.
        quantiles: of its strongest activation, the same number from each.
        shown: pieces of one question.
    """

    pieces: int = 20
    quantiles: int = 5
    shown: int = 5
    seed: int = 0


@dataclass(frozen=True)
class Example:
    """A piece of text, and where a latent fires in it.

    Attributes:
        activations: of each token; 0 where it is silent.
        distance: number of its quantile, the strongest 0; `SILENT` for one without an activation.
    """

    tokens: tuple[str, ...]
    activations: tuple[float, ...]
    distance: float

    @property
    def activating(self) -> bool:
        """Whether the latent fires in it."""
        return self.distance != SILENT

    @property
    def strong(self) -> frozenset[int]:
        """Places of the tokens on which it fires strongly."""
        least = STRONG * max(self.activations)
        return frozenset(
            place for place, value in enumerate(self.activations) if value >= least and value > 0
        )

    def text(self, marked: frozenset[int] = frozenset()) -> str:
        """The piece on one line, runs of marked tokens between << and >>."""
        parts, inside = [], False
        for place, token in enumerate(self.tokens):
            if (place in marked) != inside:
                parts.append(">>" if inside else "<<")
                inside = not inside
            parts.append(token)
        return " ".join(("".join(parts) + (">>" if inside else "")).split())


@dataclass(frozen=True)
class Examples:
    """The pieces one latent's label is scored on; as many of both kinds."""

    firing: tuple[Example, ...]
    silent: tuple[Example, ...]

    @property
    def marks(self) -> int:
        """Tokens that are marked in a piece on average, rounded up."""
        return ceil(sum(len(one.strong) for one in self.firing) / len(self.firing))


def examples_of(
    found: TokenActivations,
    latent: int,
    read: Callable[[int], str],
    sampling: Sampling,
    adds: Callable[[int, int], bool] = lambda row, position: True,
) -> Examples | None:
    """A latent's pieces; None where there are not as many as quantiles of both kinds.

    Args:
        read: the text of a token.
        adds: whether a piece with its strongest activation at a row and a position may be taken;
            asked of the strongest first.
    """
    row, position, activation = found.of(latent)
    piece = row * _per_row(found) + position // PIECE
    strongest: dict[int, int] = {}
    for entry in np.argsort(-activation, kind="stable").tolist():
        strongest.setdefault(int(piece[entry]), entry)
    whole = _pieces(found)
    usable = set(whole.tolist())
    firing = [
        one for one, entry in strongest.items()
        if one in usable and adds(int(row[entry]), int(position[entry]))
    ]  # fmt: skip
    draw = np.random.default_rng([sampling.seed, latent])
    drawn = _drawn(firing, sampling, draw)
    others = np.setdiff1d(whole, np.array(list(strongest), dtype=np.int64))
    if not drawn or len(others) < len(drawn):
        return None
    silent = draw.choice(others, len(drawn), replace=False).tolist()

    def example(number: int, distance: float) -> Example:
        at, places = _span(found, number)
        mine = piece == number
        values = dict(zip(position[mine].tolist(), activation[mine].tolist(), strict=True))
        return Example(
            tuple(read(int(found.tokens[at, place])) for place in places),
            tuple(values.get(place, 0.0) for place in places),
            distance,
        )

    return Examples(
        tuple(example(number, quantile) for number, quantile in drawn),
        tuple(example(number, SILENT) for number in silent),
    )


def _drawn(
    firing: Sequence[int], sampling: Sampling, draw: np.random.Generator
) -> list[tuple[int, float]]:
    """Pieces with their quantiles, from pieces sorted by their strongest activation."""
    size, each = len(firing) // sampling.quantiles, sampling.pieces // sampling.quantiles
    if not size or not each:
        return []
    return [
        (firing[place], float(quantile))
        for quantile in range(sampling.quantiles)
        for place in draw.choice(
            np.arange(quantile * size, (quantile + 1) * size), min(size, each), replace=False
        ).tolist()
    ]


def _per_row(found: TokenActivations) -> int:
    return -(-found.tokens.shape[1] // PIECE)


def _span(found: TokenActivations, piece: int) -> tuple[int, range]:
    """Row and positions of a piece."""
    row, part = divmod(piece, _per_row(found))
    begin = part * PIECE
    return row, range(max(begin, found.first), min(begin + PIECE, int(found.lengths[row])))


def _pieces(found: TokenActivations) -> np.ndarray:
    """Numbers of all pieces of at least `SHORTEST` tokens."""
    begin = np.arange(_per_row(found)) * PIECE
    end = np.minimum(begin + PIECE, found.lengths[:, None])
    long: np.ndarray = np.flatnonzero(end - np.maximum(begin, found.first) >= SHORTEST)
    return long
