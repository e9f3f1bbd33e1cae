"""Commands that train: a meta-SAE of any directions, a base SAE of any model and text."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from metasae import progress
from metasae.cli.arguments import SEEDS, Add, Written, number, whole, writable
from metasae.sources.user_presets import preset_of

if TYPE_CHECKING:
    from metasae.training.config import TrainConfig

MOST = 10**9
"""Largest width, number of steps, batch or tokens that is taken for meant."""


def register(add: Add) -> None:
    """Declare the commands."""
    meta = add(
        "train-meta",
        train_meta,
        "Train a meta-SAE on the directions of any SAE, or of several together.",
        preset=False,
    )
    meta.add_argument(
        "--sae",
        action="extend",
        nargs="+",
        required=True,
        metavar="RELEASE:ID|DIR|FILE",
        help="what to take apart; several are taken apart together",
    )
    _recipe(meta, "meta-latents (default: a 21st of the latents)", "latents a step")
    meta.add_argument(
        "--control", action="append", default=[], choices=("gaussian", "pca", "random"),
        help="also train on random directions, to compare with; may be given several times",
    )  # fmt: skip
    base = add("train-sae", train_sae, "Train an SAE on a model's residual stream.")
    base.add_argument(
        "--text", action="append", default=[], metavar="FILE|DIR|hf:NAME",
        help="plain text to read; may be given several times (default: the shipped SAEs' text)",
    )  # fmt: skip
    whole(base, "--tokens", "about how many are read (default: 500,000)", 1, MOST)
    _recipe(base, "latents (default: 4,608)", "tokens a step")


def _recipe(command: argparse.ArgumentParser, width: str, batch: str) -> None:
    command.add_argument("--out", type=Path, required=True, help="folder to write")
    whole(command, "--width", width, 1, MOST)
    whole(command, "--k", "active ones a row, on average (default: 4)", 1, MOST)
    whole(command, "--steps", "how many", 1, MOST)
    whole(command, "--batch", batch, 1, MOST)
    whole(command, "--seed", "of the start and the order of the rows (default: 0)", 0, SEEDS)
    number(command, "--lr", "learning rate", 1e-12, 1e3)
    number(
        command, "--first-k",
        "begin with N times k active ones, which become k over the first 60 %% of the steps",
        1, 1e6, metavar="N",
    )  # fmt: skip
    command.add_argument(
        "--selection", choices=("batch_topk", "topk"),
        help="k active ones a row on average over a batch (default), or in each row",
    )  # fmt: skip
    command.add_argument(
        "--start", metavar="random|data|ngrams|DIR", help="DIR: an SAE to start from"
    )
    command.add_argument("--resume", action="store_true", help="go on where a run was stopped")


def _recipe_of(
    arguments: argparse.Namespace, usual: "TrainConfig"
) -> "tuple[TrainConfig, Path | None]":
    """The usual recipe with what was asked for, and the folder of the SAE to start from, if any."""
    from metasae.saes import formats

    names = ("width", "k", "steps", "batch", "seed", "lr", "first_k", "selection", "start")
    given = {name: getattr(arguments, name) for name in names}
    given = {name: value for name, value in given.items() if value is not None}
    initial: Path | None = None
    if given.get("start", "data") not in ("random", "data", "ngrams"):
        initial = Path(given["start"])
        # Its latents have settled; more of them a row would undo that.
        given = {"width": formats.load(initial).width, "first_k": 1.0} | given | {"start": "sae"}
    return replace(usual, **given), initial


@dataclass(frozen=True)
class TrainedMetaSAE(Written):
    """A meta-SAE's folder and report.

    Attributes:
        directions: that were taken apart.
    """

    directions: int

    def text(self) -> str:
        """See `arguments.Result`."""
        quality, width = self.report["quality"], self.report["config"]["width"]
        lines = [
            f"{width:,} meta-latents of {self.directions:,} directions: {self.out}",
            f"  L0 {quality['l0']:.2f}, variance explained {quality['fve']:.3f} (centred "
            f"{quality['fve_centred']:.3f}), {quality['dead']:,} dead",
        ]
        for name, control in self.report["controls"].items():
            lines.append(f"  control {name}: variance explained {control['fve']:.3f}")
        return "\n".join(lines)


@dataclass(frozen=True)
class TrainedSAE(Written):
    """A base SAE's folder and report."""

    def text(self) -> str:
        """See `arguments.Result`."""
        quality, width = self.report["quality"], self.report["config"]["width"]
        return (
            f"{width:,} latents on {self.report['tokens']:,} tokens: {self.out}\n"
            f"  on held-out text: L0 {quality['l0']:.2f}, variance explained {quality['fve']:.3f} "
            f"(centred {quality['fve_centred']:.3f}), {quality['silent']:,} silent; median cosine "
            f"to the nearest other latent {quality['nearest_cosine']:.2f}"
        )


def train_meta(arguments: argparse.Namespace) -> TrainedMetaSAE:
    """Train a meta-SAE and its controls."""
    from metasae.saes.directions import open_directions
    from metasae.sources.presets import usual_width
    from metasae.training.meta_sae import RECIPE
    from metasae.training.meta_sae_run import make
    from metasae.training.unfinished import check_free

    writable(arguments.out, folder=True)
    check_free(arguments.out, (), resume=True)
    directions = open_directions(arguments.sae)
    usual = replace(RECIPE, width=usual_width(len(directions)))
    config, initial = _recipe_of(arguments, usual)
    report = make(
        directions, config, arguments.out, arguments.control, initial=initial,
        resume=arguments.resume, progress=progress.to_stream(),
    )  # fmt: skip
    return TrainedMetaSAE(arguments.out, report, len(directions))


def train_sae(arguments: argparse.Namespace) -> TrainedSAE:
    """Train a base SAE."""
    from metasae.training.base_sae import RECIPE, TOKENS, make

    writable(arguments.out, folder=True)
    config, initial = _recipe_of(arguments, RECIPE)
    report = make(
        preset_of(arguments.preset), config, arguments.out, arguments.text,
        tokens=TOKENS if arguments.tokens is None else arguments.tokens, initial=initial,
        resume=arguments.resume, progress=progress.to_stream(),
    )  # fmt: skip
    return TrainedSAE(arguments.out, report)
