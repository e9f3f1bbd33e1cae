"""A log-probability, or a difference of two, as it is read: two decimals, never “−0.00”."""


def nats(value: float, signed: bool = False) -> str:
    """A number of nats with two decimals and a real minus sign; what rounds to nothing is 0.00.

    Args:
        signed: whether what is above nothing has a plus.
    """
    value = settled(value)
    return f"{value:{'+' if signed and value else ''}.2f}".replace("-", "−")


def settled(value: float) -> float:
    """The number itself; 0 where two decimals would show it as −0.00."""
    return value if abs(value) >= 0.005 else 0.0
