"""Lesson 5: is a smaller SAE the same?"""

import torch
from torch.nn.functional import normalize

from metasae.errors import UserError
from metasae.lessons.bench import Bench
from metasae.lessons.lesson import Bar, Bars, Found, Lesson, Place, Step, Tone
from metasae.lessons.walks.latent import sentence
from metasae.lm.names import name_position
from metasae.progress import Progress
from metasae.saes.neighbours import VERY_SIMILAR, top_cosines
from metasae.saes.pursuit import pursuit
from metasae.studies.rebuild import by_nearest, by_pursuit, by_sae, whole
from metasae.training.controls import gaussian_like

_EXPLAINED = "share of the squared length that is explained"


def smaller_width(bench: Bench) -> int:
    """The SAE that is compared with.

    Raises:
        UserError: where there is none.
    """
    width = bench.explorer.smaller_width(bench.lab.n_latents)
    if width is None:
        raise UserError("This preset has no smaller SAE of the same hook to compare with.")
    return width


def misses(bench: Bench, progress: Progress) -> Found:
    """How much SAEs of all widths leave out of what the model holds about the source's name."""
    smaller_width(bench)
    typed, model = sentence(bench), bench.lab.model
    at = name_position(model, typed, bench.source)
    resid = model.residual(torch.tensor([model.prompt_tokens(typed)]))[0, at][None]
    bars, shares = [], []
    for width in bench.explorer.widths:
        sae = bench.explorer.decomposition(width, progress).sae
        acts = sae.encode(resid)
        # The same whole for all: what the model holds, from the open SAE's origin.
        held = (resid - bench.lab.decomposition.sae.b_dec).square().sum()
        share = float((resid - sae.decode(acts)).square().sum() / held)
        count = int((acts > 0).sum())
        open_one = width == bench.lab.n_latents
        name = f"{width:,} latents, of which {count} fire"
        bars.append(Bar(name, share, "source" if open_one else "other", f"{share:.0%}"))
        shares.append(share)
    return Found(
        holds=shares[0] > shares[-1],
        answer=f"The smallest leaves {shares[0]:.0%} unsaid, the largest {shares[-1]:.0%}.",
        more="On this one word. How many latents fire at once differs between them, which is part "
        "of the difference.",
        after=Bars(f"share of what the model holds on “{bench.source}” left out", tuple(bars),
                   percent=True),
        place=Place("studies", {"study": "stitching"}),
    )  # fmt: skip


def nearest_there(bench: Bench, progress: Progress) -> Found:
    """What is closest to the source's latent in the smaller SAE."""
    width = smaller_width(bench)
    there = bench.page.smaller
    assert there is not None  # there is a smaller width
    near = there.nearest
    closest = float(near["cosine"].iloc[0])
    bars = tuple(
        Bar(bench.named(int(latent), width), float(cosine), "other")
        for latent, cosine in zip(near["latent"], near["cosine"], strict=True)
    )
    return Found(
        holds=closest < VERY_SIMILAR,
        answer=f"The closest of {width:,} is {bars[0].name}, with a cosine of {closest:.2f}.",
        more=(
            f"Below {VERY_SIMILAR}, which the post calls very similar: no latent there is this one."
            if closest < VERY_SIMILAR
            else f"Above {VERY_SIMILAR}, which the post calls very similar: the smaller SAE has it."
        ),
        after=Bars("cosine with the latent's direction", bars, most=1.0),
        place=Place("latents", {"latent": str(bench.latent)}),
    )


def one_rebuilt(bench: Bench, progress: Progress) -> Found:
    """How well the same number of latents of the smaller SAE rebuilds the source's latent."""
    width, page = smaller_width(bench), bench.page
    assert page.smaller is not None  # there is a smaller width
    parts, own = max(1, len(page.pieces)), 1 - page.unexplained
    there = page.smaller.pursuit.explained[-1]
    rows = gaussian_like(bench.explorer.decomposition(width, progress).sae.W_dec)
    chance = pursuit(rows, page.direction, parts).explained[-1]
    return Found(
        holds=own > there,
        answer=f"{parts} meta-latents explain {own:.0%}, {parts} latents of the smaller SAE "
        f"{there:.0%}.",
        more="For this one latent. The smaller SAE's are chosen as well as can be, by matching "
        "pursuit; the meta-SAE chooses at a glance, by its encoder.",
        after=Bars(
            _EXPLAINED,
            (
                Bar(f"{parts} meta-latents", own, "source", f"{own:.0%}"),
                Bar(f"{parts} of {width:,} smaller latents", there, "target", f"{there:.0%}"),
                Bar(f"{parts} of {width:,} random directions", chance, "other", f"{chance:.0%}"),
            ),
            most=1.0,
            percent=True,
        ),
        place=Place("latents", {"latent": str(bench.latent)}),
    )


