"""The presets of other families end to end, on small models in the hub's layout, offline."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from metasae.cli import main
from metasae.errors import UserError
from metasae.lab import city_table, first_use
from metasae.lab.lab import open_lab
from metasae.lab.preset_files import META_SAE, NAMES, folder_of
from metasae.lm.language_model import padded
from metasae.lm.library_blocks import LibraryBlocks
from metasae.lm.loading import load_model
from metasae.saes import formats
from metasae.search.combinations import Combinations
from metasae.search.engine import Engine
from metasae.sources import cache, hub, user_presets
from metasae.sources.files import sha256
from metasae.sources.presets import GEMMA, GPT2, PRESETS, Hub, Preset
from metasae.sources.user_presets import find_preset
from metasae.steering.citation import Citation
from metasae.steering.edits import LatentSwap, MetaLatentEdit
from metasae.text.cities import find_city
from metasae.training.meta_sae import RECIPE
from tests import oracle
from tests.builders import never, one_sentence
from tests.other_presets import SOME_CITIES, OtherPreset, experiment_with_own_pieces, only_here
from tests.small_models import (
    HOOK,
    TAUGHT,
    WIDTHS,
    llama,
    own_folders,
    tokenizer,
)

PROMPTS = ("Tokyo is a city in the country of", "The currency used in Paris is the")


@pytest.fixture(scope="module")
def opened(other_preset: OtherPreset) -> Iterator[OtherPreset]:
    """A small preset in the place of the real one."""
    with other_preset.in_place():
        yield other_preset


def of_transformers(opened: OtherPreset) -> torch.nn.Module:
    """The same model, as transformers alone opens it."""
    origin = opened.preset.model.origin
    assert isinstance(origin, Hub)
    return AutoModelForCausalLM.from_pretrained(
        hub.hub_folder(origin), dtype=torch.float32
    ).eval()  # fmt: skip


def test_logits_and_residuals_are_transformers_own(opened: OtherPreset) -> None:
    model, theirs = opened.lab.model, of_transformers(opened)
    rows = [model.prompt_tokens(prompt) for prompt in PROMPTS]
    for row in rows:
        tokens = torch.tensor([row])
        with torch.inference_mode():
            full = theirs(tokens, output_hidden_states=True)
        expected = full.hidden_states[HOOK]
        if opened.preset.model.centred:
            expected = expected - expected.mean(-1, keepdim=True)
        resid = model.residual(tokens)
        assert (resid - expected).abs().max() < 1e-4
        assert resid.std() > 0.1
        assert (model.logits_above(resid) - full.logits).abs().max() < 1e-3
        assert (oracle.bridge(model)(tokens) - full.logits).abs().max() < 1e-3
    together = model.residual(padded(rows, model.start_token))
    assert (
        together[0, : len(rows[0])] - model.residual(torch.tensor([rows[0]]))
    ).abs().max() < 1e-4


def test_centred_weights_are_those_of_transformer_lens(opened: OtherPreset) -> None:
    if not opened.preset.model.centred:
        pytest.skip("only GPT-2's release is centred")
    from transformer_lens.model_bridge import TransformerBridge

    theirs = TransformerBridge.boot_transformers(
        "gpt2", hf_model=of_transformers(opened), tokenizer=opened.lab.model.tokenizer
    )
    theirs.process_weights(fold_ln=False, center_writing_weights=True, center_unembed=False)
    tokens = torch.tensor([opened.lab.model.prompt_tokens(PROMPTS[0])])
    _, cache = theirs.run_with_cache(tokens)
    expected = cache[f"blocks.{HOOK}.hook_resid_pre"]
    assert (opened.lab.model.residual(tokens) - expected).abs().max() < 1e-4


def test_edits_equal_full_passes(opened: OtherPreset) -> None:
    experiment = experiment_with_own_pieces(opened.lab)
    combinations = Combinations.of(experiment)
    numbers = np.arange(len(combinations))[:: max(1, len(combinations) // 6)]
    found = Engine(experiment, combinations).logprobs(numbers)
    for number, row in zip(numbers.tolist(), found, strict=True):
        expected = oracle.logprobs(experiment, combinations.edit(number))
        assert (row - expected).abs().max() < 1e-4
    swap = experiment.apply(LatentSwap()).logprobs
    assert (swap - oracle.logprobs(experiment, LatentSwap())).abs().max() < 1e-4
    assert (swap - experiment.baseline).abs().max() > 1e-3


def test_in_bf16_the_blocks_stay_near(opened: OtherPreset) -> None:
    experiment = experiment_with_own_pieces(opened.lab)
    combinations = Combinations.of(experiment)
    numbers = np.arange(min(8, len(combinations)))
    rough = Engine(experiment, combinations, torch.bfloat16).logprobs(numbers)
    exact = Engine(experiment, combinations).logprobs(numbers)
    assert isinstance(experiment.model.blocks(), LibraryBlocks)
    # In nats; what is improbable may be further off.
    off = (rough - exact).abs()
    assert off.gather(-1, exact.topk(5).indices).max() < 0.1
    assert off.max() > 1e-3  # it is bf16, not fp32 by another name


def test_it_writes_on(opened: OtherPreset) -> None:
    model = opened.lab.model
    tokens = torch.tensor([model.prompt_tokens(PROMPTS[0])])
    with torch.inference_mode():
        best = int(model.hf(tokens, use_cache=False).logits[0, -1].argmax())
    assert model.generate(PROMPTS[0], 1) == model.tokenizer.decode([best], skip_special_tokens=True)


def test_the_second_opening_trains_and_asks_nothing(
    opened: OtherPreset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_use, "make_meta", never("kept from the first time"))
    monkeypatch.setattr(first_use, "make_tables", never("kept from the first time"))
    again = open_lab(opened.preset)
    assert torch.equal(again.decomposition.meta.W_dec, opened.lab.decomposition.meta.W_dec)
    assert again.records == opened.lab.records
    assert again.n_latents == WIDTHS[-1]


def test_tables_of_an_earlier_version_are_made_anew_and_nothing_is_trained(
    opened: OtherPreset, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = folder_of(opened.preset) / NAMES
    content = names.read_bytes()
    names.unlink()
    monkeypatch.setattr(first_use, "make_meta", never("kept from the first time"))
    monkeypatch.setattr(first_use, "make_tables", lambda *_: names.write_bytes(content))
    assert open_lab(opened.preset).reference.table.equals(opened.lab.reference.table)


def test_the_report_is_of_the_meta_sae_that_is_open(opened: OtherPreset) -> None:
    rows, figures = opened.lab.decomposition.sae.W_dec, opened.lab.report["meta_sae"]
    left = rows - opened.lab.decomposition.meta.reconstruct(rows)
    explained = 1 - float(left.square().sum() / rows.square().sum())
    assert figures["fve"] == pytest.approx(explained, abs=0.01) and explained > 0.2
    # The directions are random: there is as much to find in the control's.
    assert figures["fve_control"] == pytest.approx(explained, abs=0.1)


def test_the_command_line_opens_it(opened: OtherPreset, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--preset", opened.preset.name, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["model"] == opened.preset.model.name and report["cities"]["total"] == len(
        SOME_CITIES
    )
    assert main(["decompose", "3", "--preset", opened.preset.name, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["latent"] == 3 and values["f1"] is None
    assert main(["build", "--preset", opened.preset.name]) == 1
    assert "are made elsewhere" in capsys.readouterr().err


# Without the files.


@pytest.fixture
def nothing_here(tmp_path: Path) -> Iterator[Path]:
    with only_here(tmp_path):
        yield tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "size"), [(GPT2, "302 MB"), (GEMMA, "336 MB")], ids=["gpt2", "gemma"]
)
def test_offline_one_sentence_says_what_is_missing(
    nothing_here: Path, preset: Preset, size: str
) -> None:
    with pytest.raises(UserError) as raised:
        open_lab(preset)
    text = one_sentence(raised)
    assert size in text and str(nothing_here / "cache" / "hub") in text
    assert "safetensors" in text and "by hand" in text


def test_a_pinned_model_is_missing_in_one_sentence(nothing_here: Path) -> None:
    assert isinstance(GPT2.model.origin, Hub)
    with pytest.raises(UserError) as raised:
        hub.hub_folder(GPT2.model.origin)
    text = one_sentence(raised)
    assert "config.json, tokenizer.json, model.safetensors of openai-community/gpt2" in text
    assert "549 MB" in text


def test_files_put_by_hand_are_found_and_checked(nothing_here: Path) -> None:
    origin = GPT2.model.origin
    assert isinstance(origin, Hub)
    folder = cache.hub_by_hand(origin.repo)
    folder.mkdir(parents=True)
    for file in origin.files:
        (folder / file.name).write_text("something else")
    with pytest.raises(UserError, match=r"config\.json is not the file it should be"):
        hub.hub_folder(origin)
    loose = replace(origin, files=tuple(replace(file, sha256="") for file in origin.files))
    assert hub.hub_folder(loose) == folder


def refusing(error: Callable[..., Exception], status: int) -> Callable[..., NoReturn]:
    """A download that the hub answers with a status."""
    import httpx2

    def download(*_: object, **__: object) -> NoReturn:
        response = httpx2.Response(status, request=httpx2.Request("GET", "https://example.org"))
        raise error("no", response=response)

    return download


def test_a_gated_repository_says_how_to_get_in(
    nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.errors import GatedRepoError

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refusing(GatedRepoError, 403))
    assert isinstance(GEMMA.model.origin, Hub)
    with pytest.raises(UserError, match=r"accept its licence: do so at .*HF_TOKEN"):
        hub.hub_folder(GEMMA.model.origin)


def test_a_download_is_checked_against_the_hubs_own_hash(
    nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = nothing_here / "blobs" / ("0" * 64)
    blob.parent.mkdir()
    blob.write_text("cut")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: str(blob))
    assert isinstance(GEMMA.model.origin, Hub)
    with pytest.raises(UserError, match="SHA-256 differs"):
        hub.hub_folder(GEMMA.model.origin)


# A preset of the user's.


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """A small GPT-2 and its SAE as plain folders, which tests leave as they are."""
    return own_folders(tmp_path_factory.mktemp("own"))


@pytest.fixture
def mine(
    folders: dict[str, object], nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, object]:
    """The preset that names them, to be opened with a few cities."""
    monkeypatch.setattr(first_use, "RECIPE", replace(RECIPE, steps=20))
    for module in (first_use, city_table):
        monkeypatch.setattr(module, "load_cities", lambda: tuple(map(find_city, TAUGHT)))
    monkeypatch.setattr(city_table, "load_names", lambda: ("lobster", "Mozart"))
    return dict(folders)


def test_a_file_of_ones_own_opens(
    mine: dict[str, object], nothing_here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = nothing_here / "mine.json"
    file.write_text(json.dumps(mine))
    preset = find_preset(str(file))
    assert (preset.hook_layer, preset.widths) == (2, (WIDTHS[1],))
    assert main(["cities", "--preset", str(file), "--json"]) == 0
    cities = json.loads(capsys.readouterr().out)["cities"]
    assert sorted(city["name"] for city in cities) == sorted(TAUGHT)
    lab = open_lab(preset)
    assert lab.model.start_token == lab.model.tokenizer.bos_token_id


Change = Callable[[dict[str, object]], dict[str, object]]


def test_the_snippet_opens_the_preset_it_was_made_with(
    mine: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    """A preset of the user's, and one with a meta-SAE of theirs."""
    user_presets.keep(mine)
    plain = open_lab(find_preset("mine"))
    folder = cache.preset(plain.preset.kept_as) / META_SAE
    other = cache.meta_saes(plain.preset.kept_as) / "turned"
    shutil.copytree(folder, other)
    (other / formats.WEIGHTS).unlink()
    meta = plain.decomposition.meta
    turned = replace(meta, W_dec=meta.W_dec.roll(1, 0), W_enc=meta.W_enc.roll(1, 1))
    scratch = other.with_name("scratch")
    formats.save(turned, scratch, torch.float32)
    shutil.copy(scratch / formats.WEIGHTS, other / formats.WEIGHTS)
    shutil.rmtree(scratch)
    shown = set()
    for name in ("mine", "mine+turned"):
        lab = open_lab(find_preset(name))
        experiment = experiment_with_own_pieces(lab)
        piece = next(one for one in experiment.pieces if one.side == "source")
        outcome = experiment.apply(MetaLatentEdit(((piece.meta, 0.0),)))
        capsys.readouterr()
        exec(Citation(outcome, lab.weights, "").snippet, {})
        assert capsys.readouterr().out.startswith(f"{outcome.answers.to_string()}\n")
        assert json.loads(json.dumps(outcome.to_dict()))["preset"] == name
        shown.add(outcome.provenance.meta_sae)
    assert len(shown) == 2


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda v: v | {"colour": 1}, "has no colour"),
        (lambda v: {"name": "mine"}, "says no model"),
        (lambda v: v | {"name": "../up"}, "can't be the name"),
        (lambda v: v | {"name": "gpt2-small"}, 'a preset "gpt2-small" already'),
        (lambda v: v | {"saes": "folder"}, "are a list"),
        (lambda v: v | {"saes": ["nowhere"]}, 'no SAE folder "nowhere"'),
        (lambda v: v | {"saes": [*v["saes"], *v["saes"]]}, "the same width"),
        (lambda v: v | {"saes": ["RELEASE:ID"]}, "give the preset's widths"),
        (lambda v: v | {"model": "nowhere"}, 'no model folder "nowhere"'),
        (lambda v: v | {"hook_layer": -1}, "give the preset's hook_layer"),
        (lambda v: v | {"hook_layer": "8"}, "give the preset's hook_layer"),
        (lambda v: v | {"opened_width": 7}, "none of its widths"),
        (lambda v: v | {"start_token": "x"}, "number of a token"),
    ],
)
def test_a_bad_preset_is_refused_in_a_sentence(
    mine: dict[str, object], change: Change, text: str
) -> None:
    with pytest.raises(UserError) as raised:
        user_presets.keep(change(mine))
    assert text in one_sentence(raised)
    assert user_presets.names() == tuple(PRESETS)


