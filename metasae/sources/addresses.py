"""Addresses of the network: those anybody may be sent to, told from this machine's own networks."""

import ipaddress
import socket

from metasae.errors import UserError

_VERSION_4_INSIDE = ipaddress.ip_network("64:ff9b::/96")
"""Addresses of version 6 behind which a gateway finds one of version 4 (RFC 6052)."""


def public_address(host: str, port: int) -> str:
    """The address of a name, once all that the name leads to are seen to be public.

    Whoever connects takes this address and not the name, which may lead elsewhere a moment later.

    Raises:
        UserError: when one of them is this machine's, a private network's or reserved, and when the
            name leads nowhere.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
    except (OSError, ValueError) as error:  # ValueError: a name no host can have
        raise UserError(f'"{host[:60]}" can\'t be found; check the address.') from error
    if not addresses or not all(map(is_public, addresses)):
        raise UserError(
            f'"{host[:60]}" is an address of this machine or of a private network, which can\'t be '
            "asked from here; give a public one."
        )
    return str(addresses[0])


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is neither private, this machine's, a group's nor reserved.

    One of version 6 that stands for one of version 4 is what that one is.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address.teredo is not None:
            return False
        if address in _VERSION_4_INSIDE:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast
