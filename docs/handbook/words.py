"""The page of the glossary, made of the words that the app explains."""

from workbench.glossary import TERMS

_HEAD = """\
# Glossary

The words of the field as the workbench explains them: on a page's head those it uses, at its foot
all of them. A *feature* is what such a thing is about, the concept itself; it is no word for a
latent here.

"""


def page() -> str:
    """The page, as Markdown."""
    return _HEAD + "\n".join(f"## {word}\n\n{meaning}\n" for word, meaning in TERMS.items())
