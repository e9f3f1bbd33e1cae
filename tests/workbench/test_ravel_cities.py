"""What RAVEL's edits did to pairs of cities, counted by hand, and the picture of it."""

from typing import Any

import pandas as pd

from metasae.ravel.moved import leak
from workbench.charts.ink import DARK
from workbench.charts.ravel import (
    BOTH,
    LEGEND,
    MOVED,
    NEITHER,
    PICKED,
    STAYED,
    leak_chart,
    matrix_chart,
)
from workbench.ravel.cities import pairs
from workbench.ravel.leak import in_words


def prompts(target: str, moved: str, stayed: str, differs: bool = True) -> list[dict[str, object]]:
    """One pair's prompts: a letter each, whose answer came (s, t, o)."""
    whose = {"s": "source", "t": "target", "o": "other"}
    asked = [("country", one, differs) for one in moved] + [
        ("language", one, True) for one in stayed
    ]
    return [
        {
            "source": "Tokyo", "target": target, "asked": about, "differs": different,
            "greedy": whose[letter], "choice": "source",
        }
        for about, letter, different in asked
    ]  # fmt: skip


TRIPLES = pd.DataFrame(
    [
        *prompts("Paris", "to", "sso"),
        *prompts("Lyon", "tt", "sto"),
        *prompts("Rome", "so", "ss"),
        *prompts("Cairo", "os", "oo"),
        *prompts("Osaka", "ss", "ss", differs=False),
    ]
)


def test_what_moved_and_what_stayed_is_counted() -> None:
    done: Any = pairs(TRIPLES, "country").set_index("target")
    assert done["did"].to_dict() == {
        "Paris": BOTH, "Lyon": MOVED, "Rome": STAYED, "Cairo": NEITHER, "Osaka": STAYED,
    }  # fmt: skip
    assert done.loc["Paris", ["moved", "stayed"]].tolist() == ["1 of 2", "2 of 3"]
    # Where both have the same country there is nothing to move.
    assert done.loc["Osaka", "moved"] == "0 of 0"
    # By the other rule nothing moved anywhere.
    assert set(pairs(TRIPLES, "country", "choice")["did"]) == {STAYED}


def test_the_picture_has_a_cell_a_pair_with_its_sign() -> None:
    done = pairs(TRIPLES, "country")
    spec: Any = matrix_chart(done, DARK).to_dict()
    rects, signs = spec["layer"]
    assert any(PICKED in str(one["name"]) for one in spec["params"])
    rows = spec["datasets"][signs["data"]["name"]]
    assert {row["target"]: row["sign"] for row in rows} == {
        "Paris": "✓", "Lyon": "+", "Rome": "=", "Cairo": "×", "Osaka": "=",
    }  # fmt: skip
    assert rects["encoding"]["color"]["scale"]["range"][0] == DARK.source
    assert all(f"{sign} " in LEGEND for sign in "✓+=×")


def test_what_moves_together_is_drawn_and_said() -> None:
    edits = TRIPLES.assign(method="mask", edited="country")
    leaks = leak(edits, ("country", "language"))
    leaks = leaks[leaks["rule"] == "greedy"]
    # Of 8 answers on the country that differ 3 moved, of 12 on the language 1.
    assert in_words(leaks) == "Edits for country move country 38%, language 8%."
    spec: Any = leak_chart(leaks, DARK).to_dict()
    rects, numbers = spec["layer"]
    (rows,) = spec["datasets"].values()
    assert [(row["edited"], row["asked"], row["prompts"]) for row in rows] == [
        ("country", "country", 8),
        ("country", "language", 12),
    ]
    assert rects["encoding"]["color"]["scale"]["domain"] == [0, 1]
    assert numbers["encoding"]["text"]["format"] == ".0%"
    assert rects["encoding"]["x"]["sort"] == ["country", "language"]
