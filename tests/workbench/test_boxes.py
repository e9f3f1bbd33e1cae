"""What the boxes show and make of an edit, and text made safe."""

import re

from metasae.steering.edit_space import Piece
from metasae.steering.edits import NO_EDIT, EditOptions, LatentSwap, MetaLatentEdit
from workbench.steer.boxes import (
    box_name,
    is_changed,
    shown_strength,
    sorted_out,
    with_strength,
)
from workbench.text import escape, joined, plain, shorten, visible

PIECES = (
    Piece(1, "source", 0.53, 0.0),
    Piece(4, "shared", 0.46, 0.47),
    Piece(5, "target", 0.0, 0.44),
    Piece(6, "target", 0.0, 0.31),
    Piece(2, "source", 0.24, 0.0),
    Piece(3, "source", 0.12, 0.0),
    Piece(7, "target", 0.0, 0.11),
)
TITLES = {
    1: "Japan, Japanese", 2: "yen, Nikkei", 3: "words with -yo", 4: "cities",
    5: "France, French", 6: "Europe", 7: "euro",
}  # fmt: skip
BY_META = {piece.meta: piece for piece in PIECES}


def test_boxes_start_at_the_defaults() -> None:
    ticked = {piece.meta for piece in PIECES if shown_strength(NO_EDIT, piece)}
    assert ticked == {1, 2, 3, 4}


def test_a_latent_swap_shows_the_source_out_and_the_target_in() -> None:
    ticked = {piece.meta for piece in PIECES if shown_strength(LatentSwap(), piece)}
    assert ticked == {4, 5, 6, 7}


def test_one_box_changes_one_strength() -> None:
    edit = with_strength(
        MetaLatentEdit(options=EditOptions(keep_residual=True)), PIECES, BY_META[1], 0.0
    )
    assert edit == MetaLatentEdit(((1, 0.0),), options=EditOptions(keep_residual=True))
    assert with_strength(edit, PIECES, BY_META[1], 1.0) == MetaLatentEdit(
        options=EditOptions(keep_residual=True)
    )


def test_after_a_swap_the_other_boxes_stay_as_shown() -> None:
    edit = with_strength(LatentSwap(), PIECES, BY_META[2], 1.0)
    assert edit == MetaLatentEdit(((1, 0.0), (3, 0.0), (5, 1.0), (6, 1.0), (7, 1.0)))


def test_what_is_unclear_and_weak_is_folded_away() -> None:
    # The strongest of each side is at 0.53, 0.44 and 0.47: half of that is strong.
    titles = TITLES | {1: "Japan (?)", 2: "yen (?)", 3: "-yo (?)", 6: "Europe (?)"}
    folded = {}
    for side in ("source", "target", "shared"):
        members = [piece for piece in PIECES if piece.side == side]
        shown, hidden = sorted_out(members, titles.__getitem__)
        folded[side] = [[piece.meta for piece in part] for part in (shown, hidden)]
    assert folded == {
        "source": [[1], [2, 3]],
        "target": [[5, 6, 7], []],
        "shared": [[4], []],
    }
    assert sorted_out([], titles.__getitem__) == ([], [])


def test_a_box_is_changed_when_it_shows_another_strength() -> None:
    edit = MetaLatentEdit(((1, 0.0), (5, 0.5)))
    assert [piece.meta for piece in PIECES if is_changed(edit, piece)] == [1, 5]
    swapped = [piece.meta for piece in PIECES if is_changed(LatentSwap(), piece)]
    assert swapped == [1, 5, 6, 2, 3, 7]


def test_a_box_is_called_by_words_and_number() -> None:
    assert box_name("Japan, Japanese", 12) == "Japan, Japanese (meta-latent 12)"
    assert box_name("meta-latent 12", 12) == "meta-latent 12"


def test_a_name_is_marked_only_where_markdown_would_act() -> None:
    for words in ("cities (?)", "U.S. states, 20–30 %", "words with -yo", "St. John's / a + b"):
        assert plain(words) == words
    acting = {
        "*a* _b_ `c`": r"\*a\* \_b\_ \`c\`",
        "[d](e) $f$ ~g~": r"\[d\]\(e\) \$f\$ \~g\~",
        ":red[h]: i": r"\:red\[h\]: i",
        "<b>&amp; c@d": r"\<b\>\&amp; c\@d",
        "# one": r"\# one",
        "2. two": r"2\. two",
        "- three": r"\- three",
    }
    assert {words: plain(words) for words in acting} == acting


def test_nothing_in_a_token_is_markdown() -> None:
    nasty = "*a* _b_ `c` [d](e) $f$ :red[g] ~h~ <b>i</b> #j https://k.l a@b.c\n- m"
    escaped = escape(nasty)
    assert "\n" not in escaped
    assert not re.search(r"(?<!\\)[*_`\[\]()$:~<>#\-.@/]", escaped)
    assert escaped.replace("\\", "") == nasty.replace("\n", " ")


def test_white_space_in_tokens_is_seen() -> None:
    assert visible(" Japan") == "␣Japan"
    assert visible("\n\n") == "⏎⏎"
    assert visible("a\x00b") == "a�b"
    assert visible("") == "∅"


def test_lists_and_lengths() -> None:
    assert joined([]) == "" and joined(["a"]) == "a" and joined(["a", "b", "c"]) == "a, b and c"
    assert shorten("abcdef", 4) == "abc…" and shorten("abc", 4) == "abc"
