"""The command that takes edits, directions, pages and SAEs elsewhere."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasae import progress
from metasae.cli.arguments import Add, ids
from metasae.errors import UserError
from metasae.sources.user_presets import preset_of

TO = (
    "transformers", "transformer-lens", "nnsight", "lm-eval", "neuronpedia", "vectors", "html",
    "huggingface",
)  # fmt: skip
"""Names of the targets, of which reading the words must not import the modules."""

ALL = "all"
"""Stands for all latents, or all meta-latents."""


def register(add: Add) -> None:
    """Declare the command."""
    command = add("export", export, "Take an edit, directions, a page or SAEs to other tools.")
    command.add_argument("--to", required=True, choices=TO, help="what is written")
    command.add_argument("--out", type=Path, required=True, help="folder or file to write")
    what = command.add_argument_group("what is exported, one of")
    what.add_argument(
        "--edit", type=Path, metavar="FILE",
        help="an edit: JSON that was downloaded on Steer, or that steer --json printed",
    )  # fmt: skip
    what.add_argument(
        "--mask", metavar="NAME|FILE",
        help="a learned mask: with --source and --target the edit it makes of them, without them "
        "the directions of its meta-latents",
    )  # fmt: skip
    what.add_argument(
        "--latents", metavar="IDS|all", help="latents (for a page: of one latent, by its number)"
    )
    what.add_argument("--meta-latents", metavar="IDS|all", help="meta-latents")
    what.add_argument("--graph", metavar="IDS", help="a page: what these latents share")
    what.add_argument(
        "--search", type=Path, metavar="FILE", help="a page: what search --json printed"
    )
    command.add_argument("--width", type=int, help="of the SAE (default: the one taken apart)")
    command.add_argument("--source", help="with --mask: who is edited")
    command.add_argument("--target", help="with --mask: towards whom")
    command.add_argument("--repo", metavar="USER/NAME", help="name of the hub's repository")
    command.add_argument("--all-widths", action="store_true", help="with huggingface: all SAEs")
    command.add_argument(
        "--upload", action="store_true", help="with huggingface: upload the folder, too"
    )


@dataclass(frozen=True)
class Exported:
    """What was written, and what has to be known of it.

    Attributes:
        at: where it was uploaded; empty where it wasn't.
    """

    out: Path
    to: str
    remarks: tuple[str, ...] = ()
    at: str = ""

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        values = {"out": str(self.out), "to": self.to, "remarks": list(self.remarks)}
        return values | ({"uploaded": self.at} if self.at else {})

    def text(self) -> str:
        """See `arguments.Result`."""
        lines = [f"Written: {self.out}", *self.remarks]
        return "\n".join(lines + ([f"Uploaded: {self.at}"] if self.at else []))


def export(arguments: argparse.Namespace) -> Exported:
    """Write one export."""
    from metasae.exports.registry import TARGETS

    target = TARGETS[arguments.to]
    _check(arguments)
    target.check(arguments.out)
    thing = _thing(arguments)
    if not isinstance(thing, target.takes):
        takers = [name for name, one in TARGETS.items() if isinstance(thing, one.takes)]
        raise UserError(f"{target.name} does not take that; --to can be {', '.join(takers)}.")
    remarks = target.export(thing, arguments.out)
    return Exported(arguments.out, target.name, remarks, _uploaded(arguments))


def _check(arguments: argparse.Namespace) -> None:
    """Refuse words that don't go together, before anything is opened.

    Raises:
        UserError: for them.
    """
    named = ("edit", "mask", "latents", "meta_latents", "graph", "search")
    given = [name for name in named if getattr(arguments, name) is not None]
    hub = arguments.to == "huggingface"
    if hub and given:
        raise UserError(
            "huggingface takes the preset's SAEs; leave out what else is to be exported."
        )
    if not hub and len(given) != 1:
        words = ", ".join(f"--{name.replace('_', '-')}" for name in named)
        raise UserError(f"Say what is to be exported, by one of {words}.")
    if not hub and (arguments.repo or arguments.upload or arguments.all_widths):
        raise UserError("--repo, --upload and --all-widths go with --to huggingface alone.")
    if arguments.upload and not arguments.repo:
        raise UserError("--upload needs --repo: where it is uploaded to.")
    sides = [one for one in (arguments.source, arguments.target) if one is not None]
    if len(sides) == 1 or (sides and arguments.mask is None):
        raise UserError("--source and --target go together, and with --mask.")
    if arguments.width is not None and arguments.latents is None:
        raise UserError("--width goes with --latents.")


def _thing(arguments: argparse.Namespace) -> object:
    """What the words name."""
    from metasae.explorer.explorer import META, open_explorer
    from metasae.explorer.latent_page import LatentPage
    from metasae.exports import reading
    from metasae.exports.directions import Directions
    from metasae.exports.pages import GraphPage, SearchPage
    from metasae.exports.to_huggingface import Repository
    from metasae.lab.lab import open_lab
    from metasae.ravel.masks import find

    if arguments.search is not None:
        return SearchPage.read(arguments.search)
    file = None if arguments.edit is None else reading.read_edit(arguments.edit)
    mask = None if arguments.mask is None else find(arguments.mask)
    opened = arguments.preset if file is None else file.preset
    numbers = [
        None if text in (None, ALL) else tuple(ids(text))
        for text in (arguments.latents, arguments.meta_latents)
    ]
    start = None if arguments.graph is None else tuple(ids(arguments.graph))
    lab = open_lab(preset_of(opened), progress.to_stream())
    if file is not None:
        return reading.edit_in(lab, file)
    if mask is not None and arguments.source is not None:
        return reading.mask_on(lab, mask, arguments.source, arguments.target)
    if arguments.to == "huggingface":
        return Repository(lab, arguments.repo or "", arguments.all_widths)
    explorer = open_explorer(lab)
    latents, metas = numbers
    width = lab.n_latents if arguments.width is None else arguments.width
    if mask is not None:
        mask.check_opened(lab)
        return Directions.of(explorer, META, mask.pieces)
    if arguments.meta_latents is not None:
        return Directions.of(explorer, META, metas)
    if start is not None:
        return GraphPage(explorer, start)
    if arguments.to == "html" and latents is not None and len(latents) == 1:
        return LatentPage(explorer, width, latents[0])
    return Directions.of(explorer, str(width), latents)


def _uploaded(arguments: argparse.Namespace) -> str:
    if not arguments.upload:
        return ""
    from metasae.exports.to_huggingface import upload

    return upload(arguments.out, arguments.repo)