def test_what_does_not_fit_is_said(mine: dict[str, object], nothing_here: Path) -> None:
    with pytest.raises(UserError, match="The hook is before block 9"):
        open_lab(user_presets.parse(mine | {"hook_layer": 9}))
    with pytest.raises(UserError, match="can't be read"):
        find_preset("nowhere.json")
    (nothing_here / "list.json").write_text("[]")
    with pytest.raises(UserError, match="must be a JSON object"):
        find_preset(str(nothing_here / "list.json"))
    with pytest.raises(UserError, match="is no JSON"):
        (nothing_here / "list.json").write_text("{")
        find_preset(str(nothing_here / "list.json"))


def test_a_preset_says_the_start_token(mine: dict[str, object]) -> None:
    model = load_model(user_presets.parse(mine | {"start_token": 7}))
    assert model.start_token == 7 != model.tokenizer.bos_token_id
    assert model.prompt_tokens(PROMPTS[0]) == [7, *model.encode(PROMPTS[0])]


def test_a_preset_has_the_writing_weights_centred(mine: dict[str, object]) -> None:
    plain = load_model(user_presets.parse(mine))
    centred = load_model(user_presets.parse(mine | {"centre_writing_weights": True}))
    tokens = torch.tensor([plain.prompt_tokens(PROMPTS[0])])
    one, other = plain.residual(tokens), centred.residual(tokens)
    assert one.mean(-1).abs().max() > 0.01
    torch.testing.assert_close(other, one - one.mean(-1, keepdim=True), rtol=0, atol=1e-4)
    expected = plain.logits_above(one)
    torch.testing.assert_close(centred.logits_above(other), expected, rtol=0, atol=1e-3)


