import ipaddress
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.deliver.addresses import ForbiddenAddress, is_forbidden, judge, literal, resolve

FORBIDDEN = {
    "unspecified": "0.0.0.0",  # noqa: S104 - nothing listens on it
    "this network": "0.1.2.3",
    "private, class A": "10.0.0.1",
    "carrier's NAT": "100.64.0.1",
    "metadata of Alibaba": "100.100.100.200",
    "loopback": "127.0.0.1",
    "elsewhere in loopback": "127.255.255.254",
    "services of Azure": "168.63.129.16",
    "metadata of most clouds": "169.254.169.254",
    "private, class B": "172.16.0.1",
    "the last of class B": "172.31.255.255",
    "protocol assignments": "192.0.0.8",
    "metadata of Oracle": "192.0.0.192",
    "documentation 1": "192.0.2.1",
    "6to4 relays": "192.88.99.1",
    "private, class C": "192.168.1.1",
    "benchmarks": "198.18.0.1",
    "documentation 2": "198.51.100.7",
    "documentation 3": "203.0.113.7",
    "multicast": "224.0.0.1",
    "multicast with a scope": "239.255.255.250",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "unspecified 6": "::",
    "loopback 6": "::1",
    "IPv4-compatible loopback": "::127.0.0.1",
    "IPv4-compatible public": "::8.8.8.8",
    "IPv4-mapped loopback": "::ffff:127.0.0.1",
    "IPv4-mapped private": "::ffff:10.0.0.1",
    "IPv4-mapped public": "::ffff:8.8.8.8",
    "IPv4-translated": "::ffff:0:127.0.0.1",
    "NAT64 of loopback": "64:ff9b::7f00:1",
    "NAT64 of the metadata": "64:ff9b::a9fe:a9fe",
    "local NAT64": "64:ff9b:1::7f00:1",
    "discard-only": "100::1",
    "Teredo": "2001:0:7f00:1::",
    "benchmarks 6": "2001:2::1",
    "ORCHID": "2001:20::1",
    "documentation 6": "2001:db8::1",
    "6to4 of loopback": "2002:7f00:1::",
    "6to4 of private": "2002:c0a8:101::1",
    "documentation 6, the new": "3fff::1",
    "segment routing": "5f00::1",
    "unique local": "fc00::1",
    "metadata of AWS by IPv6": "fd00:ec2::254",
    "link-local": "fe80::1",
    "link-local with a zone": "fe80::1%1",
    "site-local": "fec0::1",
    "multicast 6": "ff02::1",
    "multicast 6, global": "ff0e::1",
}

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "2a00:1450::1",
]

LOOPBACK_IN_DISGUISE = [
    "127.0.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0x7f.0x0.0x0.0x1",
    "127.1",
    "127.0.1",
    "0177.0.0.1",
    "017700000001",
    "00000177.1",
    "::1",
    "0:0:0:0:0:0:0:1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "0",
    "0.0.0.0",  # noqa: S104 - nothing listens on it
]


@pytest.mark.parametrize("case", FORBIDDEN)
def test_an_address_that_is_not_public_is_forbidden(case: str) -> None:
    assert is_forbidden(ip_address(FORBIDDEN[case]))


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_may_be_reached(text: str) -> None:
    assert not is_forbidden(ip_address(text))


@given(st.ip_addresses())
def test_no_address_that_python_calls_special_may_be_reached(address: ipaddress.IPv4Address) -> None:
    special = (
        not address.is_global
        or address.is_multicast
        or address.is_reserved
        or address.is_loopback
        or address.is_link_local
        or address.is_unspecified
    )

    assert is_forbidden(address) or not special


@pytest.mark.parametrize("case", FORBIDDEN)
def test_an_allowed_network_may_be_reached(case: str) -> None:
    address = ip_address(FORBIDDEN[case].partition("%")[0])

    assert not is_forbidden(address, [ip_network(address)])


def test_allowing_one_network_allows_no_other_nor_its_disguises() -> None:
    allowed = [ip_network("127.0.0.0/8")]

    assert not is_forbidden(ip_address("127.0.0.1"), allowed)
    for text in ("10.0.0.1", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"):
        assert is_forbidden(ip_address(text), allowed)


@pytest.mark.parametrize("host", LOOPBACK_IN_DISGUISE)
def test_every_way_to_write_loopback_is_read_and_refused(host: str) -> None:
    found = literal(host)

    assert found
    with pytest.raises(ForbiddenAddress):
        judge(found, [])


@pytest.mark.parametrize(
    "host", ["example.com", "localhost", "127.0.0.1.example.com", "a..b", "x" * 300, "%31"]
)
def test_a_name_is_no_address_itself(host: str) -> None:
    assert literal(host) == []


def test_one_forbidden_address_among_public_ones_refuses_the_host() -> None:
    addresses = [ip_address("1.1.1.1"), ip_address("10.0.0.1")]

    with pytest.raises(ForbiddenAddress) as refused:
        judge(addresses, [])

    assert "10.0.0.1" not in str(refused.value)
    judge(addresses, [ip_network("10.0.0.0/24")])


def test_localhost_leads_to_forbidden_addresses_alone() -> None:
    found = resolve("localhost")

    assert found
    assert all(is_forbidden(address) for address in found)


@pytest.mark.parametrize("host", ["a..b", "x" * 300 + ".example"])
def test_a_host_that_cannot_be_a_name_is_an_error_of_the_look_up(host: str) -> None:
    with pytest.raises(OSError, match=r".+"):
        resolve(host)
