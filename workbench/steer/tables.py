"""Tables as they are read on screen and in downloaded files."""

import json
from dataclasses import dataclass, replace
from math import exp

import pandas as pd

from metasae.errors import UserError
from metasae.sources import cache
from metasae.sources.files import json_values
from metasae.sources.presets import Opened
from metasae.sources.spreadsheets import csv_text
from metasae.steering.edit_file import EditFile, Side
from metasae.steering.link import LinkError
from metasae.steering.nats import nats, settled
from metasae.steering.outcome import Outcome
from metasae.steering.provenance import WEIGHTS, Provenance
from metasae.steering.questions import CUSTOM
from metasae.steering.setting import Setting
from metasae.text.prompts import wording_of
from workbench import visitor
from workbench.allowed import Refused
from workbench.state import View
from workbench.text import share, visible

_PICK = {
    (True, True): "still",
    (False, True): "now",
    (True, False): "no longer",
    (False, False): "",
}


def title(attribute: str) -> str:
    """An attribute as a heading."""
    return "Your question" if attribute == CUSTOM else attribute.capitalize()


def answers_table(answers: pd.DataFrame) -> pd.DataFrame:
    """Every candidate before and after: whether it leads and whether the model itself says it, in
    words, then its numbers; probabilities in percent."""
    leads = zip(answers["best_before"], answers["best_after"], strict=True)
    says = zip(answers["says_before"], answers["says_after"], strict=True)
    return pd.DataFrame(
        {
            "Attribute": [title(attribute) for attribute in answers["attribute"]],
            "Answer": answers["answer"],
            "Leads the candidates": [_PICK[bool(was), bool(now)] for was, now in leads],
            "The model itself says it": [_PICK[bool(was), bool(now)] for was, now in says],
            "Before": [share(exp(value)) for value in answers["baseline"]],
            "After": [share(exp(value)) for value in answers["logprob"]],
            "Before (nats)": answers["baseline"].map(settled),
            "After (nats)": answers["logprob"].map(settled),
            "Change (nats)": answers["change"].map(settled),
            "Whose": [city or "typed" for city in answers["city"]],
        }
    )


def difference_table(compared: pd.DataFrame) -> pd.DataFrame:
    """A pinned edit and this one, answer by answer.

    Args:
        compared: `metasae.steering.outcome.Outcome.against`.
    """
    return pd.DataFrame(
        {
            "Answer": compared["answer"],
            "Pinned (nats)": compared["pinned"].map(settled),
            "This (nats)": compared["logprob"].map(settled),
            "Difference (nats)": compared["difference"].map(settled),
            "Attribute": [title(attribute) for attribute in compared["attribute"]],
            "Pinned, percent": [share(exp(value)) for value in compared["pinned"]],
            "This, percent": [share(exp(value)) for value in compared["logprob"]],
        }
    )


def tokens_table(top_tokens: pd.DataFrame) -> pd.DataFrame:
    """The model's own five likeliest next tokens to each prompt, before and after side by side."""
    shown = top_tokens.assign(
        text=[
            f"{visible(token)}  {nats(value)}  ({share(exp(value))})"
            for token, value in zip(top_tokens["token"], top_tokens["logprob"], strict=True)
        ]
    )
    order = list(dict.fromkeys(shown["attribute"]))
    table = shown.pivot(index=["attribute", "rank"], columns="state", values="text").loc[order]
    table = table.reset_index().rename_axis(columns=None)
    table["attribute"] = table["attribute"].map(title)
    names = {"attribute": "Attribute", "rank": "Rank", "before": "Before", "after": "After"}
    return table.rename(columns=names)[list(names.values())]


def csv_file(outcome: Outcome, view: View, pinned: Outcome | None = None) -> str:
    """The answers with all that is needed to tell them from those of another edit or model.

    Args:
        pinned: the pinned edit's: its log-probabilities and the difference have columns of their
            own.
    """
    facts = outcome.to_dict()
    query = view.to_query()
    table = outcome.answers.assign(units="nats", edit=query.get("edit", "none"))
    for name in ("source", "target"):
        table[name] = query[name]
    for name in ("preset", *WEIGHTS, "version"):
        table[name] = str(facts.get(name, ""))
    if pinned is not None:
        compared = outcome.against(pinned)
        table["pinned_edit"] = query.get("pin", "none")
        table["pinned_logprob"] = compared["pinned"]
        table["difference"] = compared["difference"]
    return csv_text(table)


