"""How long a person waits for a toggle of the Steer page, in a real browser.

The app is started, Chromium opens the pair the workbench opens on, and boxes are clicked one after
the other as a person would, each once the page has come to rest. Timed in the browser, from the
click to the first frame whose picture shows other numbers. How much of that is the model is
measured afterwards on the same edits, without server and browser. The server's processor time is
the kernel's account of its process, all threads, over all toggles.

    python -m benchmarks.interaction [--quick] [--json] [--memory]

With ``--memory`` instead, how much memory the server holds while one person goes on clicking for
long: ticks, other pairs, and the other pages in between.
"""

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect, sync_playwright

from benchmarks.figures import cells, parser, percentile, print_figures
from benchmarks.peer import seconds
from metasae.lab.lab import Lab, open_lab
from metasae.progress import silent
from metasae.sources.cache import cache_dir
from metasae.steering.edits import Edit
from metasae.steering.link import edit_from_text
from tests.browser.serving import Server, serving
from tests.browser.watching import CHROMIUM, FIRST_START, LOADED
from tests.own_cache import own_cache

WARM = 6
"""Toggles before the timed ones."""

PAUSE = 250
"""Milliseconds between the page's coming to rest and the next click."""

OTHERS = ("Moscow", "Cairo", "Berlin", "Rome", "Madrid", "London", "Beijing", "Athens")
"""Cities that a person who goes on for long looks at, each with each."""

PAGES = ("Latents", "Meta-latents", "Graph", "Studies", "Enumerate")
"""Pages that such a person looks at, by their links."""

TICKS, STEP = 8, 100
"""Ticks between two other moves, and interactions between two readings of the memory."""

AIMS = {"p50_ms": 250.0, "p95_ms": 600.0}

BOX = "[class*='st-key-box-'] label >> visible=true"
"""Boxes in sight: unclear ones are folded away."""

WATCH = """
() => {
  const picture = () => document.querySelector("[data-testid=stVegaLiteChart] svg")?.textContent;
  const before = picture();
  window.answered = new Promise((resolve) => {
    document.addEventListener("pointerdown", () => {
      const began = performance.now();
      const look = () => {
        const now = picture(), took = performance.now() - began;
        if (now && now !== before) resolve(took);
        else if (took > 20000) resolve(null);
        else requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    }, { capture: true, once: true });
  });
}
"""
"""Has the page time its next click: from the pointer's going down to the first frame whose picture
shows other numbers, in milliseconds."""


def toggled(page: Page, count: int, seed: int = 0) -> tuple[list[float], list[Edit]]:
    """Click boxes, seeded.

    Returns:
        Milliseconds until the numbers changed, and the edit that was then made, for each click.
    """
    draw, boxes = random.Random(seed), page.locator(BOX).count()
    waits, edits = [], []
    for _ in range(count):
        page.evaluate(WATCH)
        page.locator(BOX).nth(draw.randrange(boxes)).click()
        took = page.evaluate("window.answered")
        if took is None:
            sys.exit("A click changed no number within 20 s.")
        page.wait_for_selector(LOADED)
        page.wait_for_timeout(PAUSE)
        waits.append(float(took))
        edits.append(edit_from_text(parse_qs(urlsplit(page.url).query).get("edit", ["none"])[0]))
    return waits, edits


def ticked(page: Page, count: int, seed: int) -> None:
    """Click boxes, seeded, whether a number changes or not: an edit whose latent doesn't fire on
    the name changes none."""
    draw, boxes = random.Random(seed), page.locator(BOX).count()
    for _ in range(count):
        page.locator(BOX).nth(draw.randrange(boxes)).click()
        page.wait_for_timeout(PAUSE)
        page.wait_for_selector(LOADED)


