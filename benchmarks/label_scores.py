"""What `metasae score-labels` says of the shipped labels, of judges whose rules are known.

A server on this machine answers, by one of three rules, none of them a language model's:

- keyword: looks for the label's words and kinds in the text it is shown (`keyword_judge`);
- coin: answers at random;
- oracle: knows where the latents fire; what it gets less than 1 is the harness's own fault.

With ``--model`` the embedded model itself answers instead, as far as it can (`model_judge`).

Each judges the same latents, drawn by seed from all whose label holds, on pieces of text that their
labels were not made from. Beside the labels stand other latents' labels on the same pieces, which
the harness draws itself, and our own F1 of the same labels. Intervals of 95 % are over latents.

    python -m benchmarks.label_scores [--quick] [--model] [--json]
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.figures import cells, parser, print_figures, written
from benchmarks.keyword_judge import keyword
from benchmarks.model_judge import ModelJudge
from metasae.explorer import scoring
from metasae.explorer.evidence import shipped_evidence
from metasae.explorer.explorer import Explorer
from metasae.explorer.label_answers import all_questions
from metasae.explorer.label_questions import DETECTION, FUZZING, INTRUDER, KINDS, LabelQuestion
from metasae.explorer.label_scores import Scores
from metasae.explorer.label_server import Endpoint
from metasae.explorer.labels import UNCLEAR
from metasae.explorer.score_examples import SILENT, Sampling
from metasae.explorer.scoring import Material
from metasae.lab.lab import open_lab
from metasae.lm.language_model import LanguageModel
from metasae.progress import to_stream
from metasae.studies.cooccurrence import rank_correlation
from metasae.studies.study import mean_with_interval
from tests.label_servers import serving
from tests.metasae.explorer.scored_text import coin

Judge = Callable[[str], str]
"""What is said to a question as it is sent."""


def oracle(questions: Iterable[LabelQuestion]) -> Judge:
    """A judge that knows the answers to some questions."""
    right = {
        "\n".join(one.lines): str(
            one.intruder if one.kind == INTRUDER else [int(piece.activating)
                                                       for piece in one.examples]
        )
        for one in questions
    }  # fmt: skip
    return right.__getitem__


def asked(
    material: Material, sampling: Sampling, name: str, judge: Judge, kinds: tuple[str, ...] = KINDS
) -> tuple[Scores, int]:
    """A judge's scores, and how many questions it was sent."""
    with serving() as server, tempfile.TemporaryDirectory() as folder:
        server.saying = judge
        request = scoring.Request(Endpoint(server.url, name), sampling, kinds, agreed=True)
        found = scoring.score_labels(material, request, Path(folder) / "answers.jsonl")
        return found, len(server.asked)


def row(judge: str, kind: str, scores: pd.DataFrame, own: "pd.Series[float]") -> dict[str, Any]:
    """The figures of one judge and kind.

    Args:
        scores: rows of `Scores.table`, of one kind.
        own: our F1 of each latent's label.
    """
    value = scores["value"].to_numpy(dtype=float)
    figures = {"judge": judge, "kind": kind, "latents": len(scores)}
    figures |= mean_with_interval(value) | {"chance": float(scores["chance"].mean())}
    figures |= {"unanswered": int(scores["unanswered"].sum())}
    with_control = scores[scores["control"].notna()]
    if len(with_control):
        control = with_control["control"].to_numpy(dtype=float)
        figures["other_labels"] = mean_with_interval(control)
        figures["worth"] = mean_with_interval(with_control["value"].to_numpy(dtype=float) - control)
        figures["f1"] = mean_with_interval(scores["f1"].to_numpy(dtype=float))
        figures["with_own_f1"] = rank_correlation(
            value, own.loc[scores["latent"]].to_numpy(dtype=float), 0
        )
    return figures


