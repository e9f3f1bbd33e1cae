"""The one inference threshold of a BatchTopK SAE."""

from dataclasses import replace

import torch

from metasae.training.rows import TensorRows
from metasae.training.threshold import with_threshold
from metasae.training.trainer import Trainer
from tests.metasae.training.planted import CONFIG


def test_the_threshold_of_many_rows_is_that_of_all_at_once() -> None:
    x = torch.nn.functional.normalize(torch.randn(9000, 6))
    sae = Trainer(TensorRows(x), replace(CONFIG, width=40)).result()
    pre = sae.preactivations(x).flatten()
    expected = pre.topk(2 * 9000 + 1).values[-1]
    found = with_threshold(sae, TensorRows(x), 2).threshold
    assert found is not None
    torch.testing.assert_close(found[0], expected)
