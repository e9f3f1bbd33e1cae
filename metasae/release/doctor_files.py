"""What a doctor finds of a preset's files: are they there, the right ones, and what do they say?"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from metasae.errors import UserError
from metasae.lab.preset_files import folder_of
from metasae.lab.stored_report import read_report
from metasae.lm.loading import model_folder, prepare_model
from metasae.release.findings import Finding
from metasae.sources import cache
from metasae.sources.files import expanded, read_json, sha256
from metasae.sources.hub import known_hash, local_file
from metasae.sources.presets import HubFile, InWheel, Preset
from metasae.sources.releases import GEMMA_SCOPE, SAELENS, is_release, release_folder
from metasae.sources.user_presets import block_after

_log = logging.getLogger(__name__)

FAILS = (UserError, OSError, ValueError, KeyError, IndexError, TypeError, RuntimeError,
         SafetensorError)  # fmt: skip
"""What a check may end in when what it reads isn't as it should be."""


def why(error: BaseException) -> str:
    """An error as half a sentence."""
    _log.info("a check could not be made", exc_info=error)
    return str(error) if isinstance(error, UserError) else "what it reads is missing or damaged"


def model_files(preset: Preset) -> Iterator[Finding]:
    """The model's files: there, and by their hashes the right ones."""
    origin = preset.model.origin
    if isinstance(origin, InWheel):
        pinned, path = origin.wheel, cache.wheel(origin.wheel.filename)
        name, expected = f"file {pinned.filename}", f"SHA-256 {pinned.sha256[:12]} (pinned here)"
        if not path.exists():
            with suppress(UserError):
                prepare_model(preset)
        if path.exists():
            digest = sha256(path)
            yield Finding.of(name, expected, f"SHA-256 {digest[:12]}", digest == pinned.sha256)
        elif (model_folder(preset) / "model.safetensors").exists():
            yield Finding.unchecked(name, expected, "only what was unpacked from it is here")
        else:
            yield Finding.unchecked(name, expected, "not here, and it could not be fetched")
        return
    if isinstance(origin, Path):
        for one in ("config.json", "tokenizer.json", "model.safetensors"):
            there = (origin / one).exists() or (
                one.endswith("safetensors") and any(origin.glob("*.safetensors"))
            )
            yield Finding.of(f"file {one}", "in the model's folder",
                             "there" if there else "missing", there)  # fmt: skip
        return
    failed: object = "missing"
    if any(local_file(origin, one) is None for one in origin.files):
        try:
            prepare_model(preset)
        except UserError as error:
            failed = error
    for file in origin.files:
        yield _hub_file(file.name, local_file(origin, file), file, failed)


def _hub_file(name: str, path: Path | None, file: HubFile, failed: object) -> Finding:
    if path is None:
        return Finding.unchecked(f"file {name}", "on this machine", failed)
    digest, right = sha256(path), known_hash(path, file)
    if not right:
        return Finding.of(f"file {name}", "there (its hash is known nowhere)",
                          f"SHA-256 {digest[:12]}", True)  # fmt: skip
    source = "pinned here" if file.sha256 else "the hub's"
    return Finding.of(f"file {name}", f"SHA-256 {right[:12]} ({source})",
                      f"SHA-256 {digest[:12]}", digest == right)  # fmt: skip


def sae_files(preset: Preset, width: int) -> Iterator[Finding]:
    """An SAE's files: there, the right ones, and what they say of themselves."""
    name, source = f"SAE {width:,}", preset.sae(width)
    try:
        folder = (
            release_folder(source, preset.sae_size(width))
            if is_release(source)
            else expanded(source)
        )
    except UserError as error:
        yield Finding.unchecked(f"{name}: files", "on this machine", error)
        return
    layout = GEMMA_SCOPE if (folder / GEMMA_SCOPE.weights).exists() else SAELENS
    missing = [one for one in layout if not (folder / one).exists()]
    if missing:
        yield Finding.of(f"{name}: files", " and ".join(layout), f"{missing[0]} is missing", False)
        return
    path = folder / layout.weights
    if preset.weights is not None:
        right = _reported_hash(preset, path)
        digest = sha256(path)
        yield Finding.of(f"{name}: {layout.weights}", f"SHA-256 {right[:12]} (this package's "
                         "report)", f"SHA-256 {digest[:12]}", digest == right)  # fmt: skip
    else:
        yield _hub_file(f"{layout.weights} of {name}", path, HubFile(path.name, 0), "")
    try:
        config = read_json(folder / layout.config)
        shape, dtypes = _header(path)
    except FAILS:
        _log.info("%s can't be read", folder, exc_info=True)
        yield Finding.of(f"{name}: contents", "a configuration and weights",
                         "damaged: cut off or overwritten", False)  # fmt: skip
        return
    wanted = (width, preset.model.d_model or shape[-1])
    yield Finding.of(f"{name}: shape", f"{wanted[0]:,} latents × {wanted[1]:,}",
                     " × ".join(f"{one:,}" for one in shape), tuple(shape) == wanted)  # fmt: skip
    allowed = _dtypes(preset, config)
    yield Finding.of(f"{name}: number format", " or ".join(allowed), ", ".join(sorted(dtypes)),
                     dtypes <= set(allowed))  # fmt: skip
    hook = _hook_of(config, source)
    told = hook if hook is None else block_after(hook)
    if hook is not None:
        yield Finding.of(f"{name}: hook", preset.hook_point, hook, told == preset.hook_layer)


def _reported_hash(preset: Preset, path: Path) -> str:
    try:
        hashes = read_report(preset)["weights_sha256"]
        return str(hashes[path.relative_to(folder_of(preset)).as_posix()])
    except FAILS:
        _log.info("the report doesn't know %s", path, exc_info=True)
        return "unknown"


def _header(path: Path) -> tuple[Sequence[int], set[str]]:
    """Shape of the decoder, and the formats of all weights, without reading them."""
    with safe_open(path, "pt") as file:
        names = list(file.keys())
        decoder = next(name for name in names if name.lower() == "w_dec")
        slices = {name: file.get_slice(name) for name in names}
        return slices[decoder].get_shape(), {one.get_dtype() for one in slices.values()}


def _dtypes(preset: Preset, config: Any) -> tuple[str, ...]:
    """Formats an SAE's weights may be in: half where we wrote them, what its configuration says,
    or any floats."""
    if preset.weights is not None:
        return ("F16",)
    said = str(config.get("dtype", "")) if isinstance(config, dict) else ""
    named = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}.get(said.rpartition(".")[2])
    return (named,) if named else ("F32", "BF16", "F16")


def _hook_of(config: Any, source: str) -> str | None:
    """The hook an SAE's configuration names, or, of Gemma Scope's, its place in the release."""
    if not isinstance(config, dict):
        return None
    inner = config.get("metadata")
    for values in (config, inner if isinstance(inner, dict) else {}):
        for key in ("hook_name", "hook_point"):
            if isinstance(values.get(key), str):
                return str(values[key])
    inside = str(config.get("hf_hook_point_in", "")).split(".")
    if inside[:2] == ["model", "layers"] and inside[-1] == "output":
        return f"blocks.{inside[2]}.hook_resid_post"
    layer = source.partition("layer_")[2].partition("_")[0]
    return f"blocks.{layer}.hook_resid_post" if is_release(source) and layer.isdecimal() else None
