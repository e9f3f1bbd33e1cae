"""Tables as they are read on screen and in downloaded files."""

import json
from typing import Any

import pandas as pd

from metasae.errors import UserError
from metasae.sources import cache
from metasae.sources.presets import Opened
from metasae.sources.user_presets import preset_of
from metasae.steering.edits import Edit
from metasae.steering.outcome import Outcome
from metasae.steering.provenance import WEIGHTS, Provenance
from metasae.steering.questions import CUSTOM
from workbench.state import View, edit_to_text
from workbench.text import visible

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
    """Every candidate's log-probability before and after, the model's pick in words."""
    picks = zip(answers["best_before"], answers["best_after"], strict=True)
    return pd.DataFrame(
        {
            "Attribute": [title(attribute) for attribute in answers["attribute"]],
            "Answer": answers["answer"],
            "Whose": [city or "typed" for city in answers["city"]],
            "Before (nats)": answers["baseline"],
            "After (nats)": answers["logprob"],
            "Change (nats)": answers["change"],
            "Model's pick": [_PICK[bool(before), bool(after)] for before, after in picks],
        }
    )


def tokens_table(top_tokens: pd.DataFrame) -> pd.DataFrame:
    """The model's own five likeliest next tokens to each prompt, before and after side by side."""
    shown = top_tokens.assign(
        text=[
            f"{visible(token)}  {nats:.2f}".replace("-", "−")
            for token, nats in zip(top_tokens["token"], top_tokens["logprob"], strict=True)
        ]
    )
    order = list(dict.fromkeys(shown["attribute"]))
    table = shown.pivot(index=["attribute", "rank"], columns="state", values="text").loc[order]
    table = table.reset_index().rename_axis(columns=None)
    table["attribute"] = table["attribute"].map(title)
    names = {"attribute": "Attribute", "rank": "Rank", "before": "Before", "after": "After"}
    return table.rename(columns=names)[list(names.values())]


def csv_file(outcome: Outcome, view: View) -> str:
    """The answers with all that is needed to tell them from those of another edit or model."""
    facts = outcome.to_dict()
    query = view.to_query()
    table = outcome.answers.assign(units="nats", edit=query.get("edit", "none"))
    for name in ("source", "target"):
        table[name] = query[name]
    for name in ("preset", *WEIGHTS, "version"):
        table[name] = str(facts.get(name, ""))
    return table.to_csv(index=False)


def json_file(outcome: Outcome, view: View) -> str:
    """The outcome and the whole view, which `view_from_json` reads back."""
    return json.dumps(outcome.to_dict() | {"view": view.to_query()}, indent=2, ensure_ascii=False)


def view_from_json(content: bytes, here: Provenance) -> View:
    """The view of a file downloaded here or written by the command line, its preset included.

    Args:
        here: of what is open.

    Raises:
        UserError: when it is no such file, when it was made with a preset that isn't there, or
            with other weights under the open preset's name.
    """
    facts, made_with = _read(content)
    view = View.from_query(facts["view"] if "view" in facts else _query_of(facts))
    if made_with["preset"] != here.preset:
        _check_there(view.setting.preset)
    elif other := here.other_than(made_with):
        raise UserError(f"{other}; open that one first.")
    return view


def made_with(content: bytes) -> dict[str, str]:
    """What a file that `view_from_json` reads was made with: preset, model, sae, meta_sae.

    Raises:
        UserError: when it is no such file.
    """
    return _read(content)[1]


def _read(content: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """A file's facts, and what it was made with."""
    try:
        facts: dict[str, Any] = json.loads(content)
        made_with = {name: str(facts[name]) for name in ("preset", *WEIGHTS)}
        query = facts["view"] if "view" in facts else _query_of(facts)
        if not all(isinstance(value, str) for value in query.values()):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            "This file is not one that the workbench wrote; choose a JSON file downloaded here."
        ) from error
    return facts, made_with


def _check_there(opened: Opened) -> None:
    """See that a preset is on this machine.

    Raises:
        UserError: when it isn't, or a meta-SAE of the user's that belongs to it.
    """
    try:
        preset = preset_of(opened)
    except UserError as error:
        raise UserError(
            f'This file was made with the preset "{opened}", which isn\'t there; add that preset '
            "under its name first."
        ) from error
    mine = opened.meta_sae
    if mine and not (cache.meta_saes(preset.kept_as) / mine).is_dir():
        raise UserError(
            f'This file was made with the preset "{opened}", whose meta-SAE "{mine}" '
            "isn't there; train it under that name first."
        )


def _query_of(facts: dict[str, Any]) -> dict[str, str]:
    """The query of a file that carries none: the command line's."""
    edit = edit_to_text(Edit.from_dict(facts["edit"]))
    query = {"preset": str(facts["preset"]), "edit": edit}
    for side in ("source", "target"):
        query[side] = str(facts[side]["label"])
        if not query[side].startswith("#"):
            query[f"{side}_latents"] = ".".join(map(str, facts[side]["latents"]))
    for question in facts["attributes"]:
        if question["attribute"] == CUSTOM:
            query["ask"] = question["prompt"]
            query["answers"] = ",".join(answer["answer"] for answer in question["answers"])
    return query
