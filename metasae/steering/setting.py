"""What an edit is made in: a pair, the words of the questions, a person's own question."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from metasae.errors import UserError
from metasae.sources.presets import EMBEDDED, Opened
from metasae.steering.link import Latents, damaged, text_in
from metasae.steering.questions import split_answers
from metasae.text.prompts import DEFAULT_WORDING, WORDINGS


@dataclass(frozen=True)
class Setting:
    """What is edited and asked: everything an experiment is made of.

    Attributes:
        preset: what is opened.
        source, target: a city, any other name, or raw latents as "#12,#45".
        source_latents, target_latents: the user's choice of the city's latents, or None.
        wording: in which words the four questions are asked; a link that does not say it means the
            default.
        prompt, answers: the user's own question, or empty.
    """

    preset: Opened = EMBEDDED.opened
    source: str = "Tokyo"
    target: str = "Paris"
    source_latents: Latents | None = None
    target_latents: Latents | None = None
    wording: str = DEFAULT_WORDING
    prompt: str = ""
    answers: tuple[str, ...] = ()

    def without_question(self) -> "Setting":
        """The same without the user's own question."""
        return replace(self, prompt="", answers=())

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "Setting":
        """The setting that `steering.link.steer_query` wrote; what is left out is at its default.

        Raises:
            LinkError: when it is damaged.
        """
        usual = cls()
        return cls(
            preset=_opened(query),
            source=text_in(query, "source", usual.source),
            target=text_in(query, "target", usual.target),
            source_latents=_latents(query, "source_latents"),
            target_latents=_latents(query, "target_latents"),
            wording=_wording(query),
            prompt=text_in(query, "ask", ""),
            answers=split_answers(text_in(query, "answers", "")),
        )


def _opened(query: Mapping[str, str]) -> Opened:
    text = text_in(query, "preset", str(EMBEDDED.opened))
    try:
        return Opened.from_text(text)
    except UserError as error:
        raise damaged("preset", text) from error


def _wording(query: Mapping[str, str]) -> str:
    text = text_in(query, "wording", DEFAULT_WORDING)
    if text not in WORDINGS:
        raise damaged("wording", text)
    return text


def _latents(query: Mapping[str, str], name: str) -> Latents | None:
    if name not in query:
        return None
    text = text_in(query, name, "")
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})*", text):
        raise damaged(name, text)
    return tuple(dict.fromkeys(map(int, text.split("."))))
