"""Presets by name or file: the built-in ones and those the user wrote.

A user's preset is a JSON file with ``name``, ``model`` (a folder, or ``REPO@COMMIT`` of the hub),
``saes`` (folders or ``RELEASE:ID``, narrow to wide) and, where the SAEs' own configuration doesn't
say them, ``hook_layer``, ``widths`` and ``start_token``.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from metasae.errors import UserError
from metasae.sources import cache
from metasae.sources.files import expanded, write_json
from metasae.sources.presets import (
    NAME,
    PRESETS,
    Hub,
    HubFile,
    ModelSource,
    Opened,
    Preset,
    usual_width,
)
from metasae.sources.releases import SAELENS, is_release

_KEYS = {
    "name", "title", "model", "saes", "hook_layer", "widths", "opened_width", "meta_width",
    "start_token", "centre_writing_weights",
}  # fmt: skip

_HOOK = re.compile(r"blocks\.(\d+)\.hook_resid_(pre|post)")


def names() -> tuple[str, ...]:
    """Names of all presets: the built-in ones, then the user's, sorted."""
    own = (path.stem for path in cache.own_presets().glob("*.json"))
    return (*PRESETS, *sorted(name for name in own if NAME.fullmatch(name)))


def find_preset(text: str) -> Preset:
    """The preset of a text form: a name or a file, and ``+MINE`` for a meta-SAE of the user's.

    Raises:
        UserError: when it is no text form, and whatever `preset_of` raises.
    """
    return preset_of(Opened.from_text(text))


def preset_of(opened: Opened) -> Preset:
    """The preset of a name or a file, with the meta-SAE chosen in it.

    Raises:
        UserError: when there is none of that name, with the names there are; as `read_preset`.
    """
    name = opened.name
    own = cache.own_presets() / f"{name}.json"
    if name in PRESETS:
        preset = PRESETS[name]
    elif name.endswith(".json"):
        preset = read_preset(expanded(name))
    elif NAME.fullmatch(name) and own.exists():
        preset = replace(read_preset(own), name=name)
    else:
        raise UserError(f'There is no preset "{opened}"; choose one of: {", ".join(names())}.')
    return replace(preset, meta_sae=opened.meta_sae)


def keep(values: Mapping[str, Any]) -> Preset:
    """The preset that values describe, kept so that its name opens it from now on.

    Raises:
        UserError: as `parse`; for a name that is taken; when the cache can't be written.
    """
    preset = parse(values)
    if preset.name in names():
        raise UserError(f'There is a preset "{preset.name}" already; choose another name.')
    write_json(cache.own_presets() / f"{preset.name}.json", dict(values))
    return preset


def read_preset(path: Path) -> Preset:
    """The preset a file describes.

    Raises:
        UserError: when the file is missing or holds no JSON object, and as `parse`.
    """
    try:
        values = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"The preset {path} can't be read ({error.strerror}).") from error
    except ValueError as error:
        raise UserError(f"The preset {path} is no JSON ({error}).") from error
    if not isinstance(values, dict):
        raise UserError(f"The preset {path} must be a JSON object with name, model and saes.")
    return parse(values)


