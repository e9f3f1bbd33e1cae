"""The command line: the workbench's abilities without a browser.

Results go to standard output, progress and messages to standard error. Bad input ends with one
sentence and exit code 1 (2 for words the parser does not know).
"""

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from metasae import progress
from metasae.errors import UserError
from metasae.explorer import graph, graph_files
from metasae.saes import formats
from metasae.search import exhaustive, export, job, pairs_job
from metasae.sources.files import sha256, written_whole
from metasae.sources.presets import EMBEDDED, Preset
from metasae.sources.user_presets import find_preset
from metasae.text.prompts import WORDINGS


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    # Libraries that announce themselves on standard output or draw bars of their own would spoil
    # what a program reads from us.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
    try:
        command: Callable[[argparse.Namespace], str] = arguments.command
        sys.stdout.write(command(arguments) + "\n")
    except UserError as error:
        sys.stderr.write(f"metasae: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(
            "metasae: stopped; what was done is kept, run the same command again "
            "(train-meta and train-sae with --resume).\n"
        )
        return 130
    except BrokenPipeError:
        # The reader has what it wanted (as in `… | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="metasae",
        description="Take SAE latents apart into meta-latents and edit a model with the pieces.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], str], text: str) -> Any:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=run)
        command.add_argument(
            "--preset", default=EMBEDDED.name, metavar="NAME|FILE", help="what to open"
        )
        command.add_argument("--json", action="store_true", help="print one JSON object")
        return command

    add("fetch", _fetch, "Download and unpack the model (once).")
    build = add("build", _build, "Make the SAEs, the meta-SAE and the tables from nothing.")
    build.add_argument("--out", type=Path, help="folder to write (default: the shipped one)")
    train = commands.add_parser(
        "train-meta",
        help="Train a meta-SAE on the directions of any SAE.",
        description="Train a meta-SAE on the directions of any SAE, or of several together.",
    )
    train.set_defaults(command=_train_meta)
    train.add_argument("--json", action="store_true", help="print one JSON object")
    train.add_argument(
        "--sae",
        action="extend",
        nargs="+",
        required=True,
        metavar="RELEASE:ID|DIR|FILE",
        help="what to take apart; several together, each latent's origin kept",
    )
    _recipe(train, "meta-latents (default: a 21st of the latents)", "latents a step")
    train.add_argument(
        "--control", action="append", default=[], choices=("gaussian", "pca", "random")
    )
    base = add("train-sae", _train_sae, "Train an SAE on a model's residual stream.")
    base.add_argument(
        "--text", action="append", default=[], type=Path, metavar="FILE|DIR|hf:NAME",
        help="plain text to read; may be given several times (default: the shipped SAEs' text)",
    )  # fmt: skip
    base.add_argument("--tokens", type=int, help="about how many are read (default: 500,000)")
    _recipe(base, "latents (default: 4,608)", "tokens a step")
    info = add("info", _info, "What is shipped and how good it is.")
    info.add_argument("--measure", action="store_true", help="measure everything again now")
    add("cities", _cities, "The cities, what the model knows of them, their latents.")
    city = add("city", _city, "One city's latents, ranked and decomposed.")
    city.add_argument("name")
    decompose = add("decompose", _decompose, "A latent's meta-latents, and what stands beside it.")
    decompose.add_argument("latent", type=int)
    decompose.add_argument("--width", type=int, help="of the SAE (default: the one taken apart)")
    latents = add("latents", _latents_on, "Which latents fire on a text, or match a word.")
    latents.add_argument("--text", required=True, help="a text, or a word of a label")
    latents.add_argument("--width", type=int)
    describe = add("describe", _describe, "Collect where latents fire, and label them.")
    describe.add_argument("--width", type=int, action="append", default=[], metavar="N")
    describe.add_argument("--all-widths", action="store_true")
    describe.add_argument(
        "--text", type=Path, action="append", default=[], metavar="FILE|DIR|hf:NAME",
        help="your own text instead of the shipped SAEs'",
    )  # fmt: skip
    describe.add_argument("--tokens", type=int, help="about how many (default: a million)")
    describe.add_argument("--out", type=Path, help="folder to write (default: in the cache)")
    describe.add_argument("--endpoint", metavar="URL", help="an OpenAI-compatible server")
    describe.add_argument("--endpoint-model", default="default", metavar="NAME")
    describe.add_argument("--most", type=int, default=200, help="latents it is asked about")
    describe.add_argument("--yes", action="store_true", help="agree to what that costs")
    describe.add_argument("--labels-only", action="store_true", help="keep the evidence")
    add("examples", _examples, "The post's worked examples, checked against what is open.")
    graph = add("graph", _graph, "Latents, their meta-latents, and the latents these are in.")
    graph.add_argument("latent", type=int, nargs="*")
    graph.add_argument("--format", choices=("graphml", "json", "svg"), default="json")
    graph.add_argument("--depth", type=int, default=1)
    graph.add_argument("--top", type=int, default=5, help="latents of a meta-latent")
    graph.add_argument("--threshold", type=float, default=0.0)
    graph.add_argument("--whole", action="store_true", help="statistics of all latents' graph")
    graph.add_argument("--out", type=Path, help="file to write")
    steer = add("steer", _steer, "Edit a city or latent and see what the model believes.")
    _pair(steer, required=True)
    steer.add_argument("--swap", action="store_true", help="swap the latents whole")
    steer.add_argument("--remove", default="", metavar="IDS", help="the source's own meta-latents")
    steer.add_argument("--add", default="", metavar="IDS", help="the target's own meta-latents")
    steer.add_argument("--strength", action="append", default=[], metavar="ID=V")
    _options(steer)
    steer.add_argument("--prompt", help="a prompt of your own that mentions the source")
    steer.add_argument("--answers", help="its candidate answers, separated by commas")
    steer.add_argument("--generate", type=int, metavar="N", help="also write N tokens")
    steer.add_argument("--seed", type=int, default=0)
    search = add("search", _search, "Try all edits of a pair; the clearest for every pattern.")
    _pair(search, required=False)
    search.add_argument("--cities", metavar="A,B,C", help="with --all-pairs, instead of a pair")
    search.add_argument("--all-pairs", action="store_true", help="every city towards every other")
    search.add_argument("--out", type=Path, help="all that was scored: .parquet, .csv or .json")
    search.add_argument("--attributes", metavar="NAMES", help="some of the four, like country")
    search.add_argument("--variant", choices=("faithful", "post"), default="faithful")
    search.add_argument(
        "--strengths",
        metavar="S",
        default="1",
        help="how far a meta-latent is removed or added, like 0.5,1 (default 1: wholly)",
    )
    _options(search)
    search.add_argument("--wording", choices=tuple(WORDINGS), default="post")
    search.add_argument("--max-exact", type=int, metavar="N", help="refuse more combinations")
    search.add_argument(
        "--estimate", action="store_true", help="score only the combinations that promise most"
    )
    search.add_argument(
        "--ways", action="store_true", help="also what more latents, strengths or widths would add"
    )
    search.add_argument(
        "--side-effects",
        action="store_true",
        help="with --all-pairs: side effects and controls too, a few seconds a pair",
    )
    search.add_argument("--ray", metavar="ADDRESS", help='spread the pairs; "local": this machine')
    return parser


