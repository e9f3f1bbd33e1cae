"""Shares of a list that depend on nothing but the names, so they are the same on every machine."""

import hashlib


def share(key: str) -> float:
    """A number in [0, 1) that depends on nothing but the key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") / 2**48
