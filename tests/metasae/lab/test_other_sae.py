"""Another SAE of a preset under the same meta-SAE, and the same questions asked there."""

from pathlib import Path

import pytest
import torch

from metasae.errors import UserError
from metasae.lab import other_sae
from metasae.lab.lab import Lab
from metasae.lab.name_latents import activation_table
from metasae.lab.other_sae import asked_in, opened_beside, width_of, with_sae
from metasae.sources import cache
from metasae.sources.cache import CACHE_VARIABLE
from metasae.steering.edits import LatentSwap, MetaLatentEdit
from metasae.steering.side_by_side import side_by_side
from tests.builders import never
from tests.small_lab import NARROW


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))


def test_model_and_meta_sae_are_the_labs_own(small_lab: Lab) -> None:
    other = with_sae(small_lab, NARROW)
    assert other.model is small_lab.model
    assert other.decomposition.meta is small_lab.decomposition.meta
    assert other.n_latents == other.preset.width == NARROW
    assert other.provenance.sae == f"sae-{NARROW}@{other.provenance.sae[-12:]}"
    assert other.provenance.sae != small_lab.provenance.sae
    assert with_sae(small_lab, small_lab.n_latents) is small_lab


def test_names_are_told_apart_by_the_other_latents(small_lab: Lab) -> None:
    other = with_sae(small_lab, NARROW)
    names = list(small_lab.reference.table["name"].unique())
    expected = activation_table(small_lab.model, other.decomposition.sae, names, other.median_norm)
    for name, row in zip(names, expected, strict=True):
        torch.testing.assert_close(other.reference.activations(name), row)
    # The narrow SAE's first latents are the cities' own (see `tests.small_lab`).
    for name in ("Tokyo", "Paris"):
        assert other.subject(name).latents == small_lab.subject(name).latents
    assert max(other.subject("lobster").latents) < NARROW


def test_an_edit_of_the_same_latents_does_the_same(small_lab: Lab) -> None:
    pair = small_lab.experiment(small_lab.subject("Tokyo"), small_lab.subject("Paris"))
    there = asked_in(with_sae(small_lab, NARROW), pair)
    assert there.questions == pair.questions
    strengths = tuple((one.meta, 0.0) for one in pair.pieces if one.side == "source")
    found = side_by_side(pair, there, MetaLatentEdit(strengths))
    assert not found.left_out and not found.swapped
    torch.testing.assert_close(found.there.logprobs, found.here.logprobs, rtol=0, atol=1e-4)
    assert (found.here.logprobs - found.here.baseline).abs().max() > 0.01
    # A swap exchanges all that is active on the names, of which the narrow SAE has less.
    assert side_by_side(pair, there, LatentSwap()).there.edit == LatentSwap()


def test_what_took_long_is_kept(small_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    first = with_sae(small_lab, NARROW)
    (kept,) = (cache.cache_dir() / "names").rglob("*.npz")
    whole = kept.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(other_sae, "residual_table", never("made again"))
        again = with_sae(small_lab, NARROW)
        assert again.reference.table.equals(first.reference.table)
        # Cut short, or with one bit of its numbers turned: made anew.
        for damaged in (whole[:100], flipped(whole, len(whole) // 2)):
            kept.write_bytes(damaged)
            with pytest.raises(AssertionError, match="made again"):
                with_sae(small_lab, NARROW)
    assert with_sae(small_lab, NARROW).reference.table.equals(first.reference.table)
    assert kept.read_bytes() == whole


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_a_number_is_a_width_and_all_else_a_preset() -> None:
    texts = ("3072", "gpt2-small", "hf:some/model", "-1", "1.5", "")
    assert [width_of(text) for text in texts] == [3072, None, None, None, None, None]


def test_what_is_no_sae_or_preset_is_said(small_lab: Lab) -> None:
    with pytest.raises(UserError, match=f"no SAE of 17 latents; choose one of: {NARROW}, 64"):
        opened_beside(small_lab, "17")
    with pytest.raises(UserError, match="no preset"):
        opened_beside(small_lab, "nobodys")
    assert opened_beside(small_lab, str(NARROW)).n_latents == NARROW


def test_numbers_are_no_latents_of_another_sae(small_lab: Lab) -> None:
    pair = small_lab.experiment(small_lab.subject("#0"), small_lab.subject("Paris"))
    with pytest.raises(UserError, match="#0 names latents of this SAE by their numbers"):
        asked_in(with_sae(small_lab, NARROW), pair)
    assert asked_in(small_lab, pair).source == pair.source
