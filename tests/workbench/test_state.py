"""The codec of links and files, and undo."""

import contextlib
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasae.errors import UserError
from metasae.explorer.lists import Entry, Listed
from metasae.sources.presets import NAME, Opened
from metasae.steering.edits import (
    KINDS,
    NO_EDIT,
    EditOptions,
    LatentSwap,
    MetaLatentEdit,
    edit_of_kind,
)
from metasae.steering.link import LinkError, edit_from_text, edit_to_text, steer_query
from metasae.steering.questions import split_answers
from metasae.steering.setting import Setting
from metasae.text.prompts import WORDINGS
from tests.strategies import HUNDREDTHS, edits
from workbench.state import (
    DENSITIES,
    History,
    Reading,
    View,
    Writing,
    names_from_text,
    names_to_text,
)

EDITS = edits(HUNDREDTHS)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
LATENTS = st.none() | st.lists(st.integers(0, 99_999), min_size=1, max_size=4, unique=True).map(
    tuple
)
ANSWERS = st.lists(
    TEXTS.map(lambda text: text.replace(",", "").strip()).filter(bool),
    min_size=1,
    max_size=3,
    unique=True,
).map(tuple)
SETTINGS = st.builds(
    Setting,
    preset=st.builds(
        Opened,
        name=TEXTS.filter(lambda text: "+" not in text) | st.just("a+b.json"),
        meta_sae=st.just("") | st.from_regex(NAME, fullmatch=True),
    ),
    source=TEXTS,
    target=TEXTS,
    source_latents=LATENTS,
    target_latents=LATENTS,
    wording=st.sampled_from(list(WORDINGS)),
    prompt=TEXTS,
    answers=ANSWERS,
) | st.builds(Setting)
WRITINGS = st.builds(
    Writing,
    prompt=st.just("") | TEXTS,
    tokens=st.integers(1, 200),
    temperature=st.integers(0, 20).map(lambda tenths: tenths / 10),
    seed=st.integers(0, 2**31 - 1),
)
ENTRIES = st.builds(
    Entry.of,
    st.builds(lambda latent, width: {"latent": str(latent), "width": str(width)},
              st.integers(0, 99_999), st.integers(1, 99_999))
    | st.builds(lambda meta: {"meta": str(meta)}, st.integers(0, 9_999))
    | st.builds(lambda edit, setting: steer_query(edit=edit, **vars(setting)), EDITS, SETTINGS),
)  # fmt: skip
LISTS = st.builds(
    lambda name, entries: Listed(name if entries else "", tuple(entries)),
    TEXTS,
    st.lists(ENTRIES, max_size=3),
)
VIEWS = st.builds(
    View,
    reading=st.builds(
        Reading,
        text=st.just("") | TEXTS,
        densest=st.none() | st.sampled_from(DENSITIES),
        start=st.booleans(),
    ),
    frozen=st.booleans(),
    beside=st.sampled_from(["", "2304", "gpt2-small", "mine+fine"]),
    listed=st.just(Listed()) | LISTS,
    setting=SETTINGS,
    edit=EDITS,
    pinned=st.none() | EDITS,
    writing=WRITINGS,
    percent=st.booleans(),
)


@given(VIEWS)
def test_a_link_gives_back_the_view(view: View) -> None:
    query = view.to_query()
    assert all(isinstance(value, str) for value in query.values())
    assert View.from_query(query) == view


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_edit_survives_a_link_as_itself(kind: str) -> None:
    edit = edit_of_kind(kind, ((3, 0.0), (5, 0.5)), keep_error=False, position="all")
    view = View.from_query(View(edit=edit, pinned=edit).to_query())
    assert view.edit == view.pinned == edit and view.edit.kind == kind


@pytest.mark.parametrize(
    "name", ["Ulm", "São Paulo", "Washington, D.C.", "100 % & #1?", "東京", "a=b;c", "🙂 / \\", "+"]
)
def test_any_name_survives_the_address_bar(name: str) -> None:
    view = View(Setting(source=name, target="O'Brien"))
    address = urlencode(view.to_query() | {"cities": names_to_text([name, "Tokyo"])})
    query = dict(parse_qsl(address, keep_blank_values=True))
    assert View.from_query(query) == view
    assert names_from_text(query["cities"]) == [name, "Tokyo"]


@given(st.lists(TEXTS, max_size=4, unique=True))
def test_names_survive_a_link(names: list[str]) -> None:
    assert names_from_text(names_to_text(names)) == names


def test_names_of_an_earlier_link_are_read() -> None:
    assert names_from_text("Tokyo.São Paulo.Xi'an..Tokyo") == ["Tokyo", "São Paulo", "Xi'an"]
    assert names_from_text("") == []


def test_the_link_is_short_and_readable() -> None:
    edit = MetaLatentEdit(((12, 0.0), (40, 1.0), (7, -0.5)), options=EditOptions(position="all"))
    assert View(edit=edit).to_query() == {
        "v": "1",
        "source": "Tokyo",
        "target": "Paris",
        "edit": "7_-0.5~12_0~40_1~all",
    }
    assert View.from_query({}) == View()


