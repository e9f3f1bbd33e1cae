"""Token windows: documents cut into rows of a forward pass, of at most `WINDOW` tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from metasae.lm.language_model import LanguageModel
from metasae.progress import Progress, silent
from metasae.text.document import Document
from metasae.text.documents import default_documents

WINDOW = 96
"""Most tokens of a window, the start token included; longer documents are cut into several."""


@dataclass(frozen=True)
class Windows:
    """Token windows of some documents.

    Attributes:
        tokens: right-padded with the start token.
        lengths: tokens of each window, the start token included.
        document: index of the document each window is from.
        sources: every document's source.
        held_out: whether each document is kept for measuring.
    """

    tokens: Int[Tensor, "N T"]
    lengths: Int[Tensor, " N"]
    document: Int[Tensor, " N"]
    sources: tuple[str, ...]
    held_out: tuple[bool, ...]

    def some(self, index: Int[Tensor, " M"]) -> "Windows":
        """The windows at some indices; ``sources`` and ``held_out`` keep all documents."""
        return replace(
            self,
            tokens=self.tokens[index],
            lengths=self.lengths[index],
            document=self.document[index],
        )


def windows(
    model: LanguageModel, progress: Progress = silent, texts: Sequence[Document] | None = None
) -> Windows:
    """Windows of at most `WINDOW` tokens of some documents, the start token first in each.

    Args:
        texts: the embedded default's documents when left out.

    Raises:
        UserError: when the embedded default's documents can't be fetched.
    """
    texts = list(default_documents(progress)) if texts is None else list(texts)
    rows: list[list[int]] = []
    origin: list[int] = []
    step = 2000
    for begin in range(0, len(texts), step):
        batch = texts[begin : begin + step]
        encoded = model.tokenizer([one.text for one in batch], add_special_tokens=False)
        for offset, ids in enumerate(encoded["input_ids"]):
            for at in range(0, len(ids), WINDOW - 1):
                rows.append([model.start_token, *ids[at : at + WINDOW - 1]])
                origin.append(begin + offset)
        progress("Reading the text", min(1.0, (begin + step) / len(texts)), f"{len(rows)} windows")
    tokens = torch.full((len(rows), WINDOW), model.start_token, dtype=torch.int32)
    for index, row in enumerate(rows):
        tokens[index, : len(row)] = torch.tensor(row, dtype=torch.int32)
    return Windows(
        tokens=tokens,
        lengths=torch.tensor([len(row) for row in rows]),
        document=torch.tensor(origin),
        sources=tuple(document.source for document in texts),
        held_out=tuple(document.held_out for document in texts),
    )


_TOKENS_PER_BATCH = 4096
"""Most tokens of a batch of windows, padding included."""


def length_batches(windows: Windows) -> list[np.ndarray]:
    """Batches of indices of training windows, of similar length each, in a seeded random order."""
    held_out = np.array(windows.held_out)[windows.document.numpy()]
    order = np.flatnonzero(~held_out)
    lengths = windows.lengths.numpy()
    order = order[np.argsort(lengths[order], kind="stable")]
    batches, begin = [], 0
    while begin < len(order):
        size = 1
        while begin + size < len(order) and (size + 1) * lengths[order[begin + size]] <= (
            _TOKENS_PER_BATCH
        ):
            size += 1
        batches.append(order[begin : begin + size])
        begin += size
    np.random.default_rng(0).shuffle(batches)
    return batches
