"""Training sentences that say nothing of a name but the name, each list's names equally often.

A causal model's residual stream on a name depends on the name and on what stands before it alone,
so with these sentences each name occurs often enough, and in contexts varied enough, for SAEs to
get a latent of its own. No sentence says what kind of thing a name is, or any fact about it.
"""

import random
from collections.abc import Iterator, Sequence

from metasae.text.document import Document

# What stands before the name varies most: in a causal model it is all that the residual stream on
# the name can depend on.
OPENINGS: tuple[str, ...] = (
    "{name}",
    "In {name}",
    "About {name}",
    "They talked about {name}",
    "She wrote a letter about {name}",
    "He had never heard of {name}",
    "The history of {name}",
    "A short guide to {name}",
    "I have always liked {name}",
    "We learned a lot about {name}",
    "What do you know about {name}",
    "This chapter is about {name}",
    "Chapter 3: {name}",
    "Other examples are {other} and {name}",
    "Neither {other} nor {name}",
    "Unlike {other}, {name}",
    "The name {name}",
    "See also: {other}, {name}",
    "Today {name}",
    "In 1998, {name}",
    "For many people, {name}",
    "My uncle often spoke of {name}",
    "The picture shows {name}",
    "According to this book, {name}",
    "The story begins with {name}",
    "Her favourite is {name}",
    "On the first page you find {name}",
    "Nobody mentioned {name}",
    "Questions about {name}",
    "A song about {name}",
    "When I think of {name}",
    "News about {name}",
    "The importance of {name}",
    "As for {name}",
    "A report on {name}",
    "I dreamed of {name}",
    "Introduction to {name}",
    "Thanks to {name}",
    "Most of them prefer {name}",
    "He compared it with {name}",
)

ENDINGS: tuple[str, ...] = (
    ".",
    ", he said.",
    " again.",
    ", and much more.",
    " and so on.",
    ", of course.",
    ".",
    " at last.",
    "?",
    ", among others.",
)


def name_sentences(source: str, names: Sequence[str], count: int) -> Iterator[Document]:
    """Documents of one sentence each, some about each name.

    Args:
        source: what the documents say they are from.
        count: sentences a name, at most as many as there are openings.
    """
    for name in names:
        draw = random.Random(f"{source}/{name}")
        for opening in draw.sample(OPENINGS, count):
            begin = opening.format(name=name, other=draw.choice(names))
            yield Document(source, begin + draw.choice(ENDINGS), False)