def test_the_units_of_the_picture_are_in_the_link() -> None:
    assert "units" not in View().to_query()
    assert View(percent=True).to_query()["units"] == "percent"
    assert View.from_query({"units": "nats"}) == View()


def test_a_link_names_the_preset_and_the_meta_sae_in_one_word() -> None:
    query = View(Setting(preset=Opened("smollm2-135m", "mine"))).to_query()
    assert query["preset"] == "smollm2-135m+mine"
    linked = View.from_query({"preset": "smollm2-135m+mine"}).setting.preset
    assert (linked.name, linked.meta_sae) == ("smollm2-135m", "mine")


def test_an_edit_in_a_word() -> None:
    assert edit_to_text(NO_EDIT) == "none"
    assert (
        edit_to_text(LatentSwap(options=EditOptions(keep_residual=True, keep_error=False)))
        == "swap~residual~noerror"
    )
    assert edit_from_text("swap~residual~noerror") == LatentSwap(
        options=EditOptions(keep_residual=True, keep_error=False)
    )


@pytest.mark.parametrize(
    "query",
    [
        {"v": "2"},
        {"v": "x"},
        {"v": "0"},
        {"edit": "12_x"},
        {"edit": "12_3"},
        {"edit": "12_0~12_1"},
        {"edit": "12_nan"},
        {"edit": ""},
        {"pin": "~"},
        {"source_latents": "1.a"},
        {"source_latents": ""},
        {"target_latents": "-4"},
        {"tokens": "1e9"},
        {"wording": "rude"},
        {"units": "bits"},
        {"seed": "-1"},
        {"temperature": "nan"},
        {"ask": "x" * 601},
        {"preset": "smollm2-135m+../up"},
        {"preset": "smollm2-135m+" + "x" * 300},
    ],
)
def test_a_broken_link_is_one_sentence(query: dict[str, str]) -> None:
    with pytest.raises(UserError) as caught:
        View.from_query(query)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@given(
    st.dictionaries(
        st.sampled_from(["v", "preset", "edit", "pin", "seed", "source_latents"]), st.text()
    )
)
def test_no_link_raises_anything_else(query: dict[str, str]) -> None:
    with contextlib.suppress(UserError):
        View.from_query(query)


def test_another_city_drops_what_belonged_to_the_old_one() -> None:
    view = View(
        Setting(source_latents=(3,), target_latents=(5,)),
        MetaLatentEdit(((1, 0.0),), options=EditOptions(keep_residual=True)),
        pinned=LatentSwap(),
    )
    moved = view.with_setting(source="Rome")
    assert moved.setting == Setting(source="Rome", target_latents=(5,))
    assert moved.edit == MetaLatentEdit(options=EditOptions(keep_residual=True))
    assert moved.pinned is None
    asked = view.with_setting(prompt="Tokyo is", answers=("big",))
    assert asked.edit == view.edit and asked.setting.source_latents == (3,)


def test_a_newer_link_says_what_to_do_and_one_without_a_version_is_the_first() -> None:
    with pytest.raises(LinkError, match=r'of version "2" .* update metasae') as raised:
        View.from_query({"v": "2", "source": "Rome"})
    assert "update" not in raised.value.reason
    said = {"source": "Rome", "target": "Oslo"}
    assert View.from_query(said) == View.from_query(said | {"v": "1"})


def test_a_link_without_a_wording_means_the_default() -> None:
    assert View.from_query({"v": "1", "source": "Rome", "target": "Oslo"}).setting == Setting(
        source="Rome", target="Oslo", wording="default"
    )
    view = View(edit=LatentSwap(), pinned=LatentSwap())
    asked = view.with_setting(wording="post")
    assert asked.to_query()["wording"] == "post" and "wording" not in view.to_query()
    # The same edit in other words is what is looked at.
    assert (asked.edit, asked.pinned) == (view.edit, view.pinned)


def test_exchanging_source_and_target_twice_is_nothing() -> None:
    view = View(Setting(source_latents=(3,)))
    assert view.swapped().setting == Setting(source="Paris", target="Tokyo", target_latents=(3,))
    assert view.swapped().swapped() == view


def test_answers_are_split_at_commas() -> None:
    assert split_answers(" Japan, France ,,Japan, the yen ") == ("Japan", "France", "the yen")


def test_undo_and_redo() -> None:
    first, second, third = (
        View(),
        View(edit=LatentSwap()),
        View(edit=MetaLatentEdit(options=EditOptions(keep_error=False))),
    )
    history = History(first).do(second).do(second).do(third)
    assert history.past == (first, second)
    assert history.undo().now == second
    assert history.undo().undo().undo().now == first
    assert history.undo().redo() == history
    assert history.redo() == history
    assert history.undo().do(first).future == ()


def test_undo_keeps_a_bounded_number_of_steps() -> None:
    history = History(View())
    for seed in range(1, 500):
        history = history.do(View(writing=Writing(seed=seed)))
    assert len(history.past) == 200
    assert history.past[-1].writing.seed == 498
