"""Log-probabilities of a few next tokens after many hidden states: what the search asks for.

A log-probability is a logit minus the logarithm of a sum over the vocabulary, and that sum is made
of few tokens: after a prompt some thousands hold all but a few hundredths of it. Those are *near*:
their logits are computed in fp32. All others are *far*: only the sum of their exponentials counts,
to a few digits, so they are multiplied in bf16, several times as fast. Which are near is learned
from the first hidden states; where others turn out to hold more than a given share, the whole
vocabulary is computed in fp32 and the near ones are added to.

The likeliest of all tokens is among the near ones wherever one of them is likelier than all far
ones together; where it isn't, the whole vocabulary is computed.

Shapes: N edits, P places in each, M = N·P hidden states, W tokens asked for, D = d_model,
V vocabulary, S near tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.lm.matmul import Product

_ROWS = 192
"""Hidden states whose logits are held together: few enough that their memory is used again."""

_CHUNK = 2048
"""Far tokens whose logits are held together."""

_ALIGNED = 32
"""Products are fastest when the summed dimension is a multiple of this."""

EXACT, ROUGH = 0.03, 0.1
"""Largest share of the probability that far tokens may hold. bf16 rounds their sum by a thousandth
of itself when hidden states keep sixteen bits; a sample of them gives it to about a tenth."""

SAMPLED = 16
"""In the rough sum one token in so many stands for the far ones."""

FAR_ROUNDING = 0.05
"""Share of itself by which the far tokens' sum may be too small, where it is a sum of all."""


Scored = tuple[Float[Tensor, "N W"], Int[Tensor, "N P"]]
"""Log-probabilities, and the likeliest of all tokens; of no places where nobody asked for it."""


class NextTokens(ABC):
    """What follows hidden states that left the last block."""

    def __call__(self, hidden: Float[Tensor, "N P D"]) -> Float[Tensor, "N W"]:
        """Log-probabilities of tokens that were agreed on before, in nats."""
        return self.scored(hidden, False)[0]

    def with_tops(self, hidden: Float[Tensor, "N P D"]) -> Scored:
        """The same, and the likeliest of all tokens at every place."""
        return self.scored(hidden, True)

    @abstractmethod
    def scored(self, hidden: Float[Tensor, "N P D"], tops: bool) -> Scored:
        """Log-probabilities, and the tops where they are asked for."""


@dataclass(frozen=True)
class WholeVocabulary(NextTokens):
    """Log-probabilities from every logit.

    Attributes:
        unembed: hidden states → logits; the result is overwritten.
        place, token: of every token asked for, the place after which it comes and its id.
    """

    unembed: Callable[[Float[Tensor, "*M D"]], Float[Tensor, "*M V"]]
    place: Int[Tensor, " W"]
    token: Int[Tensor, " W"]

    @torch.inference_mode()
    def scored(self, hidden: Float[Tensor, "N P D"], tops: bool) -> Scored:
        """See `NextTokens`."""
        return _joined([self._few(rows, tops) for rows in hidden.split(edits(hidden))])

    def _few(self, hidden: Float[Tensor, "N P D"], tops: bool) -> Scored:
        logits = self.unembed(hidden)
        picked = logits[:, self.place, self.token].float()
        top = logits.argmax(-1) if tops else _nobody_asked(hidden)
        # In place: the logits of a vocabulary are the largest tensor there is, and a second one
        # costs more than the sum.
        largest = logits.amax(-1, keepdim=True)
        total = logits.sub_(largest).exp_().sum(-1).float().log()
        return picked - (total + largest[..., 0].float())[:, self.place], top


def _nobody_asked(hidden: Float[Tensor, "N P D"]) -> Int[Tensor, "N 0"]:
    return torch.empty(len(hidden), 0, dtype=torch.int64)


def _joined(parts: list[Scored]) -> Scored:
    scores, tops = zip(*parts, strict=True)
    return torch.cat(scores), torch.cat(tops)


