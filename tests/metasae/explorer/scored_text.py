"""A text in which it is known where latents fire, models that answer about it, and their scores."""

import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from metasae.explorer.label_questions import KINDS
from metasae.explorer.label_scores import Scores
from metasae.explorer.label_server import Endpoint
from metasae.explorer.score_examples import Sampling
from metasae.explorer.scoring import Material, Request, score_labels
from metasae.explorer.token_activations import TokenActivations
from tests.label_servers import Server

ROWS, LENGTH = 60, 64
"""Two pieces a row."""

WORDS = {1: " tokyo", 2: " kyoto"}
"""Tokens on which latents 0 and 1 fire; all others are plain."""


def read(token: int) -> str:
    return WORDS.get(token, f" w{token}")


def firing() -> TokenActivations:
    """Latent 0 fires in the first piece of every row, latent 1 in the second of every third."""
    draw = np.random.default_rng(0)
    tokens = draw.integers(10, 500, (ROWS, LENGTH))
    entries = []
    for row in range(ROWS):
        at = int(draw.integers(32))
        tokens[row, at] = 1
        entries.append((0, row, at, 1.0 + row))
        if row % 3 == 0:
            tokens[row, 40] = 2
            entries.append((1, row, 40, 5.0))
    latents, rows, positions, values = map(np.array, zip(*entries, strict=True))
    lengths = np.full(ROWS, LENGTH)
    return TokenActivations(tokens, lengths, latents, rows, positions, values.astype(np.float32))


def material() -> Material:
    """Two right labels, and one of a latent that fires nowhere, which controls are drawn from."""
    return Material(
        "made up", firing(), {0: "tokyo", 1: "kyoto"}, {2: "osaka"}, read,
        lambda latent: lambda row, position: True,
    )  # fmt: skip


def perfect(asked: str) -> str:
    """Says what is true of a label that is a word of the text."""
    pieces = re.findall(r"^\d+: (.*)$", asked, re.MULTILINE)
    marked = [re.findall(r"<<(.*?)>>", one) for one in pieces]
    if not asked.startswith("Description: "):
        common = Counter("".join(one).strip() for one in marked).most_common(1)[0][0]
        places = [at for at, one in enumerate(marked) if "".join(one).strip() != common]
        return f"The intruder is number {places[0]}."
    label = asked.splitlines()[0].removeprefix("Description: ")
    fits = [
        all(label in part for part in parts) if parts else label in piece
        for piece, parts in zip(pieces, marked, strict=True)
    ]
    return str(list(map(int, fits)))


def inverted(asked: str) -> str:
    """Says the opposite; of intruders a piece that is none."""
    said = perfect(asked)
    if said.startswith("["):
        return said.translate(str.maketrans("01", "10"))
    return "1" if said.endswith(" 0.") else "0"


def coin(seed: int = 0) -> "Coin":
    return Coin(random.Random(seed))


class Coin:
    """Answers at random."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw

    def __call__(self, asked: str) -> str:
        pieces = len(re.findall(r"^\d+: ", asked, re.MULTILINE))
        if not asked.startswith("Description: "):
            return str(self.draw.randrange(pieces))
        return str([self.draw.randrange(2) for _ in range(pieces)])


SAMPLING = Sampling(pieces=20, quantiles=5, shown=5)


def request(server: Server, agreed: bool = True) -> Request:
    """All kinds of questions to a server."""
    return Request(Endpoint(server.url, "tiny"), SAMPLING, KINDS, agreed)


def asked(server: Server, saying: Callable[[str], str], kept: Path) -> Scores:
    """The scores of the material by what a model says."""
    server.saying = saying
    return score_labels(material(), request(server), kept)
