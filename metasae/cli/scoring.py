"""The command that scores labels by a language model, and reads others' scores beside ours."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metasae import progress
from metasae.cli.arguments import Add, ids, opened_explorer, whole, writable
from metasae.errors import UserError
from metasae.sources.user_presets import preset_of

if TYPE_CHECKING:
    from metasae.explorer.label_scores import Scores
    from metasae.explorer.right_answers import Score

KINDS = ("detection", "fuzz", "intruder")


def register(add: Add) -> None:
    """Declare the command."""
    command = add("score-labels", score_labels, "How far labels hold, asked of a language model.")
    command.add_argument("--endpoint", metavar="URL", help="an OpenAI-compatible server")
    command.add_argument("--endpoint-model", default="default", metavar="NAME", help="its model")
    command.add_argument("--yes", action="store_true", help="agree to what that costs")
    command.add_argument("--width", type=int, help="of the SAE (default: the one taken apart)")
    command.add_argument("--latents", metavar="IDS", help="these, like 1,2,3")
    whole(command, "--most", "latents drawn otherwise (default: 20)", 1, 10**6, default=20)
    command.add_argument(
        "--kind", action="append", choices=KINDS, default=[],
        help="of questions (default: all); may be given several times",
    )  # fmt: skip
    whole(command, "--pieces", "of text in which a latent fires, and as many in which not "
          "(default: 20; delphi's: 50)", 1, 1000, default=20)  # fmt: skip
    whole(command, "--quantiles", "of its activation they are drawn from (default: 5; delphi's: "
          "10)", 1, 100, default=5)  # fmt: skip
    whole(command, "--shown", "pieces a question (default: 5)", 2, 15, default=5)
    whole(command, "--tokens", "of text that are read (default: 200,000)", 1, 10**9)
    command.add_argument(
        "--delphi", type=Path, metavar="DIR",
        help="a run of delphi: score its explanations on its activations instead of ours",
    )  # fmt: skip
    command.add_argument(
        "--beside", type=Path, metavar="DIR", help="a run of delphi whose scores stand beside"
    )
    command.add_argument(
        "--out", type=Path, metavar="DIR", help="also write what delphi would read and write"
    )


@dataclass(frozen=True)
class LabelScores:
    """Scores of labels, ours, others' or both.

    Attributes:
        published: by latent and kind.
    """

    scores: "Scores | None"
    published: "dict[tuple[int, str], Score]"

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        from metasae.sources.records import to_values

        beside = [{"latent": latent, "kind": kind} | to_values(one)
                  for (latent, kind), one in self.published.items()]  # fmt: skip
        return ({} if self.scores is None else to_values(self.scores)) | {"published": beside}

    def text(self) -> str:
        """See `arguments.Result`."""
        ours = {} if self.scores is None else {
            (one.latent, one.kind): one for one in self.scores.scores
        }  # fmt: skip
        lines = [f"{'latent':>8}  {'kind':<9}  {'score':<20}  {'control':<7}  "
                 f"{'published':<20}  label"]  # fmt: skip
        for key in sorted({*ours, *self.published}):
            one, other = ours.get(key), self.published.get(key)
            control = "" if one is None or one.control is None else f"{one.control.value:.2f}"
            said = _said(None if one is None else one.score)
            label = "" if one is None else one.label
            line = (
                f"{key[0]:>8}  {key[1]:<9}  {said:<20}  {control:<7}  {_said(other):<20}  {label}"
            )
            lines.append(line.rstrip())
        for kind in KINDS:
            found = [one for one in ours.values() if one.kind == kind]
            if found:
                lines.append(_mean(kind, found))
        return "\n".join(lines)


def _said(score: "Score | None") -> str:
    if score is None:
        return ""
    missing = f" ({score.unanswered} unanswered)" if score.unanswered else ""
    return f"{score.value:.2f} ({score.low:.2f} to {score.high:.2f}){missing}"


def _mean(kind: str, found: list[Any]) -> str:
    mean = sum(one.score.value for one in found) / len(found)
    controls = [one.control.value for one in found if one.control is not None]
    beside = (
        f"{sum(controls) / len(controls):.2f} for other latents' labels"
        if controls
        else f"{sum(one.chance for one in found) / len(found):.2f} by chance"
    )
    return f"{kind}: {mean:.2f} on average over {len(found)} latents, {beside}"


def score_labels(arguments: argparse.Namespace) -> LabelScores:
    """Score labels, or read scores."""
    from metasae.explorer import label_scores, right_answers, scoring
    from metasae.explorer.delphi_files import Run
    from metasae.explorer.evidence import own_folder
    from metasae.explorer.label_server import Endpoint
    from metasae.explorer.score_examples import Sampling

    published = {}
    if arguments.beside is not None:
        published = right_answers.published(Run.of(arguments.beside))
    if arguments.endpoint is None:
        if not published:
            raise UserError("Name a server with --endpoint, or scores of delphi's with --beside.")
        return LabelScores(None, published)
    sampling = Sampling(arguments.pieces, arguments.quantiles, arguments.shown)
    if sampling.pieces < sampling.quantiles:
        raise UserError(
            f"{sampling.pieces} pieces can't be drawn from {sampling.quantiles} quantiles; ask for "
            "more --pieces or fewer --quantiles."
        )
    request = scoring.Request(
        Endpoint(arguments.endpoint, arguments.endpoint_model), sampling,
        tuple(kind for kind in KINDS if kind in arguments.kind) or KINDS, arguments.yes,
    )  # fmt: skip
    latents = None if arguments.latents is None else ids(arguments.latents)
    out = writable(arguments.out, folder=True)
    run = None if arguments.delphi is None else Run.of(arguments.delphi)
    if run is not None and out is not None and out.resolve() == run.folder.resolve():
        raise UserError("--out would write over the run that --delphi names; name another folder.")
    explorer, report = opened_explorer(arguments), progress.to_stream()
    lab = explorer.lab
    width = lab.n_latents if arguments.width is None else arguments.width
    if run is not None:
        material = scoring.from_run(run, explorer, latents, arguments.most)
    else:
        if latents is None:
            latents = scoring.drawn_latents(explorer, width, arguments.most)
        tokens = scoring.TOKENS if arguments.tokens is None else arguments.tokens
        material = scoring.from_lab(explorer, width, latents, tokens, report)
    home = own_folder(preset_of(arguments.preset))
    written = (
        None if out is None else Run(out, lab.preset.hook_point if run is None else run.module)
    )
    kept = home / f"scores-{width}.json"
    former = label_scores.kept_scores(kept) if run is None else None
    about = {
        # A run's latents may be of a wider SAE than is open here.
        "width": max(width, 1 + max(material.labels)), "model_name": lab.preset.model.name,
    }  # fmt: skip
    scores = scoring.score_labels(
        material, request, home / "score-answers.jsonl", written, about, report
    )
    if run is None:
        (scores if former is None else scores.beside(former)).save(kept)
    return LabelScores(scores, published)
