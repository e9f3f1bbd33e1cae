"""The house stands: what may import what, what is never loaded, what the README promises."""

from __future__ import annotations

import ast
import graphlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LIBRARY_FOLDER = ROOT / "metasae"
LIBRARY = sorted(LIBRARY_FOLDER.rglob("*.py"))
APP = sorted([*(ROOT / "workbench").rglob("*.py"), *(ROOT / "pages").rglob("*.py")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_name(path: Path) -> str:
    """``metasae/data/x.py`` as ``metasae.data.x``; a package's ``__init__`` as the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.Module, importer: str, is_package: bool = False) -> Iterator[str]:
    """Every dotted name imported anywhere in the module, functions included, made absolute.

    ``from a import b`` gives ``a.b``, since b may be a module; a caller that knows better trims.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = importer.split(".")
                above = above[: len(above) - node.level + is_package]
                base = ".".join([*above, *([base] if base else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_of(path: Path) -> set[str]:
    return set(imported(parsed(path), module_name(path), path.name == "__init__.py"))


def cycle(sources: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring, or [] when each imports only from those above."""
    edges: dict[str, set[str]] = {}
    for name, targets in sources.items():
        edges[name] = set()
        for target in targets:
            while target and target not in sources:
                target = target.rpartition(".")[0]
            if target and target != name:
                edges[name].add(target)
    try:
        graphlib.TopologicalSorter(edges).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "version"),
    ("progress",),
    ("sources",),
    ("lm",),
    ("text",),
    ("saes",),
    ("training", "steering"),
    ("lab",),
    ("search", "explorer"),
    ("studies",),
    ("lessons", "ravel"),
    ("release", "exports"),
    ("cli",),
)
"""The parts of ``metasae``, from the ground up; parts on one floor do not know each other."""


def upward(importer: str, targets: set[str]) -> list[str]:
    """What a module imports from its own floor's other parts or from above."""
    height = {part: number for number, floor in enumerate(FLOORS) for part in floor}
    mine = importer.split(".")[1] if "." in importer else ""
    wrong = []
    for target in sorted(targets):
        root, _, rest = target.partition(".")
        part = rest.partition(".")[0]
        if (
            root == "metasae"
            and part in height
            and mine in height
            and mine != part
            and (height[part] >= height[mine])
        ):
            wrong.append(target)
    return wrong


def unpickling(tree: ast.Module, importer: str = "x") -> list[str]:
    """What in the module could run code from a file: pickle's family, torch.load, NumPy, pandas."""
    found = [
        f"import {name}"
        for name in imported(tree, importer)
        if name.split(".")[0] in UNPICKLERS or name in ("torch.load", "pandas.read_pickle")
    ]
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        call = ast.unparse(node.func)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if (
            (call == "torch.load" and given.get("weights_only") != "True")
            or node.func.attr == "read_pickle"
            or given.get("allow_pickle", "False") != "False"
        ):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("path", [*LIBRARY, *APP], ids=module_name)
def test_no_exceptions_name_is_said_to_a_person(path: Path) -> None:
    """The name of a library's exception means nothing to who reads the sentence."""
    assert "type(error).__name__" not in path.read_text(encoding="utf-8")


def test_there_is_something_to_look_at() -> None:
    names = {module_name(path) for path in LIBRARY}
    assert {"metasae.sources.presets", "metasae.lm.language_model"} <= names


@pytest.mark.parametrize("path", LIBRARY, ids=module_name)
def test_library_imports_neither_streamlit_nor_the_app(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports_of(path)}
    assert not roots & {"streamlit", "workbench", "pages"}


def test_importing_the_library_does_not_bring_streamlit() -> None:
    check = "import sys, metasae, metasae.lab; assert 'streamlit' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_library_modules_do_not_import_each_other_in_a_ring() -> None:
    assert cycle({module_name(path): imports_of(path) for path in LIBRARY}) == []


def test_every_part_of_the_library_stands_on_a_floor() -> None:
    parts = {module_name(path).split(".")[1] for path in LIBRARY if path.parent != LIBRARY_FOLDER}
    alone = {path.stem for path in LIBRARY_FOLDER.glob("*.py")} - {"__init__", "__main__"}
    assert parts | alone == {part for floor in FLOORS for part in floor}


@pytest.mark.parametrize("path", LIBRARY, ids=module_name)
def test_each_floor_imports_only_from_those_below_it(path: Path) -> None:
    assert upward(module_name(path), imports_of(path)) == []


@pytest.mark.parametrize("path", [*LIBRARY, *APP], ids=module_name)
def test_nothing_is_unpickled(path: Path) -> None:
    assert unpickling(parsed(path), module_name(path)) == []


def test_the_checks_above_find_what_they_look_for() -> None:
    tree = ast.parse(
        "import torch, numpy as np\n"
        "from pickle import loads\n"
        "torch.load('a')\n"
        "torch.load('a', weights_only=False)\n"
        "torch.load('a', weights_only=True)\n"
        "np.load('a')\n"
        "np.load('a', allow_pickle=True)\n"
    )
    assert unpickling(tree) == [
        "import pickle.loads",
        "line 3: torch.load('a')",
        "line 4: torch.load('a', weights_only=False)",
        "line 7: np.load('a', allow_pickle=True)",
    ]
    relative = ast.parse("from . import a\nfrom .b import c\nfrom .. import d\n")
    assert list(imported(relative, "p.q.r")) == ["p.q.a", "p.q.b.c", "p.d"]
    assert list(imported(relative, "p.q", is_package=True)) == ["p.q.a", "p.q.b.c", "p.d"]
    chain = {"p": set(), "p.a": {"p.b.name"}, "p.b": {"p.c"}, "p.c": {"torch"}}
    assert cycle(chain) == []
    assert set(cycle(chain | {"p.c": {"p.a"}})) == {"p.a", "p.b", "p.c"}
    assert upward("metasae.lm.x", {"torch", "metasae.sources.files.sha256", "metasae.lm.y"}) == []
    assert upward("metasae.lm.x", {"metasae.lab.lab"}) == ["metasae.lab.lab"]
    assert upward("metasae.training.x", {"metasae.steering.edits"}) == ["metasae.steering.edits"]


def commands() -> dict[str, str]:
    """The README's marked commands by name, line continuations joined."""
    found = re.findall(r"<!-- command: (\w+) -->\s*```\w*\n(.*?)\n```", README, flags=re.DOTALL)
    assert [name for name, _ in found] == ["open", "test"]
    return {name: text.replace("\\\n", " ") for name, text in found}


def test_readme_commands_are_one_line_and_name_what_exists() -> None:
    for command in commands().values():
        assert "\n" not in command
        steps = [step.split() for step in command.split("&&")]
        assert steps[0] == ["python3", "-m", "venv", ".venv"]
        assert steps[1][:4] == [".venv/bin/pip", "install", "-r", "requirements.txt"]
        for word in (word for step in steps for word in step[1:]):
            if "." in word and word != ".venv" and not word.startswith("'"):
                assert (ROOT / word).is_file(), word
    assert commands()["open"].endswith(".venv/bin/streamlit run workbench/app.py")
    assert "-e '.[test]'" in commands()["test"] and commands()["test"].endswith(".venv/bin/pytest")


def test_readme_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#\s]+)\)|src=\"([^\"]+)\"", README)
    local = [a or b for a, b in links if "://" not in (a or b)]
    assert [link for link in local if not (ROOT / link).exists()] == []


def test_ci_runs_the_readme_command() -> None:
    script = ROOT / ".ci" / "run"
    assert "<!-- command: test -->" in script.read_text(encoding="utf-8")
    assert os.name == "nt" or os.access(script, os.X_OK)


def pins() -> dict[str, Requirement]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    assert lines.pop() == "-e ."
    return {canonicalize_name(pin.name): pin for pin in map(Requirement, lines)}


def test_every_dependency_is_pinned_inside_its_bounds() -> None:
    needs = {
        canonicalize_name(need.name): need
        for need in map(Requirement, PYPROJECT["project"]["dependencies"])
    }
    del needs[canonicalize_name("pip")]  # whichever the virtual environment came with
    assert set(pins()) == set(needs)
    for name, pin in pins().items():
        assert pin.name == name
        (exact,) = pin.specifier
        assert exact.operator == "==" and needs[canonicalize_name(name)].specifier.contains(
            exact.version
        ), name
    extras = PYPROJECT["project"]["optional-dependencies"]
    for need in map(Requirement, [*extras["test"], *extras["docs"]]):
        assert [part.operator for part in need.specifier] == ["=="], need.name


def test_shipped_evidence_stays_small() -> None:
    files = [path for path in (ROOT / "metasae/data/evidence").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".parquet", ".json"}
    assert sum(path.stat().st_size for path in files) <= 6e6


def test_shipped_weights_stay_small() -> None:
    sizes = {p: p.stat().st_size for p in (ROOT / "metasae/weights").rglob("*") if p.is_file()}
    assert sum(sizes.values()) <= 90e6
    assert [path.name for path, size in sizes.items() if size > 45e6] == []
    assert not {path.suffix for path in sizes} & {".pt", ".pth", ".bin", ".pkl", ".pickle", ".npy"}


TESTS = ROOT / "tests"

SMALL = 30
"""Lines up to which a module needs no file of tests of its own."""

TESTED_THROUGH: dict[str, tuple[str, ...]] = {
    # Commands have no logic of their own: they are called as a person calls them.
    "cli/test_bounds.py": ("cli/arguments", "cli/main"),
    "cli/test_cli.py": ("cli/cities",),
    # Opening models of other families end to end, from the hub or a person's own folder.
    "lm/test_fused_blocks.py": ("lm/blocks",),
    "lm/test_other_models.py": ("lab/first_use", "sources/hub"),
    "sources/test_presets.py": ("sources/user_presets",),
    "test_public.py": ("__init__",),
    # Values that only mean something in the hands of the module they are made for.
    "explorer/test_graph.py": ("explorer/graph_chart", "explorer/graph_files"),
    "exports/test_code.py": (
        "exports/scripts/edit",
        "exports/scripts/with_transformers",
        "exports/scripts/with_transformer_lens",
        "exports/scripts/with_nnsight",
    ),
    "exports/test_neuronpedia_features.py": ("exports/scripts/upload_features",),
    "exports/test_to_huggingface.py": ("exports/model_card",),
    "lab/test_lab.py": ("lab/meta_cards",),
    "release/test_measure.py": ("release/pair_table",),
    "saes/test_formats.py": ("sources/releases",),
    "search/test_estimate.py": ("search/estimator",),
    "search/test_job.py": ("search/job_files", "search/summary"),
    "training/test_base_sae.py": ("training/residuals",),
}
"""Files of tests → the modules without one of their own that they test."""

REACHED_BY = {
    "cli/arguments": "--source-latents",
    "cli/cities": "city",
    "exports/scripts/upload_features": "upload_features.py",
    "exports/scripts/with_nnsight": "with_nnsight.py",
    "exports/scripts/with_transformer_lens": "with_transformer_lens.py",
    "exports/scripts/with_transformers": "with_transformers.py",
    "lab/meta_cards": "meta_card",
    "lm/blocks": "blocks",
    "release/pair_table": "tokyo_paris",
}
"""Of those the modules that are not imported there → the word that leads to them: typed after
``metasae``, a method, or a key of the report."""

ACROSS = {"cli/test_cli", "cli/test_bounds", "lm/test_other_models", "test_public"}
"""Files of tests about no single module."""


def mirror(path: Path) -> str:
    """Where the tests of a module belong, below ``tests/metasae``."""
    below = path.relative_to(LIBRARY_FOLDER)
    return below.with_name(f"test_{below.name}").as_posix()


def test_every_module_has_its_file_of_tests() -> None:
    through = {one for modules in TESTED_THROUGH.values() for one in modules}
    alone = set()
    for path in LIBRARY:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > SMALL and not (TESTS / "metasae" / mirror(path)).exists():
            alone.add(path.relative_to(LIBRARY_FOLDER).with_suffix("").as_posix())
    assert alone - through == set(), "without tests"
    assert through - alone == set(), "no longer exceptions"
    assert [name for name in TESTED_THROUGH if not (TESTS / "metasae" / name).exists()] == []


def leads_to(tree: ast.Module, module: str) -> bool:
    """Whether a file of tests imports a module of the library or uses the word that leads there."""
    whole = ".".join(("metasae", *module.split("/"))).removesuffix(".__init__")
    if module not in REACHED_BY:
        return any(f"{name}.".startswith(f"{whole}.") for name in imported(tree, "x"))
    word = REACHED_BY[module]
    return any(
        (isinstance(node, ast.Constant) and node.value == word)
        or (isinstance(node, ast.Attribute) and node.attr == word)
        for node in ast.walk(tree)
    )


@pytest.mark.parametrize(
    ("name", "module"), [(name, one) for name, all_of in TESTED_THROUGH.items() for one in all_of]
)
def test_a_file_that_tests_other_modules_leads_to_them(name: str, module: str) -> None:
    assert leads_to(parsed(TESTS / "metasae" / name), module)


def test_no_way_to_a_module_is_left_over() -> None:
    assert set(REACHED_BY) <= {one for modules in TESTED_THROUGH.values() for one in modules}


def test_every_file_of_tests_is_a_modules() -> None:
    modules = {mirror(path) for path in LIBRARY} | {f"{name}.py" for name in ACROSS}
    files = (TESTS / "metasae").rglob("test_*.py")
    names = {path.relative_to(TESTS / "metasae").as_posix() for path in files}
    assert names - modules == set()


def test_the_app_is_reachable_from_this_machine_only() -> None:
    config = tomllib.loads((ROOT / "workbench/.streamlit/config.toml").read_text(encoding="utf-8"))
    assert config["server"]["address"] in ("localhost", "127.0.0.1")
    assert config["server"].get("enableXsrfProtection", True) is True
    assert config["server"].get("enableCORS", True) is True
    assert config["browser"]["gatherUsageStats"] is False


def test_no_library_reports_what_is_opened() -> None:
    check = (
        "import metasae; from huggingface_hub import constants as hub; "
        "assert hub.HF_HUB_DISABLE_TELEMETRY"
    )
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)


def test_no_page_asks_another_server() -> None:
    """A guest could have it ask addresses that this machine alone reaches."""
    named = {
        module_name(path) for path in APP
        if any(name.startswith("metasae.explorer.label_server") for name in imports_of(path))
    }  # fmt: skip
    assert named == set()


def test_in_the_app_presets_are_found_where_it_is_asked_who_may() -> None:
    finders = {"find_preset", "preset_of", "read_preset"}
    named = {
        module_name(path) for path in APP
        if {name.rpartition(".")[2] for name in imports_of(path)} & finders
    }  # fmt: skip
    assert named == {"workbench.visitor"}


def test_one_module_alone_writes_tables_as_csv() -> None:
    """It keeps what people wrote from being taken for formulas; who writes rows asks it of each."""
    writing = {"to_csv", "writer", "DictWriter"}
    writers = {
        module_name(path) for path in [*LIBRARY, *APP]
        if any(isinstance(node, ast.Attribute) and node.attr in writing
               for node in ast.walk(parsed(path)))
    }  # fmt: skip
    assert writers == {"metasae.sources.spreadsheets", "metasae.search.export"}
    rows = imports_of(LIBRARY_FOLDER / "search" / "export.py")
    assert "metasae.sources.spreadsheets.cell" in rows


def undescribed(tree: ast.Module) -> list[str]:
    """Pictures on a page without words for who doesn't see them."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        f"line {node.lineno}: {ast.unparse(node.func)}"
        for node in calls
        if isinstance(node.func, ast.Attribute)
        and node.func.attr in ("altair_chart", "vega_lite_chart")
        and not any(
            keyword.arg == "alt" and not isinstance(keyword.value, ast.Constant)
            for keyword in node.keywords
        )
    ]


@pytest.mark.parametrize("path", APP, ids=module_name)
def test_every_picture_has_words(path: Path) -> None:
    assert undescribed(parsed(path)) == []


def test_a_picture_without_words_is_found() -> None:
    tree = ast.parse(
        "st.altair_chart(a)\nst.vega_lite_chart(a, alt=None)\nst.altair_chart(a, alt=b)"
    )
    assert undescribed(tree) == ["line 1: st.altair_chart", "line 2: st.vega_lite_chart"]


def test_every_word_of_the_hosts_settings_is_explained() -> None:
    from workbench import allowed

    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    for word in (allowed.ALLOW, allowed.FOLDER, allowed.PASSWORD, allowed.READ_ONLY):
        assert word in page
    for right in allowed.Right:
        assert f"`{right}`" in page
    assert "docs/security.md" in README


def first_line(path: Path) -> str:
    return (ast.get_docstring(parsed(path)) or "").split("\n")[0]


def listed_files() -> str:
    """The library's and the app's modules with the first line of each, as a Markdown list."""
    lines = []
    for folder in sorted({path.parent for path in [*LIBRARY, *APP]}):
        inside = [path for path in [*LIBRARY, *APP] if path.parent == folder]
        head = next((first_line(path) for path in inside if path.name == "__init__.py"), "")
        lines.append(f"\n**`{folder.relative_to(ROOT)}/`** {head}".rstrip() + "\n")
        lines += [f"- `{path.name}`: {first_line(path)}" for path in inside if path.stem[0] != "_"]
    return "\n".join(lines) + "\n"


def test_the_plan_of_the_house_names_every_file() -> None:
    """Set METASAE_WRITE_PLAN=1 to write the list anew."""
    plan = ROOT / "docs" / "architecture.md"
    text, mark, files = plan.read_text("utf-8").partition("when they differ -->\n")
    if os.environ.get("METASAE_WRITE_PLAN"):
        plan.write_text(text + mark + listed_files(), "utf-8")
        files = listed_files()
    assert files == listed_files(), "write it anew: METASAE_WRITE_PLAN=1 pytest tests/test_house.py"


@pytest.mark.parametrize("path", [*LIBRARY, *APP], ids=module_name)
def test_every_module_says_its_purpose_in_a_line(path: Path) -> None:
    assert first_line(path).endswith((".", "?", "…")), f"{module_name(path)}: {first_line(path)!r}"


@pytest.mark.parametrize("path", APP, ids=module_name)
def test_no_module_of_the_app_is_long(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 350