def test_the_writing_weights_of_another_family_are_not_centred(
    mine: dict[str, object], tmp_path: Path
) -> None:
    llama(tmp_path / "llama")
    changes = {"model": str(tmp_path / "llama"), "centre_writing_weights": True}
    with pytest.raises(UserError, match="in GPT-2 alone, not in llama") as raised:
        load_model(user_presets.parse(mine | changes))
    assert "centre_writing_weights" in one_sentence(raised)


def test_a_model_of_another_family_is_refused(mine: dict[str, object], tmp_path: Path) -> None:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    words = tokenizer("<s>")
    folder = tmp_path / "neox"
    config = GPTNeoXConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=64,
    )  # fmt: skip
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    words.save_pretrained(folder)
    with pytest.raises(UserError, match=r'of the family "gpt_neox", which isn\'t known here'):
        open_lab(user_presets.parse(mine | {"model": str(folder)}))


def test_a_pickled_model_is_not_opened(mine: dict[str, object], tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(str(mine["model"]), folder)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="takes weights as safetensors"):
        open_lab(user_presets.parse(mine | {"model": str(folder)}))


def test_a_text_longer_than_the_model_reads_is_refused(opened: OtherPreset) -> None:
    model = opened.lab.model
    most = 64 if opened.preset.name == "gemma-3-270m" else 128
    model.residual(torch.full((1, most), 5))
    with pytest.raises(UserError, match=f"is run on {most} at most"):
        model.residual(torch.full((1, most + 1), 5))