def edits(hidden: Float[Tensor, "N P D"]) -> int:
    """Edits whose logits are held together."""
    return max(1, _ROWS // hidden.shape[1])


class Unembedding:
    """A model's unembedding, with its final norm's gain folded in, as the products it is used in.

    Args:
        weight, gain: of the unembedding and of the final norm.
        rough: whether far tokens are sampled and hidden states rounded for them, as a bf16 search
            can bear.
    """

    def __init__(
        self, weight: Float[Tensor, "V D"], gain: Float[Tensor, " D"], rough: bool
    ) -> None:
        self._weight, self._gain, self.rough = weight.detach(), gain.detach(), rough
        self.width = len(weight)

    def rows(self, tokens: Int[Tensor, " S"]) -> Float[Tensor, "S D"]:
        """Rows of some tokens."""
        return self._weight[tokens] * self._gain

    @cached_property
    def summed(self) -> Int[Tensor, " F"]:
        """Tokens that stand for all in the sum of the far ones, ascending."""
        return torch.arange(0, self.width, SAMPLED if self.rough else 1)

    @cached_property
    def _chunks(self) -> tuple[Product, ...]:
        return tuple(Product(self._beside(tokens)) for tokens in self.summed.split(_CHUNK))

    def _beside(self, tokens: Int[Tensor, " F"]) -> Float[Tensor, "F K"]:
        """Their rows in bf16, once for each part of a hidden state; ones for what is taken off."""
        rows = self.rows(tokens).bfloat16()
        parts = [rows] if self.rough else [rows, rows]
        return _padded([*parts, torch.ones(len(tokens), 2, dtype=torch.bfloat16)])

    def exponentials(
        self, normed: Float[Tensor, "M D"], off: Float[Tensor, " M"], without: Int[Tensor, " S"]
    ) -> Float[Tensor, " M"]:
        """Sum of exp(logit − ``off``) over all tokens but some.

        Args:
            without: tokens left out, ascending.
        """
        parts = _two(normed)[: 1 if self.rough else 2]
        x = _padded([*parts, *(part[:, None] for part in _two(-off))])
        total, used = torch.zeros(len(normed)), 0
        for product, tokens in zip(self._chunks, self.summed.split(_CHUNK), strict=True):
            # exp is faster in fp32, conversion included.
            made = product(x).float().exp_()
            inside = torch.isin(tokens, without).nonzero()[:, 0]
            total += made.index_fill_(1, inside, 0.0).sum(-1)
            used += len(tokens) - len(inside)
        return total * ((self.width - len(without)) / max(1, used))


def _two(x: Tensor) -> tuple[Tensor, Tensor]:
    """Two bf16 tensors that add up to a tensor within sixteen bits."""
    first = x.bfloat16()
    return first, (x - first).bfloat16()


def _padded(parts: list[Tensor]) -> Tensor:
    """Columns side by side, and zeros up to the next multiple the processor likes."""
    width = sum(part.shape[1] for part in parts)
    return torch.cat([*parts, parts[0].new_zeros(len(parts[0]), -width % _ALIGNED)], dim=1)


@dataclass(frozen=True)
class _Near:
    """Near tokens.

    Attributes:
        tokens: which, ascending.
        product: with their rows, in fp32.
        asked: of every token asked for, its place among them.
    """

    tokens: Int[Tensor, " S"]
    product: Product
    asked: Int[Tensor, " W"]


class NearTokens(NextTokens):
    """Log-probabilities from the near tokens' logits and the far ones' sum; see the module.

    Args:
        normed: hidden states → what the final norm makes of them, without its gain, in fp32.
        logits: every logit of some hidden states; the result is overwritten.
        place, token: as in `WholeVocabulary`.
        worth_it: whether bf16 is fast here; asked once more than a few hidden states have come,
            since measuring takes a moment.
    """

    def __init__(
        self,
        unembedding: Unembedding,
        normed: Callable[[Float[Tensor, "N P D"]], Float[Tensor, "N P D"]],
        logits: Callable[[Float[Tensor, "*M D"]], Float[Tensor, "*M V"]],
        place: Int[Tensor, " W"],
        token: Int[Tensor, " W"],
        worth_it: Callable[[], bool],
    ) -> None:
        self._unembedding, self._normed, self._logits = unembedding, normed, logits
        self._place, self._token, self._worth_it = place, token, worth_it
        self._whole = WholeVocabulary(logits, place, token)
        self._most = ROUGH if unembedding.rough else EXACT
        self._near: _Near | None = None
        self._seen = 0

    @property
    def near(self) -> Int[Tensor, " S"]:
        """Tokens that are near by now."""
        return torch.empty(0, dtype=torch.int64) if self._near is None else self._near.tokens

    @torch.inference_mode()
    def scored(self, hidden: Float[Tensor, "N P D"], tops: bool) -> Scored:
        """See `NextTokens`; the tops are exact, unless far tokens are sampled."""
        self._seen += len(hidden)
        # Where most tokens count, most would be computed in fp32 anyway.
        flat = 4 * len(self.near) > self._unembedding.width
        if self._seen <= edits(hidden) or flat or not self._worth_it():
            return self._whole.scored(hidden, tops)
        first = edits(hidden) if self._near is None else 0
        known, rest = self._learned(hidden[:first], tops), hidden[first:]
        if not len(rest):
            return known
        assert self._near is not None
        found, top, fits = self._split(rest, self._near, tops)
        for some in (~fits).nonzero()[:, 0].split(edits(hidden)):
            found[some], top[some] = self._learned(rest[some], tops)
        return _joined([known, (found, top)])

    def _split(
        self, hidden: Float[Tensor, "N P D"], near: _Near, tops: bool
    ) -> tuple[Float[Tensor, "N W"], Int[Tensor, "N P"], Bool[Tensor, " N"]]:
        """As `scored`, and in which edits the far tokens hold little enough."""
        count, places, width = hidden.shape
        normed = self._normed(hidden).view(-1, width)
        logits = near.product(normed)
        total = logits.logsumexp(-1)
        far = self._unembedding.exponentials(normed, total, near.tokens)
        fits = far <= self._most * (1 + far)
        top = _nobody_asked(hidden)
        if tops:
            largest, place = logits.max(-1)
            top = near.tokens[place].view(count, places)
            # No far token is likelier than all of them together.
            fits &= (largest - total).exp() > far * (1 + FAR_ROUNDING)
        total = (total + far.log1p()).view(count, places)
        picked = logits.view(count, places, -1)[:, self._place, near.asked]
        return picked - total[:, self._place], top, fits.view(count, places).all(1)

    def _learned(self, hidden: Float[Tensor, "N P D"], tops: bool) -> Scored:
        """What every logit gives; the tokens that are likely there become near."""
        if not len(hidden):
            places = hidden.shape[1] if tops else 0
            return torch.empty(0, len(self._token)), torch.empty(0, places, dtype=torch.int64)
        probability = self._logits(hidden).float().flatten(0, 1).softmax(-1)
        order = probability.amax(0).argsort(descending=True)[: self._unembedding.width // 4 + 1]
        covered = probability[:, order].cumsum(1).amin(0)
        enough = int((covered < 1 - self._most / 2).sum()) + 1
        tokens = torch.cat([self.near, self._token, order[:enough]]).unique()
        self._near = _Near(
            tokens,
            Product(self._unembedding.rows(tokens)),
            torch.searchsorted(tokens, self._token),
        )
        return self._whole.scored(hidden, tops)
