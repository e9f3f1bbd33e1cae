"""Lesson 1, held against figures that are worked out another way."""

from dataclasses import replace

import pytest
import torch

from metasae.lessons.bench import Bench
from metasae.lessons.lesson import Bars, Found, Texts
from metasae.lessons.walks import latent
from metasae.progress import silent
from metasae.steering.edits import EditOptions, LatentSwap
from metasae.steering.outcome import Outcome
from tests.benches import bench


def active(on: Bench) -> torch.Tensor:
    """What fires on the name that ends a sentence, and so on the name in a longer one."""
    model, sae = on.lab.model, on.lab.decomposition.sae
    tokens = model.prompt_tokens(f"She flew to {on.source}")
    return sae.encode(model.residual(torch.tensor([tokens]))[0, -1:])[0]


def test_what_fires_on_the_name_is_few(taught: Bench) -> None:
    found, acts = latent.fires(taught, silent), active(taught)
    strongest = int(acts.argmax())
    assert found.holds
    assert found.answer.startswith(f"{int((acts > 0).sum())} of 18,432 latents fire on “Tokyo”")
    assert f"#{strongest}" in found.answer
    assert isinstance(found.after, Bars) and isinstance(found.before, Texts)
    values = [one.value for one in found.after.bars]
    assert values == pytest.approx(acts[acts > 0].sort(descending=True).values[:6].tolist(), 1e-3)
    ((row,),) = ([one.tokens for one in found.before.snippets],)
    assert [token for token, value in row if value > 0] == [" Tokyo"]


def test_what_fires_everywhere_is_not_few(small: Bench) -> None:
    lab = small.lab
    sae = lab.decomposition.sae
    all_fire = replace(sae, threshold=torch.full((sae.width,), -1e9), b_enc=sae.b_enc + 1e6)
    other = replace(lab, decomposition=replace(lab.decomposition, sae=all_fire))
    found = latent.fires(replace(small, explorer=bench(other).explorer), silent)
    assert not found.holds
    assert found.answer.startswith(f"{sae.width} of {sae.width} latents fire")
    assert "That is not few" in found.more


def test_the_contexts_that_name_it_are_counted(taught: Bench) -> None:
    found = latent.where(taught, silent)
    text = taught.explorer.text()
    assert text is not None
    whole = ["".join(token for token, _ in one.tokens) for one in taught.page.snippets(text)]
    about = sum("Tokyo" in one for one in whole)
    assert found.answer.startswith(f"{about} of its {len(whole)} kept contexts name Tokyo;")
    assert found.holds is (2 * about >= len(whole))
    assert isinstance(found.before, Texts)
    assert not any(one.written for one in found.before.snippets)


def test_where_nobody_has_collected_them_that_is_said(small: Bench) -> None:
    found = latent.where(small, silent)
    assert not found.holds
    assert found.answer == "Nobody has collected yet where the latents of this SAE fire."


def test_whose_it_is_is_told_by_its_share(taught: Bench) -> None:
    found, table = latent.whose(taught, silent), taught.lab.reference.table
    rows = table[(table["latent"] == taught.latent) & (table["name"] != "Tokyo")]
    own = dict(zip(taught.experiment.source.latents, taught.experiment.source.activations,
                   strict=True))[taught.latent]  # fmt: skip
    share = own / (own + rows["activation"].sum())
    assert found.answer.startswith(f"{share:.0%} of its activation")
    assert found.holds is bool(share > 0.5)
    assert f"active on {len(rows)} of" in found.more


def test_a_planted_latent_is_one_citys_alone(small: Bench) -> None:
    found = latent.whose(small, silent)
    assert found.holds and "More than half is one name's" in found.more


def swap(on: Bench) -> tuple[Found, Outcome]:
    return latent.swapped(on, silent), on.experiment.apply(
        LatentSwap(options=EditOptions(position="all"))
    )


def test_what_the_swap_moves_is_listed(taught: Bench) -> None:
    found, outcome = swap(taught)
    moved = [name for name, one in outcome.moved.items() if one]
    assert moved and found.holds
    assert found.answer.startswith(f"{len(moved)} of 4 lead with Paris's answer now:")
    assert all(name in found.answer for name in moved)
    assert found.more == outcome.sentence


def test_a_swap_that_moves_nothing_says_so(small: Bench) -> None:
    """Paris towards what the model gives the same answers about: nothing can move."""
    source = small.experiment.source
    same = replace(source, label="Tokyo again", name=None, about="Paris")
    pair = small.experiment.replaced(target=same)
    found = latent.swapped(replace(small, experiment=pair), silent)
    assert not found.holds and found.answer.startswith("None of ")


def test_what_is_left_is_the_saes_error(taught: Bench) -> None:
    found = latent.left(taught, silent)
    sae, model = taught.lab.decomposition.sae, taught.lab.model
    tokens = model.prompt_tokens("She flew to Tokyo")
    resid = model.residual(torch.tensor([tokens]))[0, -1].double()
    rebuilt = (active(taught).double() @ sae.W_dec.double()) + sae.b_dec.double()
    share = float((resid - rebuilt).square().sum() / (resid - sae.b_dec).square().sum())
    assert found.holds and found.answer == f"{share:.0%} of it is in none of them."
    assert isinstance(found.after, Bars)
    assert sum(one.value for one in found.after.bars) == pytest.approx(1)
