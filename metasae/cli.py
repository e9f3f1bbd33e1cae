"""The command line: the workbench's abilities without a browser.

Results go to standard output, progress and messages to standard error. Bad input ends with one
sentence and exit code 1 (2 for words the parser does not know).
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from metasae import assets, progress
from metasae.errors import UserError
from metasae.presets import EMBEDDED, PRESETS, Preset, find_preset


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    # Libraries that announce themselves on standard output or draw bars of their own would spoil
    # what a program reads from us.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.disable(logging.WARNING)
    try:
        command: Callable[[argparse.Namespace], str] = arguments.command
        sys.stdout.write(command(arguments) + "\n")
    except UserError as error:
        sys.stderr.write(f"metasae: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("metasae: stopped; what was done is kept, run the same command again.\n")
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
        command.add_argument("--preset", default=EMBEDDED.name, choices=sorted(PRESETS))
        command.add_argument("--json", action="store_true", help="print one JSON object")
        return command

    add("fetch", _fetch, "Download and unpack the model (once).")
    build = add("build", _build, "Make the SAEs, the meta-SAE and the tables from nothing.")
    build.add_argument("--out", type=Path, help="folder to write (default: the shipped one)")
    info = add("info", _info, "What is shipped and how good it is.")
    info.add_argument("--measure", action="store_true", help="measure everything again now")
    add("cities", _cities, "The cities, what the model knows of them, their latents.")
    city = add("city", _city, "One city's latents, ranked and decomposed.")
    city.add_argument("name")
    steer = add("steer", _steer, "Edit a city or latent and see what the model believes.")
    steer.add_argument("--source", required=True, help='a city, or latents like "#123"')
    steer.add_argument("--target", required=True)
    steer.add_argument("--source-latents", metavar="IDS", help="these instead of its own choice")
    steer.add_argument("--target-latents", metavar="IDS")
    steer.add_argument("--swap", action="store_true", help="swap the latents whole")
    steer.add_argument("--remove", default="", metavar="IDS", help="the source's own meta-latents")
    steer.add_argument("--add", default="", metavar="IDS", help="the target's own meta-latents")
    steer.add_argument("--strength", action="append", default=[], metavar="ID=V")
    steer.add_argument("--keep-residual", action="store_true")
    steer.add_argument("--drop-error", action="store_true", help="drop the SAE's error")
    steer.add_argument("--position", choices=("last", "all"), default="last")
    steer.add_argument("--prompt", help="a prompt of your own that mentions the source")
    steer.add_argument("--answers", help="its candidate answers, separated by commas")
    steer.add_argument("--generate", type=int, metavar="N", help="also write N tokens")
    steer.add_argument("--seed", type=int, default=0)
    return parser


def _dump(values: object) -> str:
    return json.dumps(values, indent=1, ensure_ascii=False)


def _fetch(arguments: argparse.Namespace) -> str:
    from metasae.model import prepare_model

    folder = prepare_model(find_preset(arguments.preset), progress.to_stream())
    return _dump({"model": str(folder)}) if arguments.json else f"The model is in {folder}."


def _build(arguments: argparse.Namespace) -> str:
    from metasae.build import build

    preset = find_preset(arguments.preset)
    report = build(preset, arguments.out or preset.weights, progress.to_stream())
    return _dump(report) if arguments.json else _summary(report)


def _info(arguments: argparse.Namespace) -> str:
    preset = find_preset(arguments.preset)
    if arguments.measure:
        from metasae.build import material, measure

        stuff = material(preset, progress.to_stream())
        report = measure(preset, preset.weights, stuff, progress.to_stream())
    else:
        report = stored_report(preset)
    return _dump(report) if arguments.json else _summary(report)


def stored_report(preset: Preset) -> dict[str, Any]:
    """The figures measured on the shipped weights, if they are the weights that are there.

    Raises:
        UserError: when the report is missing, or the weights are not those it was measured on.
    """
    path = preset.weights / "report.json"
    try:
        report: dict[str, Any] = json.loads(path.read_text())
        hashes = dict(report["weights_sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is missing or damaged; measure again with: python -m metasae info --measure."
        ) from error
    for name, digest in hashes.items():
        file = preset.weights / name
        if not file.exists() or assets.sha256(file) != digest:
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
    from metasae.lab import open_lab

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
    from metasae.cities import find_city

    find_city(arguments.name)
    lab = _opened(arguments)
    record = lab.city_record(arguments.name)
    latents = _latents(lab, record)
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
            card = lab.meta_card(meta["id"])
            lines.append(f"      {meta['activation']:.2f}  meta-latent {meta['id']}: {card.title}")
    return "\n".join(lines)


def _ids(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise UserError(
            f'"{text}" are no latents or meta-latents; write numbers like 1,2.'
        ) from error


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
    from metasae.edits import Edit
    from metasae.steering import Answer, Question

    edit = Edit(
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
    source, target = (
        lab.subject(name, _ids(latents) if latents else None)
        for name, latents in (
            (arguments.source, arguments.source_latents),
            (arguments.target, arguments.target_latents),
        )
    )
    questions = None
    if arguments.prompt is not None:
        answers = tuple(Answer("", text.strip()) for text in arguments.answers.split(","))
        questions = [Question("custom", arguments.prompt, answers)]
    case = lab.case(source, target, questions)
    outcome = case.score(edit)
    values = outcome.to_dict()
    if arguments.generate is not None:
        prompt = arguments.prompt or f"{source.city or target.city or ''} is".strip()
        values["continuation"] = {
            "prompt": prompt,
            "before": case.continuation(None, prompt, arguments.generate, seed=arguments.seed),
            "after": case.continuation(edit, prompt, arguments.generate, seed=arguments.seed),
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
