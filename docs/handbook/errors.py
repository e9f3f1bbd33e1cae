"""The page of all sentences with which something is refused, and what to do about each."""

import ast
from itertools import groupby

from docs.handbook.advice import ADVICE
from docs.handbook.sentences import Source, sentences

_HEAD = """\
# Errors

Everything that goes wrong in a way you can do something about is said in one sentence, without a
traceback: on the page where it happened, or by the command line on standard error, with exit code 1
(2 for words that no command knows). These are all of them, read off the source, by the part of the
program that says them; what stands in *italics* is put in at run time. Search this page for a few
of the words you were shown. Where the sentence leaves open what to do, that stands beneath it.

`--debug` shows what caused an error, and what the libraries beneath say.
"""


def page(source: Source) -> str:
    """The page, as Markdown."""
    parts = [_HEAD]
    for package, group in groupby(sentences(source)[0], key=lambda one: one.package):
        parts.append(f"\n## {purpose(source, package)} {{ #{package} }}\n\n`{package}`\n")
        for one in group:
            said = f"\n- {one.text}"
            advice = ADVICE.get(one.text)
            parts.append(f"{said}\n\n    → {advice}\n" if advice else f"{said}\n")
    return "".join(parts)


def purpose(source: Source, package: str) -> str:
    """What a package is for: its docstring's first line, without the full stop."""
    tree = source.modules.get(f"{package}.__init__") or ast.parse('"""The pages."""')
    said = (ast.get_docstring(tree) or package).split("\n")[0]
    return said.split(":")[0].split(";")[0].rstrip(".")