def test_what_can_be_put_by_hand_is_named_whole(
    nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand every file is needed, also one that the hub's cache has."""
    origin = GPT2.model.origin
    assert isinstance(origin, Hub)
    kept = nothing_here / "config.json"
    kept.write_text("{}")
    config = replace(origin.files[0], sha256=sha256(kept))
    origin = replace(origin, files=(config, *origin.files[1:]))
    monkeypatch.setattr(
        huggingface_hub,
        "try_to_load_from_cache",
        lambda repo, name, revision: str(kept) if name == "config.json" else None,
    )
    with pytest.raises(UserError) as raised:
        hub.hub_folder(origin)
    text = one_sentence(raised)
    assert text.startswith("tokenizer.json, model.safetensors of openai-community/gpt2")
    assert "put config.json, tokenizer.json, model.safetensors into" in text


def test_a_file_that_a_repository_lacks_is_the_only_one_named(
    nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.errors import RemoteEntryNotFoundError

    missing = refusing(RemoteEntryNotFoundError, 404)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", missing)
    assert isinstance(GPT2.model.origin, Hub)
    with pytest.raises(UserError) as raised:
        hub.hub_folder(GPT2.model.origin)
    text = one_sentence(raised)
    assert "has no config.json in" in text and "model.safetensors" not in text


def test_the_disk_that_is_asked_is_the_hubs(
    nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nothing_here / "hub").mkdir()
    room = {nothing_here / "hub": 10}
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: SimpleNamespace(free=room.get(Path(path), 10**12))
    )
    assert isinstance(GPT2.model.origin, Hub)
    with pytest.raises(UserError) as raised:
        hub.hub_folder(GPT2.model.origin)
    text = one_sentence(raised)
    assert str(nothing_here / "hub") in text and "set HF_HUB_CACHE" in text
