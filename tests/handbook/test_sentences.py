"""Every sentence is found in the source, and each says what to do or has it said."""

import ast
from typing import Any

import pytest

from docs.handbook import errors
from docs.handbook.advice import ADVICE
from docs.handbook.sentences import FOLDERS, ROOT, Sentence, Source, read, sentences


@pytest.fixture(scope="module")
def program() -> Source:
    return read()


def said(**modules: str) -> tuple[list[str], list[str]]:
    """Texts, and calls that tell none, of modules given by their source."""
    source = Source({f"metasae.lab.{name}": ast.parse(text) for name, text in modules.items()})
    found, untold = sentences(source)
    return [one.text for one in found], untold


@pytest.mark.parametrize(
    ("call", "texts"),
    [
        ('UserError("Give it.")', ["Give it."]),
        ('UserError(f"{path.name} is a*; give {n:,}.")', [r"*name* is a\*; give *n*."]),
        ('UserError(f"At most {MOST}, {LIMIT}.")', ["At most 2,000, word."]),
        ('UserError("One, " + ("two." if x else "three."))', ["One, two.", "One, three."]),
        ('UserError(f"Choose {\', \'.join(map(str, self.widths))}.")', ["Choose *widths*."]),
        ('UserError(f"Some: {names or \'none\'}.")', ["Some: *names*.", "Some: none."]),
        ('UserError(f"Damaged; {how(x)}")', ["Damaged; make it.", "Damaged; buy it."]),
        ('UserError(f"{local} it.")', ["Mend it."]),
        ('UserError(f"Can\'t read ({error.strerror}).")', ["Can't read (*why*)."]),
        ('UserError(f"It is {again}.")', ["It is *again*."]),
        ('Own("it is odd")', ["Look: it is odd."]),
        ('Own("odd", "Another sentence.")', ["Another sentence."]),
    ],
)  # fmt: skip
def test_a_text_is_read_off_its_call(call: str, texts: list[str]) -> None:
    module = (
        'MOST, LIMIT = 2000, "word"\n'
        "class Own(UserError):\n"
        "    def __init__(self, reason, sentence=''):\n"
        '        super().__init__(sentence or f"Look: {reason}.")\n'
        "def how(x):\n"
        "    if x:\n        return 'make it.'\n"
        "    return 'buy it.'\n"
        "def f(path, n, x, error, names):\n    local = 'Mend'\n    again = f'{again}!'\n"
        f"    raise {call}\n"
    )
    assert said(a=module) == (texts, [])


def test_a_text_handed_over_is_found_where_it_is_written() -> None:
    taker = "def take(path, taken):\n    raise UserError(taken)\n"
    givers = "def f(p):\n    take(p, f'{p} is taken; wait.')\n    take(p, taken='Wait.')\n"
    assert said(a=taker, b=givers) == (["*p* is taken; wait.", "Wait."], [])


def test_what_a_page_writes_itself_counts() -> None:
    page = "st.error('Type it.')\nst.error(escape(str(error)))\n_log.error('no sentence')\n"
    assert said(a=page) == (["Type it."], [])


def test_what_the_source_does_not_tell_is_named() -> None:
    assert said(a="raise UserError(str(x))") == ([], ["metasae.lab.a: UserError(str(x))"])


def raised(source: Source) -> int:
    """How many calls of an error's class there are, counted another way."""
    text = "".join(
        path.read_text("utf-8") for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")
    )
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return sum(isinstance(one.func, ast.Name) and one.func.id in source.errors for one in calls)


@pytest.mark.slow
def test_no_sentence_of_the_program_is_missing(program: Source) -> None:
    calls = sum(len(program.calls.get(error, ())) for error in program.errors)
    assert calls == raised(program) > 300
    # It passes on what a worker said, in another process: a sentence found where it was raised.
    assert sentences(program)[1] == ["metasae.lab.ray_cluster: UserError(str(error.cause))"]


def test_what_to_do_is_said_of_every_sentence(program: Source) -> None:
    silent = {one.text for one in sentences(program)[0] if not one.says_what_to_do}
    assert silent - ADVICE.keys() == set(), "say in the sentence, or in docs/handbook/advice.py"
    assert ADVICE.keys() - silent == set(), "no longer said; take it out of handbook/advice.py"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("It is damaged; delete it.", True),
        ("Give a number.", True),
        ("There is no x; did you mean y?", True),
        ("*path* can't be read.", False),
        ("There is nothing to measure.", False),
    ],
)
def test_what_says_what_to_do(text: str, says: bool) -> None:
    assert Sentence(text, "metasae.lab").says_what_to_do is says


def test_the_page_has_every_sentence_and_its_advice(program: Source) -> None:
    lines = errors.page(program).splitlines()
    found: Any = sentences(program)[0]
    assert [f"- {one.text}" for one in found] == [one for one in lines if one.startswith("- ")]
    for text, advice in ADVICE.items():
        assert lines[lines.index(f"- {text}") + 2] == f"    → {advice}"
    assert "## One preset opened { #metasae.lab }" in lines
