"""Inputs nobody should send: what is valid, changed by a seeded draw; texts of every script.

The same seed gives the same cases. A change is small, so that much of what is valid stays and the
case reaches what is behind the first check.
"""

import copy
import json
import random
from collections.abc import Sequence
from typing import Any

SCRIPTS = (
    "東京", "Москва", "Αθήνα", "القاهرة", "ירושלים", "दिल्ली", "กรุงเทพ", "서울", "Łódź", "São Paulo",
    "Zu\u0308rich", "İstanbul", "ﬁnland", "👩‍👩‍👧‍👦", "🇯🇵🏙️", "\u202eoykoT\u202c", "To\u200bkyo",
    "e\u0301" * 40,
    "“Paris”", "«Paris»", "‘Paris’", '"Paris"', "'Paris'", "`Paris`", "Tokyo's",
    "𝕿𝖔𝖐𝖞𝖔", "Ｔｏｋｙｏ",
)  # fmt: skip
"""Scripts, emoji, what is written from right to left or combined, and quotation marks: all of it is
input like any other."""

MARKUP = (
    "<script>alert(1)</script>", "**bold**", "$x^2$", ":material/home:", ":red[x]", "[a](http://b)",
    "# Tokyo", "| a | b |", "&amp;", "{0}", "%s", "%00", "%ff", "%E2%28", "\\", "\\u0000", "a\nb",
    "\t", " ", "", "\x1b[31m", "\x07", "\ufeff", "\x00", "\ud800", "\u2028",
)  # fmt: skip
"""What other programs would read as more than letters."""

NUMBERS = (
    "-1", "0", "-0", "1.5", "1e400", "nan", "inf", "-inf", "1" + "0" * 30, "9" * 400, "½", "٣", "³",
    "1_000", "+1", " 1 ", "0x10", "1e3", "1,000", "#1", "#", "#-1", "#1,#2", "#999999999",
)  # fmt: skip

PLACES = (
    "../../etc/passwd", "/etc/passwd", "/dev/null", "/dev/zero", "/proc/self/mem", "~", "~nobody/x",
    ".", "..", "x" * 300, "/", "C:\\x", "hf:none/of-this", "gpt2-small-res-jb:none", "nothing.json",
)  # fmt: skip
"""Where nothing is to be read from or written to."""

ODD = (
    *SCRIPTS,
    *MARKUP,
    *NUMBERS,
    *PLACES,
    "x" * 5000,
    "a,b," * 50,
    "=",
    "a=b",
    ":",
    "~",
    "_",
    "+",
)

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 10**30, -(10**30), 1e308, float("nan"), float("inf"), "", [], {},
    [[]], {"": {}}, [None], "1", ["a"], {"a": 1}, [1, 2, 3],
)  # fmt: skip
"""JSON of other kinds than what stands there."""


def text(draw: random.Random, valid: str) -> str:
    """A text with one change."""
    odd = draw.choice(ODD)
    at = draw.randrange(len(valid) + 1)
    end = draw.randint(at, len(valid))
    return draw.choice([
        odd, odd, odd,
        valid[:at] + odd + valid[at:],
        valid[:at] + valid[end:],
        valid[:end] + valid[at:],
        valid[:at],
        valid * 200,
        valid[::-1],
        valid.swapcase(),
    ])  # fmt: skip


def query(draw: random.Random, valid: dict[str, str], names: Sequence[str]) -> dict[str, str]:
    """A link's parameters with one to three changes.

    Args:
        names: parameters it may have.
    """
    made = dict(valid)
    for _ in range(draw.randint(1, 3)):
        name = draw.choice([*made, *names])
        if draw.random() < 0.1:
            made.pop(name, None)
        elif draw.random() < 0.05:
            made[text(draw, name)[:50]] = draw.choice(ODD)
        else:
            made[name] = text(draw, made.get(name, ""))
    # The address bar knows neither half a surrogate pair nor endless texts.
    return {
        name.encode("utf-8", "replace").decode(): value.encode("utf-8", "replace").decode()
        for name, value in made.items()
    }


def words(draw: random.Random, valid: Sequence[str]) -> list[str]:
    """A command with one or two changes. As in a shell, no word holds a zero character."""
    made = list(valid)
    for _ in range(draw.randint(1, 2)):
        at = draw.randrange(1, len(made)) if len(made) > 1 else 0
        option, equals, value = made[at].partition("=")
        change = draw.random()
        if change < 0.6:
            made[at] = f"{option}={text(draw, value)}" if equals else text(draw, made[at])
        elif change < 0.7:
            del made[at]
        elif change < 0.8:
            made.insert(at, made[at])
        else:
            made.insert(draw.randrange(1, len(made) + 1), draw.choice(ODD))
        made = made or list(valid)
    return [word.replace("\x00", "") for word in made]


def values(draw: random.Random, valid: Any) -> Any:
    """JSON-able values with one change somewhere in them."""
    made = {"": copy.deepcopy(valid)}
    holder: Any = made
    key: Any = ""
    while isinstance(holder[key], dict | list) and holder[key] and draw.random() < 0.8:
        holder = holder[key]
        key = draw.choice(list(holder)) if isinstance(holder, dict) else draw.randrange(len(holder))
    change = draw.random()
    if change < 0.15:
        del holder[key]
    elif change < 0.25 and isinstance(holder, dict):
        holder[draw.choice(ODD)] = holder.pop(key)
    elif change < 0.35:
        holder[key] = [holder[key]] * draw.choice([1, 3])
    elif change < 0.65 and isinstance(holder[key], str):
        holder[key] = text(draw, holder[key])
    else:
        holder[key] = draw.choice(VALUES)
    return next(iter(made.values()), None)


def content(draw: random.Random, valid: bytes) -> bytes:
    """The bytes of a file, cut short, flipped, doubled, or something else altogether."""
    at = draw.randrange(len(valid))
    flipped = bytearray(valid)
    flipped[at] ^= 1 << draw.randrange(8)
    return draw.choice([
        valid[:at], valid[:at], bytes(flipped), bytes(flipped), bytes(flipped),
        valid[at:], valid + valid, b"\xef\xbb\xbf" + valid, valid.replace(b'"', b"'"),
        bytes(len(valid)), b"", b"null", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5000,
        valid.decode("utf-8", "replace").encode("utf-16"), draw.randbytes(200),
        valid.replace(b"1", b"1e999"), valid.replace(b"0", b"NaN"),
    ])  # fmt: skip


def json_content(draw: random.Random, valid: Any) -> bytes:
    """The bytes of a JSON file: its values changed, or the file itself."""
    if draw.random() < 0.3:
        return content(draw, json.dumps(valid).encode())
    return json.dumps(values(draw, valid)).encode("utf-8", "surrogatepass")
