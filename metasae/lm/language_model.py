"""A language model cut in two at the hook: tokens → residual stream → logits.

An edit changes neither the blocks below the hook nor the positions before the first edited token.
Both are computed once (`LanguageModel.prefill`); every edit then runs only the blocks above the
hook on the remaining positions (`prefill.Prefilled.finish`).

Shapes: B rows of tokens, T positions, D = d_model, V vocabulary, P prefix positions, S = P + T what
a tail position may attend to, N rows run above the hook at once.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.errors import UserError
from metasae.lm.blocks import Blocks, KeysValues
from metasae.lm.families import family_of, max_positions
from metasae.lm.fused_blocks import make_blocks
from metasae.lm.library_blocks import LibraryBlocks
from metasae.lm.prefill import Prefilled
from metasae.lm.token_tree import TokenTree
from metasae.lm.turns import Turns
from metasae.progress import Progress, silent

ResidualEdit = Callable[[Float[Tensor, "B T D"], int], Float[Tensor, "B T D"]]
"""``edit(resid, start)``: the edited residual stream at the hook, of one whose first token is at
position ``start``."""


def padded(rows: Sequence[Sequence[int]], token: int) -> Int[Tensor, "B T"]:
    """Rows of token ids as one tensor, padded on the right."""
    length = max(map(len, rows))
    return torch.tensor([[*row, *[token] * (length - len(row))] for row in rows])


class _Told:
    """What transformers hands the prompt and then every token to, as it writes them.

    Between two tokens others have their turns at the model. Draws come from one generator for all
    of PyTorch, so that its state is put back.
    """

    def __init__(self, tokens: int, progress: Progress, lock: Turns, read: list[int]) -> None:
        self._tokens, self._progress, self._lock, self._calls = tokens, progress, lock, 0
        self._read = read

    def put(self, tokens: Tensor) -> None:
        """The prompt, or a token that was written."""
        self._read += tokens.flatten().tolist()
        written, most = self._calls, self._tokens
        self._calls += 1
        self._progress("The model writes", written / most, f"{written} of {most} tokens")
        drawn = torch.get_rng_state()
        self._lock.give_way()
        torch.set_rng_state(drawn)

    def end(self) -> None:
        """Nothing more is written."""


class LanguageModel:
    """A causal language model with a hook before one of its blocks.

    Attributes:
        hf: the transformers model; read-only.
        family: how transformers lays it out.
        tokenizer: its tokenizer.
        name: as in the preset.
        hook_layer: number of the block before which the residual stream is read and written.
        start_token: the token in front of every prompt.
        lock: hold it while calling ``hf``; every method here does so itself. Who asks first has
            it first, and what takes long gives way between its steps.

    Raises:
        UserError: for a model whose family isn't in `families.FAMILIES`.
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
        self.lock = Turns()
        self._blocks: dict[torch.dtype, Blocks] = {}

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.hf.config.hidden_size)

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return int(self.hf.config.num_hidden_layers)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without a start token.

        Raises:
            UserError: for a text with surrogates, which stand for bytes that are no UTF-8.
        """
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                "The text holds bytes that are no characters; write it in UTF-8."
            ) from error
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def prompt_tokens(self, text: str) -> list[int]:
        """Token ids of a prompt, the start token first.

        Raises:
            UserError: as `encode`.
        """
        return [self.start_token, *self.encode(text)]

    def typed_tokens(self, text: str) -> list[int]:
        """Token ids of a text that a person typed, the start token first.

        Raises:
            UserError: for a text without a token, and as `encode`.
        """
        tokens = self.prompt_tokens(text)
        if len(tokens) < 2:
            raise UserError("The model reads nothing in this text; type a word or a sentence.")
        return tokens

    def decode(self, token: int) -> str:
        """The text of one token."""
        return str(self.tokenizer.decode([token]))

    def blocks(self, dtype: torch.dtype = torch.float32) -> Blocks:
        """The blocks above the hook in one precision, made once and kept."""
        with self.lock:
            if dtype not in self._blocks:
                upper = range(self.hook_layer, self.n_layers)
                self._blocks[dtype] = make_blocks(self.hf, upper, dtype)
            return self._blocks[dtype]

    def residual(self, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        """Residual stream at the hook, before the block it is named after.

        Raises:
            UserError: for more positions than the model is run on (`families.max_positions`).
        """
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
        self._check_length(int(positions.max()) + 1)
        with self.lock:
            hidden = self.family.embed(self.hf.base_model, tokens, positions)
            lower = LibraryBlocks(self.hf, range(self.hook_layer))
            return lower.run(hidden, lower.attention_inputs(positions, attend))

    def _check_length(self, tokens: int) -> None:
        most = max_positions(self.hf)
        if tokens > most:
            raise UserError(
                f"The text has {tokens:,} tokens; {self.name} is run on {most:,} at most."
            )

    def logits_above(self, resid: Float[Tensor, "B T D"]) -> Float[Tensor, "B T V"]:
        """Logits of whole sequences, from their residual stream at the hook."""
        return self.blocks().unembed(self.hidden_above(resid))

    def hidden_above(self, resid: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """The last block's residual stream of whole sequences, from that at the hook."""
        length = resid.shape[1]
        causal = torch.ones(1, length, length, dtype=torch.bool).tril()
        blocks = self.blocks()
        with self.lock:
            inputs = blocks.attention_inputs(torch.arange(length)[None], causal)
            return blocks.run(resid, inputs)

    @torch.inference_mode()
    def prefill(self, rows: Sequence[TokenTree], edited: Sequence[Sequence[int]]) -> "Prefilled":
        """Rows of which everything is computed that no edit at the given places can change.

        Args:
            rows: token ids, the start token included.
            edited: for each row the places in it that edits may touch, at least one; never the
                start token, to which SAEs are not applied.

        Raises:
            UserError: for more positions than the model is run on (`families.max_positions`).
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
            final = blocks.run(resid, blocks.attention_inputs(positions, attend), seen=seen)
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
        """Context in which every pass of ``hf`` in this thread edits the residual stream at the
        hook."""
        done, mine = 0, threading.get_ident()

        def write(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
            nonlocal done
            if threading.get_ident() != mine:  # it has its turn while this one gives way
                return None
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
        progress: Progress = silent,
        read: list[int] | None = None,
    ) -> str:
        """Text the model writes after a prompt: greedy at temperature 0, else sampled by seed.

        Args:
            progress: told of every token; raising in it stops the writing.
            read: a list to which the prompt's tokens and those written are appended, each before
                the model reads it.

        Raises:
            UserError: for more tokens, those to be written included, than the model is run on
                (`families.max_positions`).
        """
        tokens = torch.tensor([self.prompt_tokens(prompt)])
        self._check_length(tokens.shape[1] + new_tokens)
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
                streamer=_Told(new_tokens, progress, self.lock, [] if read is None else read),
                pad_token_id=(
                    self.start_token
                    if self.tokenizer.pad_token_id is None
                    else self.tokenizer.pad_token_id
                ),
            )
        return str(self.tokenizer.decode(out[0, tokens.shape[1] :], skip_special_tokens=True))
