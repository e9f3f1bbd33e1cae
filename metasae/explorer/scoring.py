"""Scores labels by a language model: our own on a lab's text, or a run's of delphi on its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from metasae.errors import UserError
from metasae.explorer.copies import CopyFinder
from metasae.explorer.delphi_files import Run
from metasae.explorer.explorer import Explorer
from metasae.explorer.label_answers import all_questions, answered, as_delphi
from metasae.explorer.label_questions import KINDS
from metasae.explorer.label_scores import Scores, scored
from metasae.explorer.label_server import Endpoint
from metasae.explorer.labels import UNCLEAR
from metasae.explorer.score_examples import Examples, Sampling, examples_of
from metasae.explorer.token_activations import TokenActivations, activations_on
from metasae.progress import Progress, silent

TOKENS = 200_000
"""Tokens of the text that are read, beside the contexts that are known."""


@dataclass(frozen=True)
class Material:
    """Labels, and the text they are scored on.

    Attributes:
        sae: what they are about.
        labels: of the latents that are scored.
        others: labels that a control's is drawn from.
        read: the text of a token.
        adds: for a latent: whether a piece may be taken, see `score_examples.examples_of`.
    """

    sae: str
    found: TokenActivations
    labels: Mapping[int, str]
    others: Mapping[int, str]
    read: Callable[[int], str]
    adds: Callable[[int], Callable[[int, int], bool]]

    def examples(self, sampling: Sampling) -> dict[int, Examples]:
        """The pieces of every latent that has enough.

        Raises:
            UserError: when none has.
        """
        made = {
            latent: examples_of(self.found, latent, self.read, sampling, self.adds(latent))
            for latent in self.labels
        }
        enough = {latent: one for latent, one in made.items() if one is not None}
        if not enough:
            raise UserError(
                "None of these latents fires in enough pieces of the text (one a quantile) that "
                "its label wasn't made from; read more with --tokens, or ask for fewer --quantiles."
            )
        return enough


@dataclass(frozen=True)
class Request:
    """How labels are scored.

    Attributes:
        kinds: of questions.
        agreed: whether the cost was agreed to.
    """

    endpoint: Endpoint
    sampling: Sampling = field(default_factory=Sampling)
    kinds: tuple[str, ...] = KINDS
    agreed: bool = False


def drawn_latents(explorer: Explorer, width: int, count: int, seed: int = 0) -> list[int]:
    """Latents drawn from all whose label holds.

    Raises:
        UserError: when there are no labels, or none holds.
    """
    table = explorer.table(str(width))
    if table is None:
        raise UserError(
            f"The {width:,} latents have no labels; make them with: python -m metasae describe."
        )
    clear = table.loc[table["label"] != UNCLEAR, "index"].to_numpy()
    if not len(clear):
        raise UserError(f"None of the {width:,} latents has a label that holds.")
    draw = np.random.default_rng(seed)
    return sorted(draw.choice(clear, min(count, len(clear)), replace=False).tolist())


def from_lab(
    explorer: Explorer,
    width: int,
    latents: Sequence[int],
    tokens: int = TOKENS,
    progress: Progress = silent,
) -> Material:
    """Our labels, on the text they were made from, without the contexts they were made from.

    Pieces that copy one of those, or a stronger piece, are left out too (`copies`). Read are the
    windows the evidence names for these latents, and others drawn at random.

    Args:
        tokens: about how many are drawn.

    Raises:
        UserError: without evidence, labels or text; for a latent out of range or without a label.
    """
    collected, table = explorer.evidence(width), explorer.table(str(width))
    text = explorer.text(width, progress)
    if collected is None or table is None or text is None:
        raise UserError(
            f"Where the {width:,} latents fire is not known here, or of another text; collect it "
            "with: python -m metasae describe."
        )
    sae = explorer.decomposition(width).sae
    labels = {}
    for latent in latents:
        if not 0 <= latent < width:
            raise UserError(f"There is no latent {latent}; they are numbered 0 to {width - 1}.")
        one = explorer.scored(str(width), latent)
        if (one.unclear or one.too_few) and not one.written:
            raise UserError(f"Latent {latent} has no label that holds; name others.")
        labels[latent] = one.label
    draw = np.random.default_rng(0)
    order = draw.permutation(len(text.lengths))
    many = int(np.searchsorted(np.cumsum(text.lengths.numpy()[order]), tokens)) + 1
    named = {one.window for latent in latents for one in collected.of(latent)}
    rows = np.union1d(order[:many], np.array(sorted(named), dtype=np.int64))
    part = text.some(torch.from_numpy(rows))
    found = activations_on(
        explorer.lab.model, sae, part, latents, explorer.lab.median_norm, progress
    )
    finder, row_of = CopyFinder(part), {int(window): row for row, window in enumerate(rows)}

    def adds(latent: int) -> Callable[[int, int], bool]:
        seen: set[int] = set()
        for one in collected.of(latent)[::2]:
            seen.update(finder.runs(row_of[one.window], one.peak))
        return lambda row, position: finder.adds(seen, row, position)

    others = {
        int(index): label for index, label in zip(table["index"], table["label"], strict=True)
        if label != UNCLEAR
    }  # fmt: skip
    return Material(
        f"{explorer.lab.provenance.model} {explorer.lab.provenance.hook} {width}",
        found, labels, others, explorer.lab.model.decode, adds,
    )  # fmt: skip


def from_run(run: Run, explorer: Explorer, latents: Sequence[int] | None, count: int) -> Material:
    """A run's of delphi: its explanations, on its own activations, drawn as delphi draws them.

    Which pieces an explanation was made from is not in its files, so that none is left out.

    Args:
        explorer: of the same model, whose tokenizer reads the tokens.
        latents: the first ``count`` that have an explanation when left out.

    Raises:
        UserError: for damaged files, a latent without explanation, or tokens of another model.
    """
    others = run.explanations()
    chosen = sorted(others)[:count] if latents is None else list(latents)
    if missing := [latent for latent in chosen if latent not in others]:
        raise UserError(f"{run.folder} holds no explanation of latent {missing[0]}.")
    if not chosen:
        raise UserError(f"{run.folder} holds no explanations.")
    found = run.read_activations(chosen)
    model = explorer.lab.model
    if found.tokens.max(initial=0) >= model.hf.config.vocab_size:
        raise UserError(f"The tokens in {run.folder} are another model's than {model.name}'s.")
    labels = {latent: others[latent] for latent in chosen}
    every = lambda latent: lambda row, position: True  # noqa: E731
    return Material(run.module, found, labels, others, model.decode, every)


def score_labels(
    material: Material,
    request: Request,
    kept: Path,
    out: Run | None = None,
    about: Mapping[str, object] | None = None,
    progress: Progress = silent,
) -> Scores:
    """Score labels by a language model.

    Args:
        kept: file the answers are kept in.
        out: a run of delphi's to write beside: activations, labels, answers.
        about: the SAE's width and what the run's configuration says besides.

    Raises:
        UserError: with the cost, unless it was agreed to; as `label_answers.answered`.
    """
    examples = material.examples(request.sampling)
    asked = all_questions(
        examples, material.labels, material.others, request.sampling, request.kinds
    )
    found = answered(asked, request.endpoint, kept, request.agreed, progress)
    if out is not None:
        values = dict(about or {})
        out.write_activations(material.found, int(str(values.pop("width"))), values)
        out.write_explanations(material.labels)
        for kind, answers in as_delphi(found).items():
            out.write_answers(kind, answers)
    return Scores(
        material.sae, request.endpoint.model, request.sampling,
        scored(found, material.labels),
    )  # fmt: skip
