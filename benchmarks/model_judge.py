"""A judge of labels that is a language model opened here, one that follows no instructions.

It would write no list of answers, so it is asked piece by piece what it would go on with: a piece
fits when “ yes” beats “ no” by more than on average of the pieces in the question. The average
takes out what the model says whatever it reads. About intruders it isn't asked.
"""

import torch

from benchmarks.keyword_judge import label_and_pieces
from metasae.lm.language_model import LanguageModel, padded

_PROMPT = "Text: {piece}\nQuestion: {question}\nAnswer (yes or no):"

_OF_ALL, _OF_MARKED = (
    "Does this text mention “{label}”?", "Is what stands between << and >> “{label}”?"
)  # fmt: skip


class ModelJudge:
    """Answers detection and fuzzing by what a model would say.

    Args:
        model: with a token each for “ yes” and “ no”.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        (self._yes,), (self._no,) = model.encode(" yes"), model.encode(" no")

    def __call__(self, asked: str) -> str:
        """The answer to a question of `explorer.label_questions`, as it is sent."""
        label, pieces = label_and_pieces(asked)
        marked = all("<<" in piece for piece in pieces)
        question = (_OF_MARKED if marked else _OF_ALL).format(label=label)
        rows = [
            self._model.prompt_tokens(_PROMPT.format(piece=piece, question=question))
            for piece in pieces
        ]
        tokens, last = padded(rows, self._model.start_token), [len(row) - 1 for row in rows]
        with torch.inference_mode(), self._model.lock:
            logits = self._model.hf(tokens).logits[range(len(rows)), last]
        ahead = logits[:, self._yes] - logits[:, self._no]
        return str((ahead > ahead.mean()).int().tolist())
