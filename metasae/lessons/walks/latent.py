"""Lesson 1: what is a latent?"""

import torch

from metasae.explorer.evidence import Snippet
from metasae.lessons.bench import Bench
from metasae.lessons.lesson import Bar, Bars, Found, Lesson, Place, Step, Texts
from metasae.lm.names import name_position
from metasae.progress import Progress
from metasae.steering.edits import NO_EDIT, EditOptions, LatentSwap
from metasae.steering.link import edit_to_text
from metasae.steering.sentences import listed

_SHOWN = 6
"""Bars of a picture, and other names."""

_CONTEXTS = 5
"""Contexts that are shown."""

_FEW = 0.01
"""Share of all latents up to which those that fire are few."""


def sentence(bench: Bench) -> str:
    """A sentence that says nothing of the source but its name."""
    return f"She flew to {bench.source} last week."


def fires(bench: Bench, progress: Progress) -> Found:
    """How many latents fire on the source's name."""
    typed = sentence(bench)
    at = name_position(bench.lab.model, typed, bench.source)
    firing = bench.explorer.firing_on(bench.lab.n_latents, typed)
    here = firing[firing["position"] == at]
    own = firing[firing["latent"] == bench.latent].set_index("position")["activation"]
    tokens = bench.lab.model.prompt_tokens(typed)
    row = tuple(
        (bench.lab.model.decode(token), float(own.get(place, 0.0)))
        for place, token in enumerate(tokens)
        if place
    )
    bars = tuple(
        Bar(bench.named(int(latent)), float(value), text=f"{value:.1f}")
        for latent, value in zip(here["latent"], here["activation"], strict=True)
    )
    total = bench.lab.n_latents
    few = 0 < len(here) <= max(_FEW * total, 1)
    answer = f"{len(here)} of {total:,} latents fire on “{bench.source}”"
    answer += f"; the strongest is {bars[0].name}." if bars else "."
    each = len(firing) / max(1, len(tokens) - 1)
    more = f"Over the whole sentence {each:.1f} fire on a token. "
    more += (
        "A latent is silent nearly everywhere: the SAE writes what the model holds about a word as "
        "a sum of these few."
        if few
        else "That is not few: this SAE does not write what the model holds as a sum of a few."
    )
    return Found(
        holds=few,
        answer=answer,
        more=more,
        before=Texts((Snippet(row, "", drawn=False),)),
        after=Bars("activation (residual-stream units)", bars[:_SHOWN]) if bars else None,
        place=Place("latents", {"q": typed, "token": str(at)}),
    )


def where(bench: Bench, progress: Progress) -> Found:
    """What the texts have in common that the source's latent fires on."""
    page = bench.page
    place = Place("latents", {"latent": str(bench.latent)})
    evidence = page.evidence
    text = None if evidence is None else bench.explorer.text(None, progress)
    if evidence is None or text is None:
        return Found(
            holds=False,
            answer="Nobody has collected yet where the latents of this SAE fire.",
            more="The command `describe` does, from a text; then this step can be taken.",
            place=place,
        )
    snippets = page.snippets(text)
    real = [one for one in snippets if not one.written] or list(snippets)
    about = [one for one in snippets if bench.source in "".join(token for token, _ in one.tokens)]
    share = len(about) / max(1, len(snippets))
    label = bench.explorer.scored(page.kind, bench.latent)
    named = f"Its label, “{label.label}”, "
    if label.f1 is None:
        named += "was not scored."
    else:
        named += (
            f"tells contexts it was not made from with an F1 of {label.f1:.2f}"
            + (", too little to be called clear." if label.unclear else ".")
            + (
                f" The one word it fires on most has {label.f1_one_word:.2f}."
                if label.f1_one_word is not None
                else ""
            )
        )
    return Found(
        holds=share >= 0.5,
        answer=f"{len(about)} of its {len(snippets)} kept contexts name {bench.source}; it fires "
        f"on {evidence.density(bench.latent):.2%} of {evidence.tokens:,} tokens.",
        more=named + _written(snippets),
        before=Texts(tuple(real[:_CONTEXTS])),
        place=place,
    )


def _written(snippets: tuple[Snippet, ...]) -> str:
    written = sum(one.written for one in snippets)
    if not written:
        return ""
    return (
        f" {written} of the contexts are sentences that were written for training and say nothing "
        "but names; the ones shown are of real text where there is some."
    )


