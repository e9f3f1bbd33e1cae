"""Ways to edit a name so that one attribute moves: what RAVEL compares.

To add one, write a function that learns what it needs from training names, and returns what its
edit adds to the residual stream:

    def fit(training, attribute, seed):
        sources = torch.stack([one.mean for one in training.portraits])
        axes = torch.linalg.svd(sources - sources.mean(0)).Vh[:8]
        return Fitted(lambda pair: (pair.target.mean - pair.source.mean) @ axes.T @ axes)

    mine = Method("first-axes", "what varies most among names, exchanged", fit)

and give ``mine`` to `evaluation.evaluate` beside the others.

Shapes: E edited places, D = d_model.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.ravel.atoms import Atoms
from metasae.ravel.engine import Pair
from metasae.ravel.learning import exchanged, masks_by_gradient, masks_grown, subspaces
from metasae.ravel.pair_search import best_for_pair
from metasae.ravel.pieces import AllMetaPieces, LatentPieces, MetaPieces, Pieces, SpanPieces
from metasae.ravel.random_base import Decoder, base_sae
from metasae.ravel.training import Change, Training
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.steering.edit_space import EditSpace, Firing, Swapped
from metasae.steering.edits import NO_EDIT, Edit, LatentSwap
from metasae.studies.rebuild import whole
from metasae.studies.study import Material
from metasae.text.shares import share

RANK = 16
"""Dimensions of a learned subspace."""


@dataclass(frozen=True)
class Fitted:
    """An edit that is ready for any pair.

    Attributes:
        change: what it adds to a pair's rows.
        pieces: which pieces a mask takes; none for other edits.
        edit: the edit of Steer that does the same to a pair; None where there is none.
    """

    change: Change
    pieces: tuple[int, ...] = ()
    edit: Callable[[Pair], Edit] | None = None


@dataclass(frozen=True)
class Method:
    """A way to edit.

    Attributes:
        name: in tables and commands.
        about: what it does, in words.
        fit: training names, attribute, seed → the edit.
        everywhere: whether it means anything at other tokens than the name's last.
        by_attribute: whether it is another edit for each attribute.
        slow: whether it takes minutes to learn, or needs a control that is trained anew.
        smaller: whether it needs a smaller SAE of the same hook.
        decoder: of the base SAE that is trained for it (see `random_base`); None: it needs none.
    """

    name: str
    about: str
    fit: Callable[[Training, str, int], Fitted]
    everywhere: bool = True
    by_attribute: bool = True
    slow: bool = False
    smaller: bool = False
    decoder: Decoder | None = None


def _nothing(training: Training, attribute: str, seed: int) -> Fitted:
    return Fitted(lambda pair: torch.zeros_like(pair.rows), edit=lambda _: NO_EDIT)


def _latent_swap(training: Training, attribute: str, seed: int) -> Fitted:
    sae = training.decomposition.sae

    def change(pair: Pair) -> Float[Tensor, "E D"]:
        swapped = Swapped.of(pair.source.subject.swapped, pair.target.subject.swapped)
        space = EditSpace(training.decomposition, (), (), swapped)
        acts = pair.place.activations(sae)
        removed = acts[:, list(swapped.latents)]
        firing = Firing(acts[:, []], removed, torch.zeros_like(pair.rows), pair.rows)
        return space.compiled(LatentSwap()).change(firing)

    return Fitted(change, edit=lambda _: LatentSwap())


def _exchange(
    training: Training, pieces: Pieces, mask: Callable[[Pair], Tensor], taken: tuple[int, ...] = ()
) -> Fitted:
    """The edit that exchanges what a mask takes of a pair's pieces."""
    own = isinstance(pieces, MetaPieces) and pieces.decomposition is training.decomposition
    steered = pieces.edit if isinstance(pieces, MetaPieces) and own else None
    return Fitted(
        lambda pair: pieces.change(pair, mask(pair)),
        taken,
        None if steered is None else lambda pair: steered(pair, mask(pair)),
    )


MakePieces = Callable[[Training], Pieces]
Learn = Callable[[Training, Pieces, str], Mapping[str, Float[Tensor, " W"]]]


