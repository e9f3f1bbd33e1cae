"""The command that scores edits on RAVEL."""

import argparse
import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metasae import progress
from metasae.cli.arguments import Add, opened_lab, whole, writable
from metasae.studies.registry import MOST_SEEDS

if TYPE_CHECKING:
    from metasae.steering.provenance import Provenance
    from metasae.studies.study import Finding


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
    one.add_argument("--out", type=Path, help="folder to write: tables, picture, figures")


@dataclass(frozen=True)
class Scored:
    """What RAVEL says of the methods.

    Attributes:
        made: what the numbers come from.
        quick: whether it was a small sample.
        out: the folder it was written to, if any.
    """

    finding: "Finding"
    made: "Provenance"
    quick: bool
    out: Path | None

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        return {
            "verdict": self.finding.verdict,
            "quick": self.quick,
            **self.finding.figures,
            "left_out": list(self.finding.left_out),
            "made": asdict(self.made),
            "out": None if self.out is None else str(self.out),
        }

    def text(self) -> str:
        """See `arguments.Result`."""
        lines = [self.finding.verdict]
        if self.quick:
            lines.append("A quick sample: its intervals are wide.")
        lines += self.finding.left_out
        for row in self.finding.figures["methods"]:
            if row["attribute"] == "all":
                lines.append(
                    f"{row['rule']:7} {row['method']:22} cause {row['cause']:.2f}  isolate "
                    f"{row['isolate']:.2f}  disentangle {row['disentangle']:.3f} "
                    f"({row['low']:.3f} to {row['high']:.3f})"
                )
        return "\n".join([*lines, f"Written to {self.out}."] if self.out else lines)


def ravel(arguments: argparse.Namespace) -> Scored:
    """Score edits on RAVEL's names or this package's cities."""
    from metasae.ravel.data import own_cities, read_ravel
    from metasae.ravel.evaluation import QUICK, Configuration, evaluate
    from metasae.ravel.files import write
    from metasae.sources import cache
    from metasae.studies.parts import Parts

    writable(arguments.out, folder=True)
    config = QUICK if arguments.quick else Configuration()
    changed: dict[str, Any] = {
        "seeds": arguments.seeds,
        "sources": arguments.sources,
        "steps": arguments.steps,
        "methods": None if arguments.methods is None else _names(arguments.methods),
    }
    config = replace(
        config,
        where=arguments.position,
        keep_error=not arguments.drop_error,
        keep_residual=arguments.keep_residual,
        **{name: value for name, value in changed.items() if value is not None},
    )
    given = arguments.data
    data = own_cities() if given is None else read_ravel(given, arguments.kind)
    lab = opened_lab(arguments)
    text = f"{lab.provenance} {data}"
    parts = Parts(cache.ravel(hashlib.sha256(text.encode()).hexdigest()[:16]))
    finding = evaluate(lab, data, config, parts, progress.to_stream())
    if arguments.out is not None:
        write(arguments.out, finding, lab.provenance, config)
    return Scored(finding, lab.provenance, arguments.quick, arguments.out)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, (one.strip() for one in text.split(",")))))
