"""An experiment with made-up pieces and scores."""

from types import SimpleNamespace
from typing import Any

import torch

from metasae.steering.edit_space import Piece
from metasae.steering.questions import Answer, Question
from tests.builders import judging

PIECES = (
    Piece(1, "source", 0.5, 0.0),
    Piece(2, "target", 0.0, 0.4),
    Piece(3, "shared", 0.3, 0.3),
    Piece(4, "source", 0.2, 0.0),
)


def made_up(**changes: Any) -> Any:
    """What `Combinations` and the verdict ask of an experiment."""
    values = {
        "source": SimpleNamespace(label="Rome"),
        "target": SimpleNamespace(label="Oslo"),
        "pieces": PIECES,
        "questions": (
            Question("country", "", (Answer(("Rome",), "Italy"), Answer(("Oslo",), "Norway"))),
            Question(
                "language",
                "",
                (
                    Answer(("Rome",), "Italian"),
                    Answer(("Oslo", "Bergen"), "Norwegian"),
                    Answer(("Cairo",), "Arabic"),
                ),
            ),
        ),
        "baseline": torch.tensor([0.0, -2.0, 0.0, -1.0, -3.0]),
    }
    return judging(**(values | changes))
