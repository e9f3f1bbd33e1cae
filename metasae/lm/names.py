"""The token of a prompt on which a name ends, and where it stands in the text."""

import re

from metasae.errors import UserError
from metasae.lm.language_model import LanguageModel


def name_position(model: LanguageModel, prompt: str, name: str) -> int:
    """Position, the start token counted, of the last token of a name's last mention in a prompt.

    Raises:
        UserError: when the prompt does not mention the name as a word, or no token ends it.
    """
    mentions = list(re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", prompt)) if name else []
    if not mentions:
        raise UserError(
            f'The prompt "{prompt}" does not mention {name}; write the name where the edit should '
            "act."
        )
    position = position_before(model, prompt, mentions[-1].end())
    if position is None:
        raise UserError(
            f'{model.name} reads nothing of "{name}"; give a name of letters or digits.'
        )
    return position


def position_before(model: LanguageModel, prompt: str, end: int) -> int | None:
    """Position, the start token counted, of the token that holds the last of a prompt's first
    ``end`` characters; None where no token does."""
    encoded = model.tokenizer(prompt, add_special_tokens=False)
    token = encoded.char_to_token(end - 1)
    return None if token is None else int(token) + 1


def token_in(model: LanguageModel, prompt: str, position: int) -> tuple[str, str, str]:
    """A prompt, cut before and after the token at a position, the start token counted.

    White space that belongs to the token stays with what comes before.
    """
    span = model.tokenizer(prompt, add_special_tokens=False).token_to_chars(position - 1)
    if span is None:
        return prompt, "", ""
    token = prompt[span.start : span.end]
    begin = span.start + len(token) - len(token.lstrip())
    return prompt[:begin], prompt[begin : span.end], prompt[span.end :]
