"""The library's public face: lazy, complete, and quick to import."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import metasae
import metasae.search.exhaustive

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", metasae.__all__)
def test_every_public_name_is_what_its_module_defines(name: str) -> None:
    value = getattr(metasae, name)
    if name == "search":
        # The package of that name is the search when it is called.
        assert value is importlib.import_module("metasae.search") and callable(value)
    else:
        assert value is getattr(importlib.import_module(metasae._HOMES[name]), name)


def test_what_is_promised_is_there() -> None:
    promised = {
        "open_lab", "find_preset", "Lab", "Experiment", "Edit", "Outcome", "search", "open_sae",
        "open_directions", "Decomposition", "train_meta_sae", "train_base_sae", "TrainConfig",
        "Explorer", "UserError", "__version__",
    }  # fmt: skip
    assert promised <= set(metasae.__all__) == set(metasae._HOMES) == set(dir(metasae))


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        metasae.nothing  # noqa: B018


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_costs_nothing() -> None:
    run("import sys, metasae; assert not {'torch', 'pandas', 'numpy'} & set(sys.modules)")


@pytest.mark.long
def test_the_search_is_the_search_whether_or_not_its_package_is_there() -> None:
    call = "try: search()\nexcept TypeError as error: print('experiment' in str(error))"
    assert run(f"from metasae import search\n{call}") == "True\n"
    assert run(f"import metasae.search.spec\nfrom metasae import search\n{call}") == "True\n"


def test_help_starts_without_torch() -> None:
    code = (
        "import sys\nfrom metasae.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    )
    printed = run(f"{code}\nassert 'torch' not in sys.modules")
    assert "COMMAND" in printed
