"""The lessons there are, and that their texts can be read of any preset."""

import re
import sys
from pathlib import Path

import pytest

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lessons import walks
from metasae.lessons.lesson import Lesson
from metasae.lessons.registry import lesson, lessons
from tests.benches import bench

DOCS = Path(__file__).parents[3] / "docs" / "lessons.md"


def test_there_are_five_in_their_order() -> None:
    assert [one.number for one in lessons()] == [1, 2, 3, 4, 5]
    assert [one.name for one in lessons()] == ["latent", "pieces", "fact", "search", "smaller"]


def test_a_lesson_has_a_name_of_its_own_and_checks_of_its_own() -> None:
    checks = [step.check for one in lessons() for step in one.steps]
    assert len(set(checks)) == len(checks)
    for one in lessons():
        assert lesson(one.name) is one
        assert re.fullmatch(r"[a-z]+", one.name)
        assert one.minutes == 5 and 4 <= one.count <= 6


def test_a_wrong_name_is_said() -> None:
    with pytest.raises(UserError, match="There is no lesson nothing; there are: latent, pieces,"):
        lesson("nothing")


@pytest.mark.parametrize("one", lessons(), ids=lambda one: one.name)
def test_texts_name_only_what_every_bench_has(one: Lesson, small_lab: Lab) -> None:
    words = bench(small_lab).words
    for step in one.steps:
        for text in (step.text, step.question, step.claim):
            assert "{" not in text.format_map(words)
        assert step.question.endswith("?")


def test_one_file_adds_a_lesson(
    small_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that docs/lessons.md shows."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert isinstance(walks.__path__, list)
    monkeypatch.setattr(walks, "__path__", [*walks.__path__, str(tmp_path)])
    (tmp_path / "sure.py").write_text(code, encoding="utf-8")
    lessons.cache_clear()
    try:
        assert [one.name for one in lessons()][-1] == "sure"
        (step,) = lesson("sure").steps
        found = step.found(bench(small_lab))
        assert found.answer.endswith(f"of {len(bench(small_lab).experiment.questions)}.")
        assert found.shown is not None
    finally:
        lessons.cache_clear()
        sys.modules.pop(f"{walks.__name__}.sure", None)
