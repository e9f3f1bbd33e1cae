"""Lesson 2: a latent is made of pieces."""

from metasae.explorer.explorer import META
from metasae.lessons.bench import Bench
from metasae.lessons.lesson import Bar, Bars, Found, Lesson, Place, Step
from metasae.progress import Progress
from metasae.saes.neighbours import top_cosines
from metasae.saes.pursuit import pursuit
from metasae.steering.sentences import listed
from metasae.training.controls import gaussian_like

_SHOWN = 6
"""Bars of a picture."""

_LENGTH = "length of each piece (the latent's direction is 1 long)"


def neighbours(bench: Bench, progress: Progress) -> Found:
    """How close the closest other latents are, beside random directions."""
    page = bench.page
    random = gaussian_like(bench.lab.decomposition.sae.W_dec)
    chance = float(top_cosines(random, page.direction[None], 1)[0][0, 0])
    near = page.nearest
    closest = float(near["cosine"].iloc[0])
    bars = tuple(
        Bar(bench.named(int(latent)), float(cosine))
        for latent, cosine in zip(near["latent"], near["cosine"], strict=True)
    )
    name = bars[0].name
    return Found(
        holds=closest > chance,
        answer=f"The closest, {name}, has a cosine of {closest:.2f}.",
        more=f"Of as many random directions the closest has {chance:.2f}. " + (
            "So latents that mean something alike point alike: they may have parts in common."
            if closest > chance
            else "So this latent is no closer to others than chance has it."
        ),
        after=Bars(
            "cosine with the latent's direction",
            (*bars, Bar(f"the closest of {bench.lab.n_latents:,} random ones", chance, "other")),
            most=1.0,
        ),
        place=Place("latents", {"latent": str(bench.latent)}),
    )  # fmt: skip


def taken_apart(bench: Bench, progress: Progress) -> Found:
    """Which meta-latents the source's latent is made of, and what is in none of them."""
    page = bench.page
    left = page.unexplained
    bars = tuple(
        Bar(called or f"meta-latent {meta}", float(value))
        for meta, called, value in zip(
            page.pieces["meta"], page.pieces["called"], page.pieces["activation"], strict=True
        )
    )
    named = listed([f"“{one.name}” {one.told}" for one in bars]) if bars else "none"
    unclear = sum(bench.explorer.scored(META, int(meta)).unclear for meta in page.pieces["meta"])
    about = (
        f" A (?) says that no label held for a piece ({unclear} of {len(bars)}): it is called by "
        "words its latents fire on."
        if unclear
        else ""
    )
    return Found(
        holds=len(bars) >= 2 and left < 0.5,
        answer=f"{len(bars)} {'piece' if len(bars) == 1 else 'pieces'}: {named}.",
        more=f"{left:.0%} of the direction's squared length is in none of them." + about,
        after=Bars(
            _LENGTH, (*bars, Bar("in none of them", left**0.5, "other")), most=1.0
        ),
        place=Place("latents", {"latent": str(bench.latent)}),
    )  # fmt: skip


def elsewhere(bench: Bench, progress: Progress) -> Found:
    """In which other latents the strongest piece is."""
    pieces = bench.page.pieces
    place = Place("meta_latents")
    if pieces.empty:
        return Found(False, "The latent has no piece to look for.", place=place)
    meta = int(pieces["meta"].iloc[0])
    latents = bench.lab.decomposition.latents_of(meta)
    bars = tuple(
        Bar(bench.named(latent), value, "source" if latent == bench.latent else "other")
        for latent, value in list(latents.items())[:_SHOWN]
    )
    total = bench.lab.n_latents
    return Found(
        holds=len(latents) > 1,
        answer=f"It is in {len(latents):,} of {total:,} latents ({len(latents) / total:.1%}), "
        f"most of all in {bars[0].name}.",
        more=f"The piece is called “{bench.explorer.meta_title(meta)}”. Read a meta-latent from "
        "the latents it is most active on, and distrust a name that does not fit them.",
        after=Bars("activation of the piece on the latent's direction", bars, most=1.0),
        place=Place("meta_latents", {"meta": str(meta)}),
    )


