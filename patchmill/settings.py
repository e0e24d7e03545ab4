"""Every setting, with its unit and default, in one place; only composition roots read it.

Environment variables carry the prefix `PATCHMILL_`; `BYTESPIKE_API_KEY` is accepted for the gateway's
key. `patchmill settings` prints this table.
"""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from patchmill.errors import ConfigurationError

MIB = 1024 * 1024
MAX_RETENTION_DAYS = 36_500


def _default_data_dir() -> Path:
    """A per-user folder; for root one outside its home, which other users may not enter."""
    if os.geteuid() == 0:
        return Path("/var/lib/patchmill")
    return platformdirs.user_data_path("patchmill")


class Settings(BaseSettings):
    """What an operator can set. Every field is an environment variable `PATCHMILL_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="PATCHMILL_", extra="ignore", populate_by_name=True)

    database_url: SecretStr | None = Field(
        None, description="Postgres, as postgresql+psycopg://user:password@host/database"
    )
    redis_url: SecretStr | None = Field(None, description="Redis or Valkey, as redis:// or rediss://")
    gateway_url: str = Field(
        "https://llm.bytespike.ai/v1", description="base URL of the OpenAI-compatible model gateway"
    )
    gateway_api_key: SecretStr | None = Field(
        None,
        description="key for the gateway; BYTESPIKE_API_KEY is read too",
        validation_alias=AliasChoices("PATCHMILL_GATEWAY_API_KEY", "BYTESPIKE_API_KEY"),
    )
    gateway_concurrency: int = Field(
        25, ge=1, le=10_000, description="calls in flight for the account, over all workers"
    )
    gateway_account_exclusive: bool = Field(
        default=False,
        description="nobody but this installation uses the gateway's account, so that its bill is evidence",
    )
    model: str = Field("deepseek-v4-flash", description="the model of a first call")
    escalation_model: str = Field("deepseek-v4-pro", description="for what the first model could not do")
    fallback_model: str = Field("deepseek-v3-2", description="while the first model is unavailable")
    call_deadline_s: float = Field(120.0, gt=0, description="longest time of one call, in seconds")
    connect_timeout_s: float = Field(
        10.0, gt=0, description="longest time until a call's request leaves, in seconds"
    )
    first_data_timeout_s: float = Field(
        60.0, gt=0, description="longest wait for the first data of a streamed answer, in seconds"
    )
    progress_timeout_s: float = Field(
        45.0, gt=0, description="longest pause within an answer that has begun, in seconds"
    )
    lease_ttl_s: float = Field(
        30.0, gt=0, description="a worker silent for this many seconds is lost; it beats six times as often"
    )
    stop_grace_s: float = Field(150.0, ge=0, description="seconds that a stopping worker may finish in")
    unknown_policy: str = Field(
        "retry",
        pattern="^(retry|fail)$",
        description="after a call that may have been billed unanswered: retry or fail",
    )
    max_file_bytes: int = Field(MIB, ge=1, description="largest file of a job, in bytes")
    max_body_bytes: int = Field(5 * MIB, ge=1, description="largest request body, in bytes")
    retention_days: int = Field(
        90,
        ge=0,
        le=MAX_RETENTION_DAYS,
        description="days that ended jobs and runs are kept where a project sets none; 0 keeps them for ever",
    )
    key_pepper_file: Path | None = Field(
        None, description="file with the secret that keys are hashed with; default: key-pepper in DATA_DIR"
    )
    webhook_allowed_networks: str = Field(
        "",
        description="networks that webhooks may reach although they are not public, as 10.0.0.0/8,fd00::/8",
    )
    redis_trusted_network: bool = Field(
        default=False, description="accept a Redis on another host without password and TLS"
    )
    data_dir: Path = Field(
        default_factory=_default_data_dir, description="folder for embedded services, keys and journals"
    )
    host: str = Field("127.0.0.1", description="address that the API listens on")
    port: int = Field(8080, ge=0, le=65535, description="port that the API listens on")
    server_url: str = Field("http://127.0.0.1:8080", description="the API, for the client commands")
    server_key: SecretStr | None = Field(None, description="the key that the client commands send")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Where Postgres and Redis are; both URLs were checked."""

    database_url: str
    redis_url: str


