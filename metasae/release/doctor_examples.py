"""What a doctor finds of a preset's worked examples: the post's, or those that are shipped."""

import json
from collections.abc import Iterator
from typing import Any

from metasae.explorer.explorer import open_explorer
from metasae.lab.lab import POST_PAIR, open_lab
from metasae.lab.stored_report import read_report
from metasae.progress import Progress, silent
from metasae.release import post_examples
from metasae.release.doctor_files import FAILS, why
from metasae.release.findings import Finding
from metasae.sources.presets import Preset
from metasae.steering.edits import NO_EDIT, LatentSwap

_NATS = 0.05
"""How far log-probabilities of the shipped examples may be off, in nats: other processors round
otherwise."""


def examples(preset: Preset, progress: Progress = silent) -> Iterator[Finding | str]:
    """The post's worked examples, or the shipped ones.

    Yields:
        A finding, or a sentence that there are none.
    """
    if preset.kept_as not in post_examples.OF_PRESET and preset.weights is None:
        yield "The post has no worked examples of this preset."
        return
    try:
        yield from _of_post(preset, progress) if preset.weights is None else _shipped(preset)
    except FAILS as error:
        yield Finding.unchecked("worked examples", "the post's", why(error))


def _of_post(preset: Preset, progress: Progress) -> Iterator[Finding]:
    for one in post_examples.checks(open_explorer(open_lab(preset, progress))):
        yield Finding.of(
            f"worked example: {one.name}", f"{one.published} (the post)", one.found, one.agrees
        )


def _shipped(preset: Preset) -> Iterator[Finding]:
    """Tokyo and Paris, unedited and with their latents swapped, as the report has them."""
    said = read_report(preset).get("tokyo_paris")
    if said is None:
        return
    lab = open_lab(preset)
    source, target = map(lab.subject, POST_PAIR)
    pair = lab.experiment(source, target)
    for key, what, edit, place in (
        ("baseline", "unedited", NO_EDIT, 0), ("swap", "latents swapped", LatentSwap(), 1),
    ):  # fmt: skip
        now = _answers(pair.apply(edit).to_dict()["attributes"], POST_PAIR[place])
        before = _answers(said[key], POST_PAIR[place])
        yield Finding.of(
            f"worked example: Tokyo → Paris, {what}",
            f"{_listed(before)} ± {_NATS:g} nats for {POST_PAIR[place]}'s (this package's report)",
            _listed(now),
            before.keys() == now.keys()
            and all(abs(now[name] - value) <= _NATS for name, value in before.items()),
        )


def _answers(attributes: Any, city: str) -> dict[str, float]:
    """Log-probability of a city's answer to each question, in nats."""
    return {
        one["attribute"]: answer["logprob"]
        for one in json.loads(json.dumps(attributes))
        for answer in one["answers"]
        if answer["city"] == city
    }


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in values.items())
