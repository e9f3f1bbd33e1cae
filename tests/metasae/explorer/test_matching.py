"""One list of what a search finds, on the real default."""

import pytest

from metasae.errors import UserError
from metasae.explorer.explorer import Explorer, open_explorer
from metasae.explorer.matching import ACTIVE, MOST, OWN, matches
from metasae.lab.lab import Lab
from tests.builders import one_sentence


@pytest.fixture(scope="module")
def explorer(lab: Lab) -> Explorer:
    return open_explorer(lab)


@pytest.mark.parametrize("name", ["Tokyo", "Ulm", "Einstein", "hamster"])
def test_a_names_latents_come_first(explorer: Explorer, name: str) -> None:
    table = matches(explorer, 18432, name)
    latents = explorer.lab.names.record(name).latents
    assert table["latent"].tolist()[: len(latents)] == [one.latent for one in latents]
    for why, one in zip(table["why"], latents, strict=False):
        assert why.split("; ")[0] == (OWN if one.own else ACTIVE)
    assert table["latent"].is_unique and len(table) <= MOST


def test_then_labels_then_what_fires_the_strongest_first(explorer: Explorer) -> None:
    typed = "She flew to Tokyo with a very small brown hamster yesterday evening"
    firing = explorer.firing_on(18432, typed)
    table = matches(explorer, 18432, typed)
    peaks = firing.groupby("latent")["activation"].max()
    fires = table[table["why"].str.startswith("fires on")]
    assert not table["why"].str.contains("the name", regex=False).any()
    assert len(fires) > 10 and fires["activation"].is_monotonic_decreasing
    assert set(fires["latent"]) <= set(peaks.index)
    for latent, activation in zip(table["latent"], table["activation"], strict=True):
        there = peaks.get(latent)
        assert activation == pytest.approx(0.0 if there is None else there)
    strongest = firing.iloc[int(firing["activation"].to_numpy().argmax())]
    best, token = int(strongest["latent"]), str(strongest["token"]).strip()
    (why,) = table.loc[table["latent"] == best, "why"]
    assert f"“{token}”" in why
    assert matches(explorer, 18432, typed, firing).equals(table)


def test_each_is_listed_once_with_all_reasons(explorer: Explorer) -> None:
    name, _ = explorer.lab.opening
    record = explorer.lab.city_record(name)
    assert record.has_own_latent
    best = record.latents[0].latent
    table = matches(explorer, 18432, name).set_index("latent")
    why = str(table.loc[best, "why"]).split("; ")
    last = explorer.lab.model.decode(explorer.lab.model.prompt_tokens(name)[-1]).strip()
    assert why[0] == OWN and why[1] == f"the city {name}" and why[-1] == f"fires on “{last}”"
    assert table.loc[best, "label"] == explorer.label("18432", best)


def test_of_another_width_nothing_is_the_names_own(explorer: Explorer) -> None:
    table = matches(explorer, 576, "Tokyo")
    assert table["latent"].between(0, 575).all()
    assert not table["why"].str.contains("the name", regex=False).any()


@pytest.mark.parametrize(("width", "typed"), [(7, "Tokyo"), (576, "")])
def test_what_can_not_be_searched_is_said(explorer: Explorer, width: int, typed: str) -> None:
    with pytest.raises(UserError) as raised:
        matches(explorer, width, typed)
    one_sentence(raised)
