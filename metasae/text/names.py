"""Well-known names of many kinds beside the cities', and when two names are one."""

from functools import cache, lru_cache

from metasae.text.cities import fold, read_rows


@cache
def load_names() -> tuple[str, ...]:
    """People, animals, foods, objects, sports, places and phrases that everybody knows.

    Without facts: a name's latents are told apart from these, as from the cities'.
    """
    return tuple(row["name"] for row in read_rows("names.csv"))


def one_line(name: str) -> str:
    """A name as it is looked up: without spaces around it, single ones inside."""
    return " ".join(name.split())


def same_name(one: str, other: str) -> bool:
    """Whether two names are one, or one ends with the other: "Einstein" and "Albert Einstein".

    Case, accents and punctuation play no part.
    """
    shorter, longer = sorted((_words(one), _words(other)), key=len)
    return bool(shorter) and longer[-len(shorter) :] == shorter


@lru_cache(maxsize=4096)
def _words(name: str) -> tuple[str, ...]:
    # What has no letters keeps its signs.
    return tuple(fold(word) or word for word in name.split())
