"""Two base SAEs that differ in the decoder alone, trained once, on the small lab."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import silent
from metasae.ravel import random_base
from metasae.ravel.evaluation import Configuration, evaluate
from metasae.ravel.random_base import Decoder, base_sae, in_words, lacking, quality, recipe
from metasae.saes import formats
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.files import read_json
from metasae.sources.presets import EMBEDDED
from metasae.text import windows as windows_module
from metasae.text.cities import find_city
from metasae.text.document import Document
from metasae.training import explained, trainer
from metasae.training.config import TrainConfig
from metasae.training.rows import TensorRows
from metasae.training.trainer import Trainer
from tests.builders import cut_off, never, one_sentence
from tests.ravel_data import small_data
from tests.small_models import TAUGHT
from tests.small_release import documents

SMALL = TrainConfig(width=1, k=3, steps=40, batch=128, start="ngrams", lr=5e-3, warmup=5)
BOTH: tuple[Decoder, ...] = ("random", "learned")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of its own, a small text and a small recipe."""
    folder = tmp_path_factory.mktemp("controls")
    text = documents(tuple(map(find_city, TAUGHT)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder))
        patch.setattr(windows_module, "default_documents", lambda progress: text)
        patch.setattr(random_base, "RECIPE", SMALL)
        yield folder


