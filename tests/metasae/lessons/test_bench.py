"""What lessons are taught on."""

import threading
from dataclasses import replace

import pytest

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lessons.bench import Bench
from metasae.progress import Progress, silent
from metasae.steering.questions import Subject
from tests.benches import bench
from tests.small_lab import N_LATENTS, N_META, NARROW


def test_the_words_of_a_text_are_what_is_open(small_lab: Lab) -> None:
    words = bench(small_lab, "Paris", "Tokyo").words
    assert words == {
        "source": "Paris",
        "target": "Tokyo",
        "latents": str(N_LATENTS),
        "metas": str(N_META),
        "numbers": str(small_lab.model.d_model),
        "block": str(small_lab.preset.hook_layer),
        "blocks": str(small_lab.model.n_layers),
        "smaller": str(NARROW),
    }


def test_the_latent_is_the_strongest_of_the_sources(small_lab: Lab) -> None:
    made = bench(small_lab)
    source, target = (
        Subject(name, name, latents, activations)
        for name, latents, activations in (
            ("Tokyo", (3, 7, 5), (1.0, 4.0, 2.0)),
            ("Paris", (9, 2), (3.0, 1.0)),
        )
    )
    pair = made.experiment.replaced(source=source, target=target)
    there = replace(made, experiment=pair)
    assert (there.latent, there.other_latent) == (7, 9)
    assert there.page.latent == 7


def test_what_is_made_once_is_made_for_all_that_ask_together(small_lab: Lab) -> None:
    made, began, go_on = bench(small_lab), threading.Event(), threading.Event()
    calls: list[int] = []

    def slow(_: Bench, progress: Progress) -> object:
        calls.append(1)
        began.set()
        assert go_on.wait(10)
        return object()

    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(made.once(slow))) for _ in range(3)]
    for one in threads:
        one.start()
    assert began.wait(10)
    # What takes long holds up nobody who asks for something else.
    assert made.once(lambda taught, progress: taught.source) == "Tokyo"
    go_on.set()
    for one in threads:
        one.join(10)
    assert len(calls) == 1 and len(found) == 3 and len(set(map(id, found))) == 1


def test_a_failure_is_not_kept(small_lab: Lab) -> None:
    made = bench(small_lab)
    answers = iter([UserError("no"), 3])

    def tried(_: Bench, progress: Progress) -> int:
        one = next(answers)
        if isinstance(one, UserError):
            raise one
        return int(str(one))

    with pytest.raises(UserError, match="no"):
        made.once(tried, silent)
    assert made.once(tried) == 3
