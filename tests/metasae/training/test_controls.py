"""Controls of a meta-SAE, by hand."""

from dataclasses import replace

import pytest
import torch

from metasae.saes.directions import Directions
from metasae.training.controls import gaussian_like, principal_components
from metasae.training.rows import TensorRows
from metasae.training.trainer import Trainer
from tests.metasae.training.planted import CONFIG


def test_a_control_with_a_random_decoder_leaves_it_alone(directions: Directions) -> None:
    trainer = Trainer(directions, replace(CONFIG, train_decoder=False))
    before, encoder = trainer.p.W_dec.clone(), trainer.p.W_enc.clone()
    for _ in range(5):
        trainer.advance()
    torch.testing.assert_close(trainer.p.W_dec, before)
    assert not torch.equal(trainer.p.W_enc, encoder)


def test_principal_components_by_hand() -> None:
    # Axes 3, 4 and a little of the third: the largest coefficient of each row is kept.
    x = torch.tensor([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 2.0, 1.0], [0.0, 2.0, -1.0]])
    found = principal_components(TensorRows(x), 1)
    assert found["fve"] == pytest.approx((9 + 16 + 4 + 4) / (9 + 16 + 5 + 5))
    assert principal_components(TensorRows(x), 3)["fve"] == pytest.approx(1.0)


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_gaussian_rows_are_no_trainings_start(seed: int) -> None:
    rows = gaussian_like(torch.empty(500, 64), seed)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(500))
    recipe = replace(CONFIG, width=100, batch=100, start="random", seed=seed)
    start = Trainer(TensorRows(rows), recipe).p
    for begun in (start.W_dec, start.W_enc / start.W_enc.norm(dim=1, keepdim=True)):
        assert (begun @ rows.T).abs().max() < 0.7
