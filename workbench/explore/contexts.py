"""Contexts as marked-up text."""

import html
from collections.abc import Sequence

from metasae.explorer.evidence import Snippet


def snippets_html(snippets: Sequence[Snippet], top: float) -> str:
    """Contexts as marked-up text: the stronger the activation, the deeper the colour."""
    rows = []
    for one in snippets:
        cells = []
        for token, value in one.tokens:
            text = html.escape(token.replace("\n", "⏎"))
            if value > 0:
                depth = 0.15 + 0.75 * min(1.0, value / max(top, 1e-9))
                # A space in front stays outside, where it is seen as one.
                word = text.lstrip(" ")
                text = (
                    f'{text[: len(text) - len(word)]}<mark style="background:rgba(230,159,0,'
                    f'{depth:.2f});color:inherit;border-radius:3px" '
                    f'title="activation {value:.1f}">{word}</mark>'
                )
            cells.append(text)
        peak = max((value for _, value in one.tokens), default=0.0)
        rows.append(
            f'<div style="padding:3px 0;overflow-wrap:anywhere"><span style="opacity:.65;'
            f'font-variant-numeric:tabular-nums">{peak:.1f}</span>&ensp;…{"".join(cells)}…</div>'
        )
    return f'<div style="font-size:.9rem;line-height:1.45">{"".join(rows)}</div>'
