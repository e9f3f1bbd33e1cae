"""Commands that look at latents: take one apart, describe them, draw what they share."""

import argparse
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metasae import progress
from metasae.cli.arguments import Add, Written, number, opened_explorer, opened_lab, whole, writable
from metasae.errors import UserError
from metasae.sources.files import check_place, json_text, written_whole
from metasae.sources.user_presets import preset_of

if TYPE_CHECKING:
    import pandas as pd

    from metasae.explorer.latent_page import LatentPage
    from metasae.release.post_examples import Check

MOST_TOKENS = 10**9
"""Tokens of text that are taken for meant."""


def register(add: Add) -> None:
    """Declare the commands."""
    one = add("decompose", decompose, "A latent's meta-latents, and what stands beside it.")
    one.add_argument("latent", type=int, help="its number")
    one.add_argument("--width", type=int, help="of the SAE (default: the one taken apart)")
    one.add_argument(
        "--try", metavar="TEXT", dest="tried", help="also whether it fires on your own text"
    )
    labels = add("describe", describe, "Collect where latents fire, and label them.")
    labels.add_argument(
        "--width", type=int, action="append", default=[], metavar="N",
        help="of the SAE (default: the one taken apart); may be given several times",
    )  # fmt: skip
    labels.add_argument("--all-widths", action="store_true", help="all the preset's SAEs")
    labels.add_argument(
        "--text", action="append", default=[], metavar="FILE|DIR|hf:NAME",
        help="your own text instead of the shipped SAEs'",
    )  # fmt: skip
    whole(labels, "--tokens", "about how many (default: a million)", 1, MOST_TOKENS)
    labels.add_argument("--out", type=Path, help="folder to write (default: in the cache)")
    labels.add_argument("--endpoint", metavar="URL", help="an OpenAI-compatible server")
    labels.add_argument("--endpoint-model", default="default", metavar="NAME", help="its model")
    whole(labels, "--most", "latents it is asked about", 1, 10**7, default=200)
    labels.add_argument("--yes", action="store_true", help="agree to what that costs")
    labels.add_argument("--labels-only", action="store_true", help="keep the evidence")
    add("examples", examples, "The post's worked examples, checked against what is open.")
    drawn = add("graph", graph, "Latents, their meta-latents, and the latents these are in.")
    drawn.add_argument(
        "latent", nargs="*", help="where it starts: latents by number, or names like Tokyo"
    )
    drawn.add_argument(
        "--format", choices=("graphml", "json", "svg"),
        help="how it is written (default: as the file's ending says, else json)",
    )  # fmt: skip
    drawn.add_argument("--depth", type=int, default=1, help="steps to latents of meta-latents")
    drawn.add_argument("--top", type=int, default=5, help="latents of a meta-latent")
    number(drawn, "--threshold", "activation (of --whole: weight) below which no edge is drawn",
           0, 1e6, default=0.0)  # fmt: skip
    drawn.add_argument("--whole", action="store_true", help="statistics of all latents' graph")
    drawn.add_argument("--out", type=Path, help="file to write")


@dataclass(frozen=True)
class Tried:
    """One latent on a text.

    Attributes:
        table: columns position, token, activation.
        sentence: on how much of it it fires.
    """

    typed: str
    table: "pd.DataFrame"
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        tokens = self.table.to_dict("records")
        return {"text": self.typed, "sentence": self.sentence, "tokens": tokens}

    def lines(self) -> list[str]:
        """As lines to read."""
        values = [
            "no latent is read" if math.isnan(one) else f"{one:6.1f}"
            for one in self.table["activation"]
        ]
        tokens = map(repr, self.table["token"])
        rows = [f"{one:>14}  {value}" for one, value in zip(tokens, values, strict=True)]
        return [f"“{self.typed}”: {self.sentence}", *rows]


@dataclass(frozen=True)
class Decomposed:
    """One latent, taken apart.

    Attributes:
        tried: the latent on a text, where that was asked for.
    """

    page: "LatentPage"
    tried: Tried | None = None

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        tried = {} if self.tried is None else {"tried": self.tried.to_dict()}
        return self.page.to_dict() | tried

    def text(self) -> str:
        """See `arguments.Result`."""
        page = self.page
        label = page.explorer.label(page.kind, page.latent)
        lines = [f"latent {page.latent} of {page.width:,}: {label}"]
        lines += [
            f"  {piece.activation:.2f}  meta-latent {piece.meta}: {piece.called}"
            for piece in page.pieces.itertuples()
        ]
        lines.append(f"  {page.unexplained:.0%} of its squared length is in none of them")
        lines += [
            f"  cosine {other.cosine:.2f}  latent {other.latent}: {other.called}"
            for other in page.nearest.itertuples()
        ]
        promoted, _ = page.vocabulary_ends
        lines.append(f"  promotes {' '.join(map(repr, promoted['token'][:6]))}")
        lines += [] if self.tried is None else self.tried.lines()
        return "\n".join(lines)


@dataclass(frozen=True)
class Described(Written):
    """Where evidence and labels were written, and how good the labels are."""

    def text(self) -> str:
        """See `arguments.Result`."""
        lines = [f"Evidence and labels are in {self.out}."]
        lines += [
            f"  {kind}: {_quality(one)}"
            for kind, one in self.report.items()
            if isinstance(one, dict) and "f1_mean" in one
        ]
        return "\n".join(lines)


