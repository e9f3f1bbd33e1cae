"""The post's worked examples, which check themselves where its SAEs are present.

What depends on the published SAEs alone has to agree to the digits the post gives. What depends on
the meta-SAE is from another training run there, whose seed isn't known, so the figures stand beside
the published ones with the room a second run is given.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

from metasae.errors import UserError
from metasae.explorer.explorer import Explorer
from metasae.lab.lab import POST_PAIR
from metasae.saes.neighbours import VERY_SIMILAR, nearest, split_into
from metasae.search.combinations import Combinations
from metasae.search.exhaustive import search
from metasae.sources.presets import GPT2, Preset
from metasae.text.prompts import WORDINGS

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Post:
    """The figures of one set of worked examples.

    Attributes:
        einstein: latent, and the cosines to its nearest in the same SAE and in a smaller one.
        smaller: width of the smaller one.
        split: width, latent, the wider SAE's width, and the latents it splits into.
        explained: variance of the decoder directions the meta-SAE explains.
        pieces: meta-latents of the latent and of two cities.
    """

    einstein: int
    same: tuple[float, ...]
    smaller: int
    in_smaller: tuple[float, ...]
    split: tuple[int, int, int, int]
    explained: float
    einstein_pieces: int
    city_pieces: tuple[tuple[str, int], ...]


POST = Post(
    einstein=11329,
    same=(0.50, 0.49, 0.47),
    smaller=3072,
    in_smaller=(0.39, 0.39, 0.37, 0.31),
    split=(24576, 8326, 49152, 7),
    explained=0.5547,
    einstein_pieces=6,
    city_pieces=(("Tokyo", 4), ("Paris", 5)),
)

OF_PRESET = {GPT2.name: POST}


@dataclass(frozen=True)
class Check:
    """One figure of the post beside ours.

    Attributes:
        published, found: the post's figure and ours, as text.
        agrees: to the digits the post gives, or within the room of another run.
    """

    name: str
    published: str
    found: str
    agrees: bool


def check_has_examples(preset: Preset) -> None:
    """Refuse a preset the post has no examples of.

    Raises:
        UserError: for such a preset.
    """
    if preset.kept_as not in OF_PRESET:
        raise UserError(
            f"The post's worked examples are about {', '.join(OF_PRESET)}, and {preset.name} is "
            f"asked for; open one of those with --preset {next(iter(OF_PRESET))}."
        )


def checks(explorer: Explorer, post: Post | None = None) -> list[Check]:
    """All worked examples of what is open.

    Args:
        post: the published figures; those of the preset when left out.

    Raises:
        UserError: for a preset the post has no examples of, or an SAE that can't be opened.
    """
    if post is None:
        check_has_examples(explorer.lab.preset)
        post = OF_PRESET[explorer.lab.preset.kept_as]
    lab = explorer.lab
    wide = lab.decomposition
    direction = wide.sae.W_dec[post.einstein]
    same = nearest(wide.sae.W_dec, direction, len(post.same), post.einstein)["cosine"].tolist()
    small = explorer.decomposition(post.smaller).sae.W_dec
    other = nearest(small, direction, len(post.in_smaller))["cosine"].tolist()
    width, latent, wider, count = post.split
    narrow = explorer.decomposition(width).sae.W_dec[latent]
    parts = split_into(explorer.decomposition(wider).sae.W_dec, narrow)
    return [
        _numbers(f"Latent {post.einstein}, nearest in its SAE (cosine)", post.same, same),
        _numbers(
            f"Latent {post.einstein}, nearest of {post.smaller:,} (cosine)", post.in_smaller, other
        ),
        Check(
            f"Latent {latent} of {width:,} splits into, of {wider:,} (cosine above "
            f"{VERY_SIMILAR})",
            str(count),
            f"{len(parts)}: {', '.join(map(str, parts))}",
            len(parts) == count,
        ),
        _near("Variance of the directions the meta-SAE explains", post.explained,
              float(lab.report["meta_sae"]["fve"]), 0.05),
        _near(f"Meta-latents of latent {post.einstein}", post.einstein_pieces,
              len(wide.pieces(post.einstein)), 3),
        *(
            _near(f"Meta-latents of {city}", pieces, len(wide.pieces(best)), 3)
            for city, pieces in post.city_pieces
            for best in [one.latent for one in lab.city_record(city).latents[:1]]
        ),
        _language_and_currency(explorer),
    ]  # fmt: skip


def _numbers(name: str, published: Sequence[float], ours: Sequence[float]) -> Check:
    agrees = len(ours) == len(published) and all(
        abs(a - b) < 0.0051 for a, b in zip(published, ours, strict=True)
    )
    return Check(name, _listed(published), _listed(ours), agrees)


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _near(name: str, published: float, ours: float, room: float) -> Check:
    digits = ".4f" if isinstance(published, float) else "d"
    agrees = math.isclose(published, ours, abs_tol=room)
    return Check(f"{name} (± {room:g})", f"{published:{digits}}", f"{ours:{digits}}", agrees)


def _language_and_currency(explorer: Explorer) -> Check:
    """Whether some edit moves language and currency while country and continent stay."""
    name = "Some edit of Tokyo→Paris moves language and currency alone"
    lab = explorer.lab
    wanted = {"country": False, "language": True, "continent": False, "currency": True}
    try:
        source, target = map(lab.subject, POST_PAIR)
        asked = lab.questions(source, target, templates=WORDINGS["post"])
        experiment = lab.experiment(source, target, asked)
        reached = [one.pattern for one in search(experiment, Combinations.of(experiment))]
    except UserError as error:
        _log.info("no search of Tokyo to Paris", exc_info=True)
        return Check(name, "yes", str(error), False)
    return Check(name, "yes", "yes" if wanted in reached else "no", wanted in reached)
