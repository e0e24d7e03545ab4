"""Which addresses a webhook may reach: public ones, and the networks that the operator allows.

A project's administrator chooses a webhook's URL, and the service stands in a network with machines that
trust it. So the service resolves the name itself, judges every address, and connects to exactly those.
"""

import socket
from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_PUBLIC_6 = IPv6Network("2000::/3")  # the only part of IPv6 that is given out for the internet
_SPECIAL = tuple(
    ip_network(text)
    for text in (
        # Listed in full, because what Python calls global holds multicast and several ways into IPv4,
        # and changes with its patch level.
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind carriers' NAT, and metadata of some clouds
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's own services
        "169.254.0.0/16",  # link-local, and metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments, and metadata of Oracle's cloud
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
        # What lies outside of 2000::/3 is refused with it: ::1, IPv4-mapped and -compatible addresses,
        # NAT64, unique local, link-local, site-local, multicast.
    )
)

_LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
_THIS_MACHINE = frozenset(
    {
        "localhost",
        "localhost4",
        "localhost6",
        "ip6-localhost",
        "ip6-loopback",
        "localhost.localdomain",
        "localhost4.localdomain4",
        "localhost6.localdomain6",
    }
)


class ForbiddenAddress(Exception):
    """The host is, or its name leads to, an address that webhooks may not reach."""


def is_forbidden(address: Address, allowed: Collection[Network] = ()) -> bool:
    """Say whether an address may not be connected to; `allowed` networks may, whatever they are."""
    if any(address in network for network in allowed):
        return False
    if isinstance(address, IPv6Address) and address not in _PUBLIC_6:
        return True
    return not address.is_global or any(address in network for network in _SPECIAL)


def judge(addresses: Sequence[Address], allowed: Collection[Network]) -> None:
    """Refuse a host with any address that may not be reached.

    One among many is enough: a name with a public and a private address is a way in, or a mistake.

    Raises:
        ForbiddenAddress: names none of them, so that nobody explores the service's network by webhooks.
    """
    if any(is_forbidden(address, allowed) for address in addresses):
        raise _forbidden()


def judge_host(host: str, allowed: Collection[Network]) -> None:
    """Refuse a host that can only ever fail: a forbidden address in any form, or a name of this machine.

    Any other name is judged when it is connected to, by what it leads to then.

    Raises:
        ForbiddenAddress: as `judge` does.
    """
    judge(literal(host), allowed)
    if _is_this_machine(host) and all(is_forbidden(address, allowed) for address in _LOOPBACK):
        raise _forbidden()


def _is_this_machine(host: str) -> bool:
    """Say whether a name stands for the loopback addresses, as `localhost` and all below it do (RFC 6761)."""
    name = host.lower().rstrip(".")
    return name in _THIS_MACHINE or name.endswith(".localhost")


def _forbidden() -> ForbiddenAddress:
    return ForbiddenAddress(
        "the host is at an address that is not public, which webhooks may not reach; "
        "an operator can allow it by PATCHMILL_WEBHOOK_ALLOWED_NETWORKS"
    )


def literal(host: str) -> list[Address]:
    """Give the address that a host is itself, in any form that the system takes for one; or nothing.

    The system, not the URL's syntax, decides: it reads 2130706433, 0x7f.1 and 127.1 as 127.0.0.1.
    """
    try:
        return _read(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    except (OSError, UnicodeError):
        return []


def resolve(host: str) -> list[Address]:
    """Ask the system for the addresses of a host; blocks.

    Raises:
        OSError: there is no such name, or nobody answers.
    """
    try:
        return _read(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except UnicodeError:
        raise OSError("the host is no name that can be looked up") from None


def _read(answers: Sequence[tuple[object, ...]]) -> list[Address]:
    found: list[Address] = []
    for *_, place in answers:
        text = place[0] if isinstance(place, tuple) else ""
        address = ip_address(text)
        if address not in found:
            found.append(address)
    return found
