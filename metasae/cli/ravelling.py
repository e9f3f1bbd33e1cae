"""The command that scores edits on RAVEL."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metasae import progress
from metasae.cli.arguments import Add, opened_lab, over_machines, spread_of, whole
from metasae.cli.studying import place_of_result, run_options
from metasae.studies.registry import MOST_SEEDS

if TYPE_CHECKING:
    from metasae.explorer.explorer import Explorer
    from metasae.ravel.words import LearnedEdits
    from metasae.studies.result_folder import StoredFinding


def register(add: Add) -> None:
    """Declare the command."""
    one = add("ravel", ravel, "RAVEL: does an edit move one attribute of a name and no other?")
    one.add_argument(
        "--data", type=Path, metavar="DIR",
        help="folder of RAVEL's files (default: this package's own cities)",
    )  # fmt: skip
    one.add_argument("--kind", default="city", help="which names of RAVEL's (default: city)")
    one.add_argument("--quick", action="store_true", help="a small sample, in a few minutes")
    whole(
        one, "--seeds", "of the meta-SAE, of what is learned and of the pairs (default: 3)",
        1, MOST_SEEDS,
    )  # fmt: skip
    one.add_argument(
        "--methods", metavar="NAMES", help="these alone, with commas between (default: all)"
    )
    one.add_argument("--drop-error", action="store_true", help="drop the SAE's error")
    one.add_argument(
        "--keep-residual", action="store_true", help="keep what the meta-SAE leaves unexplained"
    )
    one.add_argument(
        "--position", choices=("last", "all"), default="last",
        help="edit the name's last token (default) or all tokens",
    )  # fmt: skip
    whole(one, "--sources", "held-out names that are edited, a seed", 1, 10_000)
    whole(one, "--steps", "of learning by gradient", 1, 100_000)
    one.add_argument(
        "--save-masks", action="store_true",
        help="save the learned masks over meta-latents for Steer, by their attributes' names",
    )  # fmt: skip
    over_machines(one, "the names that are edited")
    run_options(one)


@dataclass(frozen=True)
class Scored:
    """What RAVEL says of the methods.

    Attributes:
        run: names it in the workbench's links and in the cache.
        learned: its masks in words.
        explorer: names their meta-latents.
        quick: whether it was a small sample.
        masks: name → file of the masks that were saved.
        out: the folder it was written to, if any.
    """

    run: str
    finding: "StoredFinding"
    learned: "LearnedEdits"
    explorer: "Explorer"
    quick: bool
    masks: dict[str, str]
    out: Path | None

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        return {
            "run": self.run,
            "verdict": self.finding.verdict,
            "quick": self.quick,
            **self.finding.figures,
            "learned_edits": self.learned.to_dict(self.explorer.meta_title),
            "left_out": list(self.finding.left_out),
            "made": self.finding.made,
            "masks": self.masks,
            "out": None if self.out is None else str(self.out),
        }

    def text(self) -> str:
        """See `arguments.Result`."""
        from metasae.ravel.random_base import in_words

        lines = [self.finding.verdict]
        if self.quick:
            lines.append("A quick sample: its intervals are wide.")
        lines += self.finding.left_out
        for row in self.finding.figures["methods"]:
            if row["attribute"] == "all":
                lines.append(
                    f"{row['rule']:7} {row['method']:22} cause {_share(row['cause'])}  isolate "
                    f"{_share(row['isolate'])}  disentangle {_share(row['disentangle'], 3)} "
                    f"({_share(row['low'], 3)} to {_share(row['high'], 3)})"
                )
        lines += in_words(self.finding.figures)
        lines += filter(None, [self.learned.text(self.explorer.meta_title)])
        lines += [f'Saved the mask "{name}" as {path}.' for name, path in self.masks.items()]
        return "\n".join([*lines, f"Written to {self.out}."] if self.out else lines)


def _share(value: float | None, digits: int = 2) -> str:
    """A share as it is printed; there is none where nothing was asked."""
    return "–" if value is None else f"{value:.{digits}f}"


def ravel(arguments: argparse.Namespace) -> Scored:
    """Score edits on RAVEL's names or this package's cities."""
    import torch

    from metasae.explorer.explorer import open_explorer
    from metasae.ravel.masks import masks_of
    from metasae.ravel.study import STUDY, Settings, usual_seeds
    from metasae.ravel.words import learned_edits
    from metasae.studies.runs import begin

    out = place_of_result(arguments)
    folder: Path | None = arguments.data
    settings = Settings(
        quick=arguments.quick,
        data="" if folder is None else str(folder.resolve()),
        kind=arguments.kind,
        methods="" if arguments.methods is None else arguments.methods.strip() or ",",
        sources=arguments.sources or 0,
        steps=arguments.steps or 0,
        where=arguments.position,
        keep_error=not arguments.drop_error,
        keep_residual=arguments.keep_residual,
    ).with_digest()
    # Another number of threads may round sums otherwise.
    spread = spread_of(arguments, torch.get_num_threads())
    lab = opened_lab(arguments)
    seeds = arguments.seeds or usual_seeds(arguments.quick)
    run = begin(lab, STUDY, settings, seeds, arguments.anew)
    finding = run.answer(lab, progress.to_stream(), spread)
    masks = masks_of(finding, run.identity) if arguments.save_masks else ()
    saved = {mask.name: str(mask.save()) for mask in masks}
    if out is not None:
        run.copy_result(out)
    learned = learned_edits(finding.tables["masks"], finding.tables["triples"])
    return Scored(run.identity, finding, learned, open_explorer(lab), arguments.quick, saved, out)