def _recipe(command: argparse.ArgumentParser, width: str, batch: str) -> None:
    command.add_argument("--out", type=Path, required=True, help="folder to write")
    command.add_argument("--width", type=int, help=width)
    command.add_argument("--k", type=int, help="active ones a row, on average (default: 4)")
    command.add_argument("--steps", type=int)
    command.add_argument("--batch", type=int, help=batch)
    command.add_argument("--seed", type=int)
    command.add_argument("--lr", type=float, help="learning rate")
    command.add_argument(
        "--first-k", type=float, metavar="N",
        help="begin with N times k active ones, which become k over the first 60 %% of the steps",
    )  # fmt: skip
    command.add_argument("--selection", choices=("batch_topk", "topk"))
    command.add_argument("--start", metavar="random|data|DIR", help="DIR: an SAE to start from")
    command.add_argument("--resume", action="store_true", help="go on where a run was stopped")


def _pair(command: argparse.ArgumentParser, required: bool) -> None:
    command.add_argument("--source", required=required, help='a city, or latents like "#123"')
    command.add_argument("--target", required=required)
    command.add_argument("--source-latents", metavar="IDS", help="these instead of its own choice")
    command.add_argument("--target-latents", metavar="IDS")


def _options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--keep-residual", action="store_true")
    command.add_argument("--drop-error", action="store_true", help="drop the SAE's error")
    command.add_argument("--position", choices=("last", "all"), default="last")


