"""Text from data made safe to show: nothing a token contains may act as Markdown."""

import re

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:^=&@/])")
_INVISIBLE = {"\n": "⏎", "\r": "⏎", "\t": "⇥", "\u00a0": "␣", "\u200b": "∅"}


def visible(token: str) -> str:
    """A token with its white space shown, so that " Japan" and "Japan" differ on screen."""
    shown = "".join(_INVISIBLE.get(letter, letter) for letter in token)
    stripped = shown.lstrip(" ")
    shown = "␣" * (len(shown) - len(stripped)) + stripped
    return "".join(letter if letter.isprintable() else "�" for letter in shown) or "∅"


def escape(text: str) -> str:
    """Text as it is, whatever Markdown or directive it looks like, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


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