def parse(values: Mapping[str, Any]) -> Preset:
    """The preset that values describe; what they leave out is read from the SAEs' configurations.

    Raises:
        UserError: for an unknown or missing key, a value of the wrong kind, or a value that is
            missing from the configurations as well.
    """
    if unknown := set(values) - _KEYS:
        raise UserError(
            f"A preset has no {', '.join(sorted(unknown))}; it may have {', '.join(sorted(_KEYS))}."
        )
    for key in ("name", "model", "saes"):
        if not values.get(key):
            raise UserError(f"The preset says no {key}; give its name, its model and its saes.")
    name, saes = str(values["name"]), values["saes"]
    if not NAME.fullmatch(name):
        raise UserError(
            f'"{name}" can\'t be the name of a preset; use letters, digits, - and _, 40 at most.'
        )
    if not isinstance(saes, list) or not all(isinstance(one, str) for one in saes):
        raise UserError('A preset\'s saes are a list, like ["folder"].')
    configurations = [_configuration(source) for source in saes]
    widths = values.get("widths") or [one.get("d_sae") for one in configurations]
    if len(widths) != len(saes) or not all(isinstance(one, int) and one > 0 for one in widths):
        raise UserError(
            "How many latents the SAEs have is said nowhere; give the preset's widths, one for "
            "each of its saes."
        )
    if len(set(widths)) < len(widths):
        raise UserError("Two of the preset's saes have the same width; give one of each.")
    hook = values.get("hook_layer", _hook_layer(configurations))
    if not isinstance(hook, int) or isinstance(hook, bool) or hook < 0:
        raise UserError(
            "Which block the SAEs read before is said nowhere; give the preset's hook_layer, a "
            "number from 0."
        )
    opened = values.get("opened_width") or max(widths)
    if opened not in widths:
        raise UserError(f"The preset's opened_width {opened} is none of its widths.")
    model = _model(str(values["model"]), values)
    return Preset(
        name=name,
        title=str(values.get("title") or f"{model.name}, residual stream before layer {hook}"),
        model=model,
        hook_layer=hook,
        widths=tuple(widths),
        meta_width=int(values.get("meta_width") or usual_width(opened)),
        saes=tuple(saes),
        opened_width=opened,
    )


def _configuration(source: str) -> dict[str, Any]:
    """An SAE's own configuration; empty for an SAE of a release, which isn't fetched for it."""
    if is_release(source):
        return {}
    path = expanded(source) / SAELENS.config
    if not path.parent.is_dir():
        raise UserError(f'There is no SAE folder "{source}"; for one of the hub write RELEASE:ID.')
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{path} is missing or damaged; choose a folder that SAELens wrote."
        ) from error


def _hook_layer(configurations: list[dict[str, Any]]) -> int | None:
    """Number of the block before the hook the configurations name; None unless they agree."""
    layers = set()
    for one in configurations:
        more = one.get("metadata") or {}
        name = one.get("hook_name") or one.get("hook_point") or more.get("hook_name") or ""
        match = _HOOK.fullmatch(str(name))
        layers.add(int(match[1]) + (match[2] == "post") if match else None)
    return layers.pop() if len(layers) == 1 else None


def _model(text: str, values: Mapping[str, Any]) -> ModelSource:
    folder = expanded(text)
    config: dict[str, Any] = {}
    if folder.is_dir():
        try:
            config = json.loads((folder / "config.json").read_text())
        except (OSError, ValueError) as error:
            raise UserError(
                f"{folder} is no model: its config.json is missing or damaged; choose the folder "
                "that transformers' save_pretrained wrote."
            ) from error
    elif match := re.fullmatch(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})", text):
        wanted = (("config.json", 2e3), ("tokenizer.json", 2e6), ("model.safetensors", 0))
        files = tuple(HubFile(name, int(size)) for name, size in wanted)
        return _source(match[1], Hub(match[1], match[2], files), config, values)
    else:
        raise UserError(
            f'There is no model folder "{text}"; for a model of the hub write REPO@COMMIT, the '
            "commit in full."
        )
    return _source(folder.resolve().name, folder.resolve(), config, values)


def _source(
    name: str, origin: Path | Hub, config: Mapping[str, Any], values: Mapping[str, Any]
) -> ModelSource:
    start = values.get("start_token")
    if start is not None and not isinstance(start, int):
        raise UserError(f"The preset's start_token is {start!r}; give the number of a token.")
    return ModelSource(
        name=name,
        origin=origin,
        d_model=int(config.get("hidden_size") or config.get("n_embd") or 0),
        start_token=start,
        centred=bool(values.get("centre_writing_weights")),
    )