def _dump(values: object) -> str:
    return json.dumps(values, indent=1, ensure_ascii=False)


def _fetch(arguments: argparse.Namespace) -> str:
    from metasae.lm.loading import prepare_model

    folder = prepare_model(find_preset(arguments.preset), progress.to_stream())
    return _dump({"model": str(folder)}) if arguments.json else f"The model is in {folder}."


def _build(arguments: argparse.Namespace) -> str:
    from metasae.release.build import build

    preset = find_preset(arguments.preset)
    report = build(preset, arguments.out or _shipped(preset), progress.to_stream())
    return _dump(report) if arguments.json else _summary(report)


def _shipped(preset: Preset) -> Path:
    """Folder of what `build` makes.

    Raises:
        UserError: for a preset of other people's SAEs.
    """
    if preset.weights is None:
        raise UserError(
            f"The SAEs of {preset.name} are made elsewhere; build and measure are for "
            f"{EMBEDDED.name}."
        )
    return preset.weights


def _train_meta(arguments: argparse.Namespace) -> str:
    from dataclasses import replace

    from metasae.saes.directions import open_directions
    from metasae.sources.presets import usual_width
    from metasae.training.meta_sae import RECIPE
    from metasae.training.meta_sae_run import make

    directions = open_directions(arguments.sae)
    usual = replace(RECIPE, width=usual_width(len(directions)))
    config, initial = _given(arguments, usual)
    made = make(
        directions, config, arguments.out, arguments.control, arguments.resume,
        progress.to_stream(), initial=initial,
    )  # fmt: skip
    if arguments.json:
        return _dump({"out": str(arguments.out)} | made.report)
    quality = made.report["quality"]
    lines = [
        f"{config.width:,} meta-latents of {len(directions):,} directions: {arguments.out}",
        f"  L0 {quality['l0']:.2f}, variance explained {quality['fve']:.3f} (centred "
        f"{quality['fve_centred']:.3f}), {quality['dead']:,} dead",
    ]
    for name, found in made.report["controls"].items():
        lines.append(f"  control {name}: variance explained {found['fve']:.3f}")
    return "\n".join(lines)


def _given(arguments: argparse.Namespace, usual: Any) -> tuple[Any, Any]:
    """The usual recipe with what was asked for, and the SAE to start from, if one is named."""
    from dataclasses import replace

    names = ("width", "k", "steps", "batch", "seed", "lr", "first_k", "selection", "start")
    given = {name: getattr(arguments, name) for name in names}
    given = {name: value for name, value in given.items() if value is not None}
    initial = None
    if given.get("start", "data") not in ("random", "data"):
        initial = formats.load(Path(given["start"]))
        # Its latents have settled; more of them a row would undo that.
        given = {"width": initial.width, "first_k": 1.0} | given | {"start": "sae"}
    return replace(usual, **given), initial


def _train_sae(arguments: argparse.Namespace) -> str:
    from metasae.training.base_sae import RECIPE, TOKENS, make

    config, initial = _given(arguments, RECIPE)
    tokens = TOKENS if arguments.tokens is None else arguments.tokens
    if tokens < 1:
        raise UserError(f"tokens is {tokens}; it must be at least 1.")
    report = make(
        find_preset(arguments.preset), config, arguments.out, arguments.text, tokens,
        initial, arguments.resume, progress.to_stream(),
    )  # fmt: skip
    if arguments.json:
        return _dump({"out": str(arguments.out)} | report)
    quality = report["quality"]
    return (
        f"{config.width:,} latents on {report['tokens']:,} tokens: {arguments.out}\n"
        f"  on held-out text: L0 {quality['l0']:.2f}, variance explained {quality['fve']:.3f} "
        f"(centred {quality['fve_centred']:.3f}), {quality['silent']:,} silent; median cosine to "
        f"the nearest other latent {quality['nearest_cosine']:.2f}"
    )


