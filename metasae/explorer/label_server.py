"""Labels written by a language model behind an OpenAI-compatible address, scored like our own.

Nothing is sent unless a person names an address. What comes back is kept line by line, so a run
that was stopped goes on; an answer that holds no label is asked for once more and then left out.
"""

import functools
import hashlib
import json
import logging
import math
import os
import re
import ssl
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
from tenacity import (
    RetryCallState,
    Retrying,
    before_sleep_log,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
)

from metasae.errors import UserError
from metasae.explorer.held_out import Bag, HeldOut
from metasae.explorer.labels import CLEAR, UNCLEAR, Label
from metasae.progress import Progress, silent
from metasae.sources.files import json_values
from metasae.sources.records import from_values, to_values

KEY_VARIABLE = "METASAE_ENDPOINT_KEY"
"""Environment variable that holds the address's key, if it wants one."""

TIMEOUT = 60.0
"""Seconds the server may be silent."""

ATTEMPTS = 4
"""Times a request is sent while the connection fails or the server is busy or broken."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds before the second attempt, doubled before each further one, and the most a server may
ask for by Retry-After."""

_LARGEST = 1_000_000
"""Bytes of an answer that are read."""

_TOKENS_A_CHARACTER = 0.3

_ANSWER = 60

_ASK = (
    "Each line is a piece of text in which one feature of a language model is active; the active "
    "tokens stand between « and ». Say in at most six words what they have in common, and give up "
    "to five single words that tell such places from others. Answer with JSON alone: "
    '{"label": "...", "words": ["..."]}'
)

_log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

A = TypeVar("A", bound=Any)
"""A record of an answer."""


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible server.

    Attributes:
        url: its base, such as http://localhost:8080/v1.
        model: the name it knows its model by.

    Raises:
        UserError: for a url that is no http or https address.
    """

    url: str
    model: str = "default"

    def __post_init__(self) -> None:
        try:
            parts = httpx.URL(self.url)
            port = parts.port or 80
            valid = parts.scheme in ("http", "https") and bool(parts.host) and port < 2**16
        except httpx.InvalidURL as error:
            _log.info("%s", error)
            valid = False
        if not valid:
            raise UserError(f'"{self.url}" is no address; write one like http://localhost:8080/v1.')

    def mark(self, lines: Sequence[str], task: str = _ASK) -> str:
        """A hash that tells this question to this server and model from any other."""
        asked = json.dumps([self.url.rstrip("/"), self.model, task, list(lines)])
        return hashlib.sha256(asked.encode()).hexdigest()[:16]

    def ask(self, lines: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """A label and its words for some contexts.

        Raises:
            UserError: as `say`.
            ValueError: when the answer holds no label.
        """
        return read_answer(self.say(_ASK, lines))

    def say(self, task: str, lines: Sequence[str]) -> bytes:
        """What the server answers to some lines under a task, at temperature 0.

        A failed connection, status 429 and statuses from 500 are tried again, `ATTEMPTS` in all.

        Raises:
            UserError: when the server can't be reached or refuses.
        """
        body = {
            "model": self.model,
            "temperature": 0,
            "max_tokens": _ANSWER,
            "messages": [
                {"role": "system", "content": task},
                {"role": "user", "content": "\n".join(lines)},
            ],
        }
        attempts = Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=_pause,
            retry=retry_if_exception(_may_pass),
            before_sleep=before_sleep_log(_log, logging.INFO),
            reraise=True,
        )
        try:
            return attempts(_post, f"{self.url.rstrip('/')}/chat/completions", body, _headers())
        except httpx.HTTPStatusError as error:
            raise UserError(
                f"{self.url} refuses with status {error.response.status_code}; check its address, "
                f"its model's name and {KEY_VARIABLE}."
            ) from error
        except (httpx.HTTPError, UnicodeError) as error:  # the latter: a name no host can have
            raise UserError(
                f"{self.url} can't be reached; start the server or check the address."
            ) from error


def _headers() -> dict[str, str]:
    """The authorisation, where `KEY_VARIABLE` holds a key.

    Raises:
        UserError: for a key that no header can hold.
    """
    key = os.environ.get(KEY_VARIABLE)
    if not key:
        return {}
    if not (key.isascii() and key.isprintable()):
        raise UserError(
            f"{KEY_VARIABLE} holds something else than one line of ASCII characters; set it to the "
            "server's key."
        )
    return {"Authorization": f"Bearer {key}"}


@functools.cache
def _certificates() -> ssl.SSLContext:
    """The authorities a server may be vouched for by: read once, reading takes longer than asking
    a server on this machine."""
    return httpx.create_ssl_context()


def _post(url: str, body: object, headers: Mapping[str, str]) -> bytes:
    """What the server answers, `_LARGEST` bytes at most; it is followed nowhere else.

    Raises:
        httpx.HTTPError: when it can't be reached or its status is no success.
    """
    with (
        httpx.Client(timeout=TIMEOUT, follow_redirects=False, verify=_certificates()) as client,
        client.stream("POST", url, json=body, headers=headers) as response,
    ):
        response.raise_for_status()
        content = b""
        for part in response.iter_bytes():
            content += part
            if len(content) >= _LARGEST:
                break
        return content[:_LARGEST]


def _may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed in a moment."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == 429 or error.response.status_code >= 500
    return isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError | httpx.ConnectTimeout)


def _pause(state: RetryCallState) -> float:
    """Seconds until the next attempt: what the server asks for, or twice as long as the last."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, httpx.HTTPStatusError):
        wanted = error.response.headers.get("Retry-After", "")
        if wanted.isdecimal():
            return min(float(wanted), LONGEST_PAUSE)
    return wait_exponential(multiplier=FIRST_PAUSE)(state)


