"""How much more work one run of RAVEL is than another: what an estimate of its time is made of."""

from metasae.errors import UserError
from metasae.progress import duration
from metasae.ravel.methods import METHODS
from metasae.ravel.study import Settings


def more_work(
    asked: Settings, seeds: int, than: Settings, than_seeds: int, attributes: int
) -> tuple[float, float]:
    """Times as much work, at least and at most.

    Facts that are asked, steps that are learned and edits that are scored each grow by their own
    factor; how the time is shared among the three is not known, so it grows by something between
    the smallest and the largest of them.

    Args:
        attributes: that are asked about.

    Raises:
        UserError: for a method there is none of.
    """
    own, other = (_amounts(*one, attributes) for one in ((asked, seeds), (than, than_seeds)))
    ratios = [mine / theirs for mine, theirs in zip(own, other, strict=True) if mine and theirs]
    return min(ratios), max(ratios)


def in_words(seconds: float, more: tuple[float, float]) -> str:
    """The time of a run, from that of an earlier one and how much more work it is."""
    least, most = (duration(seconds * one) for one in more)
    return f"about {least}" if least == most else f"{least} to {most}"


def _amounts(settings: Settings, seeds: int, attributes: int) -> tuple[float, float, float]:
    """Facts asked, steps learned, edits scored."""
    config = settings.configuration(seeds)
    for name in config.methods:
        if name not in METHODS:
            raise UserError(f'There is no method "{name}"; there are: {", ".join(METHODS)}.')
    by_attribute = sum(METHODS[name].by_attribute for name in config.methods)
    edits = by_attribute * attributes + len(config.methods) - by_attribute
    facts = config.facts
    return (
        facts.probed * facts.tried + facts.asked * facts.templates,
        seeds * config.steps * by_attribute,
        seeds * config.sources * config.targets * edits,
    )