def _info(arguments: argparse.Namespace) -> str:
    preset = find_preset(arguments.preset)
    if arguments.measure:
        from metasae.release.build import measure

        report = measure(preset, _shipped(preset), progress.to_stream())
    else:
        report = stored_report(preset)
    return _dump(report) if arguments.json else _summary(report)


def stored_report(preset: Preset) -> dict[str, Any]:
    """The figures measured on the shipped weights, if they are the weights that are there.

    Raises:
        UserError: when the report is missing, or the weights are not those it was measured on.
    """
    from metasae.lab.first_use import folder_of

    folder = folder_of(preset)
    path = folder / "report.json"
    if preset.weights is None and not path.exists():
        raise UserError(
            f"Nothing has been made for {preset.name} yet; open it once, for example with: "
            f"python -m metasae cities --preset {preset.name}."
        )
    try:
        report: dict[str, Any] = json.loads(path.read_text())
        hashes = dict(report["weights_sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is missing or damaged; measure again with: python -m metasae info --measure."
        ) from error
    for name, digest in hashes.items():
        file = folder / name
        if not file.exists() or sha256(file) != digest:
            raise UserError(
                f"{file} is not the file the report was measured on; measure again with: "
                "python -m metasae info --measure."
            )
    return report


def _summary(report: dict[str, Any]) -> str:
    """The report as a few lines."""
    meta, cities = report["meta_sae"], report["cities"]
    lines = [
        f"{report['model']}, {report['hook']}",
        "  latents     L0  variance explained  cross-entropy recovered",
        *(
            f"  {one['width']:>7,}  {one['l0']:>5.2f}  {one['fve']:>18.3f}  "
            f"{one['ce_recovered']:>23.3f}"
            for one in report["saes"]
        ),
        f"meta-SAE: {meta['width']:,} meta-latents, L0 {meta['l0']:.2f}, variance explained "
        f"{meta['fve']:.3f} ({meta['fve_control']:.3f} on Gaussian rows), {meta['dead']} dead",
        f"cities: {cities['total']}, {cities['with_latent']} with a latent of their own; facts the "
        f"model knows: "
        + ", ".join(f"{name} {count}" for name, count in cities["known_facts"].items()),
    ]
    return "\n".join(lines)


def _opened(arguments: argparse.Namespace) -> Any:
    from metasae.lab.lab import open_lab

    return open_lab(find_preset(arguments.preset), progress.to_stream())


def _latents(lab: Any, record: Any) -> list[dict[str, Any]]:
    return [
        {
            "id": one.latent,
            "activation": one.activation,
            "selectivity": one.selectivity,
            "effect": one.effect,
            "chosen": one.chosen,
            "words": list(lab.latent_words(one.latent)),
            "meta_latents": [
                {"id": meta, "activation": value}
                for meta, value in lab.decomposition.pieces(one.latent).items()
            ],
        }
        for one in record.latents
    ]


def _cities(arguments: argparse.Namespace) -> str:
    lab = _opened(arguments)
    rows = [
        {
            "name": record.name,
            "country": record.country,
            "continent": record.continent,
            "language": record.language,
            "currency": record.currency,
            "answers": record.answers,
            "known": record.known,
            "latents": _latents(lab, record),
        }
        for record in lab.records.values()
    ]
    if arguments.json:
        return _dump({"cities": rows})
    return "\n".join(
        f"{row['name']:<20} {row['country']:<24} {row['language']:<12} {row['currency']:<9} knows "
        f"{', '.join(name for name, known in row['known'].items() if known) or 'nothing'}"
        for row in rows
    )


def _city(arguments: argparse.Namespace) -> str:
    from metasae.explorer.explorer import META, browser
    from metasae.text.cities import find_city

    find_city(arguments.name)
    lab = _opened(arguments)
    record = lab.city_record(arguments.name)
    latents, found = _latents(lab, record), browser(lab)
    if arguments.json:
        return _dump({"name": record.name, "known": record.known, "latents": latents})
    lines = [f"{record.name}: {record.country}, {record.language}, {record.currency}"]
    for one in latents:
        lines.append(
            f"{'*' if one['chosen'] else ' '} latent {one['id']}: activation "
            f"{one['activation']:.1f}, selectivity {one['selectivity']:.2f}, effect "
            f"{one['effect']:+.2f} nats ({', '.join(one['words'])})"
        )
        for meta in one["meta_latents"]:
            called = found.named(META, meta["id"])
            lines.append(f"      {meta['activation']:.2f}  {called}")
    return "\n".join(lines)


def _browser(arguments: argparse.Namespace) -> Any:
    from metasae.explorer.explorer import browser

    return browser(_opened(arguments))


def _decompose(arguments: argparse.Namespace) -> str:
    from metasae.explorer.explorer import META
    from metasae.lm.logit_lens import vocabulary_ends
    from metasae.saes.neighbours import nearest
    from metasae.saes.pursuit import pursuit

    found = _browser(arguments)
    lab = found.lab
    width = arguments.width or lab.n_latents
    decomposition, kind = found.decomposition(width), str(width)
    pieces = decomposition.pieces(arguments.latent)
    direction = decomposition.sae.W_dec[arguments.latent]
    promoted, suppressed = vocabulary_ends(lab.model, direction)
    near = nearest(decomposition.sae.W_dec, direction, without=arguments.latent)
    values: dict[str, Any] = {
        "latent": arguments.latent,
        "width": width,
        **found.scored(kind, arguments.latent),
        "meta_latents": [
            {"id": meta, "activation": value} | found.scored(META, meta)
            for meta, value in pieces.items()
        ],
        "unexplained": decomposition.unexplained([arguments.latent]),
        "nearest": near.to_dict("records"),
        "promoted": list(promoted["token"]),
        "suppressed": list(suppressed["token"]),
    }
    narrower = found.smaller_width(width)
    if narrower is not None:
        smaller = found.decomposition(narrower).sae
        chased = pursuit(smaller.W_dec, direction, max(1, len(pieces)))
        values["smaller"] = {
            "width": smaller.width,
            "nearest": nearest(smaller.W_dec, direction).to_dict("records"),
            "pursuit": chased.table.to_dict("records"),
            "pursuit_explained": list(chased.explained),
        }
    evidence = found.evidence(width)
    if evidence is not None:
        values["density"] = evidence.density(arguments.latent)
    if arguments.json:
        return _dump(values)
    lines = [f"latent {arguments.latent} of {width:,}: {values['label']}"]
    lines += [f"  {m['activation']:.2f}  meta-latent {m['id']}: {m['label']}" for m in
              values["meta_latents"]]  # fmt: skip
    lines.append(f"  {values['unexplained']:.0%} of its squared length is in none of them")
    for row in values["nearest"]:
        label = found.label(kind, row["latent"])
        lines.append(f"  cosine {row['cosine']:.2f}  latent {row['latent']}: {label}")
    lines.append(f"  promotes {' '.join(map(repr, values['promoted'][:6]))}")
    return "\n".join(lines)


def _latents_on(arguments: argparse.Namespace) -> str:
    from metasae.explorer.evidence import firing_on

    found = _browser(arguments)
    width = arguments.width or found.lab.n_latents
    sae = found.decomposition(width).sae
    fires = firing_on(found.lab.model, sae, arguments.text, found.lab.median_norm)
    fires["label"] = [found.label(str(width), latent) for latent in fires["latent"]]
    named = found.find(str(width), arguments.text)
    if arguments.json:
        return _dump(
            {
                "text": arguments.text,
                "width": width,
                "firing": fires.to_dict("records"),
                "matching": named.to_dict("records"),
            }
        )
    lines = [
        f"{row.token!r:>14}  {row.activation:6.1f}  latent {row.latent}: {row.label}"
        for row in fires.itertuples()
    ]
    lines += [f"{why}: latent {index}: {label}" for index, label, why in named.to_numpy()]
    return "\n".join(lines) or "Nothing fires and no label matches."


def _describe(arguments: argparse.Namespace) -> str:
    from metasae.explorer.describing import Asking, describe, relabel
    from metasae.explorer.evidence import TOKENS, own_folder
    from metasae.explorer.label_server import Endpoint

    preset = find_preset(arguments.preset)
    lab = _opened(arguments)
    out = arguments.out or own_folder(preset)
    widths = arguments.width or (preset.widths if arguments.all_widths else [lab.n_latents])
    report = progress.to_stream()
    asking = None
    if arguments.endpoint is not None:
        asking = Asking(
            Endpoint(arguments.endpoint, arguments.endpoint_model), arguments.most, arguments.yes
        )
    if arguments.labels_only:
        values = relabel(lab, out, sorted(widths), report, asking)
    else:
        tokens = TOKENS if arguments.tokens is None else arguments.tokens
        values = describe(lab, out, widths, arguments.text, tokens, report, asking)
    if arguments.json:
        return _dump({"out": str(out)} | values)
    lines = [f"Evidence and labels are in {out}."]
    for kind, one in values.items():
        if isinstance(one, dict) and "f1_mean" in one:
            lines.append(
                f"  {kind}: F1 {one['f1_mean']:.2f} on held-out contexts, "
                f"{one['f1_control_mean']:.2f} for other latents' labels; "
                f"{one['unclear_share']:.0%} unclear"
            )
    return "\n".join(lines)


def _examples(arguments: argparse.Namespace) -> str:
    from dataclasses import asdict

    from metasae.release.post_examples import OF_PRESET, checks

    base = find_preset(arguments.preset).base
    if base not in OF_PRESET:
        raise UserError(
            f"The post's worked examples are about {', '.join(OF_PRESET)}; open it with --preset "
            f"{next(iter(OF_PRESET))}."
        )
    found = checks(_browser(arguments))
    if arguments.json:
        return _dump({"checks": [asdict(one) for one in found]})
    return "\n".join(
        f"{'agrees ' if one.agrees else 'DIFFERS'}  {one.name}: published {one.published}, found "
        f"{one.found}"
        for one in found
    )


def _graph(arguments: argparse.Namespace) -> str:
    from dataclasses import asdict

    found = _browser(arguments)
    lab = found.lab
    if arguments.whole:
        whole = graph.projected(lab.decomposition, arguments.threshold)
        return _dump(whole.statistics())
    made = graph.around(
        lab.decomposition, arguments.latent, arguments.depth, arguments.top, arguments.threshold
    )
    text = graph_files.exported(
        made,
        "json" if arguments.json else arguments.format,
        lambda kind, index: found.label(found.of_node(kind), index),
        asdict(lab.provenance),
    )
    if arguments.out is None:
        return text
    with written_whole(arguments.out) as part:
        part.write_text(text)
    return f"{made.number_of_nodes()} nodes and {made.number_of_edges()} edges: {arguments.out}"


def _ids(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise UserError(
            f'"{text}" are no latents or meta-latents; write numbers like 1,2.'
        ) from error


def _own_latents(arguments: argparse.Namespace) -> tuple[tuple[int, ...] | None, ...]:
    """Latents in place of the source's and the target's own choice, where they are given."""
    found = []
    for side in ("source", "target"):
        text, given = getattr(arguments, side), getattr(arguments, f"{side}_latents")
        if given and (text or "").strip().startswith("#"):
            raise UserError(
                f'--{side} "{text}" names its latents already; leave out --{side}-latents.'
            )
        found.append(tuple(_ids(given)) if given else None)
    return tuple(found)


def _strengths(arguments: argparse.Namespace) -> tuple[tuple[int, float], ...]:
    strengths = dict.fromkeys(_ids(arguments.remove), 0.0)
    strengths |= dict.fromkeys(_ids(arguments.add), 1.0)
    for text in arguments.strength:
        meta, _, value = text.partition("=")
        try:
            strengths[int(meta)] = float(value)
        except ValueError as error:
            raise UserError(f'"{text}" is no strength; write it like 12=0.5.') from error
    return tuple(strengths.items())


def _steer(arguments: argparse.Namespace) -> str:
    from metasae.steering.edits import edit_of_kind
    from metasae.steering.questions import Answer, Question

    if arguments.swap and (arguments.remove or arguments.add or arguments.strength):
        raise UserError("--swap swaps the latents whole; leave out --remove, --add and --strength.")
    latents = _own_latents(arguments)
    edit = edit_of_kind(
        kind="swap" if arguments.swap else "meta",
        strengths=_strengths(arguments),
        keep_residual=arguments.keep_residual,
        keep_error=not arguments.drop_error,
        position=arguments.position,
    )
    if (arguments.prompt is None) != (arguments.answers is None):
        raise UserError("Give --prompt and --answers together.")
    if arguments.generate is not None and arguments.generate < 1:
        raise UserError(f"--generate {arguments.generate} writes nothing; give at least 1 token.")
    lab = _opened(arguments)
    source = lab.subject(arguments.source, latents[0])
    target = lab.subject(arguments.target, latents[1])
    questions = None
    if arguments.prompt is not None:
        answers = tuple(Answer((), text.strip()) for text in arguments.answers.split(","))
        questions = [Question("custom", arguments.prompt, answers)]
    experiment = lab.experiment(source, target, questions)
    outcome = experiment.apply(edit)
    values = outcome.to_dict()
    if arguments.generate is not None:
        prompt = arguments.prompt or f"{source.city or target.city or ''} is".strip()
        values["continuation"] = {
            "prompt": prompt,
            "before": experiment.continuation(
                None, prompt, arguments.generate, seed=arguments.seed
            ),
            "after": experiment.continuation(edit, prompt, arguments.generate, seed=arguments.seed),
        }
    if arguments.json:
        return _dump(values)
    lines = [outcome.sentence, "", "log-probability (nats)      before    after"]
    for attribute in values["attributes"]:
        lines.append(f'{attribute["attribute"]}: "{attribute["prompt"]} …"')
        for one in attribute["answers"]:
            whose = f" ({one['city']})" if one["city"] else ""
            label = one["answer"] + whose
            lines.append(f"  {label:<24} {one['baseline']:>8.2f} {one['logprob']:>8.2f}")
    if "continuation" in values:
        told = values["continuation"]
        lines += ["", f"before: {told['prompt']}{told['before']}"]
        lines += [f"after:  {told['prompt']}{told['after']}"]
    return "\n".join(lines)


def _search(arguments: argparse.Namespace) -> str:

    spec = _spec(arguments)
    most = exhaustive.MOST_EXACT if arguments.max_exact is None else arguments.max_exact
    if most < 1:
        raise UserError(f"--max-exact {most} allows no combination; give at least 1.")
    if arguments.out is not None:
        export.check_output(arguments.out)
    values = (_search_pairs if arguments.all_pairs else _search_pair)(arguments, spec, most)
    if arguments.json:
        return _dump(values)
    lines = [f"{values['combinations']:,} combinations in {progress.duration(values['seconds'])}"]
    if (scored := values.get("scored", values["combinations"])) < values["combinations"]:
        lines[0] += f", {scored:,} of them scored"
    for one in values["patterns"]:
        pair = f"{one['source']} → {one['target']}  " if "source" in one else ""
        moved = [name for name, yes in one["pattern"].items() if yes]
        margin = "" if one["margin"] is None else f", by {one['margin']:.2f} nats"
        strengths = one["edit"]["strengths"]
        changes = " ".join(f"{meta}={strength:g}" for meta, strength in strengths.items())
        lines.append(f"{pair}{', '.join(moved) or 'nothing'} moved{margin}: {one['sentence']}")
        share = one["reached_by"]
        by = "" if share is None else f" (reached by {share:.1%})"
        lines.append(f"    {changes or 'no change'}{by}")
    for pair in values.get("pairs", []):
        if pair["problem"]:
            lines.append(f"{pair['source']} → {pair['target']}  {pair['problem']}")
    for way in values.get("ways", []):
        new = [one for one in way["reached"] if one["new"]]
        moved = ["+".join(n for n, yes in one["pattern"].items() if yes) or "none" for one in new]
        told = f"{len(way['reached'])} patterns" + (f", new: {', '.join(moved)}" if new else "")
        note = f" ({way['note']})" if way["note"] else ""
        lines.append(f"{way['name']}: {told}{note}")
    return "\n".join(lines)


def _spec(arguments: argparse.Namespace) -> Any:
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
    except ValueError as error:
        raise UserError(
            f'"{arguments.strengths}" are no strengths; write them like 0.5,1.'
        ) from error
    source_latents, target_latents = _own_latents(arguments)
    names = [name.strip() for name in (arguments.attributes or "").split(",") if name.strip()]
    return Spec(
        preset=arguments.preset,
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
        ),
        removed=tuple(1.0 - strength for strength in strengths),
        added=tuple(strengths),
        wording=arguments.wording,
        estimating=arguments.estimate,
    )


def _search_pair(arguments: argparse.Namespace, spec: Any, most: int) -> dict[str, Any]:
    from metasae.search.job import Job
    from metasae.search.report import effects_and_controls
    from metasae.search.variants import variants

    report = progress.to_stream()
    job = Job(_opened(arguments), spec)
    summary = job.run(report, most=most)
    assert summary is not None  # nobody cancels
    if arguments.out is not None:
        job.export(arguments.out)
    values = job.about | summary.to_dict()
    beside = effects_and_controls(job.lab, job.experiment, summary.patterns, report)
    values["patterns"] = [
        one | {"edit": _changes(one["edit"])} | more
        for one, more in zip(values["patterns"], beside, strict=True)
    ]
    if arguments.ways:
        tried = variants(job.lab, job.experiment.source, job.experiment.target, progress=report)
        values["ways"] = [way.to_dict() for way in tried]
    return values


def _changes(edit: dict[str, Any]) -> dict[str, Any]:
    """An edit, and which meta-latents it removes and adds wholly."""
    # A strength is listed where it is not the default: 0 is a source's that goes, 1 a target's.
    strengths = [(int(meta), strength) for meta, strength in edit["strengths"].items()]
    return {
        "remove": [meta for meta, strength in strengths if strength == 0.0],
        "add": [meta for meta, strength in strengths if strength == 1.0],
    } | edit


_UNKNOWN = {"side_effects": None, "control": None, "top": None, "leads": None}


def _search_pairs(arguments: argparse.Namespace, spec: Any, most: int) -> dict[str, Any]:
    from metasae.search import spec
    from metasae.search.report import effects_and_controls

    spread = None
    if arguments.ray is not None:
        from metasae.search.ray_cluster import over_ray

        spread = over_ray(arguments.ray)
    cities = [city for city in arguments.cities.split(",") if city.strip()]
    lab = _opened(arguments)
    pairs = pairs_job.all_pairs(lab, cities, spec, most=most)
    table = pairs.run(progress.to_stream(), spread=spread)
    assert table is not None  # nobody cancels
    if arguments.out is not None:
        pairs.export(arguments.out)
    found, patterns = [], []
    for place, entry in pairs.entries().items():
        ends = {"source": pairs.specs[place].source, "target": pairs.specs[place].target}
        reached = entry.get("patterns", [])
        notes: list[dict[str, Any]] = [_UNKNOWN] * len(reached)
        if arguments.side_effects and reached:
            experiment = spec.experiment_of(lab, pairs.specs[place])
            edits = [job.found_from_dict(one) for one in reached]
            notes = effects_and_controls(lab, experiment, edits, progress.to_stream())
        patterns += [
            ends | one | {"edit": _changes(one["edit"])} | note
            for one, note in zip(reached, notes, strict=True)
        ]
        found.append(
            ends
            | {
                "combinations": entry.get("combinations"),
                "patterns": len(entry.get("patterns", [])),
                "problem": entry.get("problem"),
            }
        )
    entries = pairs.entries().values()
    return pairs.about | {
        "pairs": found,
        "combinations": sum(entry.get("combinations", 0) for entry in entries),
        "seconds": sum(entry.get("seconds", 0.0) for entry in entries),
        "patterns": patterns,
    }
