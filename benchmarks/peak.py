"""The most this processor does: the speed of one large product, and of reading memory.

What a figure could reach at most, when all its products ran as fast as the largest one does and
nothing else took time, tells whether an aim is missed for want of work or for want of a processor.
"""

import torch

from metasae.lm import matmul
from metasae.lm.matmul import Product

LARGE = 4096
"""Side of the square product."""

READ = 2**28
"""Numbers of four bytes that are read: more than any cache holds."""


def product_speed(dtype: torch.dtype) -> float:
    """Multiply-adds ×2 a second of one large square product, by the library that is fastest."""
    x = torch.randn(LARGE, LARGE).to(dtype)
    product = Product(torch.randn(LARGE, LARGE).to(dtype))
    with torch.inference_mode():
        return 2 * LARGE**3 / matmul.seconds(lambda: product(x), 3)


def read_speed() -> float:
    """Bytes a second that are read from memory, by a sum."""
    numbers = torch.ones(READ)
    return 4 * READ / matmul.seconds(numbers.sum, 3)
