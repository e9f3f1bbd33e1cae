"""Shares that depend on the key alone."""

import hashlib

from metasae.text.shares import share


def test_a_share_is_the_first_six_bytes_of_the_keys_hash() -> None:
    digest = hashlib.sha256(b"Tokyo").hexdigest()
    assert share("Tokyo") == int(digest[:12], 16) / 16**12
    assert 0 <= share("") < 1 and share("Tokyo") != share("tokyo")


def test_shares_are_spread_evenly() -> None:
    below = sum(share(f"name {number}") < 0.3 for number in range(2000))
    assert 530 < below < 670