def processor_seconds(process: int) -> float | None:
    """Processor time a process has used, all threads; None where the kernel doesn't tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(process: int) -> float | None:
    """Memory a process holds, in MB; None where the kernel doesn't tell."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def opened() -> Iterator[tuple[Server, Page]]:
    """A server, and a page of a browser on which the pair it opens on is drawn."""
    with (
        TemporaryDirectory() as scratch,
        own_cache(Path(scratch), cache_dir()) as cache,
        serving(cache, Path(scratch) / "log.txt") as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        at_rest(page, server.address)
        yield server, page
        browser.close()


def at_rest(page: Page, address: str) -> None:
    """Open the Steer page at an address and wait until all of it is drawn."""
    page.goto(address)
    picture = page.locator("[data-testid=stVegaLiteChart] svg").first
    expect(picture).to_be_visible(timeout=FIRST_START)
    page.wait_for_selector(LOADED)


def in_browser(count: int) -> dict[str, Any]:
    """Toggle in a browser; the waits, the edits, and the server's processor time a toggle."""
    with opened() as (server, page):
        toggled(page, WARM)
        before = processor_seconds(server.process)
        waits, edits = toggled(page, count)
        after = processor_seconds(server.process)
    spent = None if before is None or after is None else 1000 * (after - before) / count
    return {"waits": waits, "edits": edits, "server_cpu_ms": spent}


def memory(count: int) -> dict[str, Any]:
    """Memory of the server after every `STEP` interactions of one person, a row each."""
    pairs = [(one, other) for one in OTHERS for other in OTHERS if one != other]
    random.Random(0).shuffle(pairs)
    rows: list[dict[str, Any]] = []
    with opened() as (server, page):
        done = moves = 0
        while done < count:
            if done >= len(rows) * STEP:
                rows.append({"interactions": done, "resident_mb": resident_mb(server.process)})
            ticked(page, TICKS, seed=moves)
            page.get_by_role("link", name=PAGES[moves % len(PAGES)], exact=True).click()
            page.wait_for_timeout(PAUSE)
            page.wait_for_selector(LOADED, timeout=FIRST_START)
            source, target = pairs[moves % len(pairs)]
            at_rest(page, f"{server.address}/?v=1&source={source}&target={target}")
            done, moves = done + TICKS + 2, moves + 1
        rows.append({"interactions": done, "resident_mb": resident_mb(server.process)})
    return {"memory": rows}


def model_alone(lab: Lab, edits: list[Edit]) -> list[float]:
    """Milliseconds the same edits take without server and browser."""
    source, target = map(lab.subject, lab.opening)
    experiment = lab.experiment(source, target)
    for edit in edits[:WARM]:
        experiment.apply(edit)
    return [1000 * seconds(lambda edit=edit: experiment.apply(edit)) for edit in edits]  # type: ignore[misc]


def measure(count: int) -> dict[str, Any]:
    """Everything that is printed."""
    seen = in_browser(count)
    model = percentile(model_alone(open_lab(progress=silent), seen["edits"]), 0.5)
    figures = {
        "p50_ms": percentile(seen["waits"], 0.5),
        "p95_ms": percentile(seen["waits"], 0.95),
        "worst_ms": max(seen["waits"]),
        "model_p50_ms": model,
        "model_share": model / percentile(seen["waits"], 0.5),
        "server_cpu_ms_per_toggle": seen["server_cpu_ms"],
        "toggles": count,
        "processors": os.cpu_count(),
    }
    return figures | {
        "aims": AIMS,
        "met": all(figures[name] <= most for name, most in AIMS.items()),
    }


def main() -> None:
    """Print the figures."""
    words = parser(__doc__)
    words.add_argument("--memory", action="store_true", help="how much memory the server holds")
    arguments = words.parse_args()
    if arguments.memory:
        found = memory(200 if arguments.quick else 1000)
        print_figures(found, arguments.json, map(cells, found["memory"]))
    else:
        print_figures(measure(40 if arguments.quick else 120), arguments.json)


if __name__ == "__main__":
    main()