def shared(bench: Bench, progress: Progress) -> Found:
    """Which pieces the source and the target have in common."""
    pieces = bench.experiment.pieces
    tones = {"source": "source", "target": "target", "shared": "other"}
    whose = {"source": f"{bench.source}'s", "target": f"{bench.target}'s", "shared": "both's"}
    bars = tuple(
        Bar(
            f"{bench.explorer.meta_title(one.meta)} · {whose[one.side]}",
            max(one.on_source, one.on_target),
            tones[one.side],  # type: ignore[arg-type]
        )
        for one in pieces
    )
    both = [bench.explorer.meta_title(one.meta) for one in pieces if one.side == "shared"]
    said = f": {listed([f'“{name}”' for name in both])}" if both else ""
    return Found(
        holds=bool(both),
        answer=f"{len(both)} of {len(pieces)} pieces {'is' if len(both) == 1 else 'are'} in both"
        f"{said}.",
        more="What both have can't tell one from the other. What is one's own is what an edit "
        "takes away or adds.",
        after=Bars("activation of the piece, on the side where it is larger", bars, most=1.0),
        place=Place("graph", {"latent": f"{bench.latent},{bench.other_latent}"}),
    )


def any_directions(bench: Bench, progress: Progress) -> Found:
    """Whether as many of as many random directions would do as well."""
    page = bench.page
    parts = max(1, len(page.pieces))
    own = 1 - page.unexplained
    random = gaussian_like(bench.lab.decomposition.meta.W_dec)
    chance = pursuit(random, page.direction, parts).explained[-1]
    report = bench.lab.report.get("meta_sae", {})
    said = ""
    if {"fve", "fve_control"} <= report.keys():
        said = (
            f" Over all latents the meta-SAE explains {report['fve']:.1%} of the directions, and "
            f"one that is trained on random directions {report['fve_control']:.1%} of those."
        )
    return Found(
        holds=own > chance,
        answer=f"The meta-SAE's {parts} pieces explain {own:.0%} of the direction, the best "
        f"{parts} of as many random ones {chance:.0%}.",
        more="The random ones are chosen one after the other, each where it explains most, with "
        f"the best weights (matching pursuit).{said}",
        after=Bars(
            "share of the direction's squared length that is explained",
            (
                Bar(f"{parts} meta-latents", own, text=f"{own:.0%}"),
                Bar(f"{parts} of {len(random):,} random ones", chance, "other", f"{chance:.0%}"),
            ),
            most=1.0,
            percent=True,
        ),
        place=Place("studies", {"study": "rebuild"}),
    )


LESSON = Lesson(
    name="pieces",
    number=2,
    title="Is a latent made of pieces?",
    learnt="How a latent's direction is taken apart, and how to read the pieces.",
    steps=(
        Step(
            "A latent is a direction",
            "{source}'s own latent is one direction in the model: {numbers} numbers. So are the "
            "other latents.",
            "Do others point nearly the same way? Which would you expect?",
            "Latents are closer to each other than random directions are.",
            neighbours,
        ),
        Step(
            "Take it apart",
            "A **meta-SAE** was trained on these directions alone, without any text. It writes "
            "each as a sum of a few pieces, **meta-latents**, out of {metas}.",
            "If “{source}” had to be a sum of about four simpler things: which would you take?",
            "The latent is a sum of a few pieces, which explain more than half of it.",
            taken_apart,
        ),
        Step(
            "The strongest piece elsewhere",
            "A piece is only worth the name if other latents have it, too.",
            "In which other latents would you look for the strongest piece of “{source}”?",
            "The piece is in other latents as well.",
            elsewhere,
        ),
        Step(
            "What two names share",
            "{target}'s latent is taken apart in the same way.",
            "What do “{source}” and “{target}” have in common, and what is each one's own?",
            "{source} and {target} share a piece.",
            shared,
        ),
        Step(
            "Would any pieces do?",
            "With {metas} directions to choose from, some are bound to fit a little.",
            "How much of “{source}” would random directions explain, if the best were chosen?",
            "The pieces explain more than the best random directions.",
            any_directions,
        ),
    ),
)