@pytest.fixture
def elsewhere(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The same with nothing kept yet."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    return monkeypatch


def the_folder(lab: Lab, decoder: Decoder) -> Path:
    return random_base._folder(lab, recipe(lab, 0, decoder))


def test_the_recipe_is_that_of_the_smaller_sae_that_ships() -> None:
    assert EMBEDDED.weights is not None
    shipped = read_json(EMBEDDED.weights / f"sae-{EMBEDDED.meta_width}" / formats.CONFIG)
    lab = SimpleNamespace(n_meta=EMBEDDED.meta_width)
    made = recipe(lab, 0, "learned")  # type: ignore[arg-type]
    assert json.loads(json.dumps(asdict(made))) == shipped["metadata"]["training"]
    frozen = recipe(lab, 0, "random")  # type: ignore[arg-type]
    assert replace(frozen, start=made.start, train_decoder=True) == made


def test_the_random_decoder_is_the_same_to_the_bit(small_lab: Lab, place: Path) -> None:
    made = base_sae(small_lab, 0, "random")
    config = recipe(small_lab, 0, "random")
    start = Trainer(TensorRows(torch.zeros(1, made.d_in)), config).p
    assert torch.equal(made.W_dec, start.W_dec)
    torch.testing.assert_close(made.W_dec.norm(dim=1), torch.ones(small_lab.n_meta))
    assert not torch.allclose(made.W_enc, start.W_enc.T, atol=1e-2)
    other = base_sae(small_lab, 1, "random")
    assert not torch.allclose(other.W_dec, made.W_dec)


def test_its_encoder_is_trained_and_its_twin_explains_more(small_lab: Lab, place: Path) -> None:
    saes = {decoder: base_sae(small_lab, 0, decoder) for decoder in BOTH}
    tokens = torch.tensor([small_lab.model.prompt_tokens("Tokyo is a city in Japan")])
    resid = small_lab.model.residual(tokens)[0, 1:]
    sae = saes["random"]
    untrained = replace(sae, W_enc=sae.W_dec.T * SMALL.encoder_scale, b_enc=sae.b_enc * 0)
    assert explained.quality(sae, resid).fve > explained.quality(untrained, resid).fve
    assert not torch.allclose(saes["learned"].W_dec, sae.W_dec, atol=0.1)
    measured = {decoder: quality(small_lab, 0, decoder) for decoder in BOTH}
    assert measured["learned"]["fve"] > measured["random"]["fve"] > 0.1
    assert all(one["l0"] <= SMALL.k for one in measured.values())
    reports = [read_json(the_folder(small_lab, one) / formats.REPORT) for one in BOTH]
    assert reports[0]["tokens"] == reports[1]["tokens"]


def test_what_is_kept_is_found_again(
    small_lab: Lab, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [base_sae(small_lab, 0, decoder) for decoder in BOTH]
    monkeypatch.setattr(random_base, "train_base_sae", never("it is kept"))
    monkeypatch.setattr(random_base, "text_of", never("nothing is to be trained"))
    for one, decoder in zip(made, BOTH, strict=True):
        assert torch.equal(base_sae(small_lab, 0, decoder).W_enc, one.W_enc)
    assert lacking(small_lab, 1) == ""


def test_a_stopped_training_ends_as_if_it_had_not_been_stopped(
    small_lab: Lab, place: Path, tmp_path: Path, elsewhere: pytest.MonkeyPatch
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(place))
        whole = base_sae(small_lab, 0, "random")

    def breaking_off(stage: str, share: float, note: str = "") -> None:
        if stage.startswith("SAE with a random decoder") and share >= 0.5:
            raise KeyboardInterrupt

    clock = itertools.count(0.0, 60.0)  # so slow that every step is kept
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "time", SimpleNamespace(monotonic=clock.__next__))
        with pytest.raises(KeyboardInterrupt):
            base_sae(small_lab, 0, "random", breaking_off)
    assert quality(small_lab, 0, "random") == {}
    shares: list[float] = []

    def noting(stage: str, share: float, note: str = "") -> None:
        if stage.startswith("SAE with"):
            shares.append(share)

    again = base_sae(small_lab, 0, "random", noting)
    assert shares[0] == (SMALL.steps // 2 + 1) / SMALL.steps
    for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
        assert torch.equal(getattr(again, name), getattr(whole, name))
    assert not list(tmp_path.rglob("*.checkpoint"))


def test_a_damaged_file_is_said(small_lab: Lab, elsewhere: pytest.MonkeyPatch) -> None:
    base_sae(small_lab, 0, "random")
    folder = the_folder(small_lab, "random")
    cut_off(formats.WEIGHTS)(folder)
    with pytest.raises(UserError) as raised:
        base_sae(small_lab, 0, "random")
    assert f"The SAE in {folder} is damaged; delete" in one_sentence(raised)
    (folder / formats.REPORT).write_text("{")
    assert quality(small_lab, 0, "random") == {}


@pytest.mark.slow
def test_the_masks_over_both_are_scored(small_lab: Lab, place: Path) -> None:
    config = Configuration(
        methods=("nothing", "random-latent-mask", "twin-latent-mask"),
        seeds=1, sources=3, targets=2, views=1, learned_towards=2, steps=6,
    )  # fmt: skip
    finding = evaluate(small_lab, small_data(), config)
    assert set(finding.tables["scores"]["method"]) == set(config.methods)
    assert not finding.left_out
    assert finding.figures["base_saes"] == [
        {"method": method, "seed": 0, **quality(small_lab, 0, decoder)}
        for method, decoder in zip(config.methods[1:], BOTH, strict=True)
    ]
    words = in_words(finding.figures)
    assert [one.split(",")[0] for one in words] == [
        f"The SAE of {method}" for method in config.methods[1:]
    ]
    alone = evaluate(small_lab, small_data(), replace(config, methods=("nothing",)))
    assert "base_saes" not in alone.figures and in_words(alone.figures) == []


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (None, "can't be fetched"),
        ([Document("short", "Tokyo is a city.", False)], "fewer than the 64 latents"),
        (documents(tuple(map(find_city, TAUGHT)))[:7] * 4, "nothing to measure an SAE on"),
    ],
)
def test_without_enough_text_they_are_left_out(
    small_lab: Lab, elsewhere: pytest.MonkeyPatch, texts: list[Document] | None, said: str
) -> None:
    def documents_of(progress: object) -> list[Document]:
        if texts is None:
            raise UserError("The text can't be fetched without a network.")
        return texts

    elsewhere.setattr(windows_module, "default_documents", documents_of)
    config = Configuration(
        methods=("nothing", "random-latent-mask"),
        seeds=1, sources=3, targets=2, views=1, learned_towards=2, steps=6,
    )  # fmt: skip
    finding = evaluate(small_lab, small_data(), config)
    assert set(finding.tables["scores"]["method"]) == {"nothing"}
    (left_out,) = [one for one in finding.left_out if one.startswith("random-latent-mask")]
    assert said in left_out and "base_saes" not in finding.figures
    with pytest.raises(UserError):
        base_sae(small_lab, 0, "random", silent)
