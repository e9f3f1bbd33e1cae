"""A setting goes into a link and comes back; what is damaged is said."""

import pytest

from metasae.sources.presets import Opened
from metasae.steering.link import LONGEST_TEXT, LinkError, steer_query
from metasae.steering.setting import Setting
from metasae.text.prompts import DEFAULT_WORDING, WORDINGS
from tests.builders import one_sentence

OTHER = next(name for name in WORDINGS if name != DEFAULT_WORDING)

MINE = Setting(
    Opened("gpt2-small", "mine"), "Ulm", "#3, #5", (1, 2), (7,), OTHER, "Ulm is", ("big", "old")
)


@pytest.mark.parametrize("setting", [Setting(), MINE, Setting(source="", target="x" * 600)])
def test_a_setting_comes_back_from_its_link(setting: Setting) -> None:
    assert Setting.from_query(steer_query(**vars(setting))) == setting


def test_nothing_said_is_the_default() -> None:
    assert Setting.from_query({}) == Setting()


def test_without_the_question_all_else_stays() -> None:
    bare = MINE.without_question()
    assert (bare.prompt, bare.answers) == ("", ())
    assert (bare.preset, bare.source, bare.target_latents) == (MINE.preset, "Ulm", (7,))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("preset", "a+b+c"), ("wording", "rude"), ("source_latents", "1,2"),
        ("target_latents", ""), ("source", "x" * (LONGEST_TEXT + 1)), ("answers", 3),
    ],
)  # fmt: skip
def test_what_is_damaged_is_said(name: str, value: str) -> None:
    with pytest.raises(LinkError) as raised:
        Setting.from_query({name: value})
    assert f'"{name}"' in one_sentence(raised)
