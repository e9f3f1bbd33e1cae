"""Two command lines on one cache: each ends well or says what the other does; nothing is torn."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from metasae.explorer.corrections import Corrections, load_corrections, save_corrections
from metasae.lab.lab import Lab
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import EMBEDDED
from metasae.studies import runs
from tests.builders import everything_below
from tests.faults.processes import ended, started

SEARCH = [
    "search", "--preset", "small", "--source", "Paris", "--target", "Tokyo", "--attributes",
    "language,currency", "--json",
]  # fmt: skip

STUDY = ["study", "rebuild", "--preset", "small", "--set=steps=6", "--set=smallest=0.5", "--json"]


@pytest.mark.long
def test_two_command_lines_share_a_cache(
    small_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    # All four at once: two of the same search, two of the same study.
    children = [started(small_lab, tmp_path, words) for words in (SEARCH, SEARCH, STUDY, STUDY)]
    first, second, *studies = [ended(child) for child in children]
    assert first[0] == second[0] == 0, first[2] + second[2]
    one, other = (json.loads(out)["patterns"] for _, out, _ in (first, second))
    assert [found["edit"] for found in one] == [found["edit"] for found in other]
    done = [json.loads(out) for code, out, _ in studies if code == 0]
    assert done and all(found["figures"] == done[0]["figures"] for found in done)
    for code, _, said in studies:
        assert code == 0 or "is under way already" in said.splitlines()[-1], said
    (run,) = runs.all_runs()
    assert run.finished and not run.is_running and run.result().figures == done[0]["figures"]
    left = [name for name in everything_below(tmp_path) if "/." in f"/{name}"]
    assert left == []


def test_who_reads_labels_while_two_save_them_sees_one_of_them_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    whole = [
        Corrections("s", "t", {"64": {str(latent): word for latent in range(300)}})
        for word in ("tea", "jazz")
    ]
    save_corrections(EMBEDDED, whole[0])

    def save(mine: Corrections) -> None:
        for _ in range(40):
            save_corrections(EMBEDDED, mine)

    with ThreadPoolExecutor(2) as pool:
        saving = [pool.submit(save, one) for one in whole]
        while not all(one.done() for one in saving):
            assert load_corrections(EMBEDDED, "s", "t") in whole
        for one in saving:
            one.result()
    assert len(everything_below(tmp_path)) == 2