def whose(bench: Bench, progress: Progress) -> Found:
    """On which other names the source's latent is active."""
    subject, reference = bench.experiment.source, bench.lab.reference
    own = dict(zip(subject.latents, subject.activations, strict=True))[bench.latent]
    others = reference.most_active(bench.latent, bench.source)
    share = own / (own + sum(value for _, value in others))
    count = reference.table["name"].nunique()
    bars = (
        Bar(bench.source, own, text=f"{own:.1f}"),
        *(Bar(name, value, "other", f"{value:.1f}") for name, value in others[:_SHOWN]),
    )
    besides = f"It is active on {len(others)} of {count:,} well-known names besides"
    besides += f", most on {others[0][0]}." if others else "."
    return Found(
        holds=share > 0.5,
        answer=f"{share:.0%} of its activation over all names looked at is {bench.source}'s.",
        more=f"{besides} " + (
            "More than half is one name's: it is called that name's own here."
            if share > 0.5
            else "Less than half is: it is no latent of this name alone."
        ),
        after=Bars("activation on the name (mean over neutral contexts)", bars),
        place=Place("latents", {"q": sentence(bench)}),
    )  # fmt: skip


def swapped(bench: Bench, progress: Progress) -> Found:
    """What changes when the source's latents give way to the target's."""
    edit = LatentSwap(options=EditOptions(position="all"))
    outcome = bench.experiment.apply(edit)
    moved = [name for name, one in outcome.moved.items() if one]
    count = len(outcome.moved)
    return Found(
        holds=bool(moved),
        answer=(
            f"{len(moved)} of {count} lead with {bench.target}'s answer now: {listed(moved)}."
            if moved
            else f"None of {count}: no answer of {bench.target}'s leads now that did not before."
        ),
        more=outcome.sentence,
        before=bench.experiment.apply(NO_EDIT),
        after=outcome,
        place=Place("steer", {"edit": edit_to_text(edit)}),
    )


def left(bench: Bench, progress: Progress) -> Found:
    """How much of what the model holds about the name is in none of its latents."""
    typed = sentence(bench)
    model, sae = bench.lab.model, bench.lab.decomposition.sae
    at = name_position(model, typed, bench.source)
    resid = model.residual(torch.tensor([model.prompt_tokens(typed)]))[0, at][None]
    acts = sae.encode(resid)
    error = float((resid - sae.decode(acts)).square().sum())
    share = error / float((resid - sae.b_dec).square().sum())
    count = int((acts > 0).sum())
    return Found(
        holds=share > 0.01,
        answer=f"{share:.0%} of it is in none of them.",
        more="Squared lengths, from the SAE's own origin. What is left is called the SAE's error. "
        "The workbench keeps it when it edits, unless it is told not to.",
        after=Bars(
            f"share of what the model holds on “{bench.source}”",
            (
                Bar(f"in {count} latents", 1 - share, text=f"{1 - share:.0%}"),
                Bar("in none of them", share, "other", f"{share:.0%}"),
            ),
            most=1.0,
            percent=True,
        ),
        place=Place("latents", {"q": typed, "token": str(at)}),
    )


LESSON = Lesson(
    name="latent",
    number=1,
    title="What is a latent?",
    learnt="What fires on a word, where else it fires, and what the model does without it.",
    steps=(
        Step(
            "A word and what fires on it",
            "The model reads a sentence. Before block {block} of {blocks} an **SAE** writes what "
            "the model holds about each word with some of its {latents} directions, its "
            "**latents**. In colour: where the one that is edited as {source} fires.",
            "How many of the {latents} fire on “{source}”: about one, about ten, or hundreds?",
            "Few latents fire on a word.",
            fires,
        ),
        Step(
            "Where it fires",
            "Take the strongest latent that counts as {source}'s own. Here it is in text.",
            "What do these places have in common? How would you call the latent?",
            "Most places where the latent fires name {source}.",
            where,
        ),
        Step(
            "Whose it is",
            "The same latent on other names: cities, people, animals, things.",
            "Is it {source}'s alone? On which other names would you look for it?",
            "Most of the latent's activation on names is on {source}.",
            whose,
        ),
        Step(
            "What the model does without it",
            "Four questions about {source}, and the model's answers as it is. Now all that is "
            "active on the name is set to 0, and what is active on {target} put in its place.",
            "Which of the four answers become {target}'s?",
            "With other latents in their place, the model answers otherwise.",
            swapped,
        ),
        Step(
            "What no latent says",
            "The sum of the latents is not quite what the model held about the word.",
            "How much of it do they leave out: a hundredth, a tenth, more?",
            "The latents leave something out.",
            left,
        ),
    ),
)
