"""A Gaussian process of several outputs that share one kernel.

Shapes: N points, M of them known, K dimensions, A outputs.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Process:
    """A Gaussian process of several outputs that share one kernel.

    The kernel is a constant, a linear and a Matérn 5/2 part; the length and the linear share are
    the likeliest of a few, the outputs' sizes the likeliest there are.

    Attributes:
        x: where values are known.
        length, linear: the kernel's.
        root: lower Cholesky factor of the kernel among the known.
        white: known values, whitened by it.
    """

    x: Float[Tensor, "M K"]
    length: float
    linear: float
    root: Float[Tensor, "M M"]
    white: Float[Tensor, "M A"]

    LENGTHS = (0.7, 1.4, 2.8, 5.6)
    LINEAR = (0.1, 1.0)
    CONSTANT = 10.0
    NOISE = 1e-5

    @staticmethod
    def fitted(x: Float[Tensor, "M K"], y: Float[Tensor, "M A"]) -> "Process":
        """The likeliest process for some values."""
        best, most = None, -math.inf
        for length, linear in product(Process.LENGTHS, Process.LINEAR):
            kernel = _kernel(x, x, length, linear)
            kernel.diagonal().add_(Process.NOISE)
            root = torch.linalg.cholesky(kernel)
            white = torch.linalg.solve_triangular(root, y, upper=False)
            size = white.square().mean(0).clamp(min=1e-9)
            likely = -0.5 * len(x) * size.log().sum() - y.shape[1] * root.diagonal().log().sum()
            if best is None or float(likely) > most:
                best, most = Process(x, length, linear, root, white), float(likely)
        assert best is not None
        return best

    def estimate(self, x: Float[Tensor, "N K"]) -> tuple[Float[Tensor, "N A"], Float[Tensor, " N"]]:
        """Estimates, and standard deviations for outputs of unit size (see `sizes`)."""
        between = torch.linalg.solve_triangular(
            self.root, _kernel(self.x, x, self.length, self.linear), upper=False
        )
        own = 1.0 + self.linear * x.square().sum(1) + Process.CONSTANT
        left = (own - between.square().sum(0)).clamp(min=0.0)
        return between.T @ self.white, left.sqrt()

    @cached_property
    def sizes(self) -> Float[Tensor, "A A"]:
        """Standard deviation of the difference of any two outputs, in the values' unit."""
        return torch.cdist(self.white.T, self.white.T) / math.sqrt(len(self.white))


def _kernel(
    a: Float[Tensor, "N K"], b: Float[Tensor, "M K"], length: float, linear: float
) -> Float[Tensor, "N M"]:
    inner = a @ b.T
    apart = (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * inner).clamp(min=0.0)
    far = (5 * apart).sqrt() / length
    return (1 + far + far.square() / 3) * (-far).exp() + linear * inner + Process.CONSTANT
