"""Presets by name, file or repository of the hub: the built-in ones and those people wrote.

A user's preset is a JSON file with ``name``, ``model`` (a folder, or ``REPO@COMMIT`` of the hub),
``saes`` (folders, ``RELEASE:ID`` or ``USER/NAME:FOLDER`` of the hub, narrow to wide) and, where the
SAEs' own configuration doesn't say them, ``hook_layer``, ``widths`` and ``start_token``.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt, PositiveInt, ValidationError

from metasae.errors import UserError
from metasae.sources import cache
from metasae.sources.files import expanded, read_json, write_json
from metasae.sources.hub import hub_folder
from metasae.sources.presets import (
    IN_HUB,
    NAME,
    PRESETS,
    Hub,
    HubFile,
    ModelSource,
    Opened,
    Preset,
    usual_width,
)
from metasae.sources.records import from_values
from metasae.sources.releases import REPOSITORY, SAELENS, is_release


@dataclass(frozen=True)
class _Written:
    """A user's preset as it is written; null is as good as leaving a value out."""

    name: str
    model: str
    saes: tuple[str, ...]
    title: str | None = None
    hook_layer: NonNegativeInt | None = None
    widths: tuple[PositiveInt, ...] | None = None
    opened_width: PositiveInt | None = None
    meta_width: PositiveInt | None = None
    start_token: NonNegativeInt | None = None
    centre_writing_weights: bool | None = None
    meta_sae: str | None = None


_KEYS = {field.name for field in fields(_Written)}

_WANTED = {
    "name": "give the preset's name as text",
    "model": "give the preset's model as text, a folder or REPO@COMMIT",
    "saes": 'a preset\'s saes are a list of texts, like ["folder"]',
    "title": "give the preset's title as text",
    "hook_layer": "give the preset's hook_layer, a number from 0",
    "widths": "give the preset's widths, a list with the number of latents of each of its saes",
    "opened_width": "give the preset's opened_width, one of its widths",
    "meta_width": "give the preset's meta_width, a number from 1",
    "start_token": "give the preset's start_token, the number of a token",
    "centre_writing_weights": "give true or false",
    "meta_sae": "give the preset's meta_sae as USER/NAME:FOLDER of the hub",
}
"""By key, what to do about a value of the wrong kind."""


@dataclass(frozen=True)
class _Hooked:
    """Where an SAE's configuration may name its hook: at its top, and in its metadata."""

    hook_name: str | None = None
    hook_point: str | None = None


@dataclass(frozen=True)
class _SAEConfig(_Hooked):
    """What is read of an SAE's own configuration."""

    d_sae: PositiveInt | None = None
    metadata: _Hooked | None = None


@dataclass(frozen=True)
class _ModelConfig:
    """What is read of a model's own configuration, under the names of either family."""

    hidden_size: PositiveInt | None = None
    n_embd: PositiveInt | None = None


HUB_FILE = "preset.json"
"""Name of the file that says what preset a repository of the hub holds."""

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


def resolved(opened: Opened) -> Opened:
    """The same with the path of a preset's file in full.

    Raises:
        UserError: for a path in the home folder of a user this machine doesn't know.
    """
    if not opened.name.endswith(".json") or opened.name.startswith(IN_HUB):
        return opened
    return replace(opened, name=str(expanded(opened.name).resolve()))


def preset_of(opened: Opened) -> Preset:
    """The preset of a name or a file, with the meta-SAE chosen in it.

    Raises:
        UserError: when there is none of that name, with the names there are; as `read_preset`.
    """
    name = resolved(opened).name
    own = cache.own_presets() / f"{name}.json"
    if name in PRESETS:
        preset = PRESETS[name]
    elif name.startswith(IN_HUB):
        preset = _of_hub(name.removeprefix(IN_HUB))
    elif name.endswith(".json"):
        preset = replace(read_preset(Path(name)), file=Path(name))
    elif NAME.fullmatch(name) and own.exists():
        preset = replace(read_preset(own), name=name)
    else:
        raise UserError(f'There is no preset "{opened}"; choose one of: {", ".join(names())}.')
    return replace(preset, meta_sae=opened.meta_sae)


def _of_hub(repo: str) -> Preset:
    """The preset that a repository of the hub holds, its file fetched on first use.

    Raises:
        UserError: for a name that is no repository's, a preset of folders on somebody's machine,
            and as `hub.hub_folder` and `read_preset`.
    """
    if not REPOSITORY.fullmatch(repo):
        raise UserError(f'"{IN_HUB}{repo}" names no repository; write {IN_HUB}USER/NAME.')
    folder = hub_folder(Hub(repo, "main", (HubFile(HUB_FILE, 1_000),)))
    preset = read_preset(folder / HUB_FILE)
    if isinstance(preset.model.origin, Path) or not all(map(is_release, preset.saes)):
        raise UserError(
            f"The preset of {repo} names folders on somebody's machine; a shared one names what is "
            "on the hub."
        )
    return replace(preset, repo=repo)


def keep(values: Mapping[str, Any]) -> Preset:
    """The preset that values describe, kept so that its name opens it from now on, anywhere.

    Raises:
        UserError: as `parse`; for a name that is taken; when the cache can't be written.
    """
    preset = parse(values)
    if preset.name in names():
        raise UserError(f'There is a preset "{preset.name}" already; choose another name.')
    in_full: dict[str, Any] = {"saes": preset.saes}
    if isinstance(preset.model.origin, Path):
        in_full["model"] = str(preset.model.origin)
    write_json(cache.own_presets() / f"{preset.name}.json", dict(values) | in_full)
    return preset


