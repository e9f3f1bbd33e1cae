"""The glossary knows which of its words a text uses."""

import pytest

from workbench.glossary import TERMS, explained, in_text


@pytest.mark.parametrize(
    "text, words",
    [
        ("Each box is a **meta-latent**.", ("meta-latent",)),
        ("A **latent** has meta-latents.", ("latent", "meta-latent")),
        ("A meta-SAE, and no other", ("meta-SAE",)),
        ("SAEs take 3 nats", ("SAE", "nat")),
        ("natural blockages of relatents", ()),
        ("", ()),
    ],
)
def test_words_of_a_text(text: str, words: tuple[str, ...]) -> None:
    assert in_text(text) == words


def test_explanations_stand_one_under_the_other() -> None:
    assert explained("nat", "L0") == f"**nat**: {TERMS['nat']}\n\n**L0**: {TERMS['L0']}"
    with pytest.raises(KeyError):
        explained("feature")


def test_all_that_is_on_screen_is_explained() -> None:
    assert {"latent", "meta-latent", "SAE", "nat", "L0"} <= set(TERMS)
    assert all(meaning.endswith(".") for meaning in TERMS.values())
