import pytest

from patchmill.errors import ConfigurationError
from patchmill.settings import check_redis_url


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6379/0",
        "redis://127.0.0.1:6379",
        "redis://127.1.2.3",
        "redis://[::1]:6379/1",
        "rediss://:password@redis.example:6380/0",
        "rediss://user:password@10.0.0.5",
    ],
)
def test_a_redis_here_or_behind_password_and_tls_is_accepted(url: str) -> None:
    check_redis_url(url, trusted_network=False)


@pytest.mark.parametrize(
    ("url", "lacking"),
    [
        ("redis://redis.example", "a password and TLS"),
        ("redis://10.0.0.5:6379", "a password and TLS"),
        ("redis://:hunter2@redis.example", "without TLS"),
        ("rediss://redis.example", "without a password"),
        ("redis://localhost.example", "a password and TLS"),
        ("redis://0.0.0.0", "a password and TLS"),
    ],
)
def test_an_open_redis_elsewhere_needs_the_word_that_its_network_is_trusted(url: str, lacking: str) -> None:
    with pytest.raises(ConfigurationError, match=lacking) as refused:
        check_redis_url(url, trusted_network=False)

    assert "hunter2" not in str(refused.value)
    check_redis_url(url, trusted_network=True)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://localhost",
        "redis+cluster://localhost",
        "rediss+cluster://:password@redis.example",
        "redis-sentinel://localhost",
        "unix:///run/redis.sock",
        "redis://",
        "redis://:password@",
        "redis://localhost:port",
        "redis://localhost:6379/first",
        "redis://[::1",
    ],
)
def test_an_address_that_not_both_clients_reach_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="PATCHMILL_REDIS_URL"):
        check_redis_url(url, trusted_network=True)
