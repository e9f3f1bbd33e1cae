"""The command that finds latents by a text, or reads it token by token."""

import argparse
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from metasae.cli.arguments import Add, number, opened_explorer, whole
from metasae.cli.cities import NameLatents
from metasae.errors import UserError
from metasae.steering.nats import settled

if TYPE_CHECKING:
    import pandas as pd

    from metasae.explorer.token_table import ReadText

MOST = 5
"""Latents of a token that are named, where nothing else is said."""


def register(add: Add) -> None:
    """Declare the command."""
    on_text = add("latents", latents, "Which latents fire on a text, or match a word.")
    on_text.add_argument("--text", required=True, help="a text, or a word of a label")
    on_text.add_argument("--width", type=int, help="of the SAE (default: the one taken apart)")
    on_text.add_argument(
        "--token-by-token", action="store_true",
        help="instead: of every token its strongest latents, its log-probability, and what the "
        "model expects next",
    )  # fmt: skip
    whole(on_text, "--most", f"of these, how many latents a token (default: {MOST})", 1, 10**6)
    number(
        on_text, "--densest", "of these, leave out latents that fire on more than SHARE of all "
        "tokens (0.01: 1 %%)", 1e-6, 1, metavar="SHARE",
    )  # fmt: skip
    on_text.add_argument(
        "--start-token",
        action="store_true",
        help="of these, also the token in front of every text, on which SAEs weren't trained",
    )


@dataclass(frozen=True)
class FoundLatents:
    """Latents that fire on a text, and those whose label or words match it.

    Attributes:
        firing: columns position, token, latent, activation, label.
        matching: columns index, label, why.
        name: the text as a name, where the open SAE is asked and it is short enough.
    """

    typed: str
    width: int
    firing: "pd.DataFrame"
    matching: "pd.DataFrame"
    name: "NameLatents | None"

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        return {
            "text": self.typed,
            "width": self.width,
            "firing": self.firing.to_dict("records"),
            "matching": self.matching.to_dict("records"),
            "as_name": None if self.name is None else self.name.to_dict(),
        }

    def text(self) -> str:
        """See `arguments.Result`."""
        lines = [
            f"{row.token!r:>14}  {row.activation:6.1f}  latent {row.latent}: {row.label}"
            for row in self.firing.itertuples()
        ]
        lines += [f"{row.why}: latent {row[1]}: {row.label}" for row in self.matching.itertuples()]
        if self.name is not None and self.name.record.latents:
            lines += ["As a name, in neutral contexts:", *self.name.lines()]
        return "\n".join(lines) or "Nothing fires and no label matches."


@dataclass(frozen=True)
class TokenByToken:
    """A text as the model and an SAE read it.

    Attributes:
        start: whether the start token is in it.
    """

    typed: str
    width: int
    read: "ReadText"
    start: bool

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        return {
            "text": self.typed,
            "width": self.width,
            "tokens": self.read.rows(self.start),
            "left_out": self.read.left_out,
        }

    def text(self) -> str:
        """See `arguments.Result`."""
        lines = ["log-probability (nats), and what is expected next; then activations of latents"]
        for row in self.read.rows(self.start):
            # Nothing stands before the start token that it could follow.
            own = f"{settled(row['logprob']):8.2f}" if row["position"] else " " * 8
            expected = f"{row['next']!r} {settled(row['next_logprob']):.2f}"
            lines.append(f"{row['token']!r:>14}  {own}  expected next: {expected}")
            for one in row["latents"]:
                density = one["density"]
                often = "" if density != density else f" ({density:.2%} of all tokens)"
                called = f"latent {one['latent']}: {one['label']}"
                lines.append(f"{'':>14}  {one['activation']:8.1f}  {called}{often}")
        if self.read.left_out:
            lines.append(f"{self.read.left_out:,} more are denser and left out.")
        return "\n".join(lines)


def latents(arguments: argparse.Namespace) -> FoundLatents | TokenByToken:
    """Find latents by a text, or read it token by token."""
    if not arguments.token_by_token and (
        arguments.most is not None or arguments.densest is not None or arguments.start_token
    ):
        raise UserError("--most, --densest and --start-token go with --token-by-token alone.")
    explorer = opened_explorer(arguments)
    lab, typed = explorer.lab, arguments.text
    width = lab.n_latents if arguments.width is None else arguments.width
    if arguments.token_by_token:
        from metasae.explorer.token_table import read_text

        most = MOST if arguments.most is None else arguments.most
        read = read_text(explorer, width, typed, most, arguments.densest, arguments.start_token)
        return TokenByToken(typed, width, read, arguments.start_token)
    firing = explorer.firing_on(width, typed)
    named = None
    if width == lab.n_latents:
        with suppress(UserError):  # a text too long to be a name
            named = NameLatents(explorer, lab.names.record(typed))
    return FoundLatents(typed, width, firing, explorer.find(str(width), typed), named)