def _every(make: MakePieces) -> Callable[..., Fitted]:
    """Every piece that either name has, exchanged."""

    def fit(training: Training, attribute: str, seed: int) -> Fitted:
        pieces = training.once(make)
        return _exchange(training, pieces, lambda _: torch.ones(pieces.width))

    return fit


def _meta(training: Training) -> Pieces:
    return MetaPieces(training.decomposition, training.keep_residual)


def _latents(training: Training) -> Pieces:
    return LatentPieces(training.decomposition.sae)


def _smaller(training: Training) -> SparseAutoencoder:
    """The preset's SAE that has about as many latents as there are meta-latents."""
    material = Material.of(training.lab)
    share = training.decomposition.n_meta / training.decomposition.n_latents
    return material.smaller(material.nearest_width(share))


def _smaller_latents(training: Training) -> Pieces:
    return LatentPieces(training.once(_smaller))


def _random_base(training: Training) -> Pieces:
    return LatentPieces(base_sae(training.lab, training.seed, "random", training.progress))


def _learned_base(training: Training) -> Pieces:
    return LatentPieces(base_sae(training.lab, training.seed, "learned", training.progress))


def _atoms(training: Training) -> Pieces:
    both = training.decomposition
    l0 = both.activations.values().numel() / both.n_latents
    atoms = Atoms.of(both.sae, training.once(_smaller), whole(l0))
    return MetaPieces(atoms, training.keep_residual)


def _all_meta(training: Training) -> Pieces:
    return AllMetaPieces(training.decomposition)


def _random_meta(training: Training) -> Pieces:
    return MetaPieces(training.random_meta(), training.keep_residual)


def _random_all_meta(training: Training) -> Pieces:
    return AllMetaPieces(training.random_meta())


def _span(training: Training) -> Pieces:
    return SpanPieces(training.decomposition.meta.W_dec)


def _random_span(training: Training) -> Pieces:
    return SpanPieces(training.random_meta().meta.W_dec)


def _masked(name: str, make: MakePieces, learn: Learn) -> Callable[..., Fitted]:
    def fit(training: Training, attribute: str, seed: int) -> Fitted:
        pieces = training.once(make)
        masks = training.kept(f"{name} {seed}", lambda: learn(training, pieces, name))
        mask = masks[attribute]
        taken = tuple(mask.nonzero()[:, 0].tolist())
        return _exchange(training, pieces, lambda _: mask, taken)

    return fit


def _best_per_pair(training: Training, attribute: str, seed: int) -> Fitted:
    pieces = training.once(_meta)
    found: dict[tuple[str, str], Tensor] = {}

    def mask(pair: Pair) -> Tensor:
        key = pair.source.name, pair.target.name
        if key not in found:
            found[key] = best_for_pair(training, pieces, attribute, pair.source, pair.target)
        return found[key]

    return _exchange(training, pieces, mask)


def _random_pieces(of: str, make: MakePieces) -> Callable[..., Fitted]:
    """For every pair as many of its pieces, at random, as a learned mask takes of them."""

    def fit(training: Training, attribute: str, seed: int) -> Fitted:
        pieces = training.once(make)
        learned = torch.zeros(pieces.width)
        learned[list(METHODS[of].fit(training, attribute, seed).pieces)] = 1.0

        def drawn_for(pair: Pair) -> Tensor:
            present = pieces.present(pair)
            key = f"{seed}/{attribute}/{pair.source.name}/{pair.target.name}"
            draw = np.random.default_rng(int(share(key) * 2**48))
            count = int(learned[present].sum())
            drawn = torch.from_numpy(draw.permutation(len(present))[:count])
            mask = torch.zeros(pieces.width)
            mask[present[drawn]] = 1.0
            return mask

        return _exchange(training, pieces, drawn_for)

    return fit


def _difference_of_means(training: Training, attribute: str, seed: int) -> Fitted:
    means = {
        value: torch.stack([one.mean for one in some]).mean(0)
        for (about, value), some in training.values.items()
        if about == attribute
    }

    def change(pair: Pair) -> Float[Tensor, "E D"]:
        sides = [means.get(one.entity.values[attribute][0]) for one in (pair.source, pair.target)]
        source, target = sides
        if source is None or target is None:
            return torch.zeros_like(pair.rows)  # no training name has this value
        return (target - source).expand_as(pair.rows)

    return Fitted(change)


