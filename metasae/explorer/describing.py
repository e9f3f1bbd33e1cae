"""Collects the evidence of an SAE's latents, labels them, and writes both."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from metasae.errors import UserError
from metasae.explorer import evidence, gathering, half_gathered, label_server, labels
from metasae.explorer.copies import CopyFinder
from metasae.explorer.evidence import Evidence
from metasae.explorer.explorer import META, REPORT, Explorer, label_report
from metasae.explorer.label_server import Endpoint
from metasae.lab.lab import Lab
from metasae.progress import Progress, silent
from metasae.saes import neighbours
from metasae.sources.files import CHECKED, write_json, written_whole
from metasae.sources.versions import EVIDENCE
from metasae.text.windows import Windows

FILES = (
    "contexts-*.parquet", "counts-*.parquet", "facts-*.json", "labels-*.parquet",
    "answers-*.jsonl", "score-answers.jsonl", "scores-*.json", half_gathered.NAME, REPORT,
)  # fmt: skip
"""What a folder of evidence and labels holds."""


@dataclass(frozen=True)
class Asking:
    """A server that writes the labels of some latents in place of our own.

    Attributes:
        most: latents of each width that are asked about, those that fire most often.
        agreed: whether the cost was agreed to.
    """

    endpoint: Endpoint
    most: int = 200
    agreed: bool = False


def describe(
    lab: Lab,
    out: Path,
    widths: Sequence[int] = (),
    texts: Sequence[str | Path] = (),
    tokens: int | None = evidence.TOKENS,
    progress: Progress = silent,
    asking: Asking | None = None,
) -> dict[str, Any]:
    """Collect the evidence of some widths, label their latents and the meta-latents, write both.

    Args:
        widths: of SAEs; that of the open one when left out.
        texts: the user's own text; the shipped SAEs' when left out.
        tokens: about how many are read; all for None.
        asking: a server that writes labels too.

    Returns:
        What was read, how fast, and how good these widths' labels are, beside their control and
        the one word's; "copies" counts contexts left out since they repeat others.

    Raises:
        UserError: no text, no network on first use, or no space.
    """
    if asking is not None and not asking.agreed:
        # Before the text is read, which takes minutes.
        most = sum(min(asking.most, width) for width in widths or (lab.n_latents,))
        raise UserError(
            f"{asking.endpoint.url} would be asked up to {most:,} times, some hundred tokens each; "
            "add --yes to go on, --most to ask about fewer latents, or --labels-only for an exact "
            "count where the evidence is there."
        )
    made = Explorer(lab, out)
    saes = {width: made.decomposition(width).sae for width in widths or (lab.n_latents,)}
    facts = gathering.gather_evidence(
        lab.preset, lab.model, saes, lab.median_norm, out, texts, tokens, progress
    )
    return relabel(lab, out, sorted(saes), progress, asking) | {"evidence": facts}


def relabel(
    lab: Lab,
    out: Path,
    widths: Sequence[int],
    progress: Progress = silent,
    asking: Asking | None = None,
) -> dict[str, Any]:
    """Label what the evidence in ``out`` is about, and write the labels beside it.

    ``labels.json`` keeps what it says of other widths.

    Raises:
        UserError: no evidence, no text, or no space.
    """
    made = Explorer(lab, out, evidence.shipped_evidence(lab.preset))
    vocab = labels.vocabulary(lab.model)
    report: dict[str, Any] = {"sae": lab.provenance.sae, "meta_sae": lab.provenance.meta_sae}
    for width in widths:
        collected = made.evidence(width)
        if collected is None:
            raise UserError(
                f"Nobody has collected where the {width:,} latents fire; leave out --labels-only."
            )
        text = made.text(width, progress)
        if text is None:
            raise UserError(
                f"The evidence of the {width:,} latents is about another text than the ones on "
                "this machine; leave out --labels-only to collect it anew."
            )
        if collected.copies is None:
            raise UserError(
                f"The evidence of the {width:,} latents is of an earlier version and repeats "
                "itself; leave out --labels-only to collect it anew."
            )
        peaks = collected.peaks()
        contexts, forms = labels.bags(text, peaks, vocab)
        near = neighbours.siblings(made.decomposition(width).sae.W_dec)
        written = labels.make_labels(contexts, near, progress, f"Labels of {width:,} latents")
        if asking is not None:
            answers = _asked(lab, collected, text, out, width, asking, progress)
            written = label_server.scored(answers, written, contexts, near)
        table = labels.to_table(written, forms)
        _write(table, out / f"labels-{width}.parquet")
        report[str(width)] = labels.summary(table) | {"copies": collected.copies}
        if width == lab.n_latents:
            merged, copies = labels.meta_contexts(
                lab.decomposition, contexts, peaks, CopyFinder(text)
            )
            meta_near = neighbours.siblings(lab.decomposition.meta.W_dec)
            stage = "Labels of the meta-latents"
            table = labels.to_table(labels.make_labels(merged, meta_near, progress, stage), forms)
            _write(table, out / f"labels-{META}.parquet")
            about = {"copies": copies, "meta_sae": lab.provenance.meta_sae}
            report[META] = labels.summary(table) | about
    write_json(out / REPORT, label_report(out) | EVIDENCE.stamp | report)
    return report


def _asked(
    lab: Lab,
    collected: Evidence,
    text: Windows,
    out: Path,
    width: int,
    asking: Asking,
    progress: Progress,
) -> dict[int, tuple[str, tuple[str, ...]]]:
    """A server's labels of the latents that fire most, from the contexts that aren't held out."""
    often = collected.counts.sum(1).argsort()[::-1][: asking.most].tolist()
    lines = {
        latent: [_marked(evidence.snippet(lab.model, text, one)) for one in shown]
        for latent in often
        if (shown := collected.of(latent)[::2])
    }
    requests, tokens = label_server.cost(lines.values())
    if not asking.agreed:
        raise UserError(
            f"{asking.endpoint.url} would be asked {requests:,} times, about {tokens:,} tokens in "
            "all; add --yes to go on, or --most to ask about fewer latents."
        )
    kept = out / f"answers-{width}.jsonl"
    return label_server.ask_all(asking.endpoint, lines, kept, progress)


def _marked(shown: evidence.Snippet) -> str:
    return "".join(f"«{token}»" if value > 0 else token for token, value in shown.tokens)


def _write(table: pd.DataFrame, path: Path) -> None:
    with written_whole(path) as part:
        table.to_parquet(part, index=False, compression="zstd", **CHECKED)