def all_rebuilt(bench: Bench, progress: Progress) -> Found:
    """The same for all latents, and with the meta-SAE's rows replaced by the nearest latents."""
    width, decomposition = smaller_width(bench), bench.lab.decomposition
    directions, meta = decomposition.sae.W_dec, decomposition.meta
    rows = normalize(bench.explorer.decomposition(width, progress).sae.W_dec)
    total = float(directions.square().sum())
    progress("Rebuilding all directions", 0.0, "")
    own = by_sae(meta, directions)
    parts = whole(own.l0)
    explained = {"own": 1 - float(own.left.sum()) / total}
    for done, (name, made) in enumerate(
        (
            ("nearest", lambda: by_nearest(meta, rows, directions)[1]),
            ("pursued", lambda: by_pursuit(rows, directions, parts)),
            ("metas", lambda: by_pursuit(meta.W_dec, directions, parts)),
            ("random", lambda: by_pursuit(gaussian_like(rows), directions, parts)),
        ),
        1,
    ):
        progress("Rebuilding all directions", done / 5, "")
        explained[name] = 1 - float(made().left.sum()) / total
    named: tuple[tuple[str, str, Tone], ...] = (
        (f"the meta-SAE, {own.l0:.1f} of {meta.width:,}", "own", "source"),
        (f"its rows replaced by the nearest of {width:,} latents", "nearest", "target"),
        (f"the best {parts} of {meta.width:,} meta-latents", "metas", "source"),
        (f"the best {parts} of {width:,} smaller latents", "pursued", "target"),
        (f"the best {parts} of {width:,} random directions", "random", "other"),
    )
    bars = tuple(
        Bar(name, explained[key], tone, f"{explained[key]:.1%}") for name, key, tone in named
    )
    behind = explained["metas"] - explained["pursued"]
    return Found(
        holds=explained["own"] > explained["nearest"] and behind > 0,
        answer=f"The meta-SAE explains {explained['own']:.1%}, with the nearest smaller latents in "
        f"its rows' place {explained['nearest']:.1%}.",
        more=f"Chosen well, by the same means, the smaller SAE's {width:,} latents come to "
        f"{explained['pursued']:.1%}, the {meta.width:,} meta-latents to {explained['metas']:.1%}: "
        f"{abs(behind):.1%} {'more' if behind > 0 else 'less'}. Published, for GPT-2: 55.47 %, and "
        "with the nearest latents only slightly less.",
        after=Bars("share of all directions' squared length that is explained", bars, most=1.0,
                   percent=True),
        place=Place("studies", {"study": "rebuild"}),
    )  # fmt: skip


def same_directions(bench: Bench, progress: Progress) -> Found:
    """How many meta-latents are close to a latent of the smaller SAE."""
    width, decomposition = smaller_width(bench), bench.lab.decomposition
    meta = decomposition.meta.W_dec
    rows = bench.explorer.decomposition(width, progress).sae.W_dec
    shares = {
        name: float((top_cosines(others, meta, 1)[0][:, 0] > VERY_SIMILAR).float().mean())
        for name, others in (
            ("own", decomposition.sae.W_dec), ("smaller", rows), ("random", gaussian_like(rows))
        )
    }  # fmt: skip
    named: tuple[tuple[str, str, Tone], ...] = (
        (f"of this SAE's {bench.lab.n_latents:,} latents", "own", "source"),
        (f"of the smaller SAE's {width:,}", "smaller", "target"),
        (f"of {width:,} random directions", "random", "other"),
    )
    bars = tuple(Bar(name, shares[key], tone, f"{shares[key]:.1%}") for name, key, tone in named)
    return Found(
        holds=shares["smaller"] < 0.5,
        answer=f"{shares['smaller']:.1%} of {len(meta):,} have one with a cosine above "
        f"{VERY_SIMILAR}.",
        more="Few or many is for you to say; what holds is only that a meta-latent without such a "
        "latent is no latent of that SAE. Two trainings of one SAE from other starts differ, too: "
        "the study “graphs” measures that beside.",
        after=Bars(
            f"share of meta-latents with a cosine above {VERY_SIMILAR} to one …", bars, most=1.0,
            percent=True,
        ),
        place=Place("studies", {"study": "max-cosine"}),
    )  # fmt: skip


LESSON = Lesson(
    name="smaller",
    number=5,
    title="Is a smaller SAE the same?",
    learnt="What a smaller SAE has in the place of a latent, and how near it comes to its pieces.",
    steps=(
        Step(
            "The same word, smaller SAEs",
            "SAEs of several widths were trained on the same place in the model. Each writes what "
            "it holds about “{source}”.",
            "How much more does the smallest leave out than the largest?",
            "The smaller SAE leaves more out.",
            misses,
        ),
        Step(
            "The nearest latent there",
            "{source}'s own latent is one of {latents}. The SAE beside it has {smaller}.",
            "What will be closest to “{source}” among {smaller} latents?",
            "No latent of the smaller SAE is very similar to this one.",
            nearest_there,
        ),
        Step(
            "In its place",
            "A smaller SAE's latents could be the pieces: put as many of them together as the "
            "latent has meta-latents.",
            "Which explain more of “{source}”: its meta-latents, or the best of the smaller SAE's?",
            "The meta-latents explain more of this latent than as many of the smaller SAE's.",
            one_rebuilt,
        ),
        Step(
            "All latents",
            "The same for all {latents} directions, in several ways.",
            "Do {metas} meta-latents still explain more than the latents of a smaller SAE?",
            "Over all latents, too, the meta-latents explain more.",
            all_rebuilt,
        ),
        Step(
            "The same directions?",
            "The last doubt: the meta-latents might be the smaller SAE's latents again.",
            "How many of the {metas} meta-latents are close to a latent of the smaller SAE?",
            "Less than half of the meta-latents are close to a latent of the smaller SAE.",
            same_directions,
        ),
    ),
)
