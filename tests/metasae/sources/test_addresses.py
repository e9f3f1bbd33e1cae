"""Only public addresses, whatever name leads to them."""

import ipaddress
import socket

import pytest

from metasae.errors import UserError
from metasae.sources.addresses import is_public, public_address
from tests.builders import one_sentence


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.3.4", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "fc00::1", "fd12::3", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2001:db8::1",
        "2001:0:53aa:64c:0:0:80ff:fffe",
    ],
)  # fmt: skip
def test_private_addresses_are_told(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_told(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


def leading_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Have every name lead to these addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 80)) for one in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_a_name_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    leading_to(monkeypatch, "8.8.8.8", "2606:4700::1111")
    assert public_address("labels.example", 443) == "8.8.8.8"


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["fe80::1%eth0"]])
def test_a_name_that_also_leads_to_a_private_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    leading_to(monkeypatch, *addresses)
    with pytest.raises(UserError, match="private network") as raised:
        public_address("labels.example", 80)
    one_sentence(raised)


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f.1", "127.1", "localhost", "[::1]".strip("[]")]
)
def test_other_ways_to_write_this_machine_are_refused(host: str) -> None:
    with pytest.raises(UserError):
        public_address(host, 80)


def test_a_name_that_leads_nowhere_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="can't be found") as raised:
        public_address("a" * 300, 80)
    one_sentence(raised)
    leading_to(monkeypatch)
    with pytest.raises(UserError):
        public_address("nowhere.example", 80)
