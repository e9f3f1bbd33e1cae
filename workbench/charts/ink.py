"""The colours of each theme, from the Okabe-Ito palette."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ink:
    """Colours of one theme, from the Okabe-Ito palette."""

    source: str
    target: str
    other: str
    text: str
    faint: str
    paper: str


LIGHT = Ink("#0072B2", "#D55E00", "#6B7280", "#1B1F24", "#D9DDE3", "#FFFFFF")

DARK = Ink("#56B4E9", "#E69F00", "#A3ABB6", "#ECEFF3", "#343B46", "#12151A")
