"""Labels written by a language model behind an OpenAI-compatible address, scored like our own.

Nothing is sent unless a person names an address. What comes back is kept line by line, so a run
that was stopped goes on; what is no answer is asked once more and then left out.
"""

import hashlib
import json
import math
import os
import re
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from metasae.errors import UserError
from metasae.explorer.labels import CLEAR, UNCLEAR, Bag, HeldOut, Label
from metasae.progress import Progress, silent

KEY_VARIABLE = "METASAE_ENDPOINT_KEY"
"""Environment variable that holds the address's key, if it wants one."""

TIMEOUT = 60.0

_TOKENS_A_CHARACTER = 0.3

_ANSWER = 60

_ASK = (
    "Each line is a piece of text in which one feature of a language model is active; the active "
    "tokens stand between « and ». Say in at most six words what they have in common, and give up "
    "to five single words that tell such places from others. Answer with JSON alone: "
    '{"label": "...", "words": ["..."]}'
)


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible server.

    Attributes:
        url: its base, such as http://localhost:8080/v1.
        model: the name it knows its model by.

    Raises:
        UserError: for what is no address.
    """

    url: str
    model: str = "default"

    def __post_init__(self) -> None:
        if not re.match(r"https?://", self.url):
            raise UserError(f'"{self.url}" is no address; write one like http://localhost:8080/v1.')

    def mark(self, lines: Sequence[str]) -> str:
        """Tells who was asked what from any other question."""
        asked = json.dumps([self.url.rstrip("/"), self.model, _ASK, list(lines)])
        return hashlib.sha256(asked.encode()).hexdigest()[:16]

    def ask(self, lines: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """A label and its words for some contexts.

        Raises:
            UserError: when the server can't be reached or refuses.
            ValueError: when it answers something else than was asked for.
        """
        content = "\n".join(lines)
        body = {
            "model": self.model,
            "temperature": 0,
            "max_tokens": _ANSWER,
            "messages": [
                {"role": "system", "content": _ASK},
                {"role": "user", "content": content},
            ],
        }
        key = os.environ.get(KEY_VARIABLE)
        request = urllib.request.Request(
            f"{self.url.rstrip('/')}/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"}
            | ({"Authorization": f"Bearer {key}"} if key else {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                found = answer.read(1_000_000)
        except urllib.error.HTTPError as error:
            raise UserError(
                f"{self.url} refuses with status {error.code}; check its address, its model's name "
                f"and {KEY_VARIABLE}."
            ) from error
        except OSError as error:
            raise UserError(
                f"{self.url} can't be reached ({error}); start the server or check the address."
            ) from error
        return read_answer(found)


def read_answer(content: bytes) -> tuple[str, tuple[str, ...]]:
    """Label and words from a chat completion.

    Raises:
        ValueError: when it holds none.
    """
    try:
        text = json.loads(content)["choices"][0]["message"]["content"]
        inside = re.search(r"\{.*\}", text, re.DOTALL)
        values = json.loads(inside[0]) if inside else {}
        label = " ".join(str(values["label"]).split())[:200]
        words = tuple(str(word).strip().lower()[:60] for word in values["words"])[:5]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError("no label") from error
    if not label or not any(words):
        raise ValueError("no label")
    return label, tuple(filter(None, words))


def cost(contexts: Mapping[int, Sequence[str]]) -> tuple[int, int]:
    """Requests and about how many tokens they and their answers have."""
    letters = sum(len(_ASK) + sum(map(len, lines)) for lines in contexts.values())
    return len(contexts), round(letters * _TOKENS_A_CHARACTER) + _ANSWER * len(contexts)


def ask_all(
    endpoint: Endpoint,
    contexts: Mapping[int, Sequence[str]],
    kept: Path,
    progress: Progress = silent,
) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Ask for every latent's label; what ``kept`` holds of this server, model and these contexts
    is not asked again.

    Args:
        contexts: latent → its contexts as text, none of them held out.
        kept: file the answers are kept in, a line each.

    Raises:
        UserError: when the server can't be reached, refuses, or answers nonsense ten times in a
            row.
    """
    marks = {latent: endpoint.mark(lines) for latent, lines in contexts.items()}
    found = {latent: got for latent, mark, got in _kept(kept) if marks.get(latent) == mark}
    kept.parent.mkdir(parents=True, exist_ok=True)
    wrong = 0
    with kept.open("a") as file:
        for number, (latent, lines) in enumerate(contexts.items()):
            if latent in found:
                continue
            for _ in range(2):
                try:
                    label, words = endpoint.ask(lines)
                except ValueError:
                    continue
                found[latent] = label, words
                line = {"latent": latent, "of": marks[latent], "label": label, "words": words}
                file.write(json.dumps(line) + "\n")
                file.flush()
                wrong = 0
                break
            else:
                wrong += 1
                if wrong == 10:
                    raise UserError(
                        f"{endpoint.url} gave no label ten times in a row; choose another model "
                        "(what it gave before is kept)."
                    )
            progress("Asking for labels", (number + 1) / len(contexts), f"{number + 1:,} asked")
    return found


def _kept(path: Path) -> Iterator[tuple[int, str, tuple[str, tuple[str, ...]]]]:
    """Latent, mark of who was asked what, and the answer."""
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        try:
            values = json.loads(line)
            answer = str(values["label"]), tuple(values["words"])
            yield int(values["latent"]), str(values["of"]), answer
        except (ValueError, KeyError, TypeError):
            continue  # a line a killed run left half written is asked for again


def scored(
    answers: Mapping[int, tuple[str, tuple[str, ...]]],
    labels: Sequence[Label],
    contexts: Sequence[Sequence[Bag]],
    near: np.ndarray,
) -> list[Label]:
    """Our labels with the server's in their place, scored on the same held-out contexts."""
    found, held = list(labels), HeldOut(contexts, near)
    for latent, (text, words) in answers.items():
        if not 0 <= latent < len(found) or math.isnan(found[latent].f1):
            continue
        value, told = held.score(words, latent)
        found[latent] = replace(
            found[latent], text=text if value >= CLEAR else UNCLEAR, f1=value, told=told,
            words=words,
        )  # fmt: skip
    return found
