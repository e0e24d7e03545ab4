"""A key's text: `pm_` + 8 public characters + 32 secret ones + a checksum of 6, all base62.

The prefix and the checksum let secret scanners recognise a leaked key. Only an HMAC-SHA256 of the secret
under the installation's pepper is stored, so that a copy of the database holds no usable key.
"""

import hashlib
import hmac
import os
import secrets
import string
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from patchmill.errors import ConfigurationError

PREFIX = "pm_"
PUBLIC_LENGTH = 8
SECRET_LENGTH = 32
CHECKSUM_LENGTH = 6
PEPPER_BYTES = 32

_ALPHABET = string.digits + string.ascii_letters
_LENGTH = PUBLIC_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySecret:
    """A key in its two parts."""

    public_id: str
    secret: str

    def __repr__(self) -> str:
        return f"KeySecret({PREFIX}{self.public_id}…)"

    def text(self) -> str:
        """Give the key as its owner writes it; shown once."""
        body = PREFIX + self.public_id + self.secret
        return body + _checksum(body)


def make() -> KeySecret:
    """Make a new key from the system's randomness: 190 secret bits."""
    return KeySecret(public_id=_random(PUBLIC_LENGTH), secret=_random(SECRET_LENGTH))


def read(text: str) -> KeySecret | None:
    """Read a key, or None when it is mistyped: no look-up is spent on it."""
    body = text.removeprefix(PREFIX)
    if body == text or len(body) != _LENGTH or not all(letter in _ALPHABET for letter in body):
        return None
    if _checksum(text[:-CHECKSUM_LENGTH]) != text[-CHECKSUM_LENGTH:]:
        return None
    return KeySecret(public_id=body[:PUBLIC_LENGTH], secret=body[PUBLIC_LENGTH:-CHECKSUM_LENGTH])


def digest(key: KeySecret, pepper: bytes) -> bytes:
    """Hash a key's secret for storage."""
    return hmac.digest(pepper, f"{key.public_id}:{key.secret}".encode(), hashlib.sha256)


def matches(key: KeySecret, stored: bytes, pepper: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(digest(key, pepper), stored)


def load_pepper(chosen: Path | None, data_dir: Path) -> bytes:
    """Read the pepper; the one in the data folder is made on first use, a chosen file must exist.

    Raises:
        ConfigurationError: the file cannot be read or made, or is too short to be a secret.
    """
    path = chosen or data_dir / "key-pepper"
    if chosen is None:
        _make_pepper(path)
    try:
        pepper = path.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the key pepper {path}: {error.strerror}; "
            "set PATCHMILL_KEY_PEPPER_FILE to a file with at least 32 random bytes"
        ) from None
    if len(pepper) < PEPPER_BYTES:
        raise ConfigurationError(f"the key pepper {path} holds less than {PEPPER_BYTES} bytes")
    return pepper


def _make_pepper(path: Path) -> None:
    """Write the file whole or not at all, so that two processes starting together agree on one pepper."""
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(PEPPER_BYTES))
        with suppress(FileExistsError):  # another process was first, and its pepper is the one
            os.link(draft, path)
        draft.unlink()
    except OSError as error:
        raise ConfigurationError(
            f"cannot write the key pepper {path}: {error.strerror}; "
            "set PATCHMILL_DATA_DIR or PATCHMILL_KEY_PEPPER_FILE"
        ) from None


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(body: str) -> str:
    value = zlib.crc32(body.encode())
    letters = []
    for _ in range(CHECKSUM_LENGTH):
        value, letter = divmod(value, len(_ALPHABET))
        letters.append(_ALPHABET[letter])
    return "".join(reversed(letters))