def _quality(summary: dict[str, Any]) -> str:
    if not summary["scored"]:
        return "too few contexts to score any label"
    return (
        f"F1 {summary['f1_mean']:.2f} on held-out contexts, {summary['f1_one_word_mean']:.2f} for "
        f"the commonest word alone (beaten by {summary['beats_one_word']:,} of "
        f"{summary['scored']:,} labels, ahead of {summary['loses_to_one_word']:,}), "
        f"{summary['f1_control_mean']:.2f} for other latents' labels; "
        f"{summary['unclear_share']:.0%} unclear; {summary['copies']:,} contexts left out as copies"
    )


@dataclass(frozen=True)
class Examples:
    """The post's figures beside ours."""

    checks: "list[Check]"

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        return {"checks": [asdict(one) for one in self.checks]}

    def text(self) -> str:
        """See `arguments.Result`."""
        return "\n".join(
            f"{'agrees ' if one.agrees else 'DIFFERS'}  {one.name}: published {one.published}, "
            f"found {one.found}"
            for one in self.checks
        )


@dataclass(frozen=True)
class Drawn:
    """A graph in one of its formats, or the figures of one.

    Attributes:
        values: the same as JSON-able values.
    """

    content: str
    values: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        return self.values

    def text(self) -> str:
        """See `arguments.Result`."""
        return self.content


@dataclass(frozen=True)
class DrawnFile:
    """A graph that was written into a file."""

    out: Path
    nodes: int
    edges: int

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        return {"out": str(self.out), "nodes": self.nodes, "edges": self.edges}

    def text(self) -> str:
        """See `arguments.Result`."""
        return f"{self.nodes:,} nodes and {self.edges:,} edges: {self.out}"


def decompose(arguments: argparse.Namespace) -> Decomposed:
    """Take one latent apart."""
    from metasae.explorer.latent_page import LatentPage
    from metasae.explorer.token_table import fires_in_words, latent_on

    explorer = opened_explorer(arguments)
    width = explorer.lab.n_latents if arguments.width is None else arguments.width
    page, typed = LatentPage(explorer, width, arguments.latent), arguments.tried
    if typed is None:
        return Decomposed(page)
    table = latent_on(explorer, width, page.latent, typed)
    return Decomposed(page, Tried(typed, table, fires_in_words(table)))


def describe(arguments: argparse.Namespace) -> Described:
    """Collect evidence and write labels."""
    from metasae.explorer.describing import FILES, Asking, describe, relabel
    from metasae.explorer.evidence import TOKENS, own_folder
    from metasae.explorer.label_server import Endpoint

    preset = preset_of(arguments.preset)
    if given := writable(arguments.out, folder=True):
        check_place(given, FILES, "evidence and labels")
    out = given or own_folder(preset)
    asking = None
    if arguments.endpoint is not None:
        asking = Asking(
            Endpoint(arguments.endpoint, arguments.endpoint_model), arguments.most, arguments.yes
        )
    lab = opened_lab(arguments)
    widths = arguments.width or (preset.widths if arguments.all_widths else [lab.n_latents])
    report = progress.to_stream()
    if arguments.labels_only:
        return Described(out, relabel(lab, out, sorted(widths), report, asking))
    tokens = TOKENS if arguments.tokens is None else arguments.tokens
    return Described(out, describe(lab, out, widths, arguments.text, tokens, report, asking))


def examples(arguments: argparse.Namespace) -> Examples:
    """Check the post's worked examples."""
    from metasae.release.post_examples import check_has_examples, checks

    check_has_examples(preset_of(arguments.preset))
    return Examples(checks(opened_explorer(arguments)))


def graph(arguments: argparse.Namespace) -> Drawn | DrawnFile:
    """Draw some latents' graph, or count all latents'."""
    from metasae.explorer import graph as graphs
    from metasae.explorer.graph_files import exported, format_of, node_link

    graphs.check_bounds(arguments.depth, arguments.top)
    writable(arguments.out)
    fmt = arguments.format or ("json" if arguments.out is None else format_of(arguments.out))
    if arguments.whole and fmt != "json":
        raise UserError("--whole counts a graph, and figures are written as JSON only.")
    explorer = opened_explorer(arguments)
    lab = explorer.lab
    if arguments.whole:
        values: dict[str, Any] = graphs.projected(
            lab.decomposition, arguments.threshold
        ).statistics()
        content, nodes, edges = json_text(values), values["latents"], values["edges"]
    else:
        latents, said = graphs.latents_named(lab, arguments.latent)
        made = graphs.around(
            lab.decomposition, latents, arguments.depth, arguments.top, arguments.threshold
        )
        drawn = graphs.readable(made) if fmt == "svg" else made
        remarks = filter(None, (*said, graphs.left_out(made, drawn)))
        sys.stderr.writelines(f"{sentence}\n" for sentence in remarks)
        made = drawn
        about = asdict(lab.provenance)

        def name_of(kind: str, index: int) -> str:
            return explorer.label(explorer.of_node(kind), index)

        values, content = node_link(made, name_of, about), exported(made, fmt, name_of, about)
        nodes, edges = made.number_of_nodes(), made.number_of_edges()
    if arguments.out is None:
        return Drawn(content, values)
    with written_whole(arguments.out) as part:
        part.write_text(content, "utf-8")
    return DrawnFile(arguments.out, nodes, edges)
