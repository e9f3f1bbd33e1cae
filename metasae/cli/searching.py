"""The command that tries all edits of a pair, or of all pairs among some cities."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metasae import progress
from metasae.cli.arguments import (
    Add,
    condition,
    edit_options,
    opened_lab,
    over_machines,
    own_latents,
    pair,
    spread_of,
    whole,
    wording,
)
from metasae.errors import UserError
from metasae.sources.user_presets import preset_of
from metasae.steering.nats import settled

if TYPE_CHECKING:
    from metasae.search.spec import Spec


def register(add: Add) -> None:
    """Declare the command."""
    command = add("search", search, "Try all edits of a pair; the clearest for every pattern.")
    pair(command)
    command.add_argument("--cities", metavar="A,B,C", help="with --all-pairs: any names")
    command.add_argument("--all-pairs", action="store_true", help="every city towards every other")
    command.add_argument("--out", type=Path, help="all that was scored: .parquet, .csv or .json")
    command.add_argument("--attributes", metavar="NAMES", help="some of the four, like country")
    command.add_argument(
        "--variant", choices=("faithful", "post"), default="faithful",
        help="post: each meta-direction × 100, as in the post's script",
    )  # fmt: skip
    command.add_argument(
        "--strengths",
        metavar="S",
        default="1",
        help="how far a meta-latent is removed or added, like 0.5,1 (default 1: wholly)",
    )
    edit_options(command)
    wording(command)
    whole(command, "--max-exact", "refuse more combinations", 1, 2**40, metavar="N")
    command.add_argument(
        "--estimate", action="store_true", help="score only the combinations that promise most"
    )
    command.add_argument(
        "--strict",
        action="store_true",
        help="count as moved only what the model itself would say, of its whole vocabulary, and "
        "not what leads the candidate answers alone",
    )
    command.add_argument(
        "--ways", action="store_true", help="also what more latents, strengths or widths would add"
    )
    command.add_argument(
        "--side-effects",
        action="store_true",
        help="with --all-pairs: side effects and controls too, a few seconds a pair",
    )
    over_machines(command, "the pairs")


@dataclass(frozen=True)
class Searched:
    """What one pair's search reached, or all pairs'."""

    values: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        return self.values

    def text(self) -> str:
        """See `arguments.Result`."""
        from metasae.steering.verdict import MEANING, STRICT_MEANING

        values = self.values
        lines = [
            f"{values['combinations']:,} combinations in {progress.duration(values['seconds'])}"
        ]
        if (scored := values.get("scored", values["combinations"])) < values["combinations"]:
            lines[0] += f", {scored:,} of them scored"
        lines.append(STRICT_MEANING if values.get("strict") else MEANING)
        lines += values["remarks"]
        for one in values["patterns"]:
            lines += _pattern(one)
        if problem := values.get("problem"):
            lines.append(f"Side effects and controls were not measured: {problem}")
        lines += [
            f"{pair['source']} → {pair['target']}  {pair['problem']}"
            for pair in values.get("pairs", [])
            if pair["problem"]
        ]
        if values.get("strict") and values.get("ways"):
            lines.append(f"In the ways below, {MEANING}")
        lines += map(_variant, values.get("ways", []))
        return "\n".join(lines)


def _pattern(one: dict[str, Any]) -> list[str]:
    pair = f"{one['source']} → {one['target']}  " if "source" in one else ""
    moved = [name for name, yes in one["pattern"].items() if yes]
    margin = ""
    if one["margin"] is not None:
        margin = f", by {settled(one['margin']):.2f} nats among the candidates"
    strengths = one["edit"]["strengths"]
    changes = " ".join(f"{meta}={strength:g}" for meta, strength in strengths.items())
    share = one["reached_by"]
    by = "" if share is None else f" (reached by {share:.1%})"
    return [
        f"{pair}{', '.join(moved) or 'nothing'} moved{margin}: {one['sentence']}",
        f"    {changes or 'no change'}{by}",
    ]


def _variant(values: dict[str, Any]) -> str:
    new = [one for one in values["reached"] if one["new"]]
    moved = ["+".join(n for n, yes in one["pattern"].items() if yes) or "none" for one in new]
    patterns = f"{len(values['reached'])} patterns" + (f", new: {', '.join(moved)}" if new else "")
    note = f" ({values['note']})" if values["note"] else ""
    return f"{values['name']}: {patterns}{note}"


def search(arguments: argparse.Namespace) -> Searched:
    """Search a pair or many, side effects and controls included."""
    from metasae.search import report
    from metasae.search.exhaustive import MOST_EXACT
    from metasae.search.export import check_output
    from metasae.search.job import Job
    from metasae.search.pairs_job import all_pairs

    spec = _spec(arguments)
    most = MOST_EXACT if arguments.max_exact is None else arguments.max_exact
    if arguments.out is not None:
        check_output(arguments.out)
    shown = progress.to_stream()
    if not arguments.all_pairs:
        job = Job(opened_lab(arguments), spec)
        return Searched(
            report.search_pair(job, most, arguments.out, more_ways=arguments.ways, progress=shown)
        )
    spread = spread_of(arguments)
    cities = [city for city in arguments.cities.split(",") if city.strip()]
    pairs = all_pairs(opened_lab(arguments), cities, spec, most=most)
    return Searched(
        report.search_pairs(pairs, arguments.out, arguments.side_effects, spread, progress=shown)
    )


def _spec(arguments: argparse.Namespace) -> "Spec":
    """What the words ask to search; the cities of `--all-pairs` come later."""
    from metasae.search.spec import Spec
    from metasae.steering.edits import EditOptions
    from metasae.text.prompts import QUESTIONS

    pair = (arguments.source, arguments.target)
    if arguments.all_pairs != (arguments.cities is not None):
        raise UserError("Give --cities and --all-pairs together.")
    if arguments.all_pairs and any((*pair, arguments.source_latents, arguments.target_latents)):
        raise UserError("--all-pairs takes its pairs from --cities; leave out source and target.")
    if not arguments.all_pairs and None in pair:
        raise UserError("Give --source and --target, or --cities and --all-pairs.")
    if arguments.ways and arguments.all_pairs:
        raise UserError("--ways is about one pair; give it with --source and --target.")
    if arguments.ray is not None and not arguments.all_pairs:
        raise UserError("--ray spreads many pairs over machines; give it with --all-pairs.")
    try:
        strengths = [float(part) for part in arguments.strengths.split(",") if part.strip()]
        if not strengths:
            raise ValueError
    except ValueError as error:
        raise UserError(
            f'"{arguments.strengths}" are no strengths; write them like 0.5,1.'
        ) from error
    source_latents, target_latents = own_latents(arguments)
    names = [name.strip() for name in (arguments.attributes or "").split(",") if name.strip()]
    return Spec(
        preset=preset_of(arguments.preset).opened,
        source=arguments.source or "",
        target=arguments.target or "",
        source_latents=source_latents,
        target_latents=target_latents,
        attributes=tuple(names) if arguments.attributes is not None else tuple(QUESTIONS),
        options=EditOptions(
            variant="hundredfold" if arguments.variant == "post" else "faithful",
            keep_residual=arguments.keep_residual,
            keep_error=not arguments.drop_error,
            position=arguments.position,
            when=condition(arguments),
        ),
        removed=tuple(1.0 - strength for strength in strengths),
        added=tuple(strengths),
        wording=arguments.wording,
        estimating=arguments.estimate,
        strict=arguments.strict,
    )