def load(**given: Any) -> Settings:
    """Read the settings from the environment.

    Raises:
        ConfigurationError: a value cannot be used; the message names its variable.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        wrong = [
            f"{_variable(str(detail['loc'][0]))}: {detail['msg'].lower()}"
            for detail in error.errors(include_url=False, include_input=False)
        ]
        raise ConfigurationError("; ".join(wrong)) from None


def _variable(name: str) -> str:
    return name if name.isupper() else f"PATCHMILL_{name.upper()}"


def services(settings: Settings) -> Services:
    """Give the addresses of Postgres and Redis, which the `api` and `worker` processes never start.

    Raises:
        ConfigurationError: one is missing or cannot work.
    """
    missing = [
        f"PATCHMILL_{name}"
        for name, value in (("DATABASE_URL", settings.database_url), ("REDIS_URL", settings.redis_url))
        if value is None or not value.get_secret_value()
    ]
    if settings.database_url is None or settings.redis_url is None or missing:
        raise ConfigurationError(
            f"{' and '.join(missing)} must be set: "
            "this process uses a Postgres and a Redis that run already; "
            "`patchmill up` starts everything for you"
        )
    redis_url = settings.redis_url.get_secret_value()
    check_redis_url(redis_url, trusted_network=settings.redis_trusted_network)
    return Services(database_url=settings.database_url.get_secret_value(), redis_url=redis_url)


def gateway_key(settings: Settings) -> str:
    """Give the gateway's key.

    Raises:
        ConfigurationError: there is none.
    """
    if settings.gateway_api_key is None or not settings.gateway_api_key.get_secret_value():
        raise ConfigurationError(
            "PATCHMILL_GATEWAY_API_KEY (or BYTESPIKE_API_KEY) must be set: "
            "a worker calls the model gateway with it; "
            "`patchmill up` uses the stand-in gateway when there is no key"
        )
    return settings.gateway_api_key.get_secret_value()


def allowed_networks(settings: Settings) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Give the networks that are not public and that webhooks may reach all the same.

    Raises:
        ConfigurationError: one of them is no network.
    """
    texts = [text.strip() for text in settings.webhook_allowed_networks.split(",")]
    try:
        return tuple(ipaddress.ip_network(text) for text in texts if text)
    except ValueError as error:
        raise ConfigurationError(
            f"PATCHMILL_WEBHOOK_ALLOWED_NETWORKS: {error}; it looks like 10.0.0.0/8,fd00::/8"
        ) from None


def check_redis_url(url: str, *, trusted_network: bool) -> None:
    """Refuse a Redis that redis-py and kombu cannot both reach, or that anyone on the network could command.

    Raises:
        ConfigurationError: says what is wrong and what to set; never quotes the password.
    """
    example = "it looks like redis://host:6379/0"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"PATCHMILL_REDIS_URL is not a URL; {example}") from None
    if parts.scheme not in {"redis", "rediss"}:
        raise ConfigurationError(
            f"PATCHMILL_REDIS_URL begins with {parts.scheme or 'no scheme'}; it must begin with redis:// or rediss://"
        )
    if not host:
        raise ConfigurationError(f"PATCHMILL_REDIS_URL names no host; {example}")
    database = parts.path.strip("/")
    if database and not (database.isascii() and database.isdigit()):
        raise ConfigurationError(f"PATCHMILL_REDIS_URL must end in a database number; {example}")
    lacking = [] if parts.password else ["a password"]
    lacking += [] if parts.scheme == "rediss" else ["TLS"]
    if lacking and not trusted_network and not _is_loopback(host):
        raise ConfigurationError(
            f"the Redis on {host} would be reached without {' and '.join(lacking)}; "
            "use rediss://:password@host, or set PATCHMILL_REDIS_TRUSTED_NETWORK=true "
            "if nobody else is on that network"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