def read_preset(path: Path) -> Preset:
    """The preset a file describes.

    Raises:
        UserError: when the file is missing or holds no JSON object, and as `parse`.
    """
    try:
        values = read_json(path)
    except OSError as error:
        raise UserError(f"The preset {path} can't be read ({error.strerror}).") from error
    except ValueError as error:
        where = f" from its line {error.lineno} on" if isinstance(error, JSONDecodeError) else ""
        raise UserError(
            f"The preset {path} is no JSON{where}; write an object with name, model and saes."
        ) from error
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
    written = _checked(values)
    if not NAME.fullmatch(written.name):
        raise UserError(
            f'"{written.name}" can\'t be the name of a preset; use letters, digits, - and _, 40 at '
            "most."
        )
    configurations = [_configuration(source) for source in written.saes]
    widths = written.widths or tuple(one.d_sae for one in configurations if one.d_sae)
    if len(widths) != len(written.saes):
        raise UserError(
            "How many latents the SAEs have is said nowhere; give the preset's widths, one for "
            "each of its saes."
        )
    if len(set(widths)) < len(widths):
        raise UserError("Two of the preset's saes have the same width; give one of each.")
    hook = written.hook_layer
    if hook is None:
        hook = _hook_layer(configurations)
    if hook is None:
        raise UserError(
            "Which block the SAEs read before is said nowhere; give the preset's hook_layer, a "
            "number from 0."
        )
    opened = written.opened_width or max(widths)
    if opened not in widths:
        raise UserError(f"The preset's opened_width {opened} is none of its widths.")
    model = _model(written)
    return Preset(
        name=written.name,
        title=written.title or f"{model.name}, residual stream before layer {hook}",
        model=model,
        hook_layer=hook,
        widths=widths,
        meta_width=written.meta_width or usual_width(opened),
        saes=tuple(map(_in_full, written.saes)),
        opened_width=opened,
        meta_source=written.meta_sae or "",
    )


def _checked(values: Mapping[str, Any]) -> _Written:
    """The values as a record.

    Raises:
        UserError: for the first of the wrong kind.
    """
    try:
        return from_values(_Written, dict(values))
    except ValidationError as error:
        for one in error.errors():
            if one["loc"]:
                key = str(one["loc"][0])
                raise UserError(
                    f"The preset's {key} can't be {json.dumps(values[key])}; {_WANTED[key]}."
                ) from error
        raise UserError(f"The preset can't be read ({error.errors()[0]['msg']}).") from error
    except TypeError as error:
        raise UserError(f"The preset can't be read ({error}).") from error


def _in_full(source: str) -> str:
    """An SAE's source, its path in full where it is a folder."""
    folder = expanded(source)
    return str(folder.resolve()) if folder.is_dir() else source


def _configuration(source: str) -> _SAEConfig:
    """An SAE's own configuration; empty for an SAE of a release, which isn't fetched for it."""
    if is_release(source):
        return _SAEConfig()
    path = expanded(source) / SAELENS.config
    if not path.parent.is_dir():
        raise UserError(f'There is no SAE folder "{source}"; for one of the hub write RELEASE:ID.')
    try:
        return from_values(_SAEConfig, read_json(path))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} is missing or damaged; choose a folder that SAELens wrote."
        ) from error


def _hook_layer(configurations: Sequence[_SAEConfig]) -> int | None:
    """Number of the block before the hook the configurations name; None unless they agree."""
    layers = set()
    for one in configurations:
        inner = one.metadata or _Hooked()
        layers.add(block_after(one.hook_name or one.hook_point or inner.hook_name or ""))
    return layers.pop() if len(layers) == 1 else None


def block_after(hook: str) -> int | None:
    """Number of the block that reads the residual stream of a hook; None for another hook."""
    match = _HOOK.fullmatch(hook)
    return int(match[1]) + (match[2] == "post") if match else None


def _model(written: _Written) -> ModelSource:
    folder = expanded(written.model)
    if folder.is_dir():
        try:
            config = from_values(_ModelConfig, read_json(folder / "config.json"))
        except (OSError, ValueError) as error:
            raise UserError(
                f"{folder} is no model: its config.json is missing or damaged; choose the folder "
                "that transformers' save_pretrained wrote."
            ) from error
        return _source(folder.resolve().name, folder.resolve(), config, written)
    if written.model in PRESETS:
        return PRESETS[written.model].model
    match = re.fullmatch(rf"({REPOSITORY.pattern})@([0-9a-f]{{40}})", written.model)
    if not match:
        raise UserError(
            f'There is no model folder "{written.model}"; for a model of the hub write '
            "REPO@COMMIT, the commit in full."
        )
    wanted = (("config.json", 2e3), ("tokenizer.json", 2e6), ("model.safetensors", 0))
    files = tuple(HubFile(name, int(size)) for name, size in wanted)
    return _source(match[1], Hub(match[1], match[2], files), _ModelConfig(), written)


def _source(name: str, origin: Path | Hub, config: _ModelConfig, written: _Written) -> ModelSource:
    return ModelSource(
        name=name,
        origin=origin,
        d_model=config.hidden_size or config.n_embd or 0,
        start_token=written.start_token,
        centred=bool(written.centre_writing_weights),
    )