def said(content: bytes) -> str:
    """What the model says in a chat completion.

    Raises:
        ValueError: for anything else.
    """
    try:
        return str(json_values(content)["choices"][0]["message"]["content"])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError("no chat completion") from error


def read_answer(content: bytes) -> tuple[str, tuple[str, ...]]:
    """Label and words from a chat completion.

    Raises:
        ValueError: for anything else.
    """
    try:
        text = said(content)
        inside = re.search(r"\{.*\}", text, re.DOTALL)
        values = json_values(inside[0]) if inside else {}
        label = " ".join(str(values["label"]).split())[:200]
        words = tuple(str(word).strip().lower()[:60] for word in values["words"])[:5]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError("no label") from error
    if not label or not any(words):
        raise ValueError("no label")
    return label, tuple(filter(None, words))


def cost(questions: Iterable[Sequence[str]], task: str = _ASK) -> tuple[int, int]:
    """Requests and about how many tokens they and their answers have.

    Args:
        questions: the lines of each.
        task: what stands before them.
    """
    letters = [len(task) + sum(map(len, lines)) for lines in questions]
    return len(letters), round(sum(letters) * _TOKENS_A_CHARACTER) + _ANSWER * len(letters)


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
        UserError: as `ask_each`.
    """
    marks = {latent: endpoint.mark(lines) for latent, lines in contexts.items()}
    former = {
        one.latent: one for one in kept_lines(kept, _Answer) if marks.get(one.latent) == one.of
    }

    def ask(latent: int) -> _Answer:
        return _Answer(latent, marks[latent], *endpoint.ask(contexts[latent]))

    answers = ask_each(endpoint.url, contexts, ask, former, kept, progress, "label")
    return {latent: (one.label, one.words) for latent, one in answers.items()}


def ask_each(
    url: str,
    keys: Iterable[K],
    ask: Callable[[K], A],
    former: Mapping[K, A],
    kept: Path,
    progress: Progress = silent,
    what: str = "answer",
) -> dict[K, A]:
    """Ask what isn't answered yet, each question twice at most, and keep every answer at once.

    Args:
        ask: gives a record of the answer; raises ValueError where there is none in what came back.
        former: the answers there are.
        kept: file the records are added to, a line each.
        what: is asked for, as a word.

    Raises:
        UserError: when the server can't be reached, refuses, or answers nonsense ten times in a
            row.
    """
    wanted, answers, wrong = list(keys), dict(former), 0
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("a", encoding="utf-8") as file:
        if file.tell() and not kept.read_bytes().endswith(b"\n"):
            file.write("\n")  # behind the line a killed run left half written
        for number, key in enumerate(wanted):
            if key in answers:
                continue
            for _ in range(2):
                try:
                    answer = ask(key)
                except ValueError:
                    _log.info("%s gave no %s for %s", url, what, key, exc_info=True)
                    continue
                answers[key] = answer
                file.write(json.dumps(to_values(answer)) + "\n")
                file.flush()
                wrong = 0
                break
            else:
                wrong += 1
                if wrong == 10:
                    raise UserError(
                        f"{url} gave no {what} ten times in a row; choose another model "
                        "(what it gave before is kept)."
                    )
            progress(f"Asking for {what}s", (number + 1) / len(wanted), f"{number + 1:,} asked")
    return answers


@dataclass(frozen=True)
class _Answer:
    """A server's answer about one latent, as it is kept.

    Attributes:
        of: `Endpoint.mark` of the question.
    """

    latent: int
    of: str
    label: str
    words: tuple[str, ...]


def kept_lines(path: Path, kind: type[A]) -> Iterator[A]:
    """The records in a file of `ask_each`."""
    if not path.exists():
        return
    for line in path.read_text("utf-8").splitlines():
        try:
            yield from_values(kind, json_values(line))
        except ValueError:
            # A line a killed run left half written is asked for again.
            _log.info("a line of %s is damaged", path, exc_info=True)


def scored(
    answers: Mapping[int, tuple[str, tuple[str, ...]]],
    labels: Sequence[Label],
    contexts: Sequence[Sequence[Bag]],
    near: np.ndarray,
) -> list[Label]:
    """Our labels with the server's in their place, scored on the same held-out contexts."""
    mixed, held = list(labels), HeldOut(contexts, near)
    for latent, (text, words) in answers.items():
        if not 0 <= latent < len(mixed) or math.isnan(mixed[latent].f1):
            continue
        value, distinguishes = held.score(words, latent)
        mixed[latent] = replace(
            mixed[latent], text=text if value >= CLEAR else UNCLEAR, f1=value,
            distinguishes=distinguishes, words=words,
        )  # fmt: skip
    return mixed