def _whole_residual(training: Training, attribute: str, seed: int) -> Fitted:
    return Fitted(lambda pair: pair.on_target - pair.rows)


def _subspace(isolate: bool) -> Callable[..., Fitted]:
    name = "MDAS" if isolate else "DAS"

    def fit(training: Training, attribute: str, seed: int) -> Fitted:
        found = training.kept(
            f"{name} {seed} {RANK}", lambda: subspaces(training, RANK, seed, name, isolate)
        )
        basis = found[attribute].reshape(-1, RANK)
        return Fitted(lambda pair: exchanged(pair, basis))

    return fit


def _methods() -> tuple[Method, ...]:
    grown, learned = masks_grown, masks_by_gradient
    # The weights of a half of many directions already span everything.
    spanned = functools.partial(masks_by_gradient, start=-3.0)
    return (
        Method("nothing", "no edit", _nothing, by_attribute=False),
        Method("latent-swap", "the source's latents set to 0, the target's to their activation",
               _latent_swap, by_attribute=False),
        Method("all-meta", "all of the source's own meta-latents exchanged for all of the target's",
               _every(_meta), by_attribute=False),
        Method("all-active-meta", "all meta-latents of all active latents exchanged",
               _every(_all_meta), by_attribute=False),
        Method("all-latents", "all SAE latents set to their activation on the target",
               _every(_latents), by_attribute=False),
        Method("mask-greedy", "meta-latents in a mask grown on training names, exchanged",
               _masked("mask-greedy", _meta, grown), slow=True),
        Method("mask-gradient", "meta-latents in a mask learned by gradient, exchanged",
               _masked("mask-gradient", _meta, learned)),
        Method("best-per-pair", "the meta-latents that do best for a pair on training prompts",
               _best_per_pair, slow=True),
        Method("random-pieces", "as many of the pair's meta-latents at random",
               _random_pieces("mask-gradient", _meta)),
        Method("random-meta-mask", "the same mask over meta-latents of a frozen random decoder",
               _masked("random-meta-mask", _random_meta, learned), slow=True),
        Method("all-active-mask", "a mask over the meta-latents of all active latents",
               _masked("all-active-mask", _all_meta, learned)),
        Method("all-active-random", "as many of the pair's meta-latents of all active latents",
               _random_pieces("all-active-mask", _all_meta)),
        Method("random-all-active-mask", "that mask over meta-latents of a frozen random decoder",
               _masked("random-all-active-mask", _random_all_meta, learned), slow=True),
        Method("span-mask", "what lies in the span of a mask's meta-latents, exchanged",
               _masked("span-mask", _span, spanned), everywhere=False),
        Method("random-span-mask", "the same of a frozen random decoder's directions",
               _masked("random-span-mask", _random_span, spanned), everywhere=False, slow=True),
        Method("latent-mask", "SAE latents in a mask learned by gradient, exchanged",
               _masked("latent-mask", _latents, learned)),
        Method("smaller-latent-mask", "that mask over the latents of an SAE of the meta-SAE's size",
               _masked("smaller-latent-mask", _smaller_latents, learned), slow=True, smaller=True),
        Method("random-latent-mask", "that mask over latents of an SAE whose decoder stays random",
               _masked("random-latent-mask", _random_base, learned), slow=True, decoder="random"),
        Method("twin-latent-mask", "that mask over latents of its twin whose decoder is learned",
               _masked("twin-latent-mask", _learned_base, learned), slow=True, decoder="learned"),
        Method("atom-mask", "the mask over a smaller SAE's latents, by matching pursuit",
               _masked("atom-mask", _atoms, learned), slow=True, smaller=True),
        Method("difference-of-means", "mean residual of the target's value minus the source's",
               _difference_of_means),
        Method("whole-residual", "the target's residual in place of the source's",
               _whole_residual, everywhere=False, by_attribute=False),
        Method("DAS", "a learned subspace exchanged, for cause alone", _subspace(False),
               everywhere=False),
        Method("MDAS", "a learned subspace exchanged, with the isolate terms", _subspace(True),
               everywhere=False),
    )  # fmt: skip


METHODS: Mapping[str, Method] = {one.name: one for one in _methods()}
"""By name, in the order of the table."""
