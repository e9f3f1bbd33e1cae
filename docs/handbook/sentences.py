"""Every sentence with which the program refuses something, read off its source.

They are the texts of `metasae.errors.UserError`, of the classes made of it, and those a page writes
with ``st.error`` itself. What a sentence puts in at run time (a path, a number) stands as its name
in italics; constants are put in.
"""

import ast
import builtins
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[2]

FOLDERS = ("metasae", "workbench", "pages")
"""Where the program's own source is, below `ROOT`."""

_ERROR = "UserError"

_MOST = 16
"""Ways one text may come out that are told apart."""

_CALLED = {"error": "why", "strerror": "why", "getattr": "value", "d_in": "so many"}
"""Names of the source that say nothing to a reader → what stands instead."""

_NO_NAMES = {*dir(builtins), "self", "shlex", "json", "torch"} - {"getattr"}
"""Names in an expression that are not what is put in."""

_DO = (
    "accept|add|ask|build|cancel|check|choose|collect|compare|compute|connect|delete|do|export|fetch|"
    "fold|give|go|install|keep|learn|leave|let|load|make|move|name|open|put|run|save|say|score|set|"
    "start|take|train|try|type|update|upload|use|wait|write"
)

_SAYS = re.compile(
    rf"(?:^|[;:,.(] |\band |\bor )(?:{_DO})\b"
    r"|so take it|measure again|did you mean|host can|can go on|must be|must have|must hold"
    r"|there are: |it has: |it takes |it may have |are for |has the .*latents 0 to"
    r"|this version opens |can be opened|goes with|go with|go together|needs --|are numbered"
    r"|of the hub write",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Sentence:
    """What the program may say.

    Attributes:
        text: as Markdown.
        package: of the module that says it, like "metasae.lab".
    """

    text: str
    package: str

    @property
    def says_what_to_do(self) -> bool:
        """Whether a reader learns from it what to do, or what would have been right."""
        return _SAYS.search(self.text) is not None


@dataclass
class Source:
    """The program's modules, and what in them texts are made of.

    Attributes:
        modules: name with dots → its syntax tree.
        errors: `_ERROR` and the names of the classes made of it.
        templates: class with a constructor of its own → the constructor.
        constants: name in capitals → its text, where all modules agree on it.
        calls: name of a function → the calls of it, each with its module's name and the function it
            stands in.
    """

    modules: Mapping[str, ast.Module]
    errors: set[str] = field(default_factory=lambda: {_ERROR})
    templates: dict[str, ast.FunctionDef] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    calls: dict[str, list[tuple[str, ast.AST, ast.Call]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for tree in self.modules.values():
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    self._note_class(node)
        seen: dict[str, set[str]] = {}
        for name, tree in self.modules.items():
            for constant, text in _constants(tree):
                seen.setdefault(constant, set()).add(text)
            for place, call in _calls(tree):
                self.calls.setdefault(_last(call.func), []).append((name, place, call))
        self.constants = {name: texts.pop() for name, texts in seen.items() if len(texts) == 1}

    def _note_class(self, node: ast.ClassDef) -> None:
        if not {_last(base) for base in node.bases} & self.errors:
            return
        self.errors.add(node.name)
        for part in node.body:
            if isinstance(part, ast.FunctionDef) and part.name == "__init__":
                self.templates[node.name] = part


def read(root: Path = ROOT) -> Source:
    """The program below a folder."""
    files = sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.py"))
    named = {".".join(path.relative_to(root).with_suffix("").parts): path for path in files}
    return Source({name: ast.parse(path.read_text("utf-8")) for name, path in named.items()})


def sentences(source: Source) -> tuple[list[Sentence], list[str]]:
    """All sentences, by package and in the order of the source.

    Returns:
        The sentences, each once a package; and the calls whose text the source doesn't tell, as
        "module: call".
    """
    found: dict[Sentence, None] = {}
    untold = []
    for error in sorted(source.errors):
        for module, place, call in source.calls.get(error, ()):
            texts = _Reader(source, module, place).said(error, call)
            if not texts:
                untold.append(f"{module}: {ast.unparse(call)}")
            found |= dict.fromkeys(Sentence(text, _package(module)) for text in texts)
    for module, place, call in source.calls.get("error", ()):
        # Most pass on what was raised.
        if ast.unparse(call.func) == "st.error":
            texts = _Reader(source, module, place).texts(call.args[0])
            found |= dict.fromkeys(Sentence(text, _package(module)) for text in texts)
    return sorted(found, key=lambda one: one.package), sorted(untold)


@dataclass(frozen=True)
class _Reader:
    """Reads texts in one function of a module.

    Attributes:
        place: the function, or the module where the text is in none.
        bound: what some of its parameters are known to be.
    """

    source: Source
    module: str
    place: ast.AST
    bound: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def said(self, error: str, call: ast.Call) -> list[str]:
        """What a call of an error's class says; nothing where the source doesn't tell."""
        if error not in self.source.templates:
            if len(call.args) != 1:
                return []
            (text,) = call.args
            if isinstance(text, ast.Name) and text.id in _parameters(self.place):
                return self._given(text.id)
            return self.texts(text)
        if len(call.args) > 1:
            return self.texts(call.args[-1])
        constructor = self.source.templates[error]
        first = constructor.args.args[1].arg
        inside = _Reader(self.source, self.module, constructor, {first: self.texts(call.args[0])})
        (made,) = [one for _, one in _calls(constructor) if _last(one.func) == "__init__"]
        (text,) = made.args
        # "sentence or …", where a sentence may be given instead.
        return inside.texts(text.values[-1] if isinstance(text, ast.BoolOp) else text)

    def texts(self, node: ast.AST) -> list[str]:
        """The ways a text may come out, as Markdown; nothing where the source doesn't tell."""
        match node:
            case ast.Constant(value=str(text)):
                return [escaped(text)]
            case ast.JoinedStr(values=parts):
                return self._joined(parts)
            case ast.FormattedValue(value=value):
                return self.texts(value) or _put_in(value)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._joined([left, right])
            case ast.IfExp(body=one, orelse=other):
                return self._either([one, other])
            case ast.BoolOp(values=values):
                return self._either(values)
            case ast.Name(id=name):
                return self._named(name)
            case ast.Call(func=ast.Name(id=name)):
                return self._returned(name)
        return []

    def _either(self, nodes: Sequence[ast.AST]) -> list[str]:
        ways = [self.texts(node) for node in nodes]
        if not any(ways):
            return []
        named = [way or _put_in(node) for way, node in zip(ways, nodes, strict=True)]
        return [text for way in named for text in way]

    def _joined(self, parts: Sequence[ast.AST]) -> list[str]:
        ways = [self.texts(part) for part in parts]
        return ["".join(way) for way in product(*ways)][:_MOST]

    def _named(self, name: str) -> list[str]:
        if name in self.bound:
            return list(self.bound[name])
        if name in self.source.constants:
            return [escaped(self.source.constants[name])]
        if name in _parameters(self.place):
            return []
        values = [
            node.value
            for node in ast.walk(self.place)
            if isinstance(node, ast.Assign) and name in map(ast.unparse, node.targets)
        ]
        if len(values) != 1 or _mentions(values[0], name):
            return []
        return self.texts(values[0])

    def _given(self, name: str) -> list[str]:
        """The texts that callers hand over for a parameter."""
        assert isinstance(self.place, ast.FunctionDef)
        names, texts = _parameters(self.place), list[str]()
        for module, place, call in self.source.calls.get(self.place.name, ()):
            given = {key.arg: key.value for key in call.keywords} | dict(
                zip(names, call.args, strict=False)
            )
            if name in given:
                texts += _Reader(self.source, module, place).texts(given[name])
        return texts

    def _returned(self, name: str) -> list[str]:
        """What a function of the same module returns, where it is a text."""
        for node in ast.walk(self.source.modules[self.module]):
            if isinstance(node, ast.FunctionDef) and node.name == name and node is not self.place:
                inside = _Reader(self.source, self.module, node)
                returns = [one for one in ast.walk(node) if isinstance(one, ast.Return)]
                returns.sort(key=lambda one: one.lineno)
                return [text for one in returns if one.value for text in inside.texts(one.value)]
        return []


def escaped(text: str) -> str:
    """A text that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", text)


def _package(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[:2] if len(parts) > 2 else parts[:1])


def _parameters(place: ast.AST) -> list[str]:
    """Names of a function's parameters; none of anything else."""
    return [one.arg for one in place.args.args] if isinstance(place, ast.FunctionDef) else []


def _mentions(value: ast.AST, name: str) -> bool:
    """Whether a value is made of what has a name."""
    return any(isinstance(one, ast.Name) and one.id == name for one in ast.walk(value))


def _last(node: ast.AST) -> str:
    """The last part of a name with dots; empty for anything else."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _calls(tree: ast.AST) -> Iterator[tuple[ast.AST, ast.Call]]:
    """Every call, with the innermost function it stands in, or the tree itself."""

    def within(node: ast.AST, place: ast.AST) -> Iterator[tuple[ast.AST, ast.Call]]:
        for part in ast.iter_child_nodes(node):
            if isinstance(part, ast.Call):
                yield place, part
            yield from within(part, part if isinstance(part, ast.FunctionDef) else place)

    return within(tree, tree)


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names in capitals that a module gives a text or a number, with it as it is written."""
    for node in tree.body:
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        target = node.targets[0]
        pairs: Iterable[tuple[ast.AST, ast.AST]] = [(target, node.value)]
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = zip(target.elts, node.value.elts, strict=False)
        for name, value in pairs:
            if (
                isinstance(name, ast.Name)
                and name.id.isupper()
                and isinstance(value, ast.Constant)
                and isinstance(value.value, str | int | float)
                and not isinstance(value.value, bool)
            ):
                is_whole = isinstance(value.value, int)
                yield name.id, f"{value.value:,}" if is_whole else f"{value.value}"


def _put_in(value: ast.AST) -> list[str]:
    """What stands in a sentence for a value of run time."""
    return [f"*{_called(value)}*"]


def _called(value: ast.AST) -> str:
    """How a value of run time is called: the outermost name that is no function's."""
    functions = {id(one.func) for one in ast.walk(value) if isinstance(one, ast.Call)}
    names = [
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(value)
        if isinstance(node, ast.Attribute | ast.Name)
        and (id(node) not in functions or ast.unparse(node) == "getattr")
    ]
    name = next((one for one in names if one not in _NO_NAMES), "…")
    return _CALLED.get(name, name).strip("_").lower().replace("_", " ")
