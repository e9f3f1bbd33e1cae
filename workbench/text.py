"""Text from data made safe to show: nothing a token contains may act as Markdown."""

import re

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:^=&@/])")
_ACTIVE = re.compile(
    r"[\\`*_\[\]<>~$|]"  # marks of emphasis, code, brackets, formulas, tables
    r"|:(?=\w)"  # directives and symbols by name
    r"|&(?=#?\w+;)|(?<=\w)@(?=\w)"  # entities, addresses
    r"|^[#+\-=]"  # what only begins a line
)
_NUMBERED = re.compile(r"^(\d+)([.)])")
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""What turns the direction in which the rest of a line is written, also of what isn't data's."""

_INVISIBLE = {"\n": "⏎", "\r": "⏎", "\t": "⇥", "\u00a0": "␣", "\u200b": "∅"}


def visible(token: str) -> str:
    """A token with its white space shown, so that " Japan" and "Japan" differ on screen."""
    shown = "".join(_INVISIBLE.get(letter, letter) for letter in token)
    stripped = shown.lstrip(" ")
    shown = "␣" * (len(shown) - len(stripped)) + stripped
    return "".join(letter if letter.isprintable() else "�" for letter in shown) or "∅"


def one_way(text: str) -> str:
    """Text without what would turn the direction of the text around it."""
    return _TURNING.sub("�", text)


def escape(text: str) -> str:
    """Text as it is, whatever Markdown or directive it looks like, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(one_way(text).split()))


def coded(text: str) -> str:
    """Text set as code, on one line."""
    return f"`{' '.join(one_way(text).replace('`', 'ˋ').split()) or ' '}`"


def plain(text: str) -> str:
    """Text for the name of a box or a button: `escape`, but only where Markdown would act.

    A screen reader is given a name as it is written here, backslashes and all.
    """
    if "](" in text:  # a link, whose address can be anything
        return escape(text)
    marked = _ACTIVE.sub(lambda found: f"\\{found[0]}", " ".join(one_way(text).split()))
    return _NUMBERED.sub(r"\1\\\2", marked)


def shorten(text: str, most: int) -> str:
    """At most ``most`` characters of the text, an ellipsis in place of the rest."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def joined(words: list[str], last: str = "and") -> str:
    """Words as a sentence lists them: ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def share(probability: float) -> str:
    """A probability as percent, in few characters; never 0 or 100, which it isn't."""
    if probability < 0.001:
        return "<0.1 %"
    if probability < 0.01:
        return f"{100 * probability:.1f} %"
    return ">99 %" if probability > 0.99 else f"{100 * probability:.0f} %"
