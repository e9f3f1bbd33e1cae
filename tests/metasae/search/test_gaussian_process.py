"""A Gaussian process, by hand and on what it is to learn."""

import math

import pytest
import torch

from metasae.search.gaussian_process import Process


def test_a_process_of_one_known_value_by_hand() -> None:
    process = Process.fitted(torch.zeros(1, 2).double(), torch.tensor([[3.0]]).double())
    assert (process.length, process.linear) == (0.7, 0.1)  # nothing to tell lengths by: the first
    far = math.sqrt(5) * 1.4 / 0.7
    shared = (1 + far + far**2 / 3) * math.exp(-far) + 10
    mean, spread = process.estimate(torch.tensor([[0.0, 1.4], [0.0, 0.0]]).double())
    assert mean[:, 0].tolist() == pytest.approx([3 * shared / 11.00001, 3 * 11 / 11.00001])
    assert spread[0] == pytest.approx(math.sqrt(11 + 0.1 * 1.4**2 - shared**2 / 11.00001))
    assert spread[1] == pytest.approx(math.sqrt(1e-5), rel=1e-3)


def test_sizes_are_of_differences() -> None:
    x = torch.tensor([[0.0], [1.0]]).double()
    process = Process.fitted(x, torch.tensor([[0.0, 1.0, 3.0], [0.0, 2.0, 6.0]]).double())
    sizes = process.sizes
    # The third output is three times the second, the first is nothing.
    assert sizes[0, 2] == pytest.approx(3 * float(sizes[0, 1]))
    assert sizes[1, 2] == pytest.approx(2 * float(sizes[0, 1]))
    assert torch.equal(sizes, sizes.T)
    size = float((process.white[:, 1] ** 2).mean().sqrt())
    assert sizes[0, 1] == pytest.approx(size)


def test_a_process_knows_how_wrong_it_is() -> None:
    draw = torch.Generator().manual_seed(0)
    inner, outer = 0.4 * torch.randn(4, 9, generator=draw), torch.randn(9, 2, generator=draw)
    x = torch.randn(300, 4, generator=draw).double()
    y = torch.tanh(x.float() @ inner).double() @ outer.double()
    process = Process.fitted(x[:60], y[:60])
    mean, spread = process.estimate(x[60:])
    off = (y[60:] - mean)[:, 0] / (spread * process.white[:, 0].square().mean().sqrt())
    assert (mean - y[60:]).square().mean() < 0.1 * y.var()
    assert 0.5 < float(off.square().mean().sqrt()) < 1.5
    again, surely = process.estimate(x[:60])
    assert torch.allclose(again, y[:60], atol=1e-3)
    assert float(surely.max()) < 0.01