def json_file(outcome: Outcome, view: View, pinned: Outcome | None = None) -> str:
    """The outcome and the whole view, which `view_from_json` reads back.

    Args:
        pinned: the pinned edit's: what it did stands beside it, with the differences.
    """
    values = outcome.to_dict() | {"view": view.to_query()}
    if pinned is not None:
        there = pinned.to_dict()
        values["pinned"] = {name: there[name] for name in ("edit", "sentence", "attributes")} | {
            "differences": outcome.against(pinned).to_dict("records")
        }
    return json.dumps(values, indent=2, ensure_ascii=False)


@dataclass(frozen=True)
class Loaded:
    """What a file holds that was downloaded here or written by the command line.

    Attributes:
        view: what is on screen, the preset included.
        made_with: its preset, model, sae and meta_sae.
    """

    view: View
    made_with: dict[str, str]


def view_from_json(content: bytes, here: Provenance) -> Loaded:
    """The view of a file downloaded here or written by the command line.

    Args:
        here: of what is open.

    Raises:
        UserError: when it is no such file, when what it holds doesn't go into a link, when it was
            made with a preset that isn't there, or with other weights under the open preset's name.
    """
    loaded = _read(content)
    if loaded.made_with["preset"] != here.preset:
        _check_there(loaded.view.setting.preset)
    elif other := here.other_than(loaded.made_with):
        raise UserError(f"{other}; open that one first.")
    return loaded


def _read(content: bytes) -> Loaded:
    try:
        file = EditFile.of(json_values(content), "This file")
        # The command line's has no view. Written as a link it is checked as one.
        query = _bare(file).to_query() if file.view is None else file.view
        query.setdefault("wording", _wording(file))
        if not all(isinstance(value, str) for value in query.values()):
            raise TypeError
        return Loaded(View.from_query(query), file.made_with | {"preset": str(file.preset)})
    except LinkError as error:
        raise UserError(f"This file can't be shown: {error.reason}; choose another one.") from error
    except (ValueError, TypeError) as error:
        raise UserError(
            "This file is not one that the workbench wrote; choose a JSON file downloaded here."
        ) from error


def _check_there(opened: Opened) -> None:
    """See that a preset is on this machine.

    Raises:
        UserError: when it isn't, or a meta-SAE of the user's that belongs to it.
    """
    try:
        preset = visitor.preset(opened)
    except Refused:
        raise
    except UserError as error:
        raise UserError(
            f'This file was made with the preset "{opened}", which isn\'t there; add that preset '
            "under its name first."
        ) from error
    mine = opened.meta_sae
    if mine and not cache.meta_sae(preset.kept_as, mine).is_dir():
        raise UserError(
            f'This file was made with the preset "{opened}", whose meta-SAE "{mine}" '
            "isn't there; train it under that name first."
        )


def _bare(file: EditFile) -> View:
    """The view of a file that carries none."""
    setting = Setting(
        preset=file.preset,
        source=file.source.label,
        target=file.target.label,
        source_latents=_own_latents(file.source),
        target_latents=_own_latents(file.target),
    )
    asked = [one for one in file.questions if one.attribute == CUSTOM]
    if asked:
        answers = tuple(answer.text for answer in asked[0].answers)
        setting = replace(setting, prompt=asked[0].prompt, answers=answers)
    return View(setting, file.edit)


def _wording(file: EditFile) -> str:
    """In which words the questions of a file were asked, as its prompts have it."""
    prompts = {one.attribute: one.prompt for one in file.questions if one.attribute != CUSTOM}
    return wording_of(prompts, file.asked_about)


def _own_latents(side: Side) -> tuple[int, ...] | None:
    """A city's latents; None for latents that are named by number."""
    return None if side.label.startswith("#") else side.latents
