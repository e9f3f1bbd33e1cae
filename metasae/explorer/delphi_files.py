"""The files of EleutherAI's delphi, written and read: activations, explanations, answers.

A run is a folder: ``latents/MODULE/FIRST_LAST.safetensors`` with a ``config.json``,
``explanations/MODULE_latentN.txt`` and ``scores/KIND/MODULE_latentN.txt``. The layout is that of
delphi's version 0.1.3; MODULE is the hook's name.

Shapes: N rows of tokens, T positions, E entries (a latent active on a token).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from metasae.errors import UserError
from metasae.explorer.token_activations import TokenActivations
from metasae.sources.files import read_json, written_whole

_NAME = re.compile(r"(.*)_latent(\d+)")

_DAMAGED = (OSError, ValueError, KeyError, IndexError, TypeError, SafetensorError)


@dataclass(frozen=True)
class Run:
    """A folder in delphi's layout, and one hook in it.

    Attributes:
        module: delphi's name of the hook.
    """

    folder: Path
    module: str

    @staticmethod
    def of(folder: Path) -> "Run":
        """A run with the one hook it is about.

        Raises:
            UserError: where it is about none or several.
        """
        modules = {one.parent.relative_to(folder / "latents").as_posix()
                   for one in folder.glob("latents/**/*.safetensors")}  # fmt: skip
        modules = modules or {
            match[1] for one in [*folder.glob("explanations/*.txt"), *folder.glob("scores/*/*.txt")]
            if (match := _NAME.fullmatch(one.stem))
        }  # fmt: skip
        if len(modules) != 1:
            raise UserError(
                f"{folder} is no run of delphi about one hook (it names "
                f"{', '.join(sorted(modules)) or 'none'}); choose the folder that holds latents, "
                "explanations or scores."
            )
        return Run(folder, modules.pop())

    def _text(self, latent: int) -> str:
        return f"{self.module.replace('/', '--')}_latent{latent}.txt"

    def write_activations(
        self, found: TokenActivations, width: int, about: Mapping[str, Any]
    ) -> None:
        """Write where latents fire: the rows without padding, which delphi doesn't know.

        Args:
            width: of the SAE.
            about: further values of the configuration, such as the model's name.

        Raises:
            UserError: when no row is full, or the folder can't be written.
        """
        full = np.flatnonzero(found.lengths == found.tokens.shape[1])
        if not len(full):
            raise UserError("No row of the text is full, and delphi knows no others.")
        number = np.full(len(found.tokens), -1, dtype=np.int64)
        number[full] = np.arange(len(full))
        kept = number[found.row] >= 0
        places = [number[found.row[kept]], found.position[kept], found.latent[kept]]
        locations = np.stack(places, axis=1)
        small = locations.max(initial=0) < 2**16
        arrays = {
            "locations": locations.astype(np.uint16 if small else np.uint32),
            "activations": found.activation[kept].astype(np.float16),
            "tokens": found.tokens[full].astype(np.int64),
        }
        config = {"cache_ctx_len": found.tokens.shape[1], "n_splits": 1, "batch_size": 1,
                  "n_tokens": int(arrays["tokens"].size)} | dict(about)  # fmt: skip
        with written_whole(self.folder / "latents" / self.module) as part:
            part.mkdir()
            save_file(arrays, part / f"0_{width - 1}.safetensors")
            (part / "config.json").write_text(json.dumps(config, indent=4) + "\n", "utf-8")

    def read_activations(self, latents: Sequence[int] | None = None) -> TokenActivations:
        """Where latents fire.

        Args:
            latents: these alone; all when left out.

        Raises:
            UserError: when there is nothing, or it is damaged.
        """
        home = self.folder / "latents" / self.module
        tokens, locations, activations = None, [], []
        try:
            for path in sorted(home.glob("*.safetensors")):
                arrays = load_file(path)
                at = arrays["locations"].astype(np.int64)
                at[:, 2] += int(path.stem.split("_")[0])
                mine = slice(None) if latents is None else np.isin(at[:, 2], latents)
                locations.append(at[mine])
                activations.append(arrays["activations"][mine].astype(np.float32))
                if tokens is None and "tokens" in arrays:
                    tokens = arrays["tokens"].astype(np.int64)
            at, values = np.concatenate(locations), np.concatenate(activations)
            if tokens is None or len(at) != len(values):
                raise ValueError
            tokens[at[:, 0], at[:, 1]]  # places that are none
        except _DAMAGED as error:
            raise UserError(
                f"{home} holds no activations that delphi saved with their tokens, or damaged ones."
            ) from error
        lengths = np.full(len(tokens), tokens.shape[1])
        return TokenActivations(tokens, lengths, at[:, 2], at[:, 0], at[:, 1], values)

    def write_explanations(self, labels: Mapping[int, str]) -> None:
        """Write labels as explanations.

        Raises:
            UserError: when the folder can't be written.
        """
        for latent, label in labels.items():
            self._write(self.folder / "explanations" / self._text(latent), label)

    def explanations(self) -> dict[int, str]:
        """The explanations there are, by latent.

        Raises:
            UserError: for a damaged file.
        """
        read = self._read("explanations")
        if odd := [latent for latent, text in read.items() if not isinstance(text, str)]:
            raise UserError(f"The explanation of latent {odd[0]} in {self.folder} is no text.")
        return read

    def write_answers(self, kind: str, answers: Mapping[int, list[dict[str, Any]]]) -> None:
        """Write what was answered about some latents; see `label_answers.as_delphi`.

        Raises:
            UserError: when the folder can't be written.
        """
        for latent, values in answers.items():
            self._write(self.folder / "scores" / kind / self._text(latent), values)

    def answers(self, kind: str) -> dict[int, list[dict[str, Any]]]:
        """What was answered, by latent.

        Raises:
            UserError: for a damaged file.
        """
        return self._read(f"scores/{kind}")

    def _write(self, path: Path, values: Any) -> None:
        with written_whole(path) as part:
            part.write_text(json.dumps(values, ensure_ascii=False), "utf-8")

    def _read(self, inside: str) -> dict[int, Any]:
        found = {}
        for path in sorted((self.folder / inside).glob("*.txt")):
            match = _NAME.fullmatch(path.stem)
            if match is None or match[1] != self.module.replace("/", "--"):
                continue
            try:
                found[int(match[2])] = read_json(path)
            except (OSError, ValueError) as error:
                raise UserError(f"{path} is damaged; it holds no JSON.") from error
        return found