def fits(questions: Iterable[LabelQuestion]) -> list[dict[str, Any]]:
    """In how many pieces the keyword judge finds a label, by how strongly its latent fires there.

    Returns:
        A row a kind and quantile, the strongest 0, none where the latent is silent:
        the mean over latents of the share of its pieces that fit.
    """
    found = pd.DataFrame(
        [
            (one.kind, one.latent, int(piece.distance), said)
            for one in questions
            if one.kind != INTRUDER
            for piece, said in zip(
                one.examples, one.read(keyword("\n".join(one.lines))), strict=True
            )
        ],
        columns=["kind", "latent", "quantile", "fits"],
    )
    shares = found.groupby(["kind", "quantile", "latent"])["fits"].mean()
    return [
        {"kind": kind, "quantile": None if quantile == SILENT else quantile}
        | mean_with_interval(of_latents.to_numpy(dtype=float))
        for (kind, quantile), of_latents in shares.groupby(["kind", "quantile"])
    ]


def judged(
    material: Material,
    own: "pd.Series[float]",
    sampling: Sampling | None = None,
    model: LanguageModel | None = None,
) -> dict[str, Any]:
    """What every judge says of some labels.

    Args:
        own: our F1 of each latent's label, by its number.
        model: judges in place of the three rules.
    """
    sampling = sampling or Sampling()
    enough = list(material.examples(sampling))
    alone = replace(material, others={})  # what needs no control, or takes long
    questions = all_questions(alone.examples(sampling), alone.labels, {}, sampling)
    judges: list[tuple[str, Material, Judge, tuple[str, ...]]] = [
        ("keyword", material, keyword, KINDS),
        ("coin", alone, coin(), KINDS),
        ("oracle", alone, oracle(questions), KINDS),
    ]
    if model is not None:
        judges = [("model", alone, ModelJudge(model), (DETECTION, FUZZING))]
    rows, sent = [], 0
    for name, of, judge, kinds in judges:
        found, count = asked(of, sampling, name, judge, kinds)
        sent += count
        rows += [
            row(name, str(kind), scores, own) for kind, scores in found.table().groupby("kind")
        ]
    return {
        "drawn": len(material.labels),
        "scored": len(enough),
        "in_too_few_pieces": len(material.labels) - len(enough),
        "questions": sent,
        "own_f1": mean_with_interval(own.loc[enough].to_numpy(dtype=float)),
        "rows": rows,
        "fits": fits(questions),
    }


def measured(
    explorer: Explorer,
    count: int,
    tokens: int,
    sampling: Sampling | None = None,
    model: LanguageModel | None = None,
) -> dict[str, Any]:
    """The figures of the labels of the SAE that is open.

    Args:
        count: latents that are drawn.
        tokens: read besides the windows the evidence names.
        model: see `judged`.
    """
    width = explorer.lab.n_latents
    latents = scoring.drawn_latents(explorer, width, count)
    material = scoring.from_lab(explorer, width, latents, tokens, to_stream())
    table = explorer.table(str(width))
    assert table is not None  # the latents were drawn from it
    held = int((table["label"] != UNCLEAR).sum())
    about = {"latents": width, "with_a_label": held, "tokens": tokens}
    return about | judged(material, table["f1"], sampling, model)


def lines(figures: dict[str, Any]) -> Iterator[str]:
    """The figures to read."""
    for name, value in figures.items():
        if name not in ("rows", "fits"):
            yield f"{name:>18}  {_said(value)}"
    for one in figures["rows"] + figures["fits"]:
        yield cells({name: _said(value) for name, value in one.items() if value is not None})


def _said(value: object) -> str:
    if isinstance(value, dict):
        return "{value:.3f} ({low:.3f} to {high:.3f})".format(**value)
    return written(value)


def main() -> None:
    """Print the figures."""
    words = parser(__doc__)
    words.add_argument(
        "--model", action="store_true", help="the embedded model itself judges, fewer latents"
    )
    arguments = words.parse_args()
    count, tokens = (8, 10_000) if arguments.quick else (10 if arguments.model else 100, 50_000)
    lab = open_lab(progress=to_stream())
    # Not the user's own evidence and labels.
    explorer = Explorer(lab, shipped_evidence(lab.preset))
    figures = measured(explorer, count, tokens, model=lab.model if arguments.model else None)
    print_figures(figures, arguments.json, lines(figures))


if __name__ == "__main__":
    main()
